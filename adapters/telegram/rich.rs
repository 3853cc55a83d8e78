//! What is written in blocks: rich messages and checklists, as plain words.

use serde_json::Value;
use serde_json::value::RawValue;

/// Where a block, an item or a cell holds words, in the order in which they are read.
const WITHIN: &[&str] = &["summary", "text", "expression", "blocks", "items", "cells", "caption", "credit"];

/// The words of content that is made of blocks, a line for each; `None` for other content, and for blocks without words
/// (core.telegram.org/bots/api#richmessage and #checklist, read 2026-11-30).
pub(super) fn words(name: &str, raw: &RawValue) -> Option<String> {
    let content: Value = serde_json::from_str(raw.get()).ok()?;
    let mut lines = Vec::new();
    match name {
        "rich_message" => block(&content, &mut lines),
        "checklist" => {
            lines.extend(content.get("title").map(run));
            for task in content.get("tasks").and_then(Value::as_array).into_iter().flatten() {
                let done = ["completion_date", "completed_by_user", "completed_by_chat"].iter().any(|name| task.get(name).is_some());
                lines.push(format!("{} {}", ticked(done), task.get("text").map(run).unwrap_or_default()));
            }
        }
        _ => return None,
    }
    lines.retain(|line| !line.trim().is_empty());
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn ticked(done: bool) -> char {
    if done { '☑' } else { '☐' }
}

fn block(of: &Value, lines: &mut Vec<String>) {
    for name in WITHIN {
        match (*name, of.get(name)) {
            (_, None) => {}
            ("blocks", Some(Value::Array(blocks))) => blocks.iter().for_each(|inner| block(inner, lines)),
            ("items", Some(Value::Array(items))) => items.iter().for_each(|inner| item(inner, lines)),
            ("cells", Some(Value::Array(rows))) => {
                let row = |row: &Value| {
                    row.as_array().into_iter().flatten().map(|cell| cell.get("text").map(run).unwrap_or_default()).collect::<Vec<_>>()
                };
                lines.extend(rows.iter().map(|cells| row(cells).join(" | ")));
            }
            ("caption", Some(caption @ Value::Object(_))) if caption.get("type").is_none() => block(caption, lines),
            (_, Some(text)) => lines.push(run(text)),
        }
    }
}

/// An item of a list: its mark stands before its first line.
fn item(of: &Value, lines: &mut Vec<String>) {
    let flag = |name: &str| of.get(name).and_then(Value::as_bool).unwrap_or_default();
    let mark = if flag("has_checkbox") { ticked(flag("is_checked")).to_string() } else { of.get("label").map(run).unwrap_or_default() };
    let first = lines.len();
    block(of, lines);
    if let Some(line) = lines.get_mut(first).filter(|_| !mark.is_empty()) {
        line.insert_str(0, &format!("{mark} "));
    }
}

/// Words in a row, whatever they look like.
fn run(text: &Value) -> String {
    match text {
        Value::String(words) => words.clone(),
        Value::Array(runs) => runs.iter().map(run).collect(),
        Value::Object(styled) => {
            ["text", "alternative_text", "expression"].iter().find_map(|name| styled.get(*name)).map(run).unwrap_or_default()
        }
        _ => String::new(),
    }
}
