//! Flex messages: cards, and lists with as many rows as a person will read.

use serde_json::{Value, json};

use crate::contract::part::{Card, Choices};

/// A bubble, in bytes of JSON.
const BUBBLE: usize = 30_000;
/// A carousel, in bytes of JSON and in bubbles.
const CAROUSEL: usize = 50_000;
const BUBBLES: usize = 12;

/// Whether a bubble is small enough.
pub(super) fn fits(bubble: &Value) -> bool {
    bubble.to_string().len() <= BUBBLE
}

fn words(text: &str, more: Value) -> Value {
    let mut out = json!({ "type": "text", "text": text, "wrap": true });
    if let (Some(out), Value::Object(more)) = (out.as_object_mut(), more) {
        out.extend(more);
    }
    out
}

fn bubble(hero: Option<&str>, body: Vec<Value>, footer: Vec<Value>) -> Value {
    let block = |contents: Vec<Value>| json!({ "type": "box", "layout": "vertical", "spacing": "md", "contents": contents });
    let mut out = json!({ "type": "bubble", "body": block(body) });
    if let Some(url) = hero {
        out["hero"] = json!({ "type": "image", "url": url, "size": "full", "aspectRatio": "20:13", "aspectMode": "cover" });
    }
    if !footer.is_empty() {
        out["footer"] = block(footer);
    }
    out
}

/// A question with a row for each option, under the headings of their sections.
pub(super) fn list(asked: &Choices<'_>, hero: Option<&str>, actions: &[Value]) -> Value {
    let mut body = Vec::new();
    if let Some(header) = asked.header.as_deref().filter(|h| !h.is_empty()) {
        body.push(words(header, json!({ "weight": "bold", "size": "lg" })));
    }
    body.push(words(&asked.text, json!({})));
    let mut section = None;
    for (option, action) in asked.options.iter().zip(actions) {
        let heading = option.section.as_deref().filter(|s| !s.is_empty());
        if heading.is_some() && heading != section {
            body.push(words(heading.unwrap_or_default(), json!({ "size": "sm", "color": "#888888" })));
        }
        section = heading;
        let mut row = vec![words(&option.title, json!({ "weight": "bold", "color": "#1A5FB4" }))];
        row.extend(option.description.as_deref().filter(|d| !d.is_empty()).map(|d| words(d, json!({ "size": "sm", "color": "#666666" }))));
        body.push(json!({ "type": "box", "layout": "vertical", "paddingAll": "sm", "action": action, "contents": row }));
    }
    let footer = asked.footer.as_deref().filter(|f| !f.is_empty()).map(|f| words(f, json!({ "size": "xs", "color": "#888888" })));
    bubble(hero, body, footer.into_iter().collect())
}

/// A card with its buttons.
pub(super) fn card(card: &Card<'_>, hero: Option<&str>, actions: &[Value]) -> Value {
    let mut body = vec![words(&card.title, json!({ "weight": "bold", "size": "lg" }))];
    body.extend(card.text.as_deref().filter(|t| !t.is_empty()).map(|t| words(t, json!({ "size": "sm" }))));
    let footer = actions.iter().map(|action| json!({ "type": "button", "height": "sm", "action": action })).collect();
    bubble(hero, body, footer)
}

/// The bubbles in as few messages as hold them; one alone stands as it is.
pub(super) fn carousels(bubbles: Vec<Value>) -> Vec<Value> {
    let mut groups: Vec<(usize, Vec<Value>)> = Vec::new();
    for bubble in bubbles {
        let size = bubble.to_string().len();
        match groups.last_mut() {
            Some((total, group)) if group.len() < BUBBLES && *total + size < CAROUSEL - 100 => {
                *total += size;
                group.push(bubble);
            }
            _ => groups.push((size, vec![bubble])),
        }
    }
    let whole = |mut group: Vec<Value>| if group.len() == 1 { group.remove(0) } else { json!({ "type": "carousel", "contents": group }) };
    groups.into_iter().map(|(_, group)| whole(group)).collect()
}
