//! Messages as calls of the REST API, or as answers to interactions.

use http::Method;
use serde_json::{Value, json};

use super::place::{self, Place};
use super::{Channel, components, markup};
use crate::contract::part::{Card, Carousel, Choices, Format, Notification, OptionKind, Poll, ReactionPart};
use crate::contract::*;
use crate::kit::{choices, crypto, spoken, text, words};

/// discord.com/developers/docs/resources/message and poll, read 2026-11-20.
const TEXT: usize = 2000;
const EMBEDS: usize = 10;
const EMBED_CHARS: usize = 6000;
const FILE: u64 = 10 << 20;
const NONCE: usize = 25;
const POLL_QUESTION: usize = 300;
const POLL_ANSWER: usize = 55;
const POLL_ANSWERS: usize = 10;

/// The calls that bring a message to Discord.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let place = place::parse(message.to, message.thread);
    let place = place.ok_or_else(|| RenderError::new("#/to", "address_invalid", "expected `discord:CHANNEL_ID` or `discord:user/ID`"))?;
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "Discord has no templates; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    // Where the bot is a member, only the first message takes the place of what is shown while we think.
    let handle = message.handle.and_then(|handle| handle.split_once(':'));
    let mut writer = Writer { channel, message, place, handle, quoted: false, sent: 0, out: Rendered::default() };
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    place: Place,
    /// How the person's interaction lets us answer, and its token.
    handle: Option<(&'w str, &'w str)>,
    quoted: bool,
    sent: usize,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                if words.format == Format::Html {
                    self.out.note(index, "html", "text", "Discord has markdown and no HTML: the words stand alone");
                }
                self.text(index, &words.text, words.format)
            }
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                if matches!(part, Part::Sticker(_)) {
                    self.out.note(index, "sticker", "image", "only stickers of Discord's own can be sent as such");
                }
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "Discord has no places: a link to the map stands in");
                self.text(index, &spoken::place(place), Format::Plain)
            }
            Part::Contacts(list) => {
                self.out.note(index, "contacts", "text", "Discord has no contact cards");
                self.text(index, &spoken::contacts(&list.contacts), Format::Plain)
            }
            Part::Choices(choices) => self.choices(index, choices, None, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order), Format::Plain)
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "Discord has no catalogues");
                self.text(index, &spoken::product(product), Format::Plain)
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => self.poll(index, poll),
            Part::Typing(_) => match &self.place {
                Place::Channel(id) => {
                    self.out.calls.push(self.channel.call(Method::POST, &format!("/channels/{id}/typing")));
                    Ok(())
                }
                Place::User(_) => Err(RenderError::new(
                    format!("#/parts/{index}"),
                    "part_not_supported",
                    "typing shows in a channel, `discord:CHANNEL_ID`",
                )),
            },
            Part::Reaction(reaction) => self.reaction(index, reaction),
            other => Err(RenderError::unsupported(index, other.kind(), "Discord")),
        }
    }

    fn text(&mut self, index: usize, words: &str, format: Format) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let last = self.before(words, format);
        self.out.shown.push(shown(&last, format));
        self.send(json!({ "content": markup::write(&last, format) }), &[]);
        Ok(())
    }

    /// Sends what does not fit into one message and answers the rest.
    fn before(&mut self, words: &str, format: Format) -> String {
        let fits = |piece: &str| Unit::Chars.count(&markup::write(piece, format)) <= TEXT;
        // Escaping at most doubles a text.
        let pieces: Vec<&str> = text::split(words, TEXT, Unit::Chars)
            .into_iter()
            .flat_map(|piece| if fits(piece) { vec![piece] } else { text::split(piece, TEXT / 2, Unit::Chars) })
            .collect();
        let (last, before) = pieces.split_last().expect("split never answers nothing");
        for piece in before {
            self.out.shown.push(shown(piece, format));
            self.send(json!({ "content": markup::write(piece, format) }), &[]);
        }
        (*last).to_owned()
    }

    /// A picture by its address is shown in an embed, a file of ours is uploaded, the rest is a link.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let link = spoken::link(media);
        let id = media.id.as_deref().filter(|id| !id.is_empty() && media.size.unwrap_or_default() <= FILE);
        let words = if caption.trim().is_empty() { None } else { Some(self.before(caption, Format::Plain)) };
        let name = media.filename.as_deref().unwrap_or_default();
        let label = words.as_deref().unwrap_or(name);
        let mut body = json!({});
        if let Some(words) = &words {
            body["content"] = markup::escape(words).into();
        }
        let picture = matches!(kind, "image" | "sticker") && matches!(spoken::looks(media), "image" | "file");
        if let Some(link) = link.filter(|_| picture) {
            body["embeds"] = json!([{ "image": { "url": link } }]);
            self.out.shown.push(format!("[image] {label}").trim().to_owned());
            self.send(body, &[]);
            return Ok(());
        }
        if let Some(id) = id {
            let filename = if name.is_empty() { "file" } else { name };
            let mime = media.mime_type.as_deref().unwrap_or("application/octet-stream");
            body["attachments"] = json!([{ "id": 0, "filename": filename }]);
            self.out.shown.push(format!("[{kind}] {label}").trim().to_owned());
            self.send(body, &[json!({ "id": id, "filename": filename, "mime_type": mime })]);
            return Ok(());
        }
        let Some(link) = link else {
            let large = media.size.is_some_and(|size| size > FILE);
            let (code, problem) = if large {
                ("media_too_large", "Discord takes files to 10 MB")
            } else {
                ("media_missing", "a file needs `url` (http or https) or `id`")
            };
            return Err(RenderError::new(at, code, problem));
        };
        self.out.note(index, kind, "text", "Discord shows only pictures from an address; it makes what it can of the link");
        let words = spoken::linked(words.as_deref().unwrap_or_default(), media, link);
        self.text(index, &words, Format::Plain)
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, embed: Option<Value>, at: &str) -> Result<(), RenderError> {
        let laid = components::lay(asked, index, &format!("{at}/options"), &mut self.out)?;
        let mut body = json!({});
        if let Some(embed) = embed {
            body["embeds"] = json!([embed]);
        } else if let Some(media) = &asked.media {
            match spoken::link(media).filter(|_| matches!(spoken::looks(media), "image" | "file")) {
                Some(link) => body["embeds"] = json!([{ "image": { "url": link } }]),
                None => {
                    self.out.note(index, "media", "message", "only a picture from an address stands beside buttons: the file goes before");
                    self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
                }
            }
        }
        if !laid.words.is_empty() {
            // Written already: nothing is escaped twice.
            body["content"] = self.before(&laid.words, Format::Markdown).into();
        }
        let numbered = laid.rows.is_empty() && asked.options.iter().any(|o| spoken::acting(o).is_none());
        if !laid.rows.is_empty() {
            body["components"] = laid.rows.into();
        }
        let embedded = body["embeds"][0]["title"].as_str().map(|title| {
            let more = body["embeds"][0]["description"].as_str();
            spoken::lines([Some(title), more])
        });
        let words = if numbered {
            choices::numbered(asked)
        } else {
            spoken::shown(asked, |o| !matches!(o.kind, OptionKind::Call | OptionKind::Copy))
        };
        self.out.shown.push(spoken::lines([embedded.as_deref(), Some(words.trim_start())]));
        self.send(body, &[]);
        Ok(())
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        let embed = components::embed(card);
        match (embed, card.options.is_empty()) {
            (Some(embed), true) => {
                self.out.shown.push(format!("[card] {}", card.title));
                self.send(json!({ "embeds": [embed] }), &[]);
                Ok(())
            }
            (Some(embed), false) => {
                let asked = Choices { options: card.options.clone(), ..Choices::default() };
                self.choices(index, &asked, Some(embed), at)
            }
            (None, false) => self.choices(index, &spoken::card(card), None, at),
            (None, true) => match &card.media {
                Some(media) => self.file(index, spoken::looks(media), media, &spoken::card(card).text, &format!("{at}/media")),
                None => self.text(index, &spoken::card(card).text, Format::Plain),
            },
        }
    }

    /// Cards without buttons stand together; those with buttons one below the other.
    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        if carousel.cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        self.out.note(index, "carousel", "messages", "Discord shows cards one below the other");
        if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
            self.text(index, words, Format::Plain)?;
        }
        let embeds: Option<Vec<Value>> =
            carousel.cards.iter().map(|card| components::embed(card).filter(|_| card.options.is_empty())).collect();
        let length = |card: &Card<'_>| Unit::Chars.count(&card.title) + Unit::Chars.count(card.text.as_deref().unwrap_or_default());
        let small = carousel.cards.iter().map(length).sum::<usize>() <= EMBED_CHARS / 2;
        match embeds.filter(|embeds| embeds.len() <= EMBEDS && small) {
            Some(embeds) => {
                let titles: Vec<&str> = carousel.cards.iter().map(|card| &*card.title).collect();
                self.out.shown.push(format!("[cards] {}", titles.join(", ")));
                self.send(json!({ "embeds": embeds }), &[]);
                Ok(())
            }
            None => carousel
                .cards
                .iter()
                .enumerate()
                .try_for_each(|(number, card)| self.card(index, card, &format!("#/parts/{index}/cards/{number}"))),
        }
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "Discord shows its own notification of each message");
        let words = spoken::notification(push);
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, "image", &media, &words, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words, Format::Plain),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        let fits = (1..=POLL_QUESTION).contains(&Unit::Chars.count(&poll.question))
            && (1..=POLL_ANSWERS).contains(&poll.options.len())
            && poll.options.iter().all(|o| (1..=POLL_ANSWER).contains(&Unit::Chars.count(o)));
        if !fits {
            words::one_answer(poll, index, &mut self.out);
            self.out.note(index, "poll", "choices", "a poll has a question of 300 characters and at most 10 answers of 55");
            return self.choices(index, &spoken::poll(poll), None, &format!("#/parts/{index}"));
        }
        let answers: Vec<Value> = poll.options.iter().map(|text| json!({ "poll_media": { "text": text } })).collect();
        let mut made = json!({ "question": { "text": poll.question }, "answers": answers });
        if poll.multiple == Some(true) {
            made["allow_multiselect"] = true.into();
        }
        self.out.shown.push(format!("[poll] {}", poll.question));
        self.send(json!({ "poll": made }), &[]);
        Ok(())
    }

    fn reaction(&mut self, index: usize, reaction: &ReactionPart<'_>) -> Result<(), RenderError> {
        let wrong = |field: &str, code, problem: &str| RenderError::new(format!("#/parts/{index}{field}"), code, problem);
        let Place::Channel(channel) = &self.place else {
            return Err(wrong("", "part_not_supported", "a reaction needs the channel of the message, `discord:CHANNEL_ID`"));
        };
        if !place::is_id(&reaction.message_id) {
            return Err(wrong("/message_id", "message_id_invalid", "expected the id of a Discord message: digits"));
        }
        let path = format!("/channels/{channel}/messages/{}", reaction.message_id);
        self.out.calls.push(match reaction.emoji.as_deref().filter(|e| !e.is_empty()) {
            Some(emoji) => {
                self.out.shown.push(format!("[reaction] {emoji}"));
                self.channel.call(Method::PUT, &format!("{path}/reactions/{}/@me", escaped(emoji)))
            }
            None => {
                // A reaction is taken back by its name alone, so it is asked first which are ours.
                self.out.shown.push("[reaction taken back]".into());
                self.channel.call(Method::GET, &path).then(json!({ "then": "unreact", "path": path }).to_string())
            }
        });
        Ok(())
    }

    /// A message, by whichever way there is.
    fn send(&mut self, mut body: Value, files: &[Value]) {
        body["allowed_mentions"] = json!({ "parse": [] });
        if let Some(id) = self.message.reply_to.filter(|id| place::is_id(id) && !self.quoted) {
            body["message_reference"] = json!({ "message_id": id, "fail_if_not_exists": false });
            self.quoted = true;
        }
        spoken::merge(&mut body, self.message.native);
        let number = self.sent;
        self.sent += 1;
        match self.handle {
            Some(("original", token)) if number == 0 => {
                // What is shown while we think becomes the answer; once it is too late for that, the channel is left.
                let note = json!({ "then": "late", "body": body, "files": files, "place": self.name(), "nonce": self.nonce(number) });
                let answer = self.channel.answer(Method::PATCH, token, "/messages/@original");
                body.as_object_mut().expect("made above").remove("message_reference");
                self.out.calls.push(self.channel.message(answer, &body, files).then(note.to_string()));
            }
            Some(("follow", token)) => {
                let answer = self.channel.answer(Method::POST, token, "");
                body.as_object_mut().expect("made above").remove("message_reference");
                self.out.calls.push(self.channel.message(answer, &body, files));
            }
            spare => {
                // The same message again within minutes is answered with the first.
                body["nonce"] = self.nonce(number).into();
                body["enforce_nonce"] = true.into();
                let call = posted(self.channel, &self.name(), &body, files);
                self.out.calls.push(match (spare, &call.then) {
                    (Some(("spare", token)), None) => {
                        call.then(json!({ "then": "spare", "token": token, "body": body, "files": files }).to_string())
                    }
                    _ => call,
                });
            }
        }
    }

    fn name(&self) -> String {
        match &self.place {
            Place::Channel(id) => id.clone(),
            Place::User(id) => format!("user/{id}"),
        }
    }

    fn nonce(&self, number: usize) -> String {
        crypto::fingerprint(&[self.message.id, &number.to_string()]).chars().take(NONCE).collect()
    }
}

/// The call that posts a message; a person's direct messages are opened first.
pub(super) fn posted(channel: &Channel, name: &str, body: &Value, files: &[Value]) -> Call {
    match name.strip_prefix("user/") {
        Some(user) => {
            let note = json!({ "then": "post", "body": body, "files": files });
            channel.json(Method::POST, "/users/@me/channels", &json!({ "recipient_id": user })).then(note.to_string())
        }
        None => channel.message(channel.call(Method::POST, &format!("/channels/{name}/messages")), body, files),
    }
}

/// Words without marks, for the preview.
fn shown(words: &str, format: Format) -> String {
    crate::kit::markup::from_any(words, format, crate::kit::markup::Dialect::Plain).into_owned()
}

/// An emoji in a path; a custom one is `name:id`.
pub(super) fn escaped(emoji: &str) -> String {
    percent_encoding::utf8_percent_encode(emoji.trim_matches(['<', '>']).trim_start_matches(':'), percent_encoding::NON_ALPHANUMERIC)
        .to_string()
}
