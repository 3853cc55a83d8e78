//! Answers to what we offered: quick replies, lists, times, forms.

use std::borrow::Cow;

use super::files;
use super::inbound::{file, kept, own};
use crate::contract::part::{Choice, ChoiceKind, Form, MediaPart, Payment};
use crate::contract::*;
use crate::kit::object::{self, Object};

/// What a customer may not see published: log-in and payment tokens.
const SECRETS: &[&str] =
    &["token", "code", "access_token", "paymentToken", "merchantSession", "key", "owner", "url", "signature-base64", "signature"];

/// Our id, which the answer repeats.
pub(super) fn answered(message: &Object<'_>) -> Option<Text<'static>> {
    let data = message.object("interactiveData").and_then(|inside| inside.object("data"))?;
    own(&data, "requestIdentifier").filter(|id| id.starts_with("msg_")).map(|id| match id.split_once('/') {
        Some((ours, _)) => Cow::Owned(ours.to_owned()),
        None => id,
    })
}

/// What was picked.
pub(super) fn parts(message: &Object<'_>) -> Vec<Part<'static>> {
    if let Some(reference) = message.object("interactiveDataRef") {
        return vec![large(&reference)];
    }
    let inside = message.object("interactiveData").unwrap_or_default();
    let data = inside.object("data").unwrap_or_default();
    let part = data
        .object("quick-reply")
        .and_then(|quick| quick_reply(&quick))
        .or_else(|| data.object("listPicker").and_then(|list| picked(&list, &data)))
        .or_else(|| data.object("event").map(|event| time(&event)))
        .or_else(|| data.has("dynamic").then(|| form("dynamic", &data)))
        .or_else(|| data.has("authenticate").then(|| form("authenticate", &data)))
        .or_else(|| data.object("payment").map(|payment| paid(&payment)));
    vec![part.unwrap_or_else(|| {
        let kind = own(&inside, "bid").unwrap_or(Cow::Borrowed("interactive"));
        Part::unsupported(kind, message.raw("interactiveData").map(|raw| object::without(raw, SECRETS).into_owned()))
    })]
}

fn quick_reply(quick: &Object<'_>) -> Option<Part<'static>> {
    let items = quick.objects("items");
    let named = own(quick, "selectedIdentifier");
    let index = quick.int("selectedIndex").and_then(|i| usize::try_from(i).ok());
    let item = match &named {
        Some(id) => items.iter().find(|item| item.text("identifier").is_some_and(|i| i == *id)),
        None => items.get(index?),
    };
    let id = named.or_else(|| own(item?, "identifier"));
    let title = item.and_then(|item| own(item, "title"));
    Some(Part::Choice(Choice { kind: ChoiceKind::QuickReply, id, title, values: Vec::new() }))
}

/// The chosen rows alone come back.
fn picked(list: &Object<'_>, data: &Object<'_>) -> Option<Part<'static>> {
    let sections = list.objects("sections");
    let items: Vec<Object<'_>> = sections.iter().flat_map(|section| section.objects("items")).collect();
    let ids: Vec<Text<'static>> = items.iter().filter_map(|item| own(item, "identifier")).collect();
    let title = items.first().and_then(|item| own(item, "title")).or_else(|| data.object("replyMessage").and_then(|r| own(&r, "title")));
    let values = if ids.len() > 1 { ids.clone() } else { Vec::new() };
    Some(Part::Choice(Choice { kind: ChoiceKind::List, id: ids.into_iter().next(), title, values }))
}

fn time(event: &Object<'_>) -> Part<'static> {
    let slots = event.objects("timeslots");
    let values = slots.iter().filter_map(|slot| own(slot, "startTime")).collect();
    let id = slots.first().and_then(|slot| own(slot, "identifier")).or_else(|| own(event, "identifier"));
    Part::Choice(Choice { kind: ChoiceKind::Date, id, title: own(event, "title"), values })
}

fn form(name: &'static str, data: &Object<'_>) -> Part<'static> {
    let inside = data.object(name).unwrap_or_default();
    let named = own(&inside, "template").unwrap_or(Cow::Borrowed(name));
    let fields = if name == "dynamic" { kept(&inside, "selections") } else { None };
    let fields = fields.or_else(|| data.raw(name).map(|raw| object::without(raw, SECRETS).into_owned()));
    Part::Form(Form { name: Some(named), fields })
}

fn paid(payment: &Object<'_>) -> Part<'static> {
    let state = own(payment, "status").or_else(|| own(payment, "state")).unwrap_or(Cow::Borrowed("answered"));
    Part::Payment(Payment { state, amount: None, reference: own(payment, "requestIdentifier") })
}

/// A large answer is a file of its own: JSON, once it was fetched, decrypted and unpacked.
fn large(reference: &Object<'_>) -> Part<'static> {
    let word = |name: &str| reference.words(name).map(|text| text.into_owned()).unwrap_or_default();
    let handle = files::Sealed {
        url: word("url"),
        owner: word("owner"),
        key: word("key"),
        signature: files::signature(reference),
        mime: Some("application/json".into()),
        bid: Some(word("bid")),
    };
    let media = Media { mime_type: Some(Cow::Borrowed("application/json")), filename: Some(Cow::Borrowed("answer.json")), ..file(&handle) };
    Part::File(MediaPart { media, caption: own(reference, "title") })
}
