//! Golden files: the same messages on every channel; what a person sees of each, and what became of the rest.
//!
//! `fixtures/golden.json` of a provider names `people` (`to`, and where needed `settings`, `handle`, and `message_id`, a
//! message of theirs); under `sees` stands for each sample of [`super::samples`]:
//!
//! - `shown`: a line for each message, as the preview tells it; `cost` in the provider's unit, where it is not 1;
//! - `downgrades`: what became what, and why; `lost`: words of the message that stand in no call;
//! - `calls`: what goes to the provider, long texts cut short; or `refused`: where, our code, and the reason.
//!
//! `UPDATE_FIXTURES=1 cargo test -p fairway-adapters golden` rewrites `sees`; read the difference as a person would.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::laws::{Asked, Pair, bound, fixture, on_stage, played, shown};
use super::samples::samples;
use crate::Provider;
use crate::contract::*;

/// Longer texts are cut in the file; their ends are what a reader wants.
const TEXT: usize = 240;

pub(crate) fn its_golden_file_is_up_to_date(provider: &Provider) {
    let path = PathBuf::from(provider.folder).join("fixtures/golden.json");
    let mut file = fixture(&path);
    let before = file.clone();
    for person in file["people"].as_array_mut().expect("`people` is a list") {
        person["sees"] = seen(provider, person);
    }
    if before == file {
        return;
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, printed(&file)).expect("a writable fixture");
        return;
    }
    for (person, old) in file["people"].as_array().into_iter().flatten().zip(before["people"].as_array().into_iter().flatten()) {
        for (name, sees) in person["sees"].as_object().into_iter().flatten() {
            let expected = &old["sees"][name];
            assert!(sees == expected, "{} ({}, {name}):\nexpected {expected:#}\nactual   {sees:#}", path.display(), person["to"]);
        }
    }
    panic!("{}: holds samples that are no more", path.display());
}

/// What one person sees of every sample.
fn seen(provider: &Provider, person: &Value) -> Value {
    let pair = bound(provider, Some(person));
    // What a handle is good for, it is good for once.
    let once = person.get("handle").is_some();
    let mut stage = on_stage(provider, Some(person));
    let mut play = |asked: &Asked, name: &str| {
        if once {
            stage = on_stage(provider, Some(person));
        }
        sample(provider, &pair, &mut stage, asked, name)
    };
    let facts = pair.adapter.facts().unwrap_or(provider.facts);
    let id = person.get("message_id").and_then(Value::as_str).unwrap_or("m-1");
    let message = |mut body: Value| {
        body["to"] = person["to"].clone();
        body
    };
    let mut sees = Map::new();
    for (name, parts) in samples(facts, id) {
        let asked = Asked::new(message(json!({ "parts": parts })), None, person);
        let shown = play(&asked, &name);
        sees.insert(name, shown);
    }
    let answer = message(json!({ "parts": [{ "type": "text", "text": "Yes, of course" }, { "type": "text", "text": "See you" }] }));
    let asked = Asked::new(answer, Some(id.to_owned()), person);
    sees.insert("reply_to".into(), play(&asked, "reply_to"));
    let template = person.get("template").cloned();
    let template = template.unwrap_or_else(|| json!({ "name": "table_reminder", "locale": "en", "params": { "body.1": "20:00" } }));
    let asked = Asked::new(message(json!({ "template": template })), None, person);
    sees.insert("template".into(), play(&asked, "template"));
    Value::Object(sees)
}

/// What becomes of one message; the twin has to take what was rendered.
fn sample(provider: &Provider, pair: &Pair, stage: &mut Pair, asked: &Asked, name: &str) -> Value {
    let rendered = match pair.render(asked) {
        Ok(rendered) => rendered,
        Err(error) => return json!({ "refused": format!("{}: {}: {}", error.pointer, error.code, error.problem) }),
    };
    let on_stage = stage.render(asked).unwrap_or_else(|e| panic!("{} {name}: {e}", provider.facts.id));
    played(provider, stage, &on_stage, name);
    let mut out = Map::new();
    out.insert("shown".into(), rendered.shown.iter().map(|line| Value::from(short(line))).collect());
    if rendered.cost != 1 {
        out.insert("cost".into(), rendered.cost.into());
    }
    let told = |d: &Downgrade| Value::from(format!("{}: {} -> {}: {}", d.part, d.from, d.into, d.why));
    if !rendered.downgrades.is_empty() {
        out.insert("downgrades".into(), rendered.downgrades.iter().map(told).collect());
    }
    let lost = lost(asked, &rendered);
    // A link may name the file; all else that a person misses is told.
    let untold = rendered.downgrades.is_empty() && asked.parts().iter().all(|part| part.media().is_none());
    assert!(lost.is_empty() || !untold, "{} {name}: lost without a word: {lost:?}", provider.facts.id);
    if !lost.is_empty() {
        out.insert("lost".into(), lost.into());
    }
    out.insert("calls".into(), rendered.calls.iter().map(|call| in_short(shown(call))).collect());
    Value::Object(out)
}

/// A long text by its beginning, its length and its end.
fn short(text: &str) -> String {
    let count = text.chars().count();
    if count <= TEXT {
        return text.to_owned();
    }
    let begin: String = text.chars().take(80).collect();
    let end: String = text.chars().skip(count - 40).collect();
    format!("{begin} [... {count} characters ...] {end}")
}

fn in_short(call: Value) -> Value {
    match call {
        Value::String(text) => short(&text).into(),
        Value::Array(items) => items.into_iter().map(in_short).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, in_short(value))).collect(),
        other => other,
    }
}

/// What of the message's words stands nowhere in the calls. Where these cannot be read (sealed, encoded), what is shown
/// speaks for them.
fn lost(asked: &Asked, rendered: &Rendered) -> Vec<String> {
    let mut sent = rendered.shown.join("\n");
    for call in &rendered.calls {
        let legible = match &call.body {
            CallBody::Bytes(bytes) => !call.url.starts_with(session::SCHEME) && std::str::from_utf8(bytes).is_ok(),
            CallBody::Pieces { .. } => false,
            _ => true,
        };
        if legible {
            sent.clear();
        }
    }
    let seen = if sent.is_empty() { &[WORDS, LINKS].concat() } else { WORDS };
    let mut said = Vec::new();
    for part in asked.parts() {
        words(&serde_json::to_value(part).expect("plain data"), "", seen, &mut said);
    }
    for call in &rendered.calls {
        texts(&shown(call), &mut sent);
        // The message that waits for an upload goes out when that is done.
        call.then.iter().for_each(|then| texts(&Value::from(String::from_utf8_lossy(then)), &mut sent));
    }
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let sent = squeezed(&sent);
    let meant = [entities(&sent), slashes(&sent), sent];
    // Long words may be cut into several messages, between sentences where it can be.
    let there = |word: &str| word.split_inclusive(". ").map(squeezed).all(|sentence| meant.iter().any(|sent| sent.contains(&sentence)));
    said.into_iter().filter(|word| !there(word)).map(|word| short(&word)).collect()
}

/// Words with their entities read.
fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Words with the signs that stand behind a backslash.
fn slashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '\\' && next.is_ascii_punctuation() => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}

/// Where the words of a part stand that a person is to see.
const WORDS: &[&str] = &[
    "text",
    "title",
    "description",
    "section",
    "header",
    "footer",
    "caption",
    "name",
    "address",
    "phones",
    "emails",
    "organization",
    "question",
    "options",
    "value",
    "body",
    "filename",
    "skus",
];
/// Where its files and links stand; no word of what is shown speaks for these.
const LINKS: &[&str] = &["url", "image"];

/// What stands at these places of a part.
fn words(value: &Value, name: &str, seen: &[&str], out: &mut Vec<String>) {
    match value {
        Value::String(text) if seen.contains(&name) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| words(item, name, seen, out)),
        // Markup becomes the channel's own.
        Value::Object(fields) if fields.contains_key("format") => {}
        // A file of the gateway's goes by its link or is uploaded.
        Value::Object(fields) if fields.contains_key("id") && fields.contains_key("url") => {}
        Value::Object(fields) => fields.iter().for_each(|(name, value)| words(value, name, seen, out)),
        _ => {}
    }
}

/// Every text in a call; JSON inside a text is read too.
fn texts(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => {
            out.push('\n');
            out.push_str(text);
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                texts(&inner, out);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, out)),
        other => {
            out.push('\n');
            out.push_str(&other.to_string());
        }
    }
}

/// The file for readers: a line for each call and for each thing told.
fn printed(file: &Value) -> String {
    let mut out = String::from("{\"people\": [");
    for (number, person) in file["people"].as_array().into_iter().flatten().enumerate() {
        out.push_str(if number == 0 { "{\n" } else { ", {\n" });
        for (name, value) in person.as_object().into_iter().flatten().filter(|(name, _)| *name != "sees") {
            let _ = writeln!(out, "  {}: {value},", Value::from(name.as_str()));
        }
        out.push_str("  \"sees\": {");
        for (number, (name, sees)) in person["sees"].as_object().into_iter().flatten().enumerate() {
            let _ = write!(out, "{}\n    {}: {{", if number == 0 { "" } else { "," }, Value::from(name.as_str()));
            for (number, (name, value)) in sees.as_object().into_iter().flatten().enumerate() {
                let _ = write!(out, "{}\n      {}: ", if number == 0 { "" } else { "," }, Value::from(name.as_str()));
                match value.as_array().filter(|list| list.len() > 1) {
                    Some(list) => {
                        let lines: Vec<String> = list.iter().map(|item| format!("        {item}")).collect();
                        let _ = write!(out, "[\n{}\n      ]", lines.join(",\n"));
                    }
                    None => {
                        let _ = write!(out, "{value}");
                    }
                }
            }
            out.push_str("\n    }");
        }
        out.push_str("\n  }\n}");
    }
    out.push_str("]}\n");
    out
}
