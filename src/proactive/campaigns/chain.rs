//! Chains: a campaign with a fallback may write to a person once on each of their channels, one after the other. The engine's
//! fallback takes the steps; here they are written beforehand, and what became of them comes into the books.
//!
//! Every message of such a campaign has a row in `campaign_steps`. The person's row in the books has what the weightiest of
//! theirs came to, so that everybody counts once, with the channel that reached them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fairway_adapters::contract::message::Fallback;
use fairway_adapters::contract::{SendRequest, State, Time};

use super::reach::choose;
use super::{Campaign, Onward, Order};
use crate::channels::Channel;
use crate::outbound::accept::Refused;
use crate::proactive::prices::Prices;
use crate::proactive::templates::Written;
use crate::proactive::{Failed, Room};
use crate::store::db::Statement;
use crate::values;

/// A channel, and the address on it.
pub(super) type Way = (Arc<Channel>, String);

/// What people's rows that have a single message are set to. A hold may be followed by another one of the same level, with an end of
/// its own; one that is told again after a crash has the old end, and knows its reason no more.
const STATE: &str = "UPDATE campaign_people SET state = ?2, level = ?3, reason = ?4, class = ?5, until_at = ?6
    WHERE message = ?1 AND (level < ?3
        OR level = ?3 AND ?2 = 'held' AND coalesce(until_at, 0) <> coalesce(CAST(?6 AS BIGINT), 0))";
/// What is told of who was erased meanwhile brings no address back. The first message is the first step whenever it is told of: states
/// of two messages come in any order.
const STEP: &str = "INSERT INTO campaign_steps (message, campaign, number, step, channel, address, state, level, weight, reason, class,
        until_at, cost)
    SELECT CAST(?1 AS TEXT), p.campaign, p.number,
        CASE WHEN CAST(?1 AS TEXT) = p.message THEN 0 ELSE
            1 + (SELECT count(*) FROM campaign_steps s WHERE s.campaign = p.campaign AND s.number = p.number AND s.step > 0) END,
        CAST(?3 AS TEXT),
        CASE WHEN p.address LIKE 'erased:%' THEN p.address ELSE CAST(?4 AS TEXT) END,
        CAST(?5 AS TEXT), CAST(?6 AS BIGINT), CAST(?7 AS BIGINT), CAST(?8 AS TEXT), CAST(?9 AS TEXT), CAST(?10 AS BIGINT), CAST(?11 AS BIGINT)
    FROM campaign_people p WHERE p.message = ?2
    ON CONFLICT (message) DO UPDATE SET state = excluded.state, level = excluded.level, weight = excluded.weight,
        reason = excluded.reason, class = excluded.class, until_at = excluded.until_at
    WHERE campaign_steps.level < excluded.level OR campaign_steps.level = excluded.level AND excluded.state = 'held'
        AND coalesce(campaign_steps.until_at, 0) <> coalesce(excluded.until_at, 0)";
/// Of equals the latest step counts. The level is above what the runner writes. The sign keeps SQLite from taking the steps of the whole
/// campaign in the order of their weight, to find those of one person among them.
const COUNTS: &str = "UPDATE campaign_people SET level = 10, (state, channel, address, reason, class, until_at, counts) =
    (SELECT s.state, s.channel, s.address, s.reason, s.class, s.until_at, s.message FROM campaign_steps s
     WHERE s.campaign = campaign_people.campaign AND s.number = campaign_people.number ORDER BY +s.weight DESC, s.step DESC LIMIT 1)
    WHERE message = ?1";

/// How much a state of one message says about its person, beside those of the other messages: whether it reached them, may have, or
/// still may.
fn weight(state: State) -> i64 {
    match state {
        State::Read => 5,
        State::Delivered => 4,
        State::Sent => 3,
        State::InDoubt => 2,
        State::Accepted | State::Scheduled | State::Held | State::Sending => 1,
        State::Failed | State::Expired | State::Cancelled | State::Suppressed => 0,
    }
}

/// What was told of a campaign's message.
pub(super) struct Told {
    pub campaign: String,
    pub message: String,
    /// The first message of its chain; itself where it is none of several.
    pub first: String,
    pub channel: String,
    pub address: String,
    pub state: State,
    /// How the state compares with earlier ones of the same message.
    pub level: i64,
    pub reason: Option<String>,
    pub class: Option<&'static str>,
    pub until: Option<Time>,
    /// What the provider will charge for, of a step.
    pub units: Option<u32>,
}

/// The ways to a person, best first; each channel and each address once. `first`: the one that is taken already.
pub(super) fn ways(order: Order, channels: &[Arc<Channel>], prices: &Prices, addresses: &[String], first: Option<Way>) -> Vec<Way> {
    let (mut left, mut addresses) = (channels.to_vec(), addresses.to_vec());
    let mut ways = Vec::new();
    let mut next = first.or_else(|| choose(order, &left, prices, &addresses));
    while let Some((channel, to)) = next {
        left.retain(|c| c.id != channel.id);
        addresses.retain(|a| *a != to);
        ways.push((channel, to));
        next = choose(order, &left, prices, &addresses);
    }
    ways
}

/// What follows when the way before does not reach the person.
pub(super) fn steps(onward: &Onward, ways: impl Iterator<Item = (Way, Written)>) -> Vec<Fallback> {
    let step = |((channel, to), written): (Way, Written)| Fallback {
        to,
        channel: Some(channel.id.to_string()),
        after: onward.after.clone(),
        unless: onward.unless,
        parts: written.parts,
        template: written.template,
    };
    ways.map(step).collect()
}

/// Leaves out the step that was refused, so that what a later channel would not take keeps nobody from the first; false when it
/// was something else.
pub(super) fn without_refused(request: &mut SendRequest, refused: &Refused) -> bool {
    let number = refused.pointer.strip_prefix("#/fallback/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
    match number.filter(|n| *n < request.fallback.len()) {
        Some(number) => {
            request.fallback.remove(number);
            true
        }
        None => false,
    }
}

impl Room {
    /// The statements that bring what was told into the books. `chained`: what is known of campaigns, whether they have a fallback.
    pub(super) async fn states(&self, told: Vec<Told>, chained: &mut HashMap<String, bool>) -> Result<Vec<Statement>, Failed> {
        let (mut plain, mut steps, mut people) = (Vec::new(), Vec::new(), BTreeSet::new());
        for t in told {
            let has_fallback = match chained.get(&t.campaign).copied() {
                Some(known) => known,
                None => {
                    let found = match self.campaign(&t.campaign).await {
                        Ok(campaign) => campaign.plan.fallback.is_some(),
                        Err(Failed::Unknown(_)) => false,
                        Err(e) => return Err(e),
                    };
                    chained.insert(t.campaign.clone(), found);
                    found
                }
            };
            let until = t.until.map(|at| at.0);
            if !has_fallback {
                plain.push(values![t.message, t.state.word(), t.level, t.reason, t.class, until]);
                continue;
            }
            // What the first costs was counted when it was planned.
            let cost = t.units.map_or(0, |units| self.price(&t.channel, &t.address).saturating_mul(i64::from(units)));
            people.insert(t.first.clone());
            steps.push(values![
                t.message,
                t.first,
                t.channel,
                t.address,
                t.state.word(),
                t.level,
                weight(t.state),
                t.reason,
                t.class,
                until,
                cost
            ]);
        }
        let people = people.into_iter().map(|first| values![first]).collect();
        Ok(vec![Statement::each(STATE, plain), Statement::each(STEP, steps), Statement::each(COUNTS, people)])
    }

    fn price(&self, channel: &str, to: &str) -> i64 {
        let channel = self.parts.channels.get().by_id.get(channel).cloned();
        channel.and_then(|channel| self.prices().ok()?.of(&channel, to)).unwrap_or(0)
    }

    /// Millionths a campaign has cost, its fallback steps included.
    pub(super) async fn spent(&self, campaign: &Campaign) -> Result<i64, Failed> {
        if campaign.plan.fallback.is_none() {
            return Ok(campaign.spent);
        }
        let sql = "SELECT CAST(sum(cost) AS BIGINT) FROM campaign_steps WHERE campaign = ?1";
        let rows = self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?;
        Ok(campaign.spent + rows.first().map(|r| r.maybe_int(0)).transpose()?.flatten().unwrap_or(0))
    }

    /// Whether a step of a campaign's fallback has yet to leave.
    pub(super) async fn steps_wait(&self, campaign: &Campaign) -> Result<bool, Failed> {
        let sql = "SELECT number FROM campaign_steps WHERE campaign = ?1 AND weight = 1 LIMIT 1";
        Ok(campaign.plan.fallback.is_some() && !self.parts.db.read(sql.into(), values![campaign.id.as_str()]).await?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Channels;
    use crate::config::Config;
    use crate::store::laws::{Stage, laws};

    laws! {
        what_is_told_of_who_was_erased_brings_no_address_back
        the_first_message_is_the_first_step_whenever_it_is_told_of
    }

    async fn the_first_message_is_the_first_step_whenever_it_is_told_of(stage: Stage) {
        let db = stage.open().await;
        crate::proactive::open_tables(&*db).await.expect("tables");
        let person = "INSERT INTO campaign_people (campaign, number, due, variant, state, level, address, message, opted_out)
            VALUES ('cmp_1', 1, 0, '', 'accepted', 1, 'viber:1', 'msg_1', 0)";
        let told = |message: &str, state: &str, weight: i64| {
            let none = None::<String>;
            let row = values![message, "msg_1", "c", "viber:1", state, 20, weight, none.clone(), none, None::<i64>, 0];
            Statement::once(STEP, row)
        };
        let statements = vec![
            Statement::once(person, Vec::new()),
            told("msg_2", "delivered", 4),
            told("msg_1", "suppressed", 0),
            told("msg_3", "failed", 0),
        ];
        db.write(statements).await.expect("written");
        let rows = db.read("SELECT message FROM campaign_steps ORDER BY step".into(), Vec::new()).await.expect("read");
        let order: Vec<_> = rows.iter().map(|row| row.text(0).expect("a message")).collect();
        assert_eq!(order, ["msg_1", "msg_2", "msg_3"]);
    }

    async fn what_is_told_of_who_was_erased_brings_no_address_back(stage: Stage) {
        let db = stage.open().await;
        crate::proactive::open_tables(&*db).await.expect("tables");
        let person = |number: i64, address: &str| {
            let sql = "INSERT INTO campaign_people (campaign, number, due, variant, state, level, address, message, opted_out)
                VALUES ('cmp_1', ?1, 0, '', 'accepted', 1, ?2, ?3, 0)";
            Statement::once(sql, values![number, address, format!("msg_{number}")])
        };
        let step = |first: &str, address: &str| {
            let none = None::<String>;
            let row = values![format!("{first} next"), first, "sms", address, "sent", 20, 3, none.clone(), none, None::<i64>, 0];
            [Statement::once(STEP, row), Statement::once(COUNTS, values![first])]
        };
        let mut statements = vec![person(1, "erased:1"), person(2, "viber:2")];
        statements.extend(step("msg_1", "tel:+15550100201"));
        statements.extend(step("msg_2", "tel:+15550100202"));
        db.write(statements).await.expect("written");
        for table in ["campaign_people", "campaign_steps"] {
            let rows = db.read(format!("SELECT address FROM {table} ORDER BY number").into(), Vec::new()).await.expect("read");
            let addresses: Vec<_> = rows.iter().map(|row| row.text(0).expect("an address")).collect();
            assert_eq!(addresses, ["erased:1", "tel:+15550100202"], "{table}");
        }
    }

    #[test]
    fn every_channel_and_address_is_tried_once() {
        let text = "[channels.wa]\nprovider = \"whatsapp\"\nphone_number_id = \"1\"\nwaba_id = \"1\"\naccess_token = \"t\"\napp_secret = \"s\"\n\
            verify_token = \"v\"\ndisplay_phone_number = \"+15550100200\"\n[channels.sms]\nprovider = \"twilio\"\naccount_sid = \"AC1\"\n\
            auth_token = \"t\"\nfrom = \"+15550100200\"\n";
        let config = Config::parse(text, std::path::Path::new("t.toml"), &|_| None).expect("a configuration");
        let bound = Channels::bind(&config).expect("channels");
        let channels = ["wa", "sms"].map(|name| Arc::clone(&bound.by_id[name]));
        let ways = |order, addresses: &[&str]| -> Vec<String> {
            let addresses: Vec<String> = addresses.iter().map(|a| (*a).to_owned()).collect();
            ways(order, &channels, &Prices::default(), &addresses, None).into_iter().map(|(c, to)| format!("{} {to}", c.id)).collect()
        };
        let both = ["whatsapp:+15550100201", "tel:+15550100201"];
        assert_eq!(ways(Order::Preferred, &both), ["wa whatsapp:+15550100201", "sms tel:+15550100201"]);
        assert_eq!(ways(Order::Preferred, &[both[1], both[0]]), ["sms tel:+15550100201", "wa whatsapp:+15550100201"]);
        assert_eq!(ways(Order::Listed, &[both[1], both[0]]), ["wa whatsapp:+15550100201", "sms tel:+15550100201"]);
        assert_eq!(ways(Order::Listed, &both[..1]), ["wa whatsapp:+15550100201"], "the same address is not written to twice");
        assert!(ways(Order::Listed, &["mailto:ana@example.org"]).is_empty());
    }

    #[test]
    fn a_step_that_is_refused_is_left_out() {
        let step = |to: &str| Fallback { to: to.into(), ..Fallback::default() };
        let mut request = SendRequest { fallback: vec![step("a:1"), step("b:1")], ..SendRequest::default() };
        let refused = |pointer: &str| Refused { pointer: pointer.into(), code: "x", detail: String::new(), until: None };
        assert!(!without_refused(&mut request, &refused("#/parts/0")));
        assert!(without_refused(&mut request, &refused("#/fallback/0/parts/0")));
        assert!(!without_refused(&mut request, &refused("#/fallback/1/parts/0")), "there is no such step any more");
        assert_eq!(request.fallback, [step("b:1")]);
    }
}
