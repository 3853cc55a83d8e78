//! Messages as activities.

use http::Method;
use serde_json::{Value, json};

use super::inbound::FEELINGS;
use super::place::{self, Place};
use super::{Channel, cards};
use crate::contract::part::{Card, Carousel, Choices, Format, Notification, ReactionPart};
use crate::contract::*;
use crate::kit::markup::{self, Dialect};
use crate::kit::{spoken, text, words};

const TEXT: usize = 20_000;
const CARDS: usize = 10;
/// learn.microsoft.com, Teams bots: format your bot messages, read 2026-11-20: bytes of UTF-16.
const ACTIVITY: usize = 100 << 10;

/// The calls that bring a message to Teams.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let wrong = || RenderError::new("#/to", "address_invalid", "expected `teams:CONVERSATION` or `teams:user/ID`");
    let place = place::parse(message.to, message.thread).ok_or_else(wrong)?;
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "Teams has no templates; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    let base = channel.connector(message.handle);
    let mut writer = Writer { channel, message, cx, place, base, quoted: false, out: Rendered::default() };
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    place: Place,
    /// The connector that serves the conversation.
    base: String,
    quoted: bool,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => self.text(index, &words.text, words.format),
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.out.note(index, "sticker", "image", "a bot has no stickers on Teams");
                }
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "Teams has no places for bots: a link to the map stands in");
                self.text(index, &spoken::place(place), Format::Plain)
            }
            Part::Contacts(list) => {
                self.out.note(index, "contacts", "text", "Teams has no contact cards");
                self.text(index, &spoken::contacts(&list.contacts), Format::Plain)
            }
            Part::Choices(choices) => self.choices(index, choices, &format!("#/parts/{index}")),
            Part::Card(card) => {
                let made = cards::of(card, index, &format!("#/parts/{index}"), &mut self.out)?;
                self.shown_card(card);
                self.send(index, json!({ "type": "message", "attachments": [made] }))
            }
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order), Format::Plain)
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "Teams has no catalogues");
                self.text(index, &spoken::product(product), Format::Plain)
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "a bot has no polls on Teams; each press comes back as a choice");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Typing(_) => self.send(index, json!({ "type": "typing" })),
            Part::Reaction(reaction) => self.reaction(index, reaction),
            other => Err(RenderError::unsupported(index, other.kind(), "Teams")),
        }
    }

    fn text(&mut self, index: usize, words: &str, format: Format) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let long = Unit::Utf16.count(words) > TEXT;
        let (words, kind) = match format {
            Format::Plain => (words.to_owned(), "plain"),
            Format::Markdown => (words.to_owned(), "markdown"),
            Format::Html if !long => (words.to_owned(), "xml"),
            Format::Html => {
                self.out.note(index, "html", "text", "a text longer than one message loses its markup");
                (markup::from_html(words, Dialect::Plain), "plain")
            }
        };
        for piece in text::split(&words, TEXT, Unit::Utf16) {
            self.out.shown.push(markup::from_any(piece, if kind == "plain" { Format::Plain } else { format }, Dialect::Plain).into_owned());
            self.send(index, json!({ "type": "message", "text": piece, "textFormat": kind }))?;
        }
        Ok(())
    }

    /// A picture by its address; words to it follow, because both in one would be torn apart and lose their id.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let Some(link) = spoken::link(media) else {
            return Err(RenderError::new(
                format!("{at}/url"),
                "media_missing",
                "Teams takes no uploads without a person's consent; a file needs a public `url`",
            ));
        };
        let small = media.size.unwrap_or_default() <= 1 << 20;
        let Some(url) = cards::picture(media).filter(|_| matches!(kind, "image" | "sticker") && small) else {
            self.out.note(index, kind, "text", "Teams shows only pictures to 1 MB from an https address; a link stands in");
            return self.text(index, &spoken::linked(caption, media, link), Format::Plain);
        };
        let name = media.filename.as_deref().filter(|n| !n.is_empty()).unwrap_or("image");
        let mime = media.mime_type.as_deref().filter(|mime| mime.starts_with("image/")).unwrap_or("image/png");
        self.out.shown.push(format!("[image] {name}"));
        self.send(index, json!({ "type": "message", "attachments": [{ "contentType": mime, "contentUrl": url, "name": name }] }))?;
        if caption.trim().is_empty() {
            return Ok(());
        }
        self.out.note(index, "caption", "text", "words beside a picture are sent as a message of their own");
        self.text(index, caption, Format::Plain)
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let laid = cards::lay(asked, index, &format!("{at}/options"), &mut self.out)?;
        let mut body = Vec::new();
        if let Some(media) = &asked.media {
            match cards::picture(media) {
                Some(url) => body.push(cards::image(url, &asked.text)),
                None => {
                    self.out.note(
                        index,
                        "media",
                        "message",
                        "only a picture from an https address stands beside buttons: the file goes before",
                    );
                    self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
                }
            }
        }
        body.extend(asked.header.as_deref().filter(|h| !h.is_empty()).map(cards::title));
        let menu = laid.body.first().is_some_and(|block| block["type"] == "Input.ChoiceSet");
        let question = spoken::question(&Choices { header: None, ..asked.clone() }, !menu);
        if !question.is_empty() {
            body.push(cards::words(&question));
        }
        body.extend(laid.body);
        if let Some(footer) = asked.footer.as_deref().filter(|f| !f.is_empty()) {
            let mut block = cards::words(footer);
            block["isSubtle"] = true.into();
            body.push(block);
        }
        self.out.shown.push(spoken::shown(asked, |o| o.kind != part::OptionKind::Copy));
        self.send(index, json!({ "type": "message", "attachments": [cards::card(body, laid.actions)] }))
    }

    fn shown_card(&mut self, card: &Card<'_>) {
        let asked = spoken::card(card);
        let picture = if card.media.is_some() { "[image] " } else { "" };
        self.out.shown.push(format!("{picture}{}", spoken::shown(&asked, |o| o.kind != part::OptionKind::Copy)));
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        let at = |number: usize| format!("#/parts/{index}/cards/{number}");
        if carousel.cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
            self.text(index, words, Format::Plain)?;
        }
        if carousel.cards.len() > CARDS {
            self.out.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
        }
        let mut made = Vec::new();
        for (number, card) in carousel.cards.iter().enumerate() {
            made.push(cards::of(card, index, &at(number), &mut self.out)?);
            self.shown_card(card);
        }
        made.chunks(CARDS)
            .try_for_each(|row| self.send(index, json!({ "type": "message", "attachmentLayout": "carousel", "attachments": row })))
    }

    /// A message that rings: what is shown outside the conversation is its summary.
    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "a notification belongs to a message that stays");
        let card = Card {
            title: push.title.clone().or_else(|| push.body.clone()).unwrap_or_else(|| "…".into()),
            text: push.body.clone().filter(|_| push.title.is_some()),
            media: push.image.clone().map(|image| Media { url: Some(image), ..Media::default() }),
            options: push
                .url
                .clone()
                .map(|url| part::ChoiceOption { title: url.clone(), kind: part::OptionKind::Url, value: Some(url), ..Default::default() })
                .into_iter()
                .collect(),
        };
        let made = cards::of(&card, index, &format!("#/parts/{index}"), &mut self.out)?;
        self.out.shown.push(spoken::notification(push));
        let summary = spoken::lines([push.title.as_deref(), push.body.as_deref()]).replace('\n', ": ");
        self.send(
            index,
            json!({ "type": "message", "summary": summary, "attachments": [made], "channelData": { "notification": { "alert": true } } }),
        )
    }

    fn reaction(&mut self, index: usize, reaction: &ReactionPart<'_>) -> Result<(), RenderError> {
        let wrong = |field: &str, code, problem: &str| RenderError::new(format!("#/parts/{index}{field}"), code, problem);
        let Place::Conversation(id) = &self.place else {
            return Err(wrong("", "part_not_supported", "a reaction needs the conversation of the message"));
        };
        if reaction.message_id.is_empty() {
            return Err(wrong("/message_id", "message_id_invalid", "expected the id of a Teams message, `CONVERSATION|ID`"));
        }
        let bare = |emoji: &str| emoji.trim_end_matches('\u{fe0f}').to_owned();
        let emoji = reaction.emoji.as_deref().filter(|e| !e.is_empty());
        let problem = "Teams takes a reaction back by its name alone";
        let emoji = emoji.ok_or_else(|| wrong("/emoji", "emoji_missing", problem))?;
        let known = FEELINGS.iter().find(|(word, known)| *word == emoji || bare(known) == bare(emoji)).map(|(word, _)| *word);
        let word = emoji.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)).then_some(emoji);
        let kind =
            known.or(word).ok_or_else(|| wrong("/emoji", "emoji_unknown", "expected 👍 ❤️ 😆 😮 😢 😡 or Teams' own word for an emoji"))?;
        let message = place::encoded(place::activity(&reaction.message_id));
        let url = format!("{}/v3/conversations/{}/activities/{message}/reactions/{}", self.base, place::encoded(id), place::encoded(kind));
        self.out.shown.push(format!("[reaction] {emoji}"));
        self.out.calls.push(self.channel.authorised(Call::new(Method::PUT, url), self.cx));
        Ok(())
    }

    fn send(&mut self, index: usize, mut body: Value) -> Result<(), RenderError> {
        let app = &self.channel.settings.app_id;
        body["from"] = json!({ "id": format!("28:{app}") });
        let typing = body["type"] == "typing";
        if let Some(id) = self.message.reply_to.filter(|_| !typing && !self.quoted) {
            body["replyToId"] = place::activity(id).into();
            self.quoted = true;
        }
        if !typing {
            spoken::merge(&mut body, self.message.native);
        }
        if 2 * Unit::Utf16.count(&body.to_string()) > ACTIVITY {
            return Err(RenderError::new(format!("#/parts/{index}"), "message_too_large", "an activity has at most 100 KB"));
        }
        let call = match &self.place {
            Place::Conversation(id) => Call::json(format!("{}/v3/conversations/{}/activities", self.base, place::encoded(id)), &body),
            // A conversation with a person is made first; it is the same one each time.
            Place::User(user) => {
                let mut ask = json!({ "isGroup": false, "bot": { "id": format!("28:{app}") }, "members": [{ "id": user }] });
                if let Some(tenant) = self.channel.settings.tenant_id.as_deref().filter(|t| !t.is_empty()) {
                    ask["tenantId"] = tenant.into();
                    ask["channelData"] = json!({ "tenant": { "id": tenant } });
                }
                let note = json!({ "then": "post", "base": self.base, "body": body });
                Call::json(format!("{}/v3/conversations", self.base), &ask).then(note.to_string())
            }
        };
        self.out.calls.push(self.channel.authorised(call, self.cx));
        Ok(())
    }
}
