//! Deliveries: an envelope of changes, each with messages, statuses or news of the account.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{self, Who};
use super::{account, content, people, receipts};
use crate::contract::event::{Notice, ProviderEvent, Severity};
use crate::contract::*;
use crate::kit::borrow::{List, Maybe, Word};
use crate::kit::crypto;
use crate::kit::hub;
use crate::kit::object::Object;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Root<'a> {
    #[serde(borrow)]
    object: Word<'a>,
    #[serde(borrow)]
    entry: List<Maybe<Entry<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Word<'a>,
    #[serde(borrow)]
    time: Word<'a>,
    #[serde(borrow)]
    changes: List<Maybe<Change<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Change<'a> {
    #[serde(borrow)]
    field: Word<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// What one change carries. Each item stays raw until its turn, so that a bad one hurts only itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Value<'a> {
    #[serde(borrow)]
    metadata: Maybe<Metadata<'a>>,
    #[serde(borrow)]
    contacts: List<Maybe<people::Contact<'a>>>,
    #[serde(borrow)]
    messages: List<&'a RawValue>,
    #[serde(borrow)]
    statuses: List<&'a RawValue>,
    #[serde(borrow)]
    errors: List<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    display_phone_number: Word<'a>,
    #[serde(borrow)]
    phone_number_id: Word<'a>,
}

/// Where an item stands: whose number, in which account, under which field.
pub(super) struct Place<'a> {
    /// Our number's id; `None` where the change speaks for the whole account.
    pub(super) account: Option<Text<'a>>,
    /// Our own address.
    pub(super) ours: Option<Text<'a>>,
    /// The business account.
    pub(super) entry: Text<'a>,
    pub(super) field: Text<'a>,
    pub(super) time: Option<Time>,
    pub(super) contacts: Vec<people::Contact<'a>>,
    pub(super) value: &'a RawValue,
    /// Old messages, handed over later.
    pub(super) history: bool,
}

impl<'a> Place<'a> {
    /// An event of a person.
    pub(super) fn event(&self, key: impl Into<Text<'a>>, peer: impl Into<Text<'a>>, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        let key = Some(key.into()).filter(|key| !key.is_empty());
        Event { account: self.account.clone(), key, medium: "whatsapp".into(), peer: peer.into(), time, body }
    }

    /// A key for what Meta does not number: the same bytes make the same key.
    pub(super) fn fingerprint(&self, raw: &str) -> String {
        crypto::fingerprint(&[&self.entry, &self.field, raw])
    }

    /// News of the account.
    pub(super) fn notice(&self, kind: &str, severity: Severity, text: impl Into<Text<'a>>, raw: &'a RawValue) -> Event<'a> {
        let notice = Notice { kind: Text::Owned(kind.to_owned()), severity, text: text.into(), raw: Some(Raw::borrowed(raw)) };
        self.event(self.fingerprint(raw.get()), "", self.time, Body::Notice(notice))
    }

    /// Known, but without a counterpart of ours.
    pub(super) fn provider(&self, kind: impl Into<Text<'a>>, key: String, peer: String, time: Option<Time>, raw: &'a RawValue) -> Event<'a> {
        let body = ProviderEvent { provider_type: kind.into(), raw: Raw::borrowed(raw) };
        self.event(key, peer, time, Body::Provider(body))
    }

    /// What the contacts of this delivery add about a person.
    pub(super) fn known(&self, who: &Who<'a>) -> Option<&people::Contact<'a>> {
        self.contacts.iter().find(|contact| contact.who().is(who))
    }
}

/// What a delivery means.
pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    if let Some(ack) = hub::challenge(hook.hook()) {
        return Parsed { ack, ..Parsed::default() };
    }
    let Some(text) = hook.text() else { return Parsed::not_understood("a body that is not UTF-8") };
    let Ok(Maybe(root)) = serde_json::from_str::<Maybe<Root<'a>>>(text) else {
        return Parsed::not_understood("a body that is not JSON");
    };
    let Some(root) = root else { return Parsed::not_understood("a body that is not an object") };
    let mut parsed = Parsed::default();
    if root.entry.0.is_empty() {
        parsed.leave("a delivery without entries");
    }
    if root.object.words().is_some_and(|object| object != "whatsapp_business_account") {
        parsed.leave("a delivery of another product than WhatsApp");
    }
    for entry in root.entry.0 {
        let Some(entry) = entry.0 else {
            parsed.leave("an entry that is not an object");
            continue;
        };
        if entry.changes.0.is_empty() {
            parsed.leave("an entry without changes");
        }
        for change in entry.changes.0 {
            match change.0.map(|change| (change.value, change.field)) {
                Some((Some(value), field)) => one_change(&mut parsed, &entry.id, &entry.time, field, value),
                _ => parsed.leave("a change without a value"),
            }
        }
    }
    parsed
}

fn one_change<'a>(parsed: &mut Parsed<'a>, entry: &Word<'a>, time: &Word<'a>, field: Word<'a>, raw: &'a RawValue) {
    let Ok(Maybe(Some(value))) = serde_json::from_str::<Maybe<Value<'a>>>(raw.get()) else {
        parsed.leave("a change whose value is not an object");
        return;
    };
    let metadata = value.metadata.0.unwrap_or_default();
    let ours = address::phone(metadata.display_phone_number.or_empty()).map(|number| format!("whatsapp:{number}").into());
    let mut place = Place {
        account: metadata.phone_number_id.words().cloned(),
        ours,
        entry: entry.0.clone().unwrap_or_default(),
        field: field.0.unwrap_or_default(),
        time: address::time_of(time),
        contacts: value.contacts.0.into_iter().filter_map(|contact| contact.0).collect(),
        value: raw,
        history: false,
    };
    place.history = place.field == "history";
    let before = parsed.events.len() + usize::from(parsed.unparsed.is_some());
    for message in value.messages.0 {
        take(parsed, content::received(&place, message));
    }
    for status in value.statuses.0 {
        take(parsed, receipts::status(&place, status));
    }
    for error in value.errors.0 {
        parsed.events.push(receipts::error(&place, error));
    }
    if !matches!(&*place.field, "messages" | "") {
        account::news(&place, parsed);
    }
    if parsed.events.len() + usize::from(parsed.unparsed.is_some()) == before {
        // Nothing of it has a meaning to us: a message without content, or a field that is new.
        match &*place.field {
            "messages" | "" => parsed.leave("a change without messages, statuses or errors"),
            _ => parsed.events.push(place.provider(place.field.clone(), place.fingerprint(raw.get()), String::new(), place.time, raw)),
        }
    }
}

/// Keeps what was understood and names what was not.
pub(super) fn take<'a>(parsed: &mut Parsed<'a>, event: Result<Event<'a>, String>) {
    match event {
        Ok(event) => parsed.events.push(event),
        Err(reason) => parsed.leave(reason),
    }
}

/// Reads one item of a list.
pub(super) fn object<'a>(raw: &'a RawValue, what: &str) -> Result<Object<'a>, String> {
    Object::parse(raw.get()).ok_or_else(|| format!("{what} that is not an object"))
}
