//! Messages as calls: up to five message objects each, by reply token while one is good (reference, read 2026-11-20).

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, flex, shorten};
use crate::contract::part::{Card, ChoiceOption, Choices, Format, Layout, Location, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, crypto, markup, text, words};

const TEXT: usize = 5000;
const PER_CALL: usize = 5;
const ALT: usize = 1500;
const LABEL: usize = 20;
const DATA: usize = 300;
const LINK: usize = 1000;
const QUICK: usize = 13;
const BUTTONS: usize = 4;
const IMAGE: u64 = 10 << 20;
const FILM: u64 = 200 << 20;

/// What `parse` keeps of an event to answer it with.
#[derive(Deserialize)]
struct Token {
    reply: String,
    message: Option<String>,
    quote: Option<String>,
}

/// The call that shows three dots to a person, for as long as it may.
pub(super) fn loading(base: &str, person: &str) -> Call {
    Call::json(format!("{base}/v2/bot/chat/loading/start"), &json!({ "chatId": person, "loadingSeconds": 20 }))
}

/// The calls that bring a message to LINE.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let to = message.to.strip_prefix("line:").filter(|id| id.starts_with(['U', 'C', 'R']) && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    let Some(to) = to else {
        return Err(RenderError::new(
            "#/to",
            "address_invalid",
            "expected `line:` and the id of a person (U...), group (C...) or room (R...)",
        ));
    };
    for name in ["to", "replyToken"] {
        if message.native.contains_key(name) {
            return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
        }
    }
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "LINE has no templates: send parts"));
    }
    let token = message.handle.and_then(|handle| serde_json::from_str::<Token>(handle).ok());
    let mut writer = Writer { channel, cx, to, message, token, quote: None, pending: Vec::new(), out: Rendered::default() };
    writer.find_quote();
    if message.parts.is_empty() {
        if !message.native.contains_key("messages") {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or a `native` with its `messages`"));
        }
        writer.out.shown.push("[native]".into());
        writer.call(Vec::new());
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.flush();
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    cx: &'w Context<'w>,
    to: &'w str,
    message: &'w Outbound<'w>,
    /// Good for one call.
    token: Option<Token>,
    /// Quotes the message answered; the first text takes it.
    quote: Option<String>,
    /// Message objects that wait for their call.
    pending: Vec<Value>,
    out: Rendered,
}

impl Writer<'_> {
    fn find_quote(&mut self) {
        let Some(answered) = self.message.reply_to.filter(|id| !id.is_empty()) else { return };
        let known = self.token.as_ref().filter(|t| t.message.as_deref() == Some(answered));
        self.quote = known.and_then(|t| t.quote.clone());
        if self.quote.is_none() && !self.message.parts.is_empty() {
            self.note(0, "quote", "message", "only a message that was just received can be quoted");
        }
    }

    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) if words.format == Format::Plain && !words.mentions.is_empty() => self.named(index, words),
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, "LINE", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Sticker(m) if sticker(&m.media).is_some() => {
                self.out.shown.push("[sticker]".into());
                self.add(sticker(&m.media).unwrap_or_default());
                Ok(())
            }
            Part::Image(m) | Part::Sticker(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) => {
                self.file(index, part, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => self.location(place),
            Part::Contacts(list) => {
                self.note(index, "contacts", "text", "LINE has no contact cards");
                self.text(index, &words::contacts(&list.contacts))
            }
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.cards(index, std::slice::from_ref(card), &|_| format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                self.cards(index, &carousel.cards, &|card| format!("#/parts/{index}/cards/{card}"))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => {
                self.note(index, "product", "text", "LINE has no catalogues");
                self.text(index, &words::product(product))
            }
            Part::Notification(push) => {
                self.note(index, "notification", "message", "LINE shows its own notification of each message");
                if let Some(image) = &push.image {
                    let media = Media { url: Some(image.clone()), ..Media::default() };
                    self.file(index, &Part::Image(Default::default()), &media, "")?;
                }
                self.text(index, &words::notification(push))
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "an official account cannot start a poll");
                self.choices(index, &words::poll(poll))
            }
            Part::Typing(_) if self.to.starts_with('U') => {
                self.flush();
                let call = loading(&self.channel.base, self.to);
                self.out.calls.push(self.channel.authorised(call, self.cx));
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "LINE")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, TEXT, Unit::Utf16) {
            self.out.shown.push(piece.to_owned());
            let message = json!({ "type": "text", "text": piece });
            self.say(message);
        }
        Ok(())
    }

    /// A text that names people.
    fn named(&mut self, index: usize, words: &TextPart<'_>) -> Result<(), RenderError> {
        let mut out = String::new();
        let mut substitution = serde_json::Map::new();
        let letters: Vec<char> = words.text.chars().collect();
        let mut at = 0;
        for mention in &words.mentions {
            let (from, end) = (mention.offset as usize, mention.offset.saturating_add(mention.length) as usize);
            let person = mention.address.as_deref().and_then(|a| a.strip_prefix("line:"));
            let (Some(person), Some(before)) = (person, letters.get(at..from).filter(|_| end <= letters.len() && end >= from)) else {
                let pointer = format!("#/parts/{index}/mentions");
                return Err(RenderError::new(
                    pointer,
                    "mention_invalid",
                    "a mention has a `line:` address and stands inside the text, in order",
                ));
            };
            out.push_str(&braced(before));
            let name = format!("m{}", substitution.len());
            out.push_str(&format!("{{{name}}}"));
            substitution.insert(name, json!({ "type": "mention", "mentionee": { "type": "user", "userId": person } }));
            at = end;
        }
        out.push_str(&braced(letters.get(at..).unwrap_or_default()));
        if Unit::Utf16.count(&out) > TEXT {
            self.note(index, "mentions", "text", "a text longer than one message names nobody");
            return self.text(index, &words.text);
        }
        self.out.shown.push(words.text.to_string());
        self.say(json!({ "type": "textV2", "text": out, "substitution": substitution }));
        Ok(())
    }

    fn say(&mut self, mut message: Value) {
        if let Some(quote) = self.quote.take() {
            message["quoteToken"] = quote.into();
        }
        self.add(message);
    }

    fn file(&mut self, index: usize, part: &Part<'_>, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let kind = part.kind();
        let Some(url) = file.url.as_deref().filter(|url| words::is_link(url)) else {
            let at = format!("#/parts/{index}/media");
            return Err(RenderError::new(at, "media_missing", "LINE takes no uploads; a file needs a public https `url`"));
        };
        let size = file.size.unwrap_or(0);
        let preview = self.channel.settings.video_preview_url.as_deref();
        let (object, why) = match part {
            _ if !url.starts_with("https://") => (None, "LINE shows files from https alone: the link stands in"),
            Part::Image(_) | Part::Sticker(_) if !shows(file, &["image/jpeg", "image/png"], &["jpg", "jpeg", "png"]) => {
                (None, "LINE shows pictures as JPEG or PNG: the link stands in")
            }
            Part::Audio(_) | Part::Voice(_) if !shows(file, SOUND, &["mp3", "m4a"]) => (None, "LINE plays MP3 and M4A: the link stands in"),
            Part::Image(_) | Part::Sticker(_) if size <= IMAGE => {
                (Some(json!({ "type": "image", "originalContentUrl": url, "previewImageUrl": url })), "")
            }
            Part::Image(_) | Part::Sticker(_) => (None, "a picture is at most 10 MB: its link stands in"),
            Part::Video(_) | Part::Audio(_) | Part::Voice(_) if size > FILM => (None, "a file is at most 200 MB: its link stands in"),
            Part::Video(_) => match preview {
                Some(preview) => (Some(json!({ "type": "video", "originalContentUrl": url, "previewImageUrl": preview })), ""),
                None => (None, "LINE wants a picture with each video (`video_preview_url`): the link stands in"),
            },
            Part::Audio(_) | Part::Voice(_) => {
                let length = file.duration_ms.unwrap_or(60_000);
                (Some(json!({ "type": "audio", "originalContentUrl": url, "duration": length })), "")
            }
            _ => (None, "LINE has no documents: the link stands in"),
        };
        match object {
            Some(object) => {
                if matches!(part, Part::Sticker(_)) {
                    self.note(index, "sticker", "image", "only LINE's own stickers (`id` as PACKAGE/STICKER) can be sent as such");
                }
                if matches!(part, Part::Audio(_) | Part::Voice(_)) && file.duration_ms.is_none() {
                    self.note(index, "duration", "one minute", "LINE wants to know how long it is: give `duration_ms`");
                }
                self.out.shown.push(format!("[{kind}]"));
                self.add(object);
                if caption.is_empty() {
                    return Ok(());
                }
                self.note(index, "caption", "text", "files have no captions on LINE: the words follow");
                self.text(index, caption)
            }
            None => {
                self.note(index, kind, "text", why);
                let lines = [caption, file.filename.as_deref().unwrap_or_default(), url];
                self.text(index, &lines.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    fn location(&mut self, place: &Location<'_>) -> Result<(), RenderError> {
        let point = format!("{}, {}", place.latitude, place.longitude);
        let address = place.address.as_deref().filter(|a| !a.is_empty()).unwrap_or(&point);
        let title = place.name.as_deref().filter(|n| !n.is_empty()).unwrap_or(address);
        self.out.shown.push(format!("[location] {title}"));
        let (title, address) = (shorten(title, 100), shorten(address, 100));
        let (latitude, longitude) = (place.latitude, place.longitude);
        self.add(json!({ "type": "location", "title": title, "address": address, "latitude": latitude, "longitude": longitude }));
        Ok(())
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        if asked.text.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "the question needs at least one character"));
        }
        let fitted = listed::fitted(asked, |o| o.kind != OptionKind::Contact, "LINE", index, &mut self.out);
        let asked = &fitted;
        let options = &asked.options;
        let place = options.iter().any(|o| o.kind == OptionKind::Location);
        let list = asked.layout == Some(Layout::List);
        let quick = place || asked.layout == Some(Layout::QuickReplies) || !list && options.len() > BUTTONS;
        if quick && options.len() <= QUICK {
            return self.quick_replies(index, asked, &at);
        }
        if place {
            return self.numbered(index, asked, "at most 13 quick replies fit, and only these can ask for a place");
        }
        if !list && self.template_fits(asked) {
            return self.buttons(index, asked, &at);
        }
        let hero = self.hero(index, asked.media.as_ref())?;
        let rows = self.actions(index, options, &at)?;
        let bubble = flex::list(asked, hero.as_deref(), &rows);
        if !flex::fits(&bubble) {
            return self.numbered(index, asked, "so many options do not fit into one message");
        }
        self.show(&words::question(asked), options);
        self.add(json!({ "type": "flex", "altText": shorten(&asked.text, ALT), "contents": bubble }));
        Ok(())
    }

    fn numbered(&mut self, index: usize, asked: &Choices<'_>, why: &str) -> Result<(), RenderError> {
        self.note(index, "choices", "text", why);
        if let Some(media) = &asked.media {
            self.file(index, &Part::Image(Default::default()), media, "")?;
        }
        self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }))
    }

    fn quick_replies(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        if let Some(media) = &asked.media {
            self.note(index, "media", "message", "a question with quick replies has no picture: it goes before");
            self.file(index, &Part::Image(Default::default()), media, "")?;
        }
        let actions = self.actions(index, &asked.options, at)?;
        let items: Vec<Value> = actions.into_iter().map(|action| json!({ "type": "action", "action": action })).collect();
        self.text(index, &words::question(asked))?;
        if let Some(last) = self.pending.last_mut() {
            last["quickReply"] = json!({ "items": items });
        }
        self.out.shown.pop();
        self.show(&words::question(asked), &asked.options);
        Ok(())
    }

    /// Words 160, or 60 beside a title or picture; a title 40; second lines do not fit.
    fn template_fits(&self, asked: &Choices<'_>) -> bool {
        let most = if asked.media.is_some() || asked.header.is_some() { 60 } else { 160 };
        let described = asked.options.iter().any(|o| o.description.is_some());
        let header = asked.header.as_deref().is_none_or(|h| Unit::Utf16.count(h) <= 40);
        // The rows of a list show the whole of a title.
        let short = asked.options.iter().all(|o| Unit::Chars.count(&o.title) <= LABEL);
        short && asked.options.len() <= BUTTONS && Unit::Utf16.count(&asked.text) <= most && header && !described && asked.footer.is_none()
    }

    fn buttons(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let actions = self.actions(index, &asked.options, at)?;
        let mut template = json!({ "type": "buttons", "text": asked.text, "actions": actions });
        if let Some(header) = asked.header.as_deref().filter(|h| !h.is_empty()) {
            template["title"] = header.into();
        }
        if let Some(hero) = self.hero(index, asked.media.as_ref())? {
            template["thumbnailImageUrl"] = hero.into();
        }
        self.show(&asked.text, &asked.options);
        self.add(json!({ "type": "template", "altText": shorten(&asked.text, ALT), "template": template }));
        Ok(())
    }

    fn hero(&mut self, index: usize, media: Option<&Media<'_>>) -> Result<Option<String>, RenderError> {
        let Some(media) = media else { return Ok(None) };
        match media.url.as_deref().filter(|url| url.starts_with("https://")) {
            Some(url) => Ok(Some(url.to_owned())),
            None => {
                Err(RenderError::new(format!("#/parts/{index}/media"), "media_missing", "a picture beside options needs an https `url`"))
            }
        }
    }

    fn cards(&mut self, index: usize, cards: &[Card<'_>], at: &dyn Fn(usize) -> String) -> Result<(), RenderError> {
        if cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        let mut bubbles = Vec::new();
        for (number, card) in cards.iter().enumerate() {
            let at = at(number);
            if card.title.trim().is_empty() {
                return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
            }
            let as_asked = Choices { options: card.options.clone(), ..Choices::default() };
            let can = |o: &ChoiceOption<'_>| !matches!(o.kind, OptionKind::Contact | OptionKind::Location);
            let card = &Card { options: listed::fitted(&as_asked, can, "a card on LINE", index, &mut self.out).options, ..card.clone() };
            let hero = self.hero(index, card.media.as_ref())?;
            let actions = self.actions(index, &card.options, &format!("{at}/options"))?;
            bubbles.push(flex::card(card, hero.as_deref(), &actions));
        }
        let titles: Vec<&str> = cards.iter().map(|c| &*c.title).collect();
        let alt = titles.join(", ");
        for group in flex::carousels(bubbles) {
            self.add(json!({ "type": "flex", "altText": shorten(&alt, ALT), "contents": group }));
        }
        self.out.shown.push(format!("[cards] {alt}"));
        Ok(())
    }

    fn actions(&mut self, index: usize, options: &[ChoiceOption<'_>], at: &str) -> Result<Vec<Value>, RenderError> {
        if options.iter().any(|o| Unit::Chars.count(&o.title) > LABEL) {
            self.note(index, "title", "shorter title", "a button's label has at most 20 characters");
        }
        options.iter().enumerate().map(|(number, option)| action(option, &format!("{at}/{number}"))).collect()
    }

    fn show(&mut self, words: &str, options: &[ChoiceOption<'_>]) {
        self.out.shown.push(listed::shown(words, options.iter().map(|o| &*o.title)));
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    /// Quick replies show under the last message of a call alone, so nothing may follow them there.
    fn add(&mut self, mut message: Value) {
        let ends = self.pending.last().is_some_and(|last| !last["quickReply"].is_null());
        if ends || self.pending.len() == PER_CALL {
            self.flush();
        }
        if let Some(name) = self.message.author.and_then(|a| a.name.as_deref()).filter(|name| !name.is_empty()) {
            message["sender"] = json!({ "name": shorten(name, 20) });
        }
        self.pending.push(message);
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let messages = std::mem::take(&mut self.pending);
            self.call(messages);
        }
    }

    fn call(&mut self, messages: Vec<Value>) {
        let mut body = json!({ "messages": messages });
        words::merge(&mut body, self.message.native);
        let url = format!("{}/v2/bot/message/push", self.channel.base);
        // The same on every attempt, and another for every call.
        let key = crypto::uuid(&["line", self.message.id, &self.out.calls.len().to_string()]);
        let mut push = body.clone();
        push["to"] = self.to.into();
        let call = match self.token.take() {
            Some(token) => {
                body["replyToken"] = token.reply.into();
                if let Some(body) = body.as_object_mut() {
                    body.remove("customAggregationUnits");
                }
                let note = json!({ "url": url, "body": push, "key": key });
                Call::json(format!("{}/v2/bot/message/reply", self.channel.base), &body).then(note.to_string())
            }
            None => Call::json(url, &push).header("x-line-retry-key", key),
        };
        self.out.calls.push(self.channel.authorised(call, self.cx));
    }
}

/// Braces mark names in a text that has some.
fn braced(letters: &[char]) -> String {
    letters.iter().collect::<String>().replace('{', "{{").replace('}', "}}")
}

/// Media types of the sound that LINE plays.
const SOUND: &[&str] = &["audio/mpeg", "audio/mp3", "audio/mp4", "audio/m4a", "audio/x-m4a", "audio/aac"];

/// Whether a file is of a kind that is shown, by its type, else by its ending; what says neither is tried.
fn shows(file: &Media<'_>, types: &[&str], endings: &[&str]) -> bool {
    if let Some(mime) = file.mime_type.as_deref().and_then(|m| m.split(';').next()) {
        return types.contains(&mime.trim());
    }
    let name = file.filename.as_deref().or(file.url.as_deref()).unwrap_or_default();
    let name = name.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    name.rsplit_once('.').is_none_or(|(_, ending)| endings.contains(&ending.to_ascii_lowercase().as_str()))
}

/// `PACKAGE/STICKER` of LINE's own.
fn sticker(media: &Media<'_>) -> Option<Value> {
    let (package, sticker) = media.id.as_deref()?.split_once('/')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (digits(package) && digits(sticker)).then(|| json!({ "type": "sticker", "packageId": package, "stickerId": sticker }))
}

/// What an option does, as an action.
fn action(option: &ChoiceOption<'_>, at: &str) -> Result<Value, RenderError> {
    let label = shorten(&option.title, LABEL);
    let value = option.value.as_deref().unwrap_or_default();
    let wrong = |problem: &str| RenderError::new(format!("{at}/value"), "option_invalid", problem);
    let data = words::payload(option);
    if Unit::Utf16.count(data) > DATA {
        return Err(RenderError::new(format!("{at}/id"), "option_id_too_long", "an id has at most 300 characters here"));
    }
    Ok(match option.kind {
        OptionKind::Reply => json!({ "type": "postback", "label": label, "data": data, "displayText": shorten(&option.title, 300) }),
        OptionKind::Postback => json!({ "type": "postback", "label": label, "data": data }),
        OptionKind::Url | OptionKind::Webview if words::is_link(value) && value.len() <= LINK => {
            json!({ "type": "uri", "label": label, "uri": value })
        }
        OptionKind::Url | OptionKind::Webview => {
            return Err(wrong("a link begins with https:// or http:// and has at most 1000 characters"));
        }
        OptionKind::Call if address::is_e164(value) => json!({ "type": "uri", "label": label, "uri": format!("tel:{value}") }),
        OptionKind::Call => return Err(wrong("a number to call is written as +15550100200")),
        OptionKind::Copy if (1..=LINK).contains(&Unit::Utf16.count(value)) => {
            json!({ "type": "clipboard", "label": label, "clipboardText": value })
        }
        OptionKind::Copy => return Err(wrong("a text to copy has 1 to 1000 characters")),
        OptionKind::Date => {
            let mode = if matches!(value, "date" | "time" | "datetime") { value } else { "date" };
            json!({ "type": "datetimepicker", "label": label, "data": data, "mode": mode })
        }
        OptionKind::Location => json!({ "type": "location", "label": label }),
        OptionKind::Contact => return Err(wrong("LINE cannot ask for a number")),
    })
}
