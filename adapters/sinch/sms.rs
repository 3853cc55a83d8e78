//! What the SMS API delivers: messages, and receipts of a batch or of one recipient.

use super::inbound::short;
use super::{Channel, errors, identity, inbound};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::entry;
use crate::kit::object::Object;

/// Says what a delivery means.
pub(super) fn parse<'a>(channel: &Channel, fields: &Object<'a>) -> Parsed<'a> {
    let delivery = Delivery { channel, fields };
    let mut parsed = Parsed::default();
    let kind = fields.text("type").unwrap_or_default();
    let done = match &*kind {
        "mo_text" | "mo_binary" | "mo_media" => delivery.message(&kind).map(|event| vec![event]),
        "delivery_report_sms" | "delivery_report_mms" => delivery.batch(),
        "recipient_delivery_report_sms" | "recipient_delivery_report_mms" => delivery.recipient().map(|event| vec![event]),
        other => Err(format!("a delivery of the unknown type `{}`", short(other))),
    };
    match done {
        Ok(events) => parsed.events.extend(events),
        Err(reason) => parsed.leave(reason),
    }
    parsed
}

struct Delivery<'d, 'a> {
    channel: &'d Channel,
    fields: &'d Object<'a>,
}

impl<'a> Delivery<'_, 'a> {
    fn time(&self) -> Option<Time> {
        ["sent_at", "received_at", "at"].iter().find_map(|name| Time::parse(&self.fields.text(name)?))
    }

    fn medium(&self) -> &'static str {
        let kind = self.fields.text("type").unwrap_or_default();
        if kind == "mo_media" || kind.ends_with("_mms") { "mms" } else { "sms" }
    }

    fn made(&self, key: String, account: Option<Text<'a>>, peer: String, time: Option<Time>, body: Body<'a>) -> Event<'a> {
        Event { account, key: Some(key.into()), medium: self.medium().into(), peer: peer.into(), time, body }
    }

    /// Our number, as it is written in the settings when it is the one there.
    fn account(&self, ours: &str) -> Option<Text<'a>> {
        let bare = |id: &str| id.trim_start_matches('+').to_owned();
        let sender = self.channel.settings.sender.as_deref().filter(|_| self.channel.is_sms())?;
        Some(if bare(sender) == bare(ours) { sender.to_owned().into() } else { ours.to_owned().into() }).filter(|_| !ours.is_empty())
    }

    fn message(&self, kind: &str) -> Result<Event<'a>, String> {
        let id = self.fields.words("id").ok_or("a message without `id`")?;
        let from = self.fields.words("from").ok_or("a message without `from`")?;
        let ours = self.fields.words("to").unwrap_or_default();
        let peer = identity::of("SMS", &from).1;
        let mut subject = None;
        let parts = match kind {
            "mo_text" => vec![self.fields.words("body").map_or_else(|| Part::unsupported("mo_text", None), Part::text)],
            "mo_media" => {
                let body = self.fields.object("body").unwrap_or_default();
                subject = body.words("subject");
                media(&body)
            }
            _ => vec![Part::unsupported("mo_binary", self.fields.kept("body"))],
        };
        let mut extra = Extra::default();
        for name in ["operator_id", "udh", "client_reference"] {
            adapter::keep(&mut extra, name, self.fields.kept(name));
        }
        let person = Person { kind: Some("person".into()), ..Person::at(peer.clone()) };
        let referral = entry::written(&parts);
        let message = Message { id: id.clone(), sent_at: self.time(), parts, referral, subject, ..Message::default() };
        let to = (!ours.is_empty()).then(|| identity::ours("SMS", &ours).into());
        let body = Received { from: person, to, message, extra, ..Received::default() };
        Ok(self.made(id.into_owned(), self.account(&ours), peer, self.time(), Body::Received(body)))
    }

    fn receipt(&self, batch: &Text<'a>, recipient: Option<Text<'a>>, status: &str, code: Option<i64>) -> Result<Event<'a>, String> {
        // Documented with a capital; some pages and tests of Sinch's own have it in capitals.
        let word = status.to_ascii_lowercase();
        let state = match &*word {
            "queued" | "dispatched" | "unknown" => State::Sent,
            "delivered" => State::Delivered,
            "aborted" | "rejected" | "deleted" | "failed" | "cancelled" | "expired" => State::Failed,
            _ => return Err(format!("a receipt with the unknown status `{}`", short(status))),
        };
        let told = matches!(&*word, "unknown" | "expired" | "cancelled" | "aborted" | "rejected" | "deleted" | "queued");
        let body = Receipt {
            message_id: self.fields.words("client_reference"),
            at: self.time(),
            error: (state == State::Failed).then(|| errors::receipt(code)),
            detail: told.then(|| word.clone().into()),
            ..Receipt::new(batch.clone(), state)
        };
        let peer = recipient.as_deref().map(|to| identity::of("SMS", to).1).unwrap_or_default();
        let key = format!("{batch}:{}:{status}:{}", recipient.unwrap_or_default(), code.map(|c| c.to_string()).unwrap_or_default());
        Ok(self.made(key, None, peer, self.time(), Body::Receipt(body)))
    }

    fn recipient(&self) -> Result<Event<'a>, String> {
        let batch = self.fields.words("batch_id").ok_or("a receipt without `batch_id`")?;
        let status = self.fields.words("status").ok_or("a receipt without `status`")?;
        self.receipt(&batch, self.fields.words("recipient"), &status, self.fields.int("code"))
    }

    /// The whole batch at once: one receipt for each recipient named, or for each state where none is.
    fn batch(&self) -> Result<Vec<Event<'a>>, String> {
        let batch = self.fields.words("batch_id").ok_or("a receipt without `batch_id`")?;
        let mut events = Vec::new();
        for state in self.fields.objects("statuses") {
            let status = state.words("status").ok_or("a receipt without `status`")?;
            let named: Vec<Text<'a>> = state.list("recipients").into_iter().filter_map(crate::kit::object::text).collect();
            let code = state.int("code");
            if named.is_empty() {
                events.push(self.receipt(&batch, None, &status, code)?);
            }
            for recipient in named {
                events.push(self.receipt(&batch, Some(recipient), &status, code)?);
            }
        }
        if events.is_empty() { Err("a receipt without `statuses`".into()) } else { Ok(events) }
    }
}

/// Words and files of an MMS, one of which may stand alone. A file that could not be kept has no address.
fn media<'a>(body: &Object<'a>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = body.words("message").map(Part::text).into_iter().collect();
    let alone = body.has("url").then(|| body.clone());
    for item in body.objects("media").into_iter().chain(alone) {
        parts.push(inbound::file(&item).filter(|_| item.text("status").as_deref() != Some("Failed")).unwrap_or_else(|| {
            let reason = Some("Sinch could not keep the file".into());
            let media = Media { mime_type: item.words("content_type"), status: Some(MediaStatus::Unavailable), reason, ..Media::default() };
            Part::File(MediaPart { media, caption: None })
        }));
    }
    if parts.is_empty() { vec![Part::unsupported("mo_media", None)] } else { parts }
}
