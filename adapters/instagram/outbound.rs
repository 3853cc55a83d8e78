//! Messages as calls of the Send API, and public answers as comments (send-message, private-replies, read 2026-11-20).

use serde_json::{Value, json};

use super::{Channel, FACTS, Flavour, KIND};
use crate::contract::*;
use crate::kit::inbox::send::{self, Sender};
use crate::kit::{address, markup, words};

/// The `recipient` of an address.
pub(super) fn recipient(to: &str) -> Option<Value> {
    let id = to.strip_prefix("instagram:")?;
    let (name, id) = match id.split_once('/') {
        None => ("id", id),
        Some(("comment", id)) => ("comment_id", id),
        Some(_) => return None,
    };
    let id = address::unescape(id);
    let plain = !id.is_empty() && !id.contains(char::is_whitespace) && !id.starts_with(['+', '@']);
    plain.then(|| json!({ name: id }))
}

/// The calls that bring a message to Instagram.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    if let Some(place) = message.to.strip_prefix("instagram:").and_then(|rest| rest.split_once('/'))
        && matches!(place.0, "media" | "mention")
    {
        return public(channel, message, place);
    }
    let Some(recipient) = recipient(message.to) else {
        let problem = "expected `instagram:IGSID`, `instagram:comment/ID`, `instagram:media/ID` or `instagram:mention/ID`";
        return Err(RenderError::new("#/to", "address_invalid", problem));
    };
    let sender = Sender {
        kind: KIND,
        text: FACTS.text,
        full: false,
        files: Some(&["application/pdf"]),
        url: channel.messages(),
        upload: Some(("platform", "instagram")),
        authorised: &|call| channel.authorised(call),
        template: |_| {
            Err(RenderError::new("#/template", "template_not_supported", "Instagram has no templates: send parts inside the window"))
        },
        feeling: if channel.flavour == Flavour::Instagram { any_feeling } else { love },
    };
    send::render(&sender, recipient, message)
}

/// The account's own log-in takes any emoji; the heart has a name.
fn any_feeling(emoji: &str) -> Option<&str> {
    Some(love(emoji).unwrap_or(emoji))
}

/// The Page's log-in knows the heart alone.
fn love(emoji: &str) -> Option<&str> {
    matches!(emoji.trim_end_matches('\u{fe0f}'), "❤" | "😍" | "love").then_some("love")
}

/// Comments: words everybody can read, one comment a text.
fn public(channel: &Channel, message: &Outbound<'_>, (kind, id): (&str, &str)) -> Result<Rendered, RenderError> {
    let id = address::unescape(id);
    if id.is_empty() || id.contains(['/', '?', '#']) {
        return Err(RenderError::new("#/to", "address_invalid", "expected the id of a post"));
    }
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "a public answer is words"));
    }
    let answered = message.reply_to.filter(|id| !id.is_empty());
    let mut out = Rendered::default();
    for (index, part) in message.parts.iter().enumerate() {
        let Part::Text(text) = part else { return Err(RenderError::unsupported(index, part.kind(), "a public answer on Instagram")) };
        let text = markup::from_any(&text.text, text.format, markup::Dialect::Plain);
        if text.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let mut body = json!({ "message": text });
        let url = match (kind, answered) {
            ("mention", comment) => {
                body["media_id"] = id.as_ref().into();
                if let Some(comment) = comment.filter(|comment| *comment != id) {
                    body["comment_id"] = comment.into();
                }
                format!("{}/{}/mentions", channel.base, channel.settings.ig_id)
            }
            (_, Some(comment)) => format!("{}/{}/replies", channel.base, address::escape(comment)),
            (_, None) => format!("{}/{id}/comments", channel.base),
        };
        words::merge(&mut body, message.native);
        out.shown.push(text.into_owned());
        out.calls.push(channel.authorised(Call::json(url, &body)));
    }
    if out.calls.is_empty() {
        return Err(RenderError::new("#/parts", "message_empty", "a public answer needs words"));
    }
    out.cost = u32::try_from(out.calls.len()).unwrap_or(u32::MAX);
    Ok(out)
}
