//! Which limits hold for a channel, and what a message counts as.

use fairway_adapters::contract::Scope;

use super::{Parts, Rate};
use crate::channels::Channel;
use crate::outbound::accepted::Accepted;
use crate::outbound::lane::{Counted, Limits, country};
use crate::outbound::limit::{Limit, Micros};
use crate::people::place;

/// How far back departures of a unit matter to the limits in force, in milliseconds.
pub fn memory(parts: &Parts, unit: u32) -> i64 {
    let channels = parts.channels.get();
    let memories = channels.by_id.values().filter(|c| c.unit == unit).map(|c| of(c).memory());
    memories.max().unwrap_or(0) / 1000
}

/// The limits of a channel: the provider's documented ones, replaced by the configuration's of the same scope.
pub fn of(channel: &Channel) -> Limits {
    let facts = channel.facts();
    let throttle = &channel.throttle;
    // Where the settings decide (what kind of sender it is), the adapter says; else the facts.
    let paces = channel.adapter.paces().unwrap_or(facts.paces);
    let documented = |scope: Scope| paces.iter().filter(move |p| p.scope == scope).map(Limit::of_pace);
    let either = |rate: Option<Rate>, scope: Scope| match rate {
        Some(rate) => vec![Limit::of_rate(rate)],
        None => documented(scope).collect(),
    };
    let by_scope = [
        (Scope::Conversation, throttle.per_recipient),
        (Scope::Group, throttle.per_group),
        (Scope::Template, throttle.per_template),
        (Scope::Country, None),
    ];
    let mut each: Vec<_> =
        by_scope.into_iter().flat_map(|(scope, rate)| either(rate, scope).into_iter().map(move |limit| (scope, None, limit))).collect();
    each.extend(throttle.per_country.iter().map(|(code, rate)| (Scope::Country, Some(country(code.0)), Limit::of_rate(*rate))));
    let shared = channel.limits.iter().filter_map(|(name, limit)| Some((format!("limits/{name}"), Limit::of_rate(limit.rate?))));
    let people = channel.limits.iter().filter_map(|(name, limit)| {
        let people = limit.people?;
        Some((format!("limits/{name}"), people.count, people.window.as_micros() as Micros))
    });
    Limits {
        tenant: channel.tenant.clone().unwrap_or_default(),
        sender: either(throttle.rate, Scope::Sender),
        account: format!("account/{}", channel.account),
        of_account: either(throttle.per_account, Scope::Account),
        shared: shared.collect(),
        people: people.collect(),
        each,
        concurrency: throttle.concurrency.or(channel.adapter.concurrency()).unwrap_or(facts.concurrency),
    }
}

/// Says once, when a channel comes into force, that it will go faster than its provider documents.
pub fn warn_of_high(channel: &Channel) {
    let paces = channel.adapter.paces().unwrap_or(channel.facts().paces);
    let Some(rate) = channel.throttle.rate else { return };
    let per_second = f64::from(rate.count) / rate.window.as_secs_f64();
    if paces.iter().any(|p| p.scope == Scope::Sender && per_second > f64::from(p.count) * 1000.0 / p.window_ms as f64) {
        tracing::warn!(channel = &*channel.id, rate = %rate, "throttle.rate is higher than the provider documents");
    }
}

/// What a message counts as. `as_template`: it goes as its template although it has parts.
pub fn counted(channel: Option<&Channel>, message: &Accepted, conversation: &str, as_template: bool) -> Counted {
    let template = message.request.template.as_ref().filter(|_| as_template || message.request.parts.is_empty());
    let by_country = channel.is_some_and(|c| !c.throttle.per_country.is_empty());
    let country = by_country.then(|| place::of_number(message.to.split_once(":+")?.1)).flatten();
    Counted {
        conversation: Accepted::conversation_hash(conversation),
        group: channel.filter(|c| c.adapter.is_group(&message.to)).map_or(0, |_| Accepted::kept_hash(&message.to)),
        template: template.map_or(0, |t| Accepted::kept_hash(&t.name)),
        country: country.and_then(|p| p.country.as_bytes().try_into().ok()).unwrap_or_default(),
        cost: message.cost,
        opens: template.is_some(),
    }
}
