//! Messages as calls of the Send API, one each.

use serde_json::{Value, json};

use super::Kind;
use crate::contract::part::{Card, Carousel, ChoiceOption, Choices, ContactCard, Layout, Location, Notification, OptionKind, Poll};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, text, words};

const BUTTON_TEXT: usize = 640;
const BUTTONS: usize = 3;
const QUICK: usize = 13;
const TITLE: usize = 20;
const PAYLOAD: usize = 1000;
const CARDS: usize = 10;
const CARD_LINE: usize = 80;
const FILE: u64 = 25 << 20;
const IMAGE: u64 = 8 << 20;

/// What a channel with such an inbox can do, and how its calls are made.
pub struct Sender<'s> {
    /// Which inbox.
    pub kind: Kind,
    /// The longest text.
    pub text: TextLimit,
    /// Whether messages say their type and carry our id, buttons can dial, and quick replies can ask for a number.
    pub full: bool,
    /// Media types that go as a file; `None` takes all.
    pub files: Option<&'static [&'static str]>,
    /// Where messages go.
    pub url: String,
    /// What an upload says besides the file.
    pub upload: Option<(&'static str, &'static str)>,
    /// Adds the credentials.
    pub authorised: &'s dyn Fn(Call) -> Call,
    /// A template as it stands in the request.
    pub template: fn(&Template) -> Result<Value, RenderError>,
    /// Our word for a feeling, as the channel has it.
    pub feeling: fn(&str) -> Option<&str>,
}

/// The calls that bring a message to `recipient`.
pub fn render(sender: &Sender<'_>, recipient: Value, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    if message.native.contains_key("recipient") {
        return Err(RenderError::new("#/native/recipient", "native_not_allowed", "`to` says who gets the message"));
    }
    let mut writer = Writer { sender, recipient, message, quoted: false, out: Rendered::default() };
    if let Some(template) = message.template {
        writer.out.shown.push(format!("[template {}]", template.name));
        let body = (sender.template)(template)?;
        writer.send(json!({ "template": body }));
    } else if message.parts.is_empty() {
        if !message.native.contains_key("message") && !message.native.contains_key("sender_action") {
            return Err(RenderError::new(
                "#/parts",
                "message_empty",
                "a message needs a part, a template, or a `native` with its `message`",
            ));
        }
        writer.out.shown.push("[native]".into());
        writer.send(json!({}));
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    sender: &'w Sender<'w>,
    recipient: Value,
    message: &'w Outbound<'w>,
    /// Whether a call already quotes the message answered; only the first does.
    quoted: bool,
    out: Rendered,
}

/// A file's word in the request.
fn word(part: &Part<'_>) -> &'static str {
    match part {
        Part::Image(_) | Part::Sticker(_) => "image",
        Part::Video(_) => "video",
        Part::Audio(_) | Part::Voice(_) => "audio",
        _ => "file",
    }
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, self.sender.kind.name, index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.note(index, "sticker", "image", "only stickers of {name}'s own catalogue can be sent as such");
                }
                self.file(index, word(part), &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => self.location(index, place),
            Part::Contacts(list) => self.contacts(index, &list.contacts),
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.cards(index, std::slice::from_ref(card), "card"),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => self.product(index, &product.skus, product.text.as_deref()),
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => self.poll(index, poll),
            Part::Typing(_) => {
                self.action("typing_on", None);
                Ok(())
            }
            Part::Reaction(reaction) => {
                if reaction.message_id.is_empty() {
                    let at = format!("#/parts/{index}/message_id");
                    return Err(RenderError::new(
                        at,
                        "message_id_invalid",
                        format!("expected the id of a {} message", self.sender.kind.name),
                    ));
                }
                match reaction.emoji.as_deref().filter(|e| !e.is_empty()) {
                    Some(emoji) => {
                        let feeling = (self.sender.feeling)(emoji).ok_or_else(|| {
                            let at = format!("#/parts/{index}/emoji");
                            RenderError::new(at, "reaction_invalid", "this channel has no such reaction: use \u{2764}\u{fe0f}")
                        })?;
                        self.out.shown.push(format!("[reaction] {emoji}"));
                        self.action("react", Some(json!({ "message_id": reaction.message_id, "reaction": feeling })));
                    }
                    None => {
                        self.out.shown.push("[reaction taken back]".into());
                        self.action("unreact", Some(json!({ "message_id": reaction.message_id })));
                    }
                }
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), self.sender.kind.name)),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, self.sender.text.max, self.sender.text.unit) {
            self.out.shown.push(piece.to_owned());
            self.send(json!({ "text": piece }));
        }
        Ok(())
    }

    /// A file; words to it follow, because files have no captions here.
    fn file(&mut self, index: usize, wanted: &'static str, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/media");
        let size = file.size.unwrap_or(0);
        if size > FILE {
            return Err(RenderError::new(
                format!("{at}/size"),
                "media_too_large",
                format!("{} takes files of up to 25 MB", self.sender.kind.name),
            ));
        }
        let kind = if wanted == "image" && size > IMAGE { "file" } else { wanted };
        if kind != wanted {
            self.note(index, wanted, kind, "a picture is at most 8 MB");
        }
        let strange = |mime: &str| self.sender.files.is_some_and(|known| !known.contains(&mime));
        let no_file = self.sender.files.is_some() && wanted != "file" || file.mime_type.as_deref().is_some_and(strange);
        if kind == "file" && no_file {
            return self.linked(index, wanted, file, caption);
        }
        self.out.shown.push(format!("[{kind}] {}", file.filename.as_deref().unwrap_or_default()).trim().to_owned());
        let linked = file.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        match (linked, file.id.as_deref().filter(|id| !id.is_empty())) {
            (Some(url), _) => self.send(json!({ "attachment": { "type": kind, "payload": { "url": url } } })),
            (None, Some(id)) => self.upload(kind, id, file),
            (None, None) => {
                return Err(RenderError::new(at, "media_missing", "a file needs an http(s) `url` or the `id` of an uploaded file"));
            }
        }
        if caption.is_empty() {
            return Ok(());
        }
        self.note(index, "caption", "text", "files have no captions on {name}: the words follow");
        self.text(index, caption)
    }

    /// A file of a type the channel does not take, as its link.
    fn linked(&mut self, index: usize, wanted: &str, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let Some(url) = file.url.as_deref().filter(|url| url.starts_with("http")) else {
            let at = format!("#/parts/{index}/media/mime_type");
            return Err(RenderError::new(at, "media_type_invalid", format!("{} does not take files of this type", self.sender.kind.name)));
        };
        self.note(index, wanted, "text", "{name} does not take files of this type: its link stands in");
        let words = [Some(caption), file.filename.as_deref(), Some(url)];
        self.text(index, &words.into_iter().flatten().filter(|w| !w.is_empty()).collect::<Vec<_>>().join("\n"))
    }

    fn upload(&mut self, kind: &str, id: &str, file: &Media<'_>) {
        let waiting = self.request(json!({ "attachment": { "type": kind, "payload": { "attachment_id": "" } } }));
        let about = json!({ "attachment": { "type": kind, "payload": { "is_reusable": true } } });
        let more = self.sender.upload.map(|(name, value)| Field::Text { name: name.into(), value: value.into() });
        let mut fields: Vec<Field> = more.into_iter().collect();
        fields.extend([
            Field::Text { name: "message".into(), value: about.to_string() },
            Field::Media {
                name: "filedata".into(),
                id: id.to_owned(),
                filename: file.filename.as_deref().unwrap_or("file").to_owned(),
                mime_type: file.mime_type.as_deref().unwrap_or("application/octet-stream").to_owned(),
            },
        ]);
        let note = json!({ "url": self.sender.url, "body": waiting });
        let call = Call::multipart(self.sender.url.replace("/messages", "/message_attachments"), fields);
        self.out.calls.push((self.sender.authorised)(call).then(note.to_string()));
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        self.note(index, "location", "text", "{name} cannot send places: a link to the map stands in");
        self.text(index, &words::location(place))
    }

    fn contacts(&mut self, index: usize, cards: &[ContactCard<'_>]) -> Result<(), RenderError> {
        self.note(index, "contacts", "text", "{name} has no contact cards");
        self.text(index, &words::contacts(cards))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = |what: &str| format!("#/parts/{index}/{what}");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at("options"), "option_invalid", "choices need options, and each a title"));
        }
        if let Some(media) = &asked.media {
            let kind = media.mime_type.as_deref().map_or("image", |m| if m.starts_with("video/") { "video" } else { "image" });
            self.note(index, "media", "message", "a question has no picture on {name}: it goes before");
            self.file(index, kind, media, "")?;
        }
        let full = self.sender.full;
        let can = |o: &ChoiceOption<'_>| button_kind(full, o).is_some() || full && o.kind == OptionKind::Contact;
        let asked = &listed::fitted(&Choices { media: None, ..asked.clone() }, can, self.sender.kind.name, index, &mut self.out);
        if asked.options.is_empty() {
            return self.text(index, &words::question(asked));
        }
        let answers = asked.options.iter().filter(|o| matches!(o.kind, OptionKind::Reply | OptionKind::Postback)).count();
        let quick =
            |o: &ChoiceOption<'_>| full && o.kind == OptionKind::Contact || matches!(o.kind, OptionKind::Reply | OptionKind::Postback);
        let quick_only = asked.options.iter().all(quick);
        let buttons_only = asked.options.iter().all(|o| self.button_kind(o).is_some());
        let short = asked.options.iter().all(|o| Unit::Chars.count(&o.title) <= TITLE);
        let few = asked.options.len() <= BUTTONS;
        let words = words::question_on(asked, TITLE);
        let fits = Unit::Chars.count(&words) <= BUTTON_TEXT;
        let quick = asked.layout == Some(Layout::QuickReplies) || !(few && fits && short);
        if buttons_only && few && !(quick && quick_only) {
            return self.buttons(index, asked, &words);
        }
        if quick_only && asked.options.len() <= QUICK {
            return self.quick_replies(index, asked, &words);
        }
        let why = if answers > QUICK { "at most 13 quick replies fit" } else { "these options do not fit into one message" };
        self.note(index, "choices", "text", why);
        self.text(index, &listed::numbered(asked))
    }

    fn buttons(&mut self, index: usize, asked: &Choices<'_>, words: &str) -> Result<(), RenderError> {
        let last = self.before(index, words, TextLimit { max: BUTTON_TEXT, unit: Unit::Chars })?;
        let at = format!("#/parts/{index}/options");
        let buttons = self.button_list(index, &asked.options, &at)?;
        self.shown(&last, &asked.options);
        let payload = json!({ "template_type": "button", "text": last, "buttons": buttons });
        self.send(json!({ "attachment": { "type": "template", "payload": payload } }));
        Ok(())
    }

    fn quick_replies(&mut self, index: usize, asked: &Choices<'_>, words: &str) -> Result<(), RenderError> {
        let last = self.before(index, words, self.sender.text)?;
        let mut replies = Vec::new();
        for (number, option) in asked.options.iter().enumerate() {
            if option.kind == OptionKind::Contact {
                self.note(index, "title", "the person's number", "{name} writes the number or address itself on this button");
                let mail = option.value.as_deref().is_some_and(|v| v.contains("mail"));
                replies.push(json!({ "content_type": if mail { "user_email" } else { "user_phone_number" } }));
                continue;
            }
            let title = self.title(index, &option.title);
            let payload = payload(option, &format!("#/parts/{index}/options/{number}/id"))?;
            replies.push(json!({ "content_type": "text", "title": title, "payload": payload }));
        }
        self.shown(&last, &asked.options);
        self.send(json!({ "text": last, "quick_replies": replies }));
        Ok(())
    }

    /// Sends what does not fit and answers the rest.
    fn before(&mut self, index: usize, words: &str, most: TextLimit) -> Result<String, RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "the question needs at least one character"));
        }
        let pieces = text::split(words, most.max, most.unit);
        let (last, before) = pieces.split_last().expect("split never answers nothing");
        if !before.is_empty() {
            self.note(
                index,
                "text",
                "several messages",
                &format!(
                    "the words of this kind of message have at most {} {}",
                    most.max,
                    if most.unit == Unit::Bytes { "bytes" } else { "characters" }
                ),
            );
        }
        before.iter().try_for_each(|piece| self.text(index, piece))?;
        Ok((*last).to_owned())
    }

    fn title(&mut self, index: usize, title: &str) -> String {
        if Unit::Chars.count(title) > TITLE {
            self.note(index, "title", "shorter title", "a button's title has at most 20 characters");
        }
        text::shorten(title, TITLE, Unit::Chars)
    }

    fn button_list(&mut self, index: usize, options: &[ChoiceOption<'_>], at: &str) -> Result<Vec<Value>, RenderError> {
        let mut buttons = Vec::new();
        for (number, option) in options.iter().enumerate() {
            let title = self.title(index, &option.title);
            let value = option.value.as_deref().unwrap_or_default();
            let wrong = |problem: &str| RenderError::new(format!("{at}/{number}/value"), "option_invalid", problem);
            buttons.push(match self.button_kind(option) {
                Some("web_url") if !value.starts_with("https://") && !value.starts_with("http://") => {
                    return Err(wrong("a link begins with https:// or http://"));
                }
                Some("web_url") => json!({ "type": "web_url", "title": title, "url": value }),
                Some("phone_number") if !address::is_e164(value) => return Err(wrong("a number to call is written as +15550100200")),
                Some("phone_number") => json!({ "type": "phone_number", "title": title, "payload": value }),
                _ => json!({ "type": "postback", "title": title, "payload": payload(option, &format!("{at}/{number}/id"))? }),
            });
        }
        Ok(buttons)
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        if carousel.cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
            self.text(index, words)?;
        }
        if carousel.cards.len() > CARDS {
            self.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
        }
        carousel.cards.chunks(CARDS).try_for_each(|cards| self.cards(index, cards, "carousel"))
    }

    fn cards(&mut self, index: usize, cards: &[Card<'_>], kind: &str) -> Result<(), RenderError> {
        let holds = |card: &Card<'_>| card.options.len() <= BUTTONS && card.options.iter().all(|o| self.button_kind(o).is_some());
        if !cards.iter().all(holds) {
            self.note(index, kind, "messages", "a card has at most 3 buttons, each a reply, a link or a number to call");
            return cards.iter().try_for_each(|card| self.apart(index, card));
        }
        let mut elements = Vec::new();
        let mut titles = Vec::new();
        for (number, card) in cards.iter().enumerate() {
            let at = if kind == "card" { format!("#/parts/{index}") } else { format!("#/parts/{index}/cards/{number}") };
            let words = card.text.as_deref().filter(|t| !t.is_empty());
            let bare = words.is_none() && card.media.is_none() && card.options.is_empty();
            if kind == "card" && bare {
                return self.text(index, &card.title);
            }
            elements.push(self.element(index, card, &at, words, bare)?);
            titles.push(card.title.to_string());
        }
        self.out.shown.push(format!("[cards] {}", titles.join(", ")));
        let payload = json!({ "template_type": "generic", "elements": elements });
        self.send(json!({ "attachment": { "type": "template", "payload": payload } }));
        Ok(())
    }

    /// A card as a question of its own.
    fn apart(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        let asked = words::card(card);
        if asked.options.is_empty() {
            return match &card.media {
                Some(media) => self.file(index, "image", media, &asked.text),
                None => self.text(index, &asked.text),
            };
        }
        self.choices(index, &Choices { media: card.media.clone(), ..asked })
    }

    fn element(&mut self, index: usize, card: &Card<'_>, at: &str, words: Option<&str>, bare: bool) -> Result<Value, RenderError> {
        if card.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
        }
        let long = [Some(&*card.title), words].into_iter().flatten().any(|w| Unit::Chars.count(w) > CARD_LINE);
        if long {
            // Nothing a person should read is lost: the whole words go before.
            self.note(index, "card", "text and card", "a card's title and words have at most 80 characters each");
            self.text(index, &[Some(&*card.title), words].into_iter().flatten().collect::<Vec<_>>().join("\n"))?;
        }
        let mut element = json!({ "title": text::shorten(&card.title, CARD_LINE, Unit::Chars) });
        // One field besides the title is required.
        if let Some(words) = words.or(bare.then_some("…")) {
            element["subtitle"] = text::shorten(words, CARD_LINE, Unit::Chars).into();
        }
        if let Some(media) = &card.media {
            let url = media.url.as_deref().filter(|u| u.starts_with("https://") || u.starts_with("http://"));
            let Some(url) = url else {
                return Err(RenderError::new(format!("{at}/media"), "media_missing", "a card's picture needs an http(s) `url`"));
            };
            element["image_url"] = url.into();
        }
        if !card.options.is_empty() {
            element["buttons"] = self.button_list(index, &card.options, &format!("{at}/options"))?.into();
        }
        Ok(element)
    }

    fn product(&mut self, index: usize, skus: &[Text<'_>], words: Option<&str>) -> Result<(), RenderError> {
        if !(1..=CARDS).contains(&skus.len()) {
            return Err(RenderError::new(
                format!("#/parts/{index}/skus"),
                "product_invalid",
                "a message shows 1 to 10 products by their ids",
            ));
        }
        if let Some(words) = words.filter(|w| !w.trim().is_empty()) {
            self.text(index, words)?;
        }
        let elements: Vec<Value> = skus.iter().map(|sku| json!({ "id": sku })).collect();
        self.out.shown.push(format!("[{} products]", skus.len()));
        self.send(json!({ "attachment": { "type": "template", "payload": { "template_type": "product", "elements": elements } } }));
        Ok(())
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "{name} shows its own notification of each message");
        let words = words::notification(push);
        match &push.image {
            Some(image) => self.file(index, "image", &Media { url: Some(image.clone()), ..Media::default() }, &words),
            None => self.text(index, &words),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        words::one_answer(poll, index, &mut self.out);
        self.note(index, "poll", "choices", "a Page cannot start a poll");
        self.choices(index, &words::poll(poll))
    }

    fn button_kind(&self, option: &ChoiceOption<'_>) -> Option<&'static str> {
        button_kind(self.sender.full, option)
    }

    fn shown(&mut self, words: &str, options: &[ChoiceOption<'_>]) {
        self.out.shown.push(listed::shown(words, options.iter().map(|o| &*o.title)));
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, &why.replace("{name}", self.sender.kind.name));
    }

    /// A call without a message: nothing of ours comes back.
    fn action(&mut self, name: &str, payload: Option<Value>) {
        let mut body = json!({ "recipient": self.recipient, "sender_action": name });
        if let Some(payload) = payload {
            body["payload"] = payload;
        }
        self.call(&body);
    }

    fn send(&mut self, content: Value) {
        let body = self.request(content);
        self.call(&body);
    }

    fn call(&mut self, body: &Value) {
        self.out.calls.push((self.sender.authorised)(Call::json(self.sender.url.clone(), body)));
    }

    /// The whole request, with what the caller wants in it as it is.
    fn request(&mut self, mut content: Value) -> Value {
        let mut body = json!({ "recipient": self.recipient });
        // A private reply to a comment has no type.
        let private = self.recipient.get("comment_id").is_some() || self.recipient.get("post_id").is_some();
        if !private && self.sender.full {
            let answer = self.message.reply_to.is_some() || self.message.category == Category::Service;
            let kind = if self.message.template.is_some() {
                "UTILITY"
            } else if answer {
                "RESPONSE"
            } else {
                "UPDATE"
            };
            body["messaging_type"] = kind.into();
        }
        if self.sender.full {
            content["metadata"] = self.message.id.into();
        }
        body["message"] = content;
        if let Some(id) = self.message.reply_to.filter(|id| !id.is_empty() && !self.quoted && !private) {
            body["reply_to"] = json!({ "mid": id });
            self.quoted = true;
        }
        if self.message.native.contains_key("sender_action") && self.message.parts.is_empty() {
            body = json!({ "recipient": self.recipient });
        }
        words::merge(&mut body, self.message.native);
        body
    }
}

/// The kind of button that does this; `full` ones can dial.
fn button_kind(full: bool, option: &ChoiceOption<'_>) -> Option<&'static str> {
    match (option.kind, option.value.is_some()) {
        (OptionKind::Reply | OptionKind::Postback, _) => Some("postback"),
        (OptionKind::Url | OptionKind::Webview, true) => Some("web_url"),
        (OptionKind::Call, true) if full => Some("phone_number"),
        _ => None,
    }
}

/// What comes back; the title where the caller gave none.
fn payload(option: &ChoiceOption<'_>, at: &str) -> Result<String, RenderError> {
    let id = option.id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&option.title);
    if Unit::Chars.count(id) > PAYLOAD {
        return Err(RenderError::new(at, "option_id_too_long", "an id has at most 1000 characters here"));
    }
    Ok(id.to_owned())
}
