//! One message is one frame, filed by the room under our own id.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Channel, FACTS, channel_of};
use crate::contract::part::{Format, OptionKind};
use crate::contract::*;
use crate::kit::markup::{self, Dialect};
use crate::kit::{address, revise, spoken, words};

/// A frame larger than this would not pass a socket.
const MAX_FRAME: usize = 60 << 10;

/// The id the room gives a message of ours: it can be told from the message, and the message from it.
pub fn frame_id(message_id: &str) -> String {
    format!("wc-{}", message_id.strip_prefix("msg_").unwrap_or(message_id))
}

/// Our message's id in a frame's.
pub fn our_id(frame_id: &str) -> Option<String> {
    let rest = frame_id.strip_prefix("wc-")?;
    (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| format!("msg_{rest}"))
}

fn session(to: &str) -> Option<String> {
    let id = address::id(to, "webchat")?;
    let named = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    named.then(|| id.into_owned())
}

pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let wrong = |pointer: &str, code, problem: &str| Err(RenderError::new(pointer, code, problem));
    let Some(session) = session(message.to) else {
        return wrong("#/to", "address_invalid", "a visitor's address is `webchat:` and the session's id");
    };
    if message.template.is_some() {
        return wrong("#/template", "template_not_supported", "web chat has no templates of a provider; send parts");
    }
    if message.parts.is_empty() {
        return wrong("#/parts", "empty", "there is nothing to send");
    }
    let mut rendered = Rendered { cost: 1, ..Rendered::default() };
    let mut parts = Vec::with_capacity(message.parts.len());
    for (index, part) in message.parts.iter().enumerate() {
        parts.push(shown_part(index, part, &mut rendered)?);
    }
    let mut frame = Map::new();
    frame.insert("id".into(), message.id.into());
    frame.insert("session".into(), session.into());
    frame.insert("parts".into(), parts.into());
    if let Some(author) = message.author {
        frame.insert("author".into(), serde_json::to_value(author).unwrap_or_default());
    }
    if let Some(reply_to) = message.reply_to {
        frame.insert("reply_to".into(), reply_to.into());
    }
    frame.extend(message.native.clone());
    let call = Call::json(url(channel, cx, "deliver"), &frame).bearer(&channel.keys.bearer());
    if call.body_bytes().len() > MAX_FRAME {
        return wrong("#/parts", "message_too_large", "the message has more than 60 KB; send files by link or upload");
    }
    rendered.calls.push(call);
    Ok(rendered)
}

/// The call that gives a frame other parts, or takes it away. The room keeps its place, its time and what it answers.
pub(super) fn revise(channel: &Channel, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Result<Call, RenderError> {
    let (Some(session), Some(_)) = (session(sent.to), our_id(sent.provider_id)) else {
        return Err(RenderError::no_message("the id of a web chat message, `wc-...`"));
    };
    let mut body = Map::new();
    if let Revision::Edit(edit) = revision {
        body = revise::fields(&revise::rendered(channel, edit, None, cx)?);
        body.remove("id");
        if body.get("parts").and_then(Value::as_array).into_iter().flatten().any(|part| part["type"] == "typing") {
            return Err(revise::refused("typing is no message: leave it out"));
        }
    }
    body.insert("message".into(), sent.provider_id.into());
    body.insert("session".into(), session.into());
    Ok(Call::json(url(channel, cx, "revise"), &body).bearer(&channel.keys.bearer()))
}

fn url(channel: &Channel, cx: &Context<'_>, act: &str) -> String {
    let base = match channel.settings.api_base.as_deref() {
        Some(base) => base.trim_end_matches('/').to_owned(),
        None => format!("{}/webchat", cx.public_url),
    };
    format!("{base}/{}/{act}", channel_of(cx))
}

/// A part as the widget shows it.
fn shown_part(index: usize, part: &Part<'static>, rendered: &mut Rendered) -> Result<Value, RenderError> {
    let at = |field: &str| format!("#/parts/{index}/{field}");
    let plain = |part: &Part<'static>| serde_json::to_value(part).unwrap_or_default();
    let value = match part {
        Part::Text(text) => {
            if text.text.trim().is_empty() {
                return Err(RenderError::new(at("text"), "text_empty", "there are no words in it"));
            }
            if part::longer_than(&text.text, &FACTS) {
                let problem = format!("a text has at most {} characters", FACTS.text.max);
                return Err(RenderError::new(at("text"), "text_too_long", problem));
            }
            rendered.shown.push(markup::from_any(&text.text, text.format, Dialect::Plain).into_owned());
            // The widget knows eight tags and nothing else; both kinds of markup are brought down to them here.
            match text.format {
                Format::Plain => json!({ "type": "text", "text": text.text }),
                Format::Markdown => json!({ "type": "text", "html": markup::from_commonmark(&text.text, Dialect::Html),
                    "text": markup::from_commonmark(&text.text, Dialect::Plain) }),
                Format::Html => json!({ "type": "text", "html": markup::from_html(&text.text, Dialect::Html),
                    "text": markup::from_html(&text.text, Dialect::Plain) }),
            }
        }
        Part::Image(media) | Part::Audio(media) | Part::Voice(media) | Part::Video(media) | Part::File(media) | Part::Sticker(media) => {
            if !has_source(&media.media) {
                let problem = "name the file by `url` (http or https) or by `id`";
                return Err(RenderError::new(at("media"), "media_missing", problem));
            }
            rendered.shown.push(format!("[{}] {}", part.kind(), media.caption.as_deref().unwrap_or_default()).trim_end().to_owned());
            plain(part)
        }
        Part::Location(place) => {
            rendered.shown.push(
                format!("[location] {}", place.name.as_deref().or(place.address.as_deref()).unwrap_or_default()).trim_end().to_owned(),
            );
            plain(part)
        }
        Part::Choices(choices) => {
            if choices.options.is_empty() {
                return Err(RenderError::new(at("options"), "options_empty", "there is nothing to pick"));
            }
            links(&choices.options, &at("options"))?;
            if choices.options.iter().any(|o| matches!(o.kind, OptionKind::Contact | OptionKind::Date)) {
                rendered.downgrades.push(Downgrade {
                    part: index,
                    from: "option that asks for a contact or a date".into(),
                    into: "a button whose press comes back".into(),
                    why: "the widget has no such picker".into(),
                });
            }
            rendered.shown.push(spoken::shown(choices, |_| true));
            plain(part)
        }
        Part::Card(card) => {
            links(&card.options, &at("options"))?;
            let picture = if card.media.is_some() { "[image] " } else { "" };
            rendered.shown.push(format!("{picture}{}", spoken::shown(&spoken::card(card), |_| true)));
            plain(part)
        }
        Part::Carousel(carousel) => {
            if carousel.cards.is_empty() {
                return Err(RenderError::new(at("cards"), "cards_empty", "there is no card in it"));
            }
            for (number, card) in carousel.cards.iter().enumerate() {
                links(&card.options, &at(&format!("cards/{number}/options")))?;
            }
            let titles: Vec<&str> = carousel.cards.iter().map(|c| &*c.title).collect();
            let cards = format!("[cards] {}", titles.join(", "));
            rendered.shown.push(spoken::lines([carousel.text.as_deref(), Some(cards.as_str())]));
            plain(part)
        }
        Part::Form(form) => {
            rendered.shown.push(format!("[form] {}", form.name.as_deref().unwrap_or_default()));
            plain(part)
        }
        Part::Contacts(list) => {
            rendered.shown.push(format!("[contacts] {}", spoken::contacts(&list.contacts).replace('\n', ", ")));
            plain(part)
        }
        Part::Poll(poll) => {
            words::one_answer(poll, index, rendered);
            rendered.downgrades.push(Downgrade {
                part: index,
                from: "poll".into(),
                into: "buttons".into(),
                why: "the widget has no polls; the answer comes back as a choice".into(),
            });
            rendered.shown.push(spoken::shown(&spoken::poll(poll), |_| true));
            let options: Vec<Value> = poll.options.iter().map(|o| json!({ "id": o, "title": o })).collect();
            json!({ "type": "choices", "text": poll.question, "options": options })
        }
        Part::Notification(note) => {
            let words: Vec<&str> = [&note.title, &note.body, &note.url].into_iter().flatten().map(|t| &**t).collect();
            if words.is_empty() {
                return Err(RenderError::new(at("body"), "text_empty", "there are no words in it"));
            }
            rendered.downgrades.push(Downgrade {
                part: index,
                from: "notification".into(),
                into: "text".into(),
                why: "an open chat shows it as a message".into(),
            });
            rendered.shown.push(words.join("\n"));
            match &note.image {
                Some(image) if words::is_link(image) => pictured(note, image),
                _ => json!({ "type": "text", "text": words.join("\n") }),
            }
        }
        Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
            rendered.note(index, "order", "text", words::ORDER);
            let words = words::order(order);
            rendered.shown.push(words.clone());
            json!({ "type": "text", "text": words })
        }
        Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
            rendered.note(index, "product", "text", "the widget has no catalogue");
            let words = spoken::product(product);
            rendered.shown.push(words.clone());
            json!({ "type": "text", "text": words })
        }
        Part::Typing(_) => json!({ "type": "typing" }),
        other => return Err(RenderError::unsupported(index, other.kind(), FACTS.name)),
    };
    Ok(value)
}

/// A notification with its picture, as a card.
fn pictured(note: &part::Notification<'_>, image: &str) -> Value {
    let title = note.title.as_deref().or(note.body.as_deref()).or(note.url.as_deref()).unwrap_or_default();
    let mut card = json!({ "type": "card", "title": title, "media": { "url": image } });
    if let Some(body) = note.body.as_deref().filter(|body| *body != title) {
        card["text"] = body.into();
    }
    if let Some(url) = note.url.as_deref().filter(|url| words::is_link(url)) {
        card["options"] = json!([{ "title": url, "kind": "url", "value": url }]);
    }
    card
}

fn has_source(media: &Media<'_>) -> bool {
    media.id.is_some() || media.url.as_deref().is_some_and(|u| u.starts_with("https://") || u.starts_with("http://"))
}

/// A link in the chat must not run code or open something of the visitor's machine.
fn links(options: &[part::ChoiceOption<'_>], pointer: &str) -> Result<(), RenderError> {
    for (number, option) in options.iter().enumerate() {
        let value = option.value.as_deref().unwrap_or_default();
        let safe = match option.kind {
            OptionKind::Url | OptionKind::Webview => value.starts_with("https://") || value.starts_with("http://"),
            OptionKind::Call | OptionKind::Copy => !value.is_empty(),
            _ => true,
        };
        if !safe {
            let problem = "this kind of option needs a `value` (for links http or https)";
            return Err(RenderError::new(format!("{pointer}/{number}/value"), "value_invalid", problem));
        }
    }
    Ok(())
}

pub(super) fn signal(channel: &Channel, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
    let (to, body) = match signal {
        Signalled::Typing { to, .. } => (to, json!({ "kind": "typing" })),
        Signalled::Read { to, message_id } => (to, json!({ "kind": "read", "message_id": message_id })),
    };
    let mut body = body;
    body["session"] = session(to.split('#').next()?)?.into();
    Some(Call::json(url(channel, cx, "signal"), &body).bearer(&channel.keys.bearer()))
}

/// What the room's answer means. It answers in sentences, and a repeat is harmless.
pub(super) fn classify(reply: &Reply) -> Step {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = body["code"].as_str().unwrap_or_default();
    let reason = |class, ours: &'static str, title: &'static str| {
        let reason = Reason::new(class, ours, title);
        if code.is_empty() { reason } else { reason.provider_code(code) }
    };
    match reply.status {
        status if status.is_success() => match body["id"].as_str() {
            Some(id) if !id.is_empty() => Step::accept(id),
            _ => Step::of(reason(ErrorClass::Unknown, "answer_strange", "the chat room answered success without an id")),
        },
        StatusCode::TOO_MANY_REQUESTS => {
            let slow = reason(ErrorClass::Throttled, "throttled", "the chat room takes no more for the moment");
            Step::throttle(Scope::Sender, reply.retry_after(), slow)
        }
        StatusCode::FORBIDDEN if code == "origin_not_allowed" => {
            Step::of(reason(ErrorClass::Config, "origin_not_allowed", "the chat room takes no calls from there; see `origins`"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Step::of(reason(ErrorClass::Auth, "secret_wrong", "the chat room refuses this channel's secret"))
        }
        StatusCode::NOT_FOUND if code == "message_not_found" => {
            Step::Done(Verdict::Reject(reason(ErrorClass::Content, "message_not_found", "the message to change is not there any more")))
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Step::of(reason(ErrorClass::Config, "room_not_found", "there is no chat room for this channel at that address"))
        }
        StatusCode::GONE => Step::of(reason(ErrorClass::Recipient, "session_gone", "the visitor's session is no more")),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Step::of(reason(ErrorClass::Transient, "unavailable", "the chat room did not answer in time"))
        }
        status if status.is_client_error() => Step::of(reason(ErrorClass::Content, "refused", "the chat room cannot show this message")),
        status if status.is_server_error() => Step::of(reason(ErrorClass::Transient, "unavailable", "the chat room is away")),
        _ => Step::of(reason(ErrorClass::Unknown, "answer_strange", "the chat room gave an answer nobody expected")),
    }
}
