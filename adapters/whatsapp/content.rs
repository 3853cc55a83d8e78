//! What people write: one letter of a delivery, who wrote it, and what it means as a whole. Its parts are in `parts`.

use serde_json::value::RawValue;

use super::address::{self, Who};
use super::inbound::{self, Place};
use super::{parts, people};
use crate::contract::event::{
    Change, ContactUpdated, Created, Deleted, Edited, Follow, Group, Origin, Reaction, ReactionAction, Referral, ReplyTo, ReplyWindow,
};
use crate::contract::*;
use crate::kit::address as uri;
use crate::kit::object::Object;

/// The service window after each message of a person, and the one an ad opens.
const WINDOW_MS: i64 = 86_400_000;
const AD_WINDOW_MS: i64 = 3 * WINDOW_MS;

/// One message of a delivery, its envelope read.
pub(super) struct Letter<'p, 'a> {
    place: &'p Place<'a>,
    raw: &'a RawValue,
    fields: Object<'a>,
    kind: Text<'a>,
    id: Text<'a>,
    key: Text<'a>,
    time: Option<Time>,
    /// The person at the other end: who wrote it, or to whom it went.
    person: Person<'a>,
    group: Option<Text<'a>>,
    contact: Option<&'p people::Contact<'a>>,
}

/// A message of `messages[]`.
pub(super) fn received<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let fields = inbound::object(raw, "a message")?;
    let who = people::who(&fields, "from", "from_user_id");
    if place.history && place.ours.is_some() && who.address().is_some_and(|from| place.ours.as_deref() == Some(&from)) {
        return Ok(sent(Letter::read(place, raw, fields, "to", "to_user_id", None)?));
    }
    Ok(Letter::read(place, raw, fields, "from", "from_user_id", None)?.event())
}

/// A message of an older conversation: ours or theirs, in a thread named by the person.
pub(super) fn remembered<'a>(place: &Place<'a>, thread: Option<Text<'a>>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let fields = inbound::object(raw, "a message")?;
    let from = people::who(&fields, "from", "from_user_id");
    let theirs = Who::of(thread.clone(), None);
    let ours = place.ours.is_some() && from.address().as_deref() == place.ours.as_deref();
    if ours || (from.address().is_some() && theirs.address().is_some() && !from.is(&theirs) && fields.has("to")) {
        return Ok(sent(Letter::read(place, raw, fields, "to", "to_user_id", thread)?));
    }
    Ok(Letter::read(place, raw, fields, "from", "from_user_id", thread)?.event())
}

/// A message written in the Business app.
pub(super) fn echoed<'a>(place: &Place<'a>, raw: &'a RawValue) -> Result<Event<'a>, String> {
    let fields = inbound::object(raw, "an echo")?;
    Ok(sent(Letter::read(place, raw, fields, "to", "to_user_id", None)?))
}

impl<'p, 'a> Letter<'p, 'a> {
    fn read(
        place: &'p Place<'a>,
        raw: &'a RawValue,
        fields: Object<'a>,
        number: &str,
        user_id: &str,
        thread: Option<Text<'a>>,
    ) -> Result<Self, String> {
        let mut who = people::who(&fields, number, user_id);
        let nobody = who.address().is_none();
        // A message that names nobody is from the one person the delivery names.
        let contact = place.known(&who).or_else(|| place.contacts.first().filter(|_| nobody && place.contacts.len() == 1));
        if let Some(contact) = contact {
            who = who.or(contact.who());
        }
        let group = fields.words("group_id");
        let who = who.or(Who::of(thread, None));
        let Some(mut person) = who.person().or_else(|| group.as_ref().map(|_| Person::default())) else {
            return Err("a message that names nobody".into());
        };
        if let Some(contact) = contact {
            contact.describe(&mut person);
        }
        let kind = fields.words("type").or_else(|| parts::guessed(&fields)).unwrap_or(Text::Borrowed("unknown"));
        let id = fields.words("id").unwrap_or_default();
        let key = if id.is_empty() { place.fingerprint(raw.get()).into() } else { id.clone() };
        let time = fields.text("timestamp").and_then(|text| address::time(&text));
        Ok(Self { place, raw, fields, kind, id, key, time, person, group, contact })
    }

    fn peer(&self) -> String {
        match &self.group {
            Some(group) => uri::address("whatsapp", group),
            None => self.person.address.clone().into_owned(),
        }
    }

    /// What a person did.
    fn event(self) -> Event<'a> {
        let peer = self.peer();
        let (place, time, mut key) = (self.place, self.time, self.key.clone());
        if self.kind == "media_placeholder" {
            // The same message comes again with its media.
            key = format!("{key}:media_placeholder").into();
        }
        if self.kind == "request_welcome" {
            let body = Body::Followed(Follow { from: self.person, ..Follow::default() });
            return place.event(key, peer, time, body);
        }
        let body = match &*self.kind {
            "reaction" => self.reaction().map(Body::Reaction),
            "edit" => self.edited().map(Body::Edited),
            "revoke" => self.revoked().map(Body::Deleted),
            "system" => self.moved().map(Body::ContactUpdated),
            _ => None,
        };
        let body = body.unwrap_or_else(|| Body::Received(self.received()));
        place.event(key, peer, time, body)
    }

    fn received(&self) -> Received<'a> {
        let message = self.message();
        let reply_window = self.time.filter(|_| !self.place.history && self.group.is_none()).map(|time| {
            let from_ad = message.referral.is_some();
            ReplyWindow { free_until: from_ad.then(|| time.plus(AD_WINDOW_MS)), ..window(time) }
        });
        // What is kept whole as `unsupported` needs no second copy.
        let whole = matches!(message.parts[..], [Part::Unsupported(_)]);
        let extra = if whole { event::Extra::default() } else { self.extra() };
        Received { from: self.person.clone(), to: self.place.ours.clone(), message, reply_window, respond_by: None, extra }
    }

    fn message(&self) -> Message<'a> {
        let context = self.fields.object("context");
        let quoted = context.as_ref().map(|context| ReplyTo {
            id: context.words("id"),
            product: context.object("referred_product").and_then(|product| product.words("product_retailer_id")),
            ..ReplyTo::default()
        });
        let forwarded = context.as_ref().is_some_and(|context| context.flag("forwarded") || context.flag("frequently_forwarded"));
        Message {
            id: self.id.clone(),
            sent_at: self.time,
            parts: parts::of(&self.kind, &self.fields, self.raw, self.time),
            reply_to: quoted.filter(|quoted| quoted.id.is_some() || quoted.product.is_some()),
            referral: self.fields.object("referral").map(|ad| referral(&ad)),
            group: self.group.clone().map(|id| Group { id, name: None }),
            forwarded: forwarded.then_some(true),
            history: self.place.history.then_some(true),
            ..Message::default()
        }
    }

    /// What has no place of its own in a message, under Meta's names.
    fn extra(&self) -> event::Extra<'a> {
        const KNOWN: &[&str] = &["from", "from_user_id", "to", "to_user_id", "id", "timestamp", "type", "group_id"];
        let mut extra = event::Extra::default();
        if let Some(contact) = &self.contact {
            contact.keep(&mut extra);
        }
        for (name, raw) in &self.fields.0 {
            let plain_context = name == "context" && self.fields.object("context").is_some_and(|c| c.0.iter().all(|(n, _)| matches!(&**n, "id" | "from" | "forwarded")));
            let content = *name == self.kind;
            if !KNOWN.contains(&&**name) && !content && !plain_context && raw.get() != "null" {
                extra.push(name.clone(), Raw::borrowed(raw));
            }
        }
        extra
    }

    fn reaction(&self) -> Option<Reaction<'a>> {
        let reaction = self.fields.object("reaction")?;
        let emoji = reaction.words("emoji");
        let action = if emoji.is_some() { ReactionAction::Added } else { ReactionAction::Removed };
        Some(Reaction { from: self.person.clone(), message_id: reaction.words("message_id")?, reaction: emoji, action })
    }

    fn edited(&self) -> Option<Edited<'a>> {
        let edit = self.fields.object("edit")?;
        let original = edit.words("original_message_id")?;
        let raw = edit.raw("message")?;
        let fields = edit.object("message")?;
        let kind = fields.words("type").or_else(|| parts::guessed(&fields))?;
        let mut message = self.message();
        message.id = original.clone();
        message.parts = parts::of(&kind, &fields, raw, self.time);
        if let Some(id) = fields.object("context").and_then(|context| context.words("id")) {
            message.reply_to = Some(ReplyTo { id: Some(id), ..ReplyTo::default() });
        }
        let mut extra = event::Extra::default();
        extra.push("id", Raw::of(&*self.id));
        Some(Edited { from: self.person.clone(), message, message_id: original, extra })
    }

    fn revoked(&self) -> Option<Deleted<'a>> {
        let message_id = self.fields.object("revoke")?.words("original_message_id")?;
        Some(Deleted { from: Some(self.person.clone()), message_id })
    }

    /// A person's number or id has changed, or their keys.
    fn moved(&self) -> Option<ContactUpdated<'a>> {
        let system = self.fields.object("system")?;
        let kind = system.words("type")?;
        let mut extra = event::Extra::default();
        for name in ["body", "wa_id", "new_wa_id", "user_id", "parent_user_id"] {
            adapter::keep(&mut extra, name, system.kept(name));
        }
        adapter::keep(&mut extra, "identity", self.fields.kept("identity").or_else(|| system.kept("identity")));
        let now = Who::of(system.words("wa_id").or_else(|| system.words("new_wa_id")), system.words("user_id")).address();
        let (change, reason) = match &*kind {
            "user_changed_number" => (Change::AddressReplaced, "number_changed"),
            "user_changed_user_id" => (Change::AddressReplaced, "user_id_changed"),
            "customer_changed_number" => (Change::AddressReplaced, "number_changed"),
            "customer_identity_changed" | "user_identity_changed" => (Change::Profile, "identity_changed"),
            _ => return None,
        };
        if change == Change::AddressReplaced && now.is_none() {
            return None;
        }
        let previous = Some(self.person.address.clone()).filter(|address| !address.is_empty());
        let current = now.map(Text::Owned).or_else(|| previous.clone());
        Some(ContactUpdated { change, previous, current, reason: Some(reason.into()), extra })
    }
}

/// The service window that a message or a call opens.
pub(super) fn window<'a>(time: Time) -> ReplyWindow<'a> {
    ReplyWindow { closes_at: Some(time.plus(WINDOW_MS)), ..ReplyWindow::default() }
}

/// A message of ours that was written elsewhere.
fn sent<'a>(letter: Letter<'_, 'a>) -> Event<'a> {
    let (place, peer, time) = (letter.place, letter.peer(), letter.time);
    let us = || Person { kind: Some("business".into()), ..Person::at(place.ours.clone().unwrap_or_default()) };
    let body = match &*letter.kind {
        "edit" => letter.edited().map(|edited| Body::Edited(Edited { from: us(), ..edited })),
        "revoke" => letter.revoked().map(|gone| Body::Deleted(Deleted { from: Some(us()), ..gone })),
        "reaction" => letter.reaction().map(|reaction| Body::Reaction(Reaction { from: us(), ..reaction })),
        _ => None,
    };
    let body = body.unwrap_or_else(|| {
        let to = Some(peer.clone().into());
        Body::Created(Created { message_id: letter.id.clone(), origin: Origin::Echo, to, message: letter.message(), ..Created::default() })
    });
    let key = if letter.kind == "media_placeholder" { format!("{}:media_placeholder", letter.key).into() } else { letter.key.clone() };
    place.event(key, peer, time, body)
}

/// Where a person came from.
fn referral<'a>(ad: &Object<'a>) -> Referral<'a> {
    Referral {
        kind: ad.words("source_type"),
        id: ad.words("source_id"),
        source_url: ad.words("source_url"),
        payload: None,
        click_id: ad.words("ctwa_clid"),
        headline: ad.words("headline"),
    }
}
