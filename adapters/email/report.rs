//! Reports about our own mail: bounces (RFC 3464, and letters that are none), readings (RFC 8098), complaints (RFC 5965).

use mail_parser::{HeaderName, Message as Mail, MessageParser, MessagePart, MimeHeaders};
use serde_json::json;

use super::bounce::{self, Bounce};
use super::letter::{Incoming, header, ids, mailto, own_id, provider_id};
use super::{Channel, errors};
use crate::contract::event::*;
use crate::contract::*;
use crate::kit::crypto;

/// What a report says; `None` when it is none.
pub(super) fn events(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> Option<Vec<Event<'static>>> {
    let report = |about: &Mail<'_>, id: Option<String>| Report {
        channel,
        id: original(channel, about, incoming).or(id),
        digest: crypto::hex(&crypto::sha256(&incoming.mail)),
        words: mail.body_text(0).unwrap_or_default().into_owned(),
        time: time(mail),
    };
    if let Some((kind, inner, part)) = structured(mail) {
        let (report, blocks) = (report(inner, None), blocks(part.text_contents().unwrap_or_default()));
        let first = || blocks.first();
        let events: Vec<Event<'static>> = match kind {
            Kind::Delivery => report.bounces(&blocks),
            Kind::Reading => first().and_then(|block| report.reading(block)).into_iter().collect(),
            Kind::Complaint => first().and_then(|block| report.complaint(block, inner)).into_iter().collect(),
        };
        if !events.is_empty() {
            return Some(events);
        }
    }
    // A complaint from before there were reports of them: the mail, with a header that says who complained.
    if let Some(who) = returned(mail, |inner| header(inner, "X-HmXmrOriginalRecipient")) {
        return Some(vec![report(mail, None).complained("abuse", &who)]);
    }
    let mut letter = bounce::read(channel, mail, incoming)?;
    Some(report(mail, letter.id.take()).letter(&letter))
}

#[derive(Clone, Copy)]
enum Kind {
    Delivery,
    Reading,
    Complaint,
}

/// The part that machines read, and the mail it stands in. Not every server calls the whole a report, and some put the
/// report into a mail of their own.
fn structured<'m>(mail: &'m Mail<'m>) -> Option<(Kind, &'m Mail<'m>, &'m MessagePart<'m>)> {
    const PARTS: &[(Kind, &str)] = &[
        (Kind::Delivery, "delivery-status"),
        (Kind::Delivery, "global-delivery-status"),
        (Kind::Reading, "disposition-notification"),
        (Kind::Reading, "global-disposition-notification"),
        (Kind::Complaint, "feedback-report"),
    ];
    let own = mail.parts.iter().find_map(|part| {
        let (kind, _) = PARTS.iter().find(|(_, sub)| part.is_content_type("message", sub))?;
        Some((*kind, mail, part))
    });
    let reports = |part: &MessagePart<'_>| part.content_type().is_some_and(|t| t.attribute("report-type").is_some());
    own.or_else(|| {
        mail.parts.first().filter(|part| reports(part)).and_then(|_| mail.parts.iter().find_map(|part| structured(part.message()?)))
    })
}

type Block = Vec<(String, String)>;

/// The groups of fields of a report.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = vec![Vec::new()];
    for line in text.lines() {
        let Some(block) = blocks.last_mut() else { break };
        match (line.starts_with([' ', '\t']), line.split_once(':'), block.last_mut()) {
            _ if line.trim().is_empty() => blocks.push(Vec::new()),
            (true, _, Some((_, value))) => value.extend([" ", line.trim()]),
            (false, Some((name, value)), _) => block.push((name.trim().to_ascii_lowercase(), value.trim().to_owned())),
            _ => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
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
    let returned = mail.parts.iter().skip(1).find_map(|part| {
        if let Some(inner) = part.message() {
            return inner.message_id().map(str::to_owned);
        }
        let headers = [
            ("text", "rfc822-headers"),
            ("message", "rfc822"),
            ("message", "rfc822-headers"),
            ("message", "global-headers"),
            ("message", "partial"),
        ];
        let headers = headers.iter().any(|(kind, sub)| part.is_content_type(kind, sub));
        let text = part.contents();
        headers.then(|| MessageParser::default().parse(text).and_then(|m| m.message_id().map(str::to_owned))).flatten()
    });
    // What returns nothing answers at least.
    returned.or_else(|| ids(mail, HeaderName::InReplyTo).pop()).or_else(|| ids(mail, HeaderName::References).pop())
}

struct Report<'r> {
    channel: &'r Channel,
    id: Option<String>,
    digest: String,
    /// What the report says to people.
    words: String,
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

    fn bounces(&self, blocks: &[Block]) -> Vec<Event<'static>> {
        let named = blocks.iter().find_map(|block| field(block, "x-original-message-id").or(field(block, "original-message-id")));
        let named = named.map(|id| id.trim_matches(['<', '>']).to_owned());
        let id = self.id.as_deref().or(named.as_deref());
        let mut seen: Vec<String> = Vec::new();
        let mut events = Vec::new();
        for (at, block) in blocks.iter().enumerate() {
            let Some((who, event)) = self.bounce(at, block, id) else { continue };
            if !seen.contains(&who) {
                seen.push(who);
                events.push(event);
            }
        }
        events
    }

    fn bounce(&self, at: usize, block: &Block, id: Option<&str>) -> Option<(String, Event<'static>)> {
        let said = field(block, "status").unwrap_or_default();
        let (status, explained) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
        // Some write a sentence, some their own word, some none.
        let action = field(block, "action").unwrap_or_default().to_ascii_lowercase();
        let action = match action.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default() {
            "failure" | "error" => "failed",
            "" if status.starts_with('5') => "failed",
            "" if status.starts_with('4') => "delayed",
            "" => return None,
            word => word,
        };
        let people =
            ["original-recipient", "final-recipient", "x-actual-recipient"].into_iter().filter_map(|name| field(block, name).map(person));
        let who = people.clone().find(|who| who.contains('@')).or_else(|| people.clone().next())?;
        let words = [field(block, "diagnostic-code").map(person).unwrap_or_default(), explained].join(" ");
        let words = if words.trim().is_empty() { self.words.as_str() } else { &words };
        let mut receipt = self.receipt(id, State::Delivered, Some(who));
        match action {
            "failed" => {
                receipt.state = State::Failed;
                receipt.error = Some(errors::bounced(status, words));
            }
            "delivered" | "relayed" | "expanded" => {}
            _ => receipt.state = State::Sent,
        }
        receipt.detail = Some(action.to_owned().into());
        Some((who.to_lowercase(), self.event(&at.to_string(), who, Body::Receipt(receipt))))
    }

    /// What a letter says that is no report.
    fn letter(&self, letter: &Bounce) -> Vec<Event<'static>> {
        let event = |(at, who): (usize, &String)| {
            let mut receipt = self.receipt(self.id.as_deref(), State::Sent, Some(who));
            receipt.detail = Some(if letter.delayed { "delayed" } else { "failed" }.into());
            if !letter.delayed {
                receipt.state = State::Failed;
                receipt.error = Some(errors::bounced("", &letter.words));
            }
            self.event(&at.to_string(), who, Body::Receipt(receipt))
        };
        letter.people.iter().enumerate().map(event).collect()
    }

    fn reading(&self, block: &Block) -> Option<Event<'static>> {
        let disposition = field(block, "disposition")?.to_ascii_lowercase();
        let who = field(block, "final-recipient").or(field(block, "original-recipient")).map(person)?;
        let id = field(block, "original-message-id").map(|id| id.trim_matches(['<', '>']).to_owned()).or_else(|| self.id.clone());
        let mut receipt =
            self.receipt(id.as_deref(), if disposition.contains("displayed") { State::Read } else { State::Delivered }, Some(who));
        // Filters refuse a mail by way of a report that it was deleted unread.
        if disposition.contains("deleted") && self.words.contains("was automatically rejected") {
            receipt.state = State::Failed;
            receipt.error = Some(errors::bounced("", &self.words));
        }
        Some(self.event("read", who, Body::Receipt(receipt)))
    }

    fn complaint(&self, block: &Block, mail: &Mail<'_>) -> Option<Event<'static>> {
        let kind = field(block, "feedback-type")?.to_ascii_lowercase();
        if ["auth-failure", "dmarc", "not-spam"].contains(&kind.as_str()) {
            let fields: serde_json::Map<_, _> = block.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let body = Body::Provider(ProviderEvent { provider_type: kind.into(), raw: Raw::of(&fields) });
            let key = crypto::fingerprint(&[&self.digest, "complaint"]);
            return Some(Event { account: None, key: Some(key.into()), medium: "email".into(), peer: "".into(), time: self.time, body });
        }
        // Some leave out who complained: then it is whom the mail was for.
        let named = field(block, "original-rcpt-to").or(field(block, "removal-recipient")).map(|who| person(who).to_owned());
        let who = named.or_else(|| returned(mail, |inner| Some(inner.to()?.first()?.address.as_deref()?.to_owned())))?;
        Some(self.complained(&kind, &who))
    }

    fn complained(&self, kind: &str, who: &str) -> Event<'static> {
        let evidence = Raw::of(&json!({ "feedback-type": kind, "message-id": self.id }));
        let consent =
            Consent { from: Some(Person::at(mailto(who))), state: ConsentState::OptedOut, scope: "all".into(), evidence: Some(evidence) };
        self.event("complaint", who, Body::Consent(consent))
    }
}

/// What the copy of our mail in a report says.
fn returned<T>(mail: &Mail<'_>, ask: impl Fn(&Mail<'_>) -> Option<T>) -> Option<T> {
    mail.parts.iter().find_map(|part| ask(part.message()?))
}
