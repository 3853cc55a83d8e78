//! Old conversations of a number that joins from the Business app.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::account;
use super::inbound::{About, echoed, event, received};
use crate::contract::event::{Notice, Severity};
use crate::contract::*;
use crate::kit::{crypto, object::Object};

/// `field: history`: threads of messages; their media come later, as messages of their own.
pub(super) fn parse<'a>(out: &mut Parsed<'a>, about: &About<'a>, value: &Object<'a>) {
    for chunk in value.objects("history") {
        for thread in chunk.objects("threads") {
            let person = thread.words("id");
            for raw in thread.list("messages") {
                old(out, about, raw, person.as_ref());
            }
        }
        for raw in chunk.list("errors") {
            refused(out, about, raw);
        }
        if !chunk.has("threads") && !chunk.has("errors") {
            out.leave("a piece of history without threads");
        }
    }
    for raw in value.list("messages") {
        old(out, about, raw, None);
    }
    account::errors(out, about, value);
}

fn old<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &'a RawValue, thread: Option<&Text<'a>>) {
    let message = Object::parse(raw.get()).unwrap_or_default();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let from = message.text("from").map(|from| digits(&from));
    let ours = from.is_some() && from == about.digits.as_deref().map(digits);
    if ours || message.has("to") && thread.is_none_or(|t| from.as_deref() != Some(&*digits(t))) {
        let thread = thread.cloned().unwrap_or_default();
        return echoed(out, about, raw, Some(&thread));
    }
    received(out, about, raw, true);
}

fn refused<'a>(out: &mut Parsed<'a>, about: &About<'a>, raw: &'a RawValue) {
    let error = Object::parse(raw.get()).unwrap_or_default();
    let text = error.words("message").or_else(|| error.words("title")).unwrap_or(Cow::Borrowed("the history was not shared"));
    let account = about.account.as_deref().unwrap_or_default();
    let key = crypto::fingerprint(&[&about.waba, account, "history", raw.get()]);
    let notice = Notice { kind: Cow::Borrowed("history"), severity: Severity::Warning, text, raw: Some(Raw::borrowed(raw)) };
    out.events.push(event(about, key, Cow::Borrowed(""), about.time, Body::Notice(notice)));
}
