//! What the Conversation API delivers: the kind is the name of the field that is there.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Channel, errors, identity, sms};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::crypto;
use crate::kit::entry;
use crate::kit::object::Object;
use crate::kit::spoken;

/// The envelope's own fields.
const ENVELOPE: &[&str] = &["app_id", "project_id", "accepted_time", "event_time", "message_metadata", "correlation_id"];

/// Known, and without a counterpart in our words.
const KNOWN: &[&str] = &[
    "event_delivery_report",
    "unsupported_callback",
    "conversation_start_notification",
    "conversation_stop_notification",
    "conversation_delete_notification",
    "contact_create_notification",
    "contact_delete_notification",
    "contact_update_notification",
    "duplicated_contact_identities_notification",
    "capability_notification",
    "smart_conversation_notification",
    "smart_conversations_notification",
    "record_notification",
];

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>) -> Parsed<'a> {
    let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
    let Some(fields) = Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
    if fields.text("type").is_some() {
        return sms::parse(channel, &fields);
    }
    let mut parsed = Parsed::default();
    for (kind, raw) in fields.0.iter().filter(|(name, raw)| !ENVELOPE.contains(&&**name) && raw.get() != "null") {
        // Sinch adds fields to the envelope without notice; what says something is an object.
        let Some(inside) = Object::parse(raw.get()) else { continue };
        let delivery = Delivery { envelope: &fields, kind: kind.clone(), raw, inside };
        match delivery.event() {
            Ok(event) => parsed.events.push(event),
            Err(reason) => parsed.leave(reason),
        }
    }
    if parsed.events.is_empty() && parsed.unparsed.is_none() {
        parsed.leave(match added(&fields).next() {
            Some((kind, _)) => format!("`{}` is not an object", short(kind)),
            None => "a delivery without content".into(),
        });
    }
    parsed
}

/// Fields of the envelope that nobody knows.
fn added<'f, 'a>(envelope: &'f Object<'a>) -> impl Iterator<Item = &'f (Text<'a>, &'a RawValue)> {
    envelope.0.iter().filter(|(name, raw)| !ENVELOPE.contains(&&**name) && raw.get() != "null" && !raw.get().starts_with('{'))
}

pub(super) fn short(word: &str) -> String {
    word.chars().take(64).collect()
}

struct Delivery<'d, 'a> {
    envelope: &'d Object<'a>,
    kind: Text<'a>,
    raw: &'a RawValue,
    inside: Object<'a>,
}

impl<'a> Delivery<'_, 'a> {
    fn event(&self) -> Result<Event<'a>, String> {
        match &*self.kind {
            // Who subscribes to messages without personal data gets them under these names.
            "message" | "message_redaction" | "message_inbound_smart_conversation_redaction" => self.message(),
            "event" => self.happened(),
            "message_delivery_report" | "message_submit_notification" => self.receipt(),
            "opt_in_notification" | "opt_out_notification" => self.consent(),
            "channel_event_notification" => Ok(self.notice()),
            "contact_merge_notification" => Ok(self.merged().unwrap_or_else(|| self.provider())),
            known if KNOWN.contains(&known) => Ok(self.provider()),
            unknown => Err(format!("a delivery of the unknown kind `{}`", short(unknown))),
        }
    }

    /// Channel and identity of the person, wherever this kind of delivery names them.
    fn person_at(&self) -> Option<(Text<'a>, Text<'a>)> {
        let at = self.inside.object("channel_identity").unwrap_or_default();
        let channel = at.words("channel").or_else(|| self.inside.words("channel"))?;
        Some((channel, at.words("identity").or_else(|| self.inside.words("identity"))?))
    }

    fn place(&self) -> (String, String) {
        self.person_at().map_or_else(|| ("sms".to_owned(), String::new()), |(channel, id)| identity::of(&channel, &id))
    }

    fn time(&self) -> Option<Time> {
        let own = self.inside.text("accept_time").and_then(|t| Time::parse(&t));
        let named = |name: &str| self.envelope.text(name).and_then(|t| Time::parse(&t));
        own.or_else(|| named("event_time")).or_else(|| named("accepted_time"))
    }

    fn made(&self, key: Option<String>, body: Body<'a>) -> Event<'a> {
        let (medium, peer) = self.place();
        Event {
            account: self.envelope.words("app_id"),
            key: key.map(Into::into),
            medium: medium.into(),
            peer: peer.into(),
            time: self.time(),
            body,
        }
    }

    fn provider(&self) -> Event<'a> {
        let inside = &self.inside;
        let id = ["id", "message_id", "event_id", "request_id"].iter().find_map(|name| inside.words(name));
        let id = id.or_else(|| self.envelope.words("correlation_id"));
        let key = id.map(|id| format!("{}:{id}:{}", self.kind, inside.text("status").unwrap_or_default()));
        let stamp = ["event_time", "accepted_time"].map(|name| self.envelope.text(name).unwrap_or_default());
        let key = key.or_else(|| Some(crypto::fingerprint(&[&self.kind, &stamp[0], &stamp[1], self.raw.get()])));
        let body = ProviderEvent { provider_type: self.kind.clone(), raw: Raw::borrowed(self.raw) };
        self.made(key, Body::Provider(body))
    }

    fn person(&self) -> Result<Person<'a>, String> {
        let (channel, id) = self.person_at().ok_or_else(|| format!("a `{}` without `channel_identity`", self.kind))?;
        let address = identity::of(&channel, &id).1;
        let number = address.split_once(":+").map(|(_, digits)| format!("tel:+{digits}"));
        let also = number.filter(|number| *number != address).map(Into::into).into_iter().collect();
        Ok(Person { kind: Some("person".into()), also, ..Person::at(address) })
    }

    /// Two people turned out to be one. Each is named by the first of their identities; the rest stands beside.
    fn merged(&self) -> Option<Event<'a>> {
        let contact = |name: &str| self.inside.object(name);
        let address = |contact: &Object<'a>| {
            let at = contact.objects("channel_identities");
            let at = at.first()?;
            Some(identity::of(&at.words("channel")?, &at.words("identity")?))
        };
        let (gone, kept) = (contact("deleted_contact")?, contact("preserved_contact")?);
        let (medium, current) = address(&kept)?;
        let mut extra = Extra::default();
        for name in ["deleted_contact", "preserved_contact"] {
            adapter::keep(&mut extra, name, self.inside.kept(name));
        }
        let previous = address(&gone).map(|(_, address)| address.into());
        let reason = Some(Cow::Borrowed("merged"));
        let change = ContactUpdated { change: Change::Merged, previous, current: Some(current.clone().into()), reason, extra };
        let mut made = Event { medium: medium.into(), peer: current.into(), ..self.provider() };
        made.body = Body::ContactUpdated(change);
        Some(made)
    }

    fn extra(&self, told: &[&str]) -> Extra<'a> {
        let mut extra = Extra::default();
        for name in ["conversation_id", "contact_id", "metadata", "processing_mode"] {
            if !told.contains(&name) {
                adapter::keep(&mut extra, name, self.inside.kept(name).filter(|raw| raw.get() != "\"\""));
            }
        }
        for (name, raw) in added(self.envelope) {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
        extra
    }

    fn message(&self) -> Result<Event<'a>, String> {
        let id = self.inside.words("id").ok_or("a message without `id`")?;
        if self.inside.text("direction").as_deref() == Some("TO_CONTACT") {
            return Ok(self.provider()); // A copy of what we sent.
        }
        let from = self.person()?;
        let (channel, _) = self.person_at().unwrap_or_default();
        let raw = self.inside.raw("contact_message").ok_or("a message without `contact_message`")?;
        let content = Object::parse(raw.get()).unwrap_or_default();
        let quoted = content.object("reply_to").and_then(|r| r.words("message_id"));
        let quoted = quoted.or_else(|| content.object("choice_response_message").and_then(|c| c.words("message_id")));
        let parts = parts(&content, raw);
        let message = Message {
            id: id.clone(),
            sent_at: self.time(),
            referral: entry::written(&parts),
            parts,
            reply_to: quoted.map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
            history: self.inside.flag("injected").then_some(true),
            ..Message::default()
        };
        let to = self.inside.words("sender_id").map(|ours| identity::ours(&channel, &ours).into());
        let body = Received { from, to, message, extra: self.extra(&[]), ..Received::default() };
        Ok(self.made(Some(id.into_owned()), Body::Received(body)))
    }

    /// Typing, comments, reactions and the like.
    fn happened(&self) -> Result<Event<'a>, String> {
        let id = self.inside.words("id");
        let key = || id.as_deref().map(str::to_owned);
        let inside = self.inside.object("contact_event").or_else(|| self.inside.object("contact_message_event")).unwrap_or_default();
        let Some((kind, raw)) = inside.0.iter().find(|(_, raw)| raw.get() != "null") else { return Ok(self.provider()) };
        if self.inside.text("direction").as_deref() == Some("TO_CONTACT") {
            return Ok(self.provider());
        }
        let what = Object::parse(raw.get()).unwrap_or_default();
        let body = match &**kind {
            "composing_event" => Body::Typing(Signal { from: self.person()?, until: None }),
            "composing_end_event" => Body::Typing(Signal { from: self.person()?, until: self.time() }),
            "comment_event" => {
                let text = what.words("text");
                let id = what.words("id").or_else(|| self.inside.words("id")).unwrap_or_default();
                let message = Message { id, sent_at: self.time(), parts: text.map(Part::text).into_iter().collect(), ..Message::default() };
                let mut extra = Extra::default();
                adapter::keep(&mut extra, "comment_type", what.kept("comment_type"));
                let from = Person { username: what.words("user"), ..self.person()? };
                Body::Comment(Comment { from, message, post: what.words("commented_on"), visibility: "public".into(), extra })
            }
            "reaction_event" => {
                let message_id = what.words("message_id").ok_or("a reaction that does not say to what")?;
                let removed = what.text("action").is_some_and(|action| action.ends_with("UNREACT"));
                let action = if removed { ReactionAction::Removed } else { ReactionAction::Added };
                let reaction = what.words("emoji").or_else(|| what.words("reaction_category"));
                Body::Reaction(Reaction { from: self.person()?, message_id, reaction, action })
            }
            "shortlink_activated_event" => {
                let payload = what.words("ref").or_else(|| what.words("payload"));
                let referral =
                    Referral { kind: Some("link".into()), payload: payload.clone(), headline: what.words("title"), ..Referral::default() };
                let mut extra = Extra::default();
                for name in ["source", "type", "existing_thread"] {
                    adapter::keep(&mut extra, name, what.kept(name));
                }
                Body::Followed(Follow { from: self.person()?, payload, referral: Some(referral), extra })
            }
            "payment_status_update_event" => {
                let state = what.words("payment_status").or_else(|| what.words("payment_transaction_status")).unwrap_or_default();
                let part = Part::Payment(Payment { state, amount: None, reference: what.words("reference_id") });
                let message = Message { id: id.clone().unwrap_or_default(), sent_at: self.time(), parts: vec![part], ..Message::default() };
                let mut extra = self.extra(&[]);
                adapter::keep(&mut extra, "payment_transaction_id", what.kept("payment_transaction_id"));
                Body::Received(Received { from: self.person()?, message, extra, ..Received::default() })
            }
            "conversation_deleted_event" | "generic_event" => return Ok(self.provider()),
            unknown => return Err(format!("an event of the unknown kind `{}`", short(unknown))),
        };
        Ok(self.made(key(), body))
    }

    fn receipt(&self) -> Result<Event<'a>, String> {
        let id = self.inside.words("message_id").ok_or("a receipt without `message_id`")?;
        let status = self.inside.words("status").unwrap_or(Cow::Borrowed("SUBMITTED"));
        let state = match &*status {
            "QUEUED" | "QUEUED_ON_CHANNEL" | "SUBMITTED" | "SWITCHING_CHANNEL" => State::Sent,
            "DELIVERED" => State::Delivered,
            "READ" => State::Read,
            "FAILED" => State::Failed,
            other => return Err(format!("a receipt with the unknown status `{}`", short(other))),
        };
        let error = (state == State::Failed).then(|| errors::told(&self.inside.object("reason").unwrap_or_default()));
        let ours = self.inside.words("metadata").or_else(|| self.envelope.words("message_metadata"));
        let detail = (status == "SWITCHING_CHANNEL").then_some(Cow::Borrowed("the next channel is tried"));
        let body = Receipt { message_id: ours, at: self.time(), error, detail, ..Receipt::new(id.clone(), state) };
        Ok(self.made(Some(format!("{id}:{status}")), Body::Receipt(body)))
    }

    fn consent(&self) -> Result<Event<'a>, String> {
        let status = self.inside.text("status").unwrap_or_default();
        if !status.ends_with("SUCCEEDED") {
            return Ok(self.provider());
        }
        let state = if self.kind == "opt_in_notification" { ConsentState::OptedIn } else { ConsentState::OptedOut };
        let body = Consent { from: Some(self.person()?), state, scope: "all".into(), evidence: Some(Raw::borrowed(self.raw)) };
        let key = self.inside.words("request_id").map(|id| format!("{}:{id}", self.kind));
        Ok(self.made(key, Body::Consent(body)))
    }

    /// News about a channel of the app: its quality, its limits, a template.
    fn notice(&self) -> Event<'a> {
        let event = self.inside.object("channel_event").unwrap_or_default();
        let kind = event.words("event_type").unwrap_or(Cow::Borrowed("channel_event"));
        let word = kind.to_ascii_uppercase();
        let bad = ["REJECT", "DISABLE", "BAN", "BLOCK", "FLAG", "RESTRICT", "LOW", "PAUSE"].iter().any(|w| word.contains(w));
        let ours = match () {
            () if word.contains("TEMPLATE") => "template_status",
            () if word.contains("QUALITY") => "quality",
            () if word.contains("LIMIT") || word.contains("TIER") => "limits_changed",
            () => "channel_event",
        };
        let text = format!("News of the {} channel: {}.", event.text("channel").unwrap_or_default().to_ascii_lowercase(), short(&kind));
        let severity = if bad { Severity::Warning } else { Severity::Info };
        let notice = Notice { kind: ours.into(), severity, text: text.into(), raw: Some(Raw::borrowed(self.raw)) };
        let stamp = self.envelope.text("event_time").or_else(|| self.envelope.text("accepted_time"));
        let key = stamp.map(|at| format!("channel_event:{}:{kind}:{at}", event.text("channel").unwrap_or_default()));
        let mut made = self.made(key, Body::Notice(notice));
        made.peer = "".into();
        made
    }
}

/// Content, by the name of the field that is there.
fn parts<'a>(content: &Object<'a>, whole: &'a RawValue) -> Vec<Part<'a>> {
    let found = content.0.iter().find(|(name, raw)| !matches!(&**name, "reply_to" | "channel_specific") && raw.get() != "null");
    let Some((kind, raw)) = found else { return vec![Part::unsupported("message", Some(Raw::borrowed(whole)))] };
    let what = Object::parse(raw.get()).unwrap_or_default();
    let unsupported = || Part::unsupported(kind.clone(), Some(Raw::borrowed(raw)));
    let one = match &**kind {
        "text_message" => what.words("text").map(Part::text),
        "media_message" => file(&what),
        "media_card_message" => file(&what),
        "location_message" => place(&what),
        "choice_response_message" => Some(choice(&what)),
        "product_response_message" => Some(order(&what)),
        "channel_specific_message" => form(&what),
        "fallback_message" => Some(Part::unsupported("fallback_message", what.kept("raw_message").or_else(|| Some(Raw::borrowed(raw))))),
        _ => None,
    };
    vec![one.unwrap_or_else(unsupported)]
}

/// A file, of which only the address is known: its ending says what it is.
pub(super) fn file<'a>(what: &Object<'a>) -> Option<Part<'a>> {
    let url = what.words("url")?;
    let looks = spoken::looks(&Media { url: Some(url.clone()), ..Media::default() });
    let source = MediaRef { id: String::new(), url: Some(url.into_owned()), expires_at: None };
    let mime_type = what.words("content_type");
    let looks = mime_type.as_ref().map_or(looks, |mime| spoken::looks(&Media { mime_type: Some(mime.clone()), ..Media::default() }));
    let media = Media {
        mime_type,
        filename: what.words("filename_override"),
        status: Some(MediaStatus::Pending),
        source: Some(source),
        ..Media::default()
    };
    let part = MediaPart { media, caption: what.words("caption") };
    Some(match looks {
        "image" => Part::Image(part),
        "video" => Part::Video(part),
        "audio" => Part::Audio(part),
        _ => Part::File(part),
    })
}

fn place<'a>(what: &Object<'a>) -> Option<Part<'a>> {
    let at = what.object("coordinates")?;
    let (latitude, longitude) = (at.float("latitude")?, at.float("longitude")?);
    Some(Part::Location(Location { latitude, longitude, name: what.words("title"), address: what.words("label"), live_until: None }))
}

/// What was picked. No words come with it, except in the payload that Sinch makes where we gave none.
fn choice<'a>(what: &Object<'a>) -> Part<'a> {
    let id = what.words("postback_data");
    let made = what.words("message_id").map(|id| format!("{id}_"));
    let title = id.as_deref().zip(made.as_deref()).and_then(|(id, made)| id.strip_prefix(made)).map(|title| title.to_owned().into());
    Part::Choice(Choice { kind: ChoiceKind::Button, id, title, values: Vec::new() })
}

fn order<'a>(what: &Object<'a>) -> Part<'a> {
    let item = |item: &Object<'a>| {
        let price = item.words("item_price").zip(item.words("currency")).map(|(amount, currency)| Money { amount, currency });
        Some(OrderItem { sku: item.words("id")?, quantity: item.int("quantity").and_then(|n| u32::try_from(n).ok()), price })
    };
    let items = what.objects("products").iter().filter_map(item).collect();
    Part::Order(Order { catalog_id: what.words("catalog_id"), items, text: what.words("text") })
}

/// A flow's answers.
fn form<'a>(what: &Object<'a>) -> Option<Part<'a>> {
    let message = what.object("message")?;
    let reply = message.object("nfm_reply")?;
    // The answers are JSON inside a string.
    let json = reply.text("response_json").and_then(|json| RawValue::from_string(json.into_owned()).ok());
    let fields = json.map(|json| Raw(Cow::Owned(json))).or_else(|| reply.kept("response_json"));
    Some(Part::Form(Form { name: reply.words("name"), fields }))
}
