//! Reports about our own mail: bounces (RFC 3464), readings (RFC 8098), complaints (RFC 5965).

use mail_parser::{Message as Mail, MessageParser, MimeHeaders};
use serde_json::json;

use super::letter::{Incoming, mailto, own_id, provider_id};
use super::{Channel, errors};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::crypto;

/// What a report says; `None` when it is none.
pub(super) fn events(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> Option<Vec<Event<'static>>> {
    let kind = mail.content_type().filter(|t| t.ctype().eq_ignore_ascii_case("multipart") && t.subtype().is_some_and(|s| s.eq_ignore_ascii_case("report")))?;
    let kind = kind.attribute("report-type").unwrap_or_default().to_ascii_lowercase();
    let wanted: &[&str] = match kind.as_str() {
        "delivery-status" => &["delivery-status", "global-delivery-status"],
        "disposition-notification" => &["disposition-notification", "global-disposition-notification"],
        "feedback-report" => &["feedback-report"],
        _ => return None,
    };
    let part = mail.parts.iter().find(|part| wanted.iter().any(|sub| part.is_content_type("message", sub)))?;
    let blocks = blocks(part.text_contents()?);
    let report = Report { channel, id: original(channel, mail, incoming), digest: crypto::hex(&crypto::sha256(&incoming.mail)), time: time(mail) };
    let events: Vec<Event<'static>> = match kind.as_str() {
        "delivery-status" => blocks.iter().enumerate().filter_map(|(at, block)| report.bounce(at, block)).collect(),
        "disposition-notification" => blocks.first().and_then(|block| report.reading(block)).into_iter().collect(),
        _ => blocks.first().and_then(|block| report.complaint(block)).into_iter().collect(),
    };
    (!events.is_empty()).then_some(events)
}

type Block = Vec<(String, String)>;

/// The groups of fields of a report.
fn blocks(text: &str) -> Vec<Block> {
    let text = text.replace("\r\n", "\n");
    let block = |block: &str| {
        let mut fields: Block = Vec::new();
        for line in block.lines() {
            match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
                (true, _, Some((_, value))) => value.push_str(line),
                (false, Some((name, value)), _) => fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned())),
                _ => {}
            }
        }
        fields
    };
    text.split("\n\n").map(block).filter(|b| !b.is_empty()).collect()
}

fn field<'b>(block: &'b Block, name: &str) -> Option<&'b str> {
    block.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

/// `rfc822; a@b` without its type.
fn person(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, address)| address).trim().trim_matches(['<', '>'])
}

fn time(mail: &Mail<'_>) -> Option<Time> {
    mail.date().filter(|d| d.is_valid()).map(|d| Time::from_secs(d.to_timestamp()))
}

/// The message it is about: what the address of the bounce says, else the message id of what came back.
fn original(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> Option<String> {
    let verp = incoming.envelope_to.as_deref().and_then(|to| to.rsplit_once('@')?.0.split_once('+')).map(|(_, id)| id);
    if let Some(id) = verp.filter(|id| id.starts_with("msg_")) {
        return Some(format!("{id}@{}", channel.domain));
    }
    mail.parts.iter().skip(1).find_map(|part| {
        if let Some(inner) = part.message() {
            return inner.message_id().map(str::to_owned);
        }
        let headers = part.is_content_type("text", "rfc822-headers") || part.is_content_type("message", "rfc822");
        let text = part.contents();
        headers.then(|| MessageParser::default().parse(text).and_then(|m| m.message_id().map(str::to_owned))).flatten()
    })
}

struct Report<'r> {
    channel: &'r Channel,
    id: Option<String>,
    digest: String,
    time: Option<Time>,
}

impl Report<'_> {
    fn receipt(&self, id: Option<&str>, state: State, recipient: Option<&str>) -> Receipt<'static> {
        let id = id.unwrap_or_default();
        Receipt {
            message_id: own_id(self.channel, id).map(Into::into),
            at: self.time,
            recipient: recipient.map(|r| mailto(r).into()),
            ..Receipt::new(provider_id(id).to_owned(), state)
        }
    }

    fn event(&self, key: &str, who: &str, body: Body<'static>) -> Event<'static> {
        let key = crypto::fingerprint(&[&self.digest, key]);
        Event { account: None, key: Some(key.into()), medium: "email".into(), peer: mailto(who).into(), time: self.time, body }
    }

    fn bounce(&self, at: usize, block: &Block) -> Option<Event<'static>> {
        let action = field(block, "action")?.to_ascii_lowercase();
        let who = field(block, "original-recipient").or(field(block, "final-recipient")).map(person)?;
        let status = field(block, "status").unwrap_or_default();
        let words = field(block, "diagnostic-code").map(person).unwrap_or_default();
        let mut receipt = self.receipt(self.id.as_deref(), State::Delivered, Some(who));
        match action.as_str() {
            "failed" => {
                receipt.state = State::Failed;
                receipt.error = Some(errors::bounced(status, words));
            }
            "delivered" | "relayed" | "expanded" => {}
            _ => receipt.state = State::Sent,
        }
        receipt.detail = Some(action.into());
        Some(self.event(&at.to_string(), who, Body::Receipt(receipt)))
    }

    fn reading(&self, block: &Block) -> Option<Event<'static>> {
        let read = field(block, "disposition")?.to_ascii_lowercase().contains("displayed");
        let who = field(block, "final-recipient").map(person)?;
        let id = field(block, "original-message-id").map(|id| id.trim_matches(['<', '>']).to_owned()).or_else(|| self.id.clone());
        let state = if read { State::Read } else { State::Delivered };
        Some(self.event("read", who, Body::Receipt(self.receipt(id.as_deref(), state, Some(who)))))
    }

    fn complaint(&self, block: &Block) -> Option<Event<'static>> {
        let kind = field(block, "feedback-type")?.to_owned();
        let who = field(block, "original-rcpt-to").or(field(block, "removal-recipient")).map(person)?;
        let evidence = Raw::of(&json!({ "feedback-type": kind, "message-id": self.id }));
        let consent = Consent { from: Some(Person::at(mailto(who))), state: ConsentState::OptedOut, scope: "all".into(), evidence: Some(evidence) };
        Some(self.event("complaint", who, Body::Consent(consent)))
    }
}
