//! A SkillResponse in the making: up to three components, and quick replies under them (answer_json_format, read
//! 2026-11-20).

use serde_json::{Map, Value, json};

use super::Channel;
use super::skill::CHOICE;
use crate::contract::part::{Card, Carousel, ChoiceOption, Choices, Layout, Location, Notification, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, text, words};

const TEXT: usize = 1000;
const TEXT_CARD: usize = 400;
const BASIC_CARD: usize = 230;
const TITLE: usize = 50;
const LABEL: usize = 14;
const BUTTONS: usize = 3;
const LIST: usize = 5;
const QUICK: usize = 10;
const CARDS: usize = 10;
/// How many components one answer has.
const OUTPUTS: usize = 3;

/// What a message becomes.
pub(super) struct Writer<'w> {
    channel: &'w Channel,
    /// Rooms know neither quick replies nor carousels.
    room: bool,
    outputs: Vec<Value>,
    quick: Vec<Value>,
    /// The answers that are full.
    done: Vec<Value>,
    /// What was shown and downgraded.
    pub out: Rendered,
}

impl<'w> Writer<'w> {
    pub(super) fn new(channel: &'w Channel, room: bool) -> Self {
        Self { channel, room, outputs: Vec::new(), quick: Vec::new(), done: Vec::new(), out: Rendered::default() }
    }

    /// The templates, one an answer.
    pub(super) fn templates(&mut self) -> Vec<Value> {
        self.flush();
        std::mem::take(&mut self.done)
    }

    pub(super) fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, "KakaoTalk", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.note(index, "sticker", "image", "a chatbot cannot send stickers");
                }
                self.image(index, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) => {
                self.note(index, part.kind(), "link", "a chatbot sends pictures alone: a button opens the file");
                self.linked(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => self.location(index, place),
            Part::Contacts(list) => {
                self.note(index, "contacts", "text", "a chatbot has no contact cards");
                self.text(index, &words::contacts(&list.contacts))
            }
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => {
                self.note(index, "product", "text", "a chatbot has no catalogues");
                self.text(index, &words::product(product))
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "a chatbot cannot start a poll");
                self.choices(index, &words::poll(poll))
            }
            other => Err(RenderError::unsupported(index, other.kind(), "KakaoTalk")),
        }
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    /// Quick replies stand under the whole answer, so nothing may follow them in it.
    fn add(&mut self, output: Value) {
        if self.outputs.len() == OUTPUTS || !self.quick.is_empty() {
            self.flush();
        }
        self.outputs.push(output);
    }

    fn flush(&mut self) {
        if self.outputs.is_empty() {
            return;
        }
        let mut template = json!({ "outputs": std::mem::take(&mut self.outputs) });
        if !self.quick.is_empty() {
            template["quickReplies"] = std::mem::take(&mut self.quick).into();
        }
        self.done.push(template);
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, TEXT, Unit::Chars) {
            self.out.shown.push(piece.to_owned());
            self.add(json!({ "simpleText": { "text": piece } }));
        }
        Ok(())
    }

    fn image(&mut self, index: usize, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let url = https(file, &format!("#/parts/{index}/media"))?;
        let alt = if caption.is_empty() { file.filename.as_deref().unwrap_or("image") } else { caption };
        self.out.shown.push("[image]".into());
        self.add(json!({ "simpleImage": { "imageUrl": url, "altText": text::shorten(alt, TEXT, Unit::Chars) } }));
        if caption.is_empty() {
            return Ok(());
        }
        self.note(index, "caption", "text", "a picture has no caption: the words follow");
        self.text(index, caption)
    }

    fn linked(&mut self, index: usize, kind: &str, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let url = file.url.as_deref().filter(|url| words::is_link(url)).ok_or_else(|| missing(&format!("#/parts/{index}/media")))?;
        let title = text::shorten(file.filename.as_deref().unwrap_or(kind), TITLE, Unit::Chars);
        let button = json!({ "action": "webLink", "label": "Open", "webLinkUrl": url });
        self.out.shown.push(format!("[{kind}] {title}\n[Open]"));
        let mut card = json!({ "title": title, "buttons": [button] });
        if !caption.is_empty() {
            card["description"] = text::shorten(caption, TEXT_CARD - TITLE, Unit::Chars).into();
        }
        self.add(json!({ "textCard": card }));
        Ok(())
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        self.note(index, "location", "link", "a chatbot cannot send places: a button opens the map");
        let map = format!("https://map.kakao.com/link/map/{},{}", place.latitude, place.longitude);
        let title = place.name.as_deref().or(place.address.as_deref()).unwrap_or("Map");
        let mut card = json!({ "title": text::shorten(title, TITLE, Unit::Chars), "buttons": [{ "action": "webLink", "label": "Map", "webLinkUrl": map }] });
        if let Some(address) = place.address.as_deref().filter(|a| *a != title) {
            card["description"] = text::shorten(address, TEXT_CARD - TITLE, Unit::Chars).into();
        }
        self.out.shown.push(format!("{title}\n[Map]"));
        self.add(json!({ "textCard": card }));
        Ok(())
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "KakaoTalk shows its own notification of each message");
        let Some(url) = push.url.as_deref().filter(|url| words::is_link(url)) else {
            return self.text(index, &words::notification(push));
        };
        let option =
            ChoiceOption { title: "Open".into(), kind: OptionKind::Url, value: Some(url.to_owned().into()), ..ChoiceOption::default() };
        let media = push.image.as_ref().map(|image| Media { url: Some(image.clone()), ..Media::default() });
        let title = push.title.clone().or_else(|| push.body.clone()).unwrap_or_default();
        let text = push.body.clone().filter(|_| push.title.is_some());
        self.card(index, &Card { title, text, media, options: vec![option] }, &format!("#/parts/{index}"))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        let question = words::question_on(asked, LABEL);
        if asked.options.iter().any(words::asks) {
            self.note(index, "ask", "button", "a chatbot cannot ask for this here; the press comes back as a choice");
        }
        let pressed = asked.options.iter().all(|o| words::answers(o));
        let known = asked.options.iter().all(has_button);
        let count = asked.options.len();
        let (list, quick) = (asked.layout == Some(Layout::List), asked.layout == Some(Layout::QuickReplies));
        let described = asked.options.iter().any(|o| o.description.is_some());
        if known && asked.media.is_some() && count <= BUTTONS && fits(&question, BASIC_CARD) && !quick && !list {
            let card = Card { title: "".into(), text: Some(question.into()), media: asked.media.clone(), options: asked.options.clone() };
            return self.basic(index, &card, &format!("#/parts/{index}"));
        }
        if let Some(media) = &asked.media {
            self.note(index, "media", "message", "the picture goes before so long a question");
            self.image(index, media, "")?;
        }
        if known && !quick && !list && count <= BUTTONS && fits(&question, TEXT_CARD) {
            let buttons = self.buttons(index, &asked.options, &at)?;
            self.shown(&question, &asked.options);
            self.add(json!({ "textCard": { "description": question, "buttons": buttons } }));
            return Ok(());
        }
        let rows = list || described && !quick;
        // Rows have no headings; the question above quick replies names them.
        let headed = asked.options.iter().any(|o| o.section.as_deref().is_some_and(|s| !s.is_empty()));
        let dials = asked.options.iter().any(|o| o.kind == OptionKind::Call);
        if known && rows && !dials && !headed && count <= LIST && fits(&asked.text, TITLE) {
            return self.list(asked, &at);
        }
        if pressed && count <= QUICK && !self.room && !question.trim().is_empty() {
            let replies: Result<Vec<Value>, RenderError> = asked.options.iter().map(|o| self.pressed(index, o)).collect();
            let replies = replies?;
            self.text(index, &question)?;
            self.out.shown.pop();
            self.shown(&question, &asked.options);
            self.quick = replies;
            return Ok(());
        }
        let why = if self.room { "rooms have no quick replies" } else { "an answer has 3 buttons, 5 rows or 10 quick replies" };
        self.note(index, "choices", "text", why);
        self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }))
    }

    fn shown(&mut self, words: &str, options: &[ChoiceOption<'_>]) {
        self.out.shown.push(listed::shown(words, options.iter().map(|o| &*o.title)));
    }

    fn list(&mut self, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let mut items = Vec::new();
        for (number, option) in asked.options.iter().enumerate() {
            let mut item = json!({ "title": text::shorten(&option.title, TITLE, Unit::Chars) });
            if let Some(words) = option.description.as_deref().filter(|d| !d.is_empty()) {
                item["description"] = text::shorten(words, 40, Unit::Chars).into();
            }
            match option.kind {
                OptionKind::Url | OptionKind::Webview => item["link"] = json!({ "web": link(option, &format!("{at}/{number}/value"))? }),
                _ => words::merge(&mut item, &self.back(option)),
            }
            items.push(item);
        }
        self.shown(&asked.text, &asked.options);
        let more = [asked.header.as_deref(), asked.footer.as_deref()].into_iter().flatten().filter(|t| !t.is_empty());
        let more: Vec<&str> = more.collect();
        if !more.is_empty() {
            self.add(json!({ "simpleText": { "text": more.join("\n") } }));
        }
        self.add(json!({ "listCard": { "header": { "title": asked.text }, "items": items } }));
        Ok(())
    }

    /// What comes back when it is picked: the block with the id, or the words alone.
    fn back(&self, option: &ChoiceOption<'_>) -> Map<String, Value> {
        let mut out = Map::new();
        let id = words::payload(option);
        match &self.channel.settings.reply_block_id {
            Some(block) => {
                out.insert("action".into(), "block".into());
                out.insert("blockId".into(), block.as_str().into());
                out.insert("extra".into(), json!({ CHOICE: id }));
            }
            None => drop(out.insert("action".into(), "message".into())),
        }
        out.insert("messageText".into(), option.title.as_ref().into());
        out
    }

    fn label(&mut self, index: usize, title: &str) -> String {
        if !fits(title, LABEL) {
            self.note(index, "title", "shorter title", "a button's label has at most 14 characters");
        }
        text::shorten(title, LABEL, Unit::Chars)
    }

    fn pressed(&mut self, index: usize, option: &ChoiceOption<'_>) -> Result<Value, RenderError> {
        if self.channel.settings.reply_block_id.is_none() && words::payload(option) != option.title {
            self.note(index, "id", "title", "without `reply_block_id` the words of an option come back, not its id");
        }
        let mut out = json!({ "label": self.label(index, &option.title) });
        words::merge(&mut out, &self.back(option));
        Ok(out)
    }

    fn buttons(&mut self, index: usize, options: &[ChoiceOption<'_>], at: &str) -> Result<Vec<Value>, RenderError> {
        let mut buttons = Vec::new();
        for (number, option) in options.iter().enumerate() {
            let at = format!("{at}/{number}/value");
            buttons.push(match option.kind {
                OptionKind::Url | OptionKind::Webview => {
                    json!({ "label": self.label(index, &option.title), "action": "webLink", "webLinkUrl": link(option, &at)? })
                }
                OptionKind::Call => {
                    let number = option.value.as_deref().filter(|n| address::is_e164(n));
                    let number =
                        number.ok_or_else(|| RenderError::new(at, "option_invalid", "a number to call is written as +15550100200"))?;
                    json!({ "label": self.label(index, &option.title), "action": "phone", "phoneNumber": number })
                }
                _ => self.pressed(index, option)?,
            });
        }
        Ok(buttons)
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if card.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
        }
        if card.media.is_some() {
            return self.basic(index, card, at);
        }
        if !buttoned(card) {
            return self.choices(index, &words::card(card));
        }
        let body = self.card_body(index, card, at, TEXT_CARD - TITLE)?;
        self.shown(&words::card(card).text, &card.options);
        self.add(json!({ "textCard": body }));
        Ok(())
    }

    fn basic(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if !buttoned(card) {
            self.note(index, "card", "picture and choices", "a card has at most 3 buttons, each a reply, a link or a number to call");
            return self.choices(index, &Choices { media: card.media.clone(), ..words::card(card) });
        }
        let body = self.card_body(index, card, at, BASIC_CARD)?;
        let words = words::card(card).text;
        self.shown(&format!("[image] {}", words.trim_start()), &card.options);
        self.add(json!({ "basicCard": body }));
        Ok(())
    }

    fn card_body(&mut self, index: usize, card: &Card<'_>, at: &str, most: usize) -> Result<Value, RenderError> {
        let mut body = json!({});
        let words = card.text.as_deref().filter(|t| !t.is_empty());
        if !fits(&card.title, TITLE) || words.is_some_and(|w| !fits(w, most)) {
            self.note(index, "card", "text and card", "a card's title and words are short: the whole goes before");
            self.text(index, &[Some(&*card.title), words].into_iter().flatten().collect::<Vec<_>>().join("\n"))?;
        }
        if !card.title.is_empty() {
            body["title"] = text::shorten(&card.title, TITLE, Unit::Chars).into();
        }
        if let Some(words) = words {
            body["description"] = text::shorten(words, most, Unit::Chars).into();
        }
        if let Some(media) = &card.media {
            body["thumbnail"] = json!({ "imageUrl": https(media, &format!("{at}/media"))? });
        }
        if !card.options.is_empty() {
            body["buttons"] = self.buttons(index, &card.options, &format!("{at}/options"))?.into();
        }
        Ok(body)
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        if carousel.cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
            self.text(index, words)?;
        }
        let at = |number: usize| format!("#/parts/{index}/cards/{number}");
        let buttoned = carousel.cards.iter().all(buttoned);
        if self.room || !buttoned {
            let why = if buttoned { "rooms have no carousel" } else { "a card beside others has at most 3 buttons" };
            self.note(index, "carousel", "cards", &format!("{why}: the cards stand one below the other"));
            return carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)));
        }
        if carousel.cards.len() > CARDS {
            self.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
        }
        // All cards of a carousel are of one kind, and one kind has pictures.
        let pictured = carousel.cards.iter().all(|card| card.media.is_some());
        if !pictured && carousel.cards.iter().any(|card| card.media.is_some()) {
            self.note(index, "media", "none", "cards have pictures all or none of them");
        }
        let (kind, most) = if pictured { ("basicCard", BASIC_CARD) } else { ("textCard", TEXT_CARD - TITLE) };
        for (group, cards) in carousel.cards.chunks(CARDS).enumerate() {
            let mut items = Vec::new();
            for (number, card) in cards.iter().enumerate() {
                let card = if pictured { card.clone() } else { Card { media: None, ..card.clone() } };
                items.push(self.card_body(index, &card, &at(group * CARDS + number), most)?);
            }
            let titles: Vec<&str> = cards.iter().map(|c| &*c.title).collect();
            self.out.shown.push(format!("[cards] {}", titles.join(", ")));
            self.add(json!({ "carousel": { "type": kind, "items": items } }));
        }
        Ok(())
    }
}

fn fits(text: &str, most: usize) -> bool {
    Unit::Chars.count(text) <= most
}

/// Whether all that the card offers has a button on it.
fn buttoned(card: &Card<'_>) -> bool {
    card.options.len() <= BUTTONS && card.options.iter().all(has_button)
}

fn has_button(option: &ChoiceOption<'_>) -> bool {
    words::answers(option) || matches!(option.kind, OptionKind::Url | OptionKind::Webview | OptionKind::Call) && option.value.is_some()
}

fn link<'o>(option: &'o ChoiceOption<'_>, at: &str) -> Result<&'o str, RenderError> {
    let found = option.value.as_deref().filter(|url| words::is_link(url));
    found.ok_or_else(|| RenderError::new(at, "option_invalid", "a link begins with https:// or http://"))
}

fn missing(at: &str) -> RenderError {
    RenderError::new(at, "media_missing", "KakaoTalk takes no uploads here; a file needs a public https `url`")
}

fn https<'m>(file: &'m Media<'_>, at: &str) -> Result<&'m str, RenderError> {
    file.url.as_deref().filter(|url| url.starts_with("https://")).ok_or_else(|| missing(at))
}
