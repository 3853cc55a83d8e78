//! Business messages to numbers: AlimTalk by templates, Brand Message for advertising (NHN guides v2.3 and v1.0, read
//! 2026-11-20).

use serde_json::{Map, Value, json};

use super::Channel;
use crate::contract::part::{ChoiceOption, OptionKind};
use crate::contract::*;
use crate::kit::{markup, text, words};

const BRAND_TEXT: usize = 1300;
const BRAND_BREAKS: usize = 99;
const BRAND_BUTTONS: usize = 5;
const BRAND_LABEL: usize = 14;

/// A number as NHN writes it: Korean ones without their country.
pub(super) fn domestic(number: &str) -> String {
    match number.strip_prefix("+82") {
        Some(rest) => format!("0{rest}"),
        None => number.trim_start_matches('+').to_owned(),
    }
}

/// The other way.
pub(super) fn international(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('0') {
        Some(rest) => format!("+82{rest}"),
        None => format!("+{digits}"),
    }
}

/// `2026-11-18 20:06` in Korea.
pub(super) fn korean(time: Time) -> String {
    time.plus(9 * 3_600_000).to_string().replace('T', " ").chars().take(16).collect()
}

/// A Korean time, or a day.
pub(super) fn read_korean(text: &str) -> Option<Time> {
    let text = text.trim();
    let whole = match text.len() {
        10 => format!("{text}T00:00:00+09:00"),
        16 => format!("{}:00+09:00", text.replace(' ', "T")),
        _ => format!("{}+09:00", text.replace(' ', "T")),
    };
    Time::parse(&whole)
}

/// A template to a number.
pub(super) fn alimtalk(channel: &Channel, number: &str, template: &Template, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let url = channel.appkey_url("alimtalk/v2.3").ok_or_else(not_configured)?;
    if template.name.is_empty() || template.name.len() > 20 {
        return Err(RenderError::new("#/template/name", "template_invalid", "a template's code has 1 to 20 characters"));
    }
    let mut recipient = json!({
        "recipientNo": domestic(number),
        // Falling back to SMS is the gateway's own affair.
        "resendParameter": { "isResend": false },
        "recipientGroupingKey": message.id,
    });
    let params: Map<String, Value> =
        template.params.iter().map(|(key, value)| (key.strip_prefix("body.").unwrap_or(key).to_owned(), value.as_str().into())).collect();
    if !params.is_empty() {
        recipient["templateParameter"] = params.into();
    }
    let body = json!({ "senderKey": channel.settings.sender_key, "templateCode": template.name, "recipientList": [recipient] });
    let path = if message.category == Category::Authentication { "auth/messages" } else { "messages" };
    let mut out = Rendered { shown: vec![format!("[template {}]", template.name)], cost: 1, ..Rendered::default() };
    let call = Call::json(format!("{url}/{path}"), &merged(body, message)).header("x-nc-api-idempotency-key", message.id);
    out.calls.push(channel.business(call));
    Ok(out)
}

fn not_configured() -> RenderError {
    RenderError::new("#/to", "address_invalid", "numbers are for business messages, which this channel has not (`nhn_appkey`)")
}

fn merged(mut body: Value, message: &Outbound<'_>) -> Value {
    words::merge(&mut body, message.native);
    body
}

/// Advertising to a number: one bubble of words, a picture and buttons.
pub(super) fn brand(channel: &Channel, number: &str, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let url = channel.appkey_url("brand-message/v1.0").ok_or_else(not_configured)?;
    let mut bubble = Bubble::default();
    for (index, part) in message.parts.iter().enumerate() {
        bubble.part(index, part)?;
    }
    let content = bubble.lines.join("\n");
    if content.trim().is_empty() {
        return Err(RenderError::new("#/parts", "message_empty", "a Brand Message needs words"));
    }
    if Unit::Chars.count(&content) > BRAND_TEXT || content.matches('\n').count() > BRAND_BREAKS {
        return Err(RenderError::new("#/parts/0/text", "text_too_long", "a Brand Message has at most 1300 characters and 99 line breaks"));
    }
    if bubble.buttons.len() > BRAND_BUTTONS {
        return Err(RenderError::new("#/parts", "options_too_many", "a Brand Message has at most 5 buttons"));
    }
    let mut recipient = json!({
        "recipientNo": domestic(number),
        "targeting": channel.settings.brand_targeting.as_deref().unwrap_or("I"),
        "resendParameter": { "isResend": false },
        "recipientGroupingKey": message.id,
    });
    if let Some(stop) = &channel.settings.unsubscribe_no {
        recipient["unsubscribeNo"] = stop.as_str().into();
    }
    let kind = if bubble.image.is_some() { "IMAGE" } else { "TEXT" };
    let mut body =
        json!({ "senderKey": channel.settings.sender_key, "chatBubbleType": kind, "content": content, "recipientList": [recipient] });
    let titles: Vec<String> = bubble.buttons.iter().filter_map(|b| b["name"].as_str().map(|n| format!("[{n}]"))).collect();
    if !bubble.buttons.is_empty() {
        body["buttons"] = bubble.buttons.into();
    }
    let shown = [Some(content), (!titles.is_empty()).then(|| titles.join(" "))].into_iter().flatten().collect::<Vec<_>>().join("\n");
    let mut out = Rendered { shown: vec![shown], downgrades: bubble.notes, cost: 1, ..Rendered::default() };
    let send = format!("{url}/freestyle-messages");
    let call = match bubble.image {
        Some(Picture::Hosted(link)) => {
            body["image"] = json!({ "imageUrl": link });
            Call::json(send, &merged(body, message))
        }
        // Pictures of one's own are uploaded first.
        Some(Picture::Stored(field)) => {
            body["image"] = json!({ "imageUrl": "" });
            let note = json!({ "url": send, "body": merged(body, message) });
            let fields = vec![field, Field::Text { name: "imageType".into(), value: "IMAGE".into() }];
            Call::multipart(format!("{url}/images"), fields).then(note.to_string())
        }
        None => Call::json(send, &merged(body, message)),
    };
    out.calls.push(channel.business(call));
    Ok(out)
}

enum Picture {
    /// Uploaded before: a link of Kakao's own.
    Hosted(String),
    Stored(Field),
}

/// A Brand Message in the making.
#[derive(Default)]
struct Bubble {
    lines: Vec<String>,
    buttons: Vec<Value>,
    image: Option<Picture>,
    notes: Vec<Downgrade>,
}

impl Bubble {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => self.lines.push(markup::from_any(&words.text, words.format, markup::Dialect::Plain).into_owned()),
            Part::Image(m) => {
                self.picture(index, &m.media);
                self.lines.extend(m.caption.iter().map(|c| c.to_string()));
            }
            Part::Choices(choices) => {
                if let Some(media) = &choices.media {
                    self.picture(index, media);
                }
                self.lines.push(words::question(choices));
                self.options(index, &choices.options)?;
            }
            Part::Card(card) => {
                if let Some(media) = &card.media {
                    self.picture(index, media);
                }
                self.lines.push(words::card(card).text.into_owned());
                self.options(index, &card.options)?;
            }
            Part::Location(place) => self.spoken(index, "location", words::location(place)),
            Part::Contacts(list) => self.spoken(index, "contacts", words::contacts(&list.contacts)),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => self.spoken(index, "order", words::order(order)),
            Part::Product(product) => self.spoken(index, "product", words::product(product)),
            Part::Notification(push) => self.spoken(index, "notification", words::notification(push)),
            Part::Carousel(carousel) => {
                let cards = carousel.cards.iter().map(|card| words::card(card).text.into_owned());
                let all: Vec<String> = carousel.text.iter().map(|t| t.to_string()).chain(cards).collect();
                self.spoken(index, "carousel", all.join("\n\n"));
            }
            other => match other.media().and_then(|m| m.media.url.as_deref().filter(|url| words::is_link(url))) {
                Some(url) => self.spoken(index, other.kind(), url.to_owned()),
                None => return Err(RenderError::unsupported(index, other.kind(), "a Brand Message")),
            },
        }
        Ok(())
    }

    fn spoken(&mut self, part: usize, from: &str, line: String) {
        let why = "a Brand Message is one bubble: words, a picture and buttons".into();
        self.notes.push(Downgrade { part, from: from.into(), into: "text".into(), why });
        self.lines.push(line);
    }

    fn picture(&mut self, index: usize, media: &Media<'_>) {
        let stored = media.id.as_deref().filter(|id| !id.is_empty());
        let link = media.url.as_deref().filter(|url| words::is_link(url));
        let host = link.and_then(|l| url::Url::parse(l).ok()).and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        match (stored, link) {
            _ if self.image.is_some() => self.spoken(index, "image", link.unwrap_or("[image]").to_owned()),
            (_, Some(link)) if host.ends_with("kakao.com") || host.ends_with("kakaocdn.net") => {
                self.image = Some(Picture::Hosted(link.to_owned()))
            }
            (Some(id), _) => {
                let filename = media.filename.as_deref().unwrap_or("image.png").to_owned();
                let mime_type = media.mime_type.as_deref().unwrap_or("image/png").to_owned();
                self.image = Some(Picture::Stored(Field::Media { name: "image".into(), id: id.to_owned(), filename, mime_type }));
            }
            (None, Some(link)) => self.spoken(index, "image", link.to_owned()),
            (None, None) => {}
        }
    }

    fn options(&mut self, index: usize, options: &[ChoiceOption<'_>]) -> Result<(), RenderError> {
        for (number, option) in options.iter().enumerate() {
            let name = text::shorten(&option.title, BRAND_LABEL, Unit::Chars);
            match (option.kind, option.value.as_deref()) {
                (OptionKind::Url | OptionKind::Webview, Some(url)) if words::is_link(url) => {
                    self.buttons.push(json!({ "name": name, "type": "WL", "linkMo": url }));
                }
                (OptionKind::Url | OptionKind::Webview, _) => {
                    let at = format!("#/parts/{index}/options/{number}/value");
                    return Err(RenderError::new(at, "option_invalid", "a link begins with https:// or http://"));
                }
                // The chatbot hears the words on the button.
                (OptionKind::Reply | OptionKind::Postback, _) => self.buttons.push(json!({ "name": name, "type": "BK" })),
                (_, value) => self.spoken(index, "option", format!("{}: {}", option.title, value.unwrap_or_default())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_koreas() {
        assert_eq!((domestic("+821000000000").as_str(), domestic("+15550100200").as_str()), ("01000000000", "15550100200"));
        assert_eq!((international("010-0000-0000").as_str(), international("15550100200").as_str()), ("+821000000000", "+15550100200"));
        let time = Time::parse("2026-11-18T11:06:42Z").expect("a time");
        assert_eq!(korean(time), "2026-11-18 20:06");
        assert_eq!(read_korean("2026-11-18 20:06:42"), Some(time));
        assert_eq!(read_korean("2026-11-18 20:06"), Time::parse("2026-11-18T11:06:00Z"));
        assert_eq!(read_korean("2026-11-18"), Time::parse("2026-11-17T15:00:00Z"));
        assert_eq!(read_korean("soon"), None);
    }
}
