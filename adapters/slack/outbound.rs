//! Messages as calls of the Web API.

use serde_json::{Value, json};

use super::blocks::{self, Options};
use super::{Channel, emoji, errors, is_id, markup, upload};
use crate::contract::part::{Card, Carousel, Choices, Format, Notification, ReactionPart};
use crate::contract::*;
use crate::kit::address::unescape;
use crate::kit::{spoken, text, words};

/// What we attach to a message so that it can be known again.
pub(super) const LABEL: &str = "gateway_message";

/// docs.slack.dev/reference/methods/chat.postMessage, read 2026-11-20.
const TEXT: usize = 4000;
const MARKDOWN: usize = 12_000;
const CARDS: usize = 10;

/// Workspace and channel (or user) of an address.
pub(super) fn channel_of(address: &str) -> Option<(Option<String>, String)> {
    let rest = address.strip_prefix("slack:")?;
    let (team, id) = rest.split_once('/').map_or((None, rest), |(team, id)| (Some(unescape(team).into_owned()), id));
    let id = unescape(id).into_owned();
    is_id(&id).then_some((team.filter(|team| !team.is_empty()), id))
}

/// The calls that bring a message to Slack.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>) -> Result<Rendered, RenderError> {
    let wrong = |problem: &str| RenderError::new("#/to", "address_invalid", problem);
    let (team, place) = channel_of(message.to).ok_or_else(|| wrong("expected `slack:TEAM/CHANNEL`, such as slack:T0ACME/D0CHAT"))?;
    if team.is_some() && channel.account().is_some() && team.as_deref() != channel.account() {
        return Err(wrong("the address is in another workspace than the channel"));
    }
    if message.native.contains_key("channel") {
        return Err(RenderError::new("#/native/channel", "native_not_allowed", "`to` says who gets the message"));
    }
    if message.parts.is_empty() {
        return Err(match message.template {
            Some(_) => RenderError::new("#/template", "template_not_supported", "Slack has no templates; use `parts`"),
            None => RenderError::new("#/parts", "message_empty", "a message needs at least one part"),
        });
    }
    let thread = message.thread.map(|thread| unescape(thread).into_owned());
    // An answer is a message in the thread of what it answers.
    let quoted = message.reply_to.map(|id| id.rsplit(':').next().unwrap_or(id)).filter(|ts| super::inbound::stamp(ts).is_some());
    let thread = thread.or_else(|| quoted.map(str::to_owned));
    let mut writer = Writer { channel, message, place, thread, out: Rendered::default() };
    message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?;
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    place: String,
    thread: Option<String>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => self.text(index, &words.text, words.format),
            Part::Image(m) | Part::Audio(m) | Part::Voice(m) | Part::Video(m) | Part::File(m) | Part::Sticker(m) => {
                self.file(index, part.kind(), &m.media, m.caption.as_deref().unwrap_or_default(), &format!("#/parts/{index}/media"))
            }
            Part::Location(place) => {
                self.out.note(index, "location", "text", "Slack has no places: a link to the map stands in");
                self.text(index, &spoken::place(place), Format::Plain)
            }
            Part::Contacts(list) => {
                self.out.note(index, "contacts", "text", "Slack has no contact cards");
                self.text(index, &spoken::contacts(&list.contacts), Format::Plain)
            }
            Part::Choices(choices) => self.choices(index, choices, &format!("#/parts/{index}")),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => self.carousel(index, carousel),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order), Format::Plain)
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.out.note(index, "product", "text", "Slack has no catalogues");
                self.text(index, &spoken::product(product), Format::Plain)
            }
            Part::Notification(push) => self.notification(index, push),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.out.note(index, "poll", "choices", "Slack has no polls; each press comes back as a choice");
                self.choices(index, &spoken::poll(poll), &format!("#/parts/{index}"))
            }
            Part::Typing(_) => match &self.thread {
                Some(thread) => {
                    self.out.calls.push(self.channel.status(&self.place, thread));
                    Ok(())
                }
                None => Err(RenderError::new(
                    format!("#/parts/{index}"),
                    "part_not_supported",
                    "Slack shows typing in assistants' threads alone",
                )),
            },
            Part::Reaction(reaction) => self.reaction(index, reaction),
            other => Err(RenderError::unsupported(index, other.kind(), "Slack")),
        }
    }

    fn text(&mut self, index: usize, words: &str, format: Format) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        if format == Format::Markdown {
            for piece in text::split(words, MARKDOWN, Unit::Chars) {
                self.out.shown.push(markup::bare(piece, format));
                self.send(json!({ "markdown_text": piece }))?;
            }
            return Ok(());
        }
        let plain = markup::bare(words, format);
        // HTML that is cut would leave marks open, so long HTML goes without them.
        let cut = Unit::Chars.count(words) > TEXT;
        if cut && format == Format::Html {
            self.out.note(index, "html", "text", "a text longer than one message loses its markup");
        }
        if format == Format::Html && !cut {
            self.out.shown.push(plain);
            return self.send(json!({ "text": markup::write(words, format) }));
        }
        for piece in text::split(&plain, TEXT, Unit::Chars) {
            self.out.shown.push(piece.to_owned());
            self.send(json!({ "text": markup::escape(piece), "mrkdwn": false }))?;
        }
        Ok(())
    }

    /// A picture by its address is shown in the message; any file of ours is uploaded; the rest is a link.
    fn file(&mut self, index: usize, kind: &str, media: &Media<'_>, caption: &str, at: &str) -> Result<(), RenderError> {
        let link = spoken::link(media);
        let name = media.filename.as_deref().unwrap_or(kind);
        let picture = matches!(kind, "image" | "sticker") && matches!(spoken::looks(media), "image" | "file");
        if kind == "sticker" {
            self.out.note(index, "sticker", "image", "Slack has no stickers");
        }
        if let Some(link) = link.filter(|link| picture && Unit::Chars.count(link) <= 3000) {
            let words = if caption.is_empty() { name } else { caption };
            let caption = self.before(index, caption)?;
            let mut list: Vec<Value> = caption.map(|words| blocks::section(&markup::escape(&words))).into_iter().collect();
            list.push(blocks::image(link, words));
            self.out.shown.push(format!("[image] {words}"));
            return self.send(json!({ "text": markup::escape(&text::shorten(words, TEXT, Unit::Chars)), "blocks": list }));
        }
        if let Some(id) = media.id.as_deref().filter(|id| !id.is_empty()) {
            let Some(size) = media.size else {
                return Err(RenderError::new(
                    format!("{at}/size"),
                    "media_size_missing",
                    "Slack wants to know a file's size before it takes it",
                ));
            };
            self.out.shown.push(format!("[{kind}] {}", if caption.is_empty() { name } else { caption }));
            let call = upload::first(self.channel, id, media, size, &self.place, self.thread.as_deref(), caption);
            self.out.calls.push(call);
            return Ok(());
        }
        let Some(link) = link else {
            return Err(RenderError::new(at, "media_missing", "a file needs `url` (http or https) or `id`"));
        };
        self.out.note(index, kind, "text", "Slack shows only pictures from an address; a link stands in");
        let caption = self.before(index, caption)?.unwrap_or_default();
        self.out.shown.push(spoken::linked(&caption, media, link));
        let label = markup::escape(name).replace('|', " ");
        let linked = format!("<{}|{label}>", markup::escape(link));
        let caption = markup::escape(&caption);
        self.send(json!({ "text": spoken::lines([Some(caption.as_str()), Some(linked.as_str())]), "unfurl_media": true }))
    }

    /// Sends what does not fit into a section and answers the rest.
    fn before(&mut self, index: usize, words: &str) -> Result<Option<String>, RenderError> {
        if words.trim().is_empty() {
            return Ok(None);
        }
        // Room for what escaping adds.
        let most = blocks::SECTION - 4 * words.matches(['<', '>', '&']).count().min(500);
        let pieces = text::split(words, most, Unit::Chars);
        let (last, before) = pieces.split_last().expect("split never answers nothing");
        if !before.is_empty() {
            self.out.note(index, "text", "several messages", "the words beside a picture or buttons have at most 3000 characters");
        }
        before.iter().try_for_each(|piece| self.text(index, piece, Format::Plain))?;
        Ok(Some((*last).to_owned()))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>, at: &str) -> Result<(), RenderError> {
        let Options { blocks: buttons, lines } = blocks::options(asked, index, &format!("{at}/options"), &mut self.out)?;
        let menu = buttons.first().is_some_and(|row| row["elements"][0]["type"] == "static_select");
        let question = Choices { header: None, ..asked.clone() };
        // A menu shows the second lines itself.
        let words =
            spoken::lines(std::iter::once(Some(spoken::question(&question, !menu).as_str())).chain(lines.iter().map(|l| Some(l.as_str()))));
        let mut list = Vec::new();
        if let Some(header) = asked.header.as_deref().filter(|h| !h.is_empty()) {
            list.push(blocks::heading(header));
        }
        match &asked.media {
            Some(media) if spoken::looks(media) != "video" && spoken::link(media).is_some() => {
                list.push(blocks::image(spoken::link(media).unwrap_or_default(), media.filename.as_deref().unwrap_or(&asked.text)));
            }
            Some(media) => {
                self.out.note(index, "media", "message", "only a picture from an address stands beside buttons: the file goes before");
                self.file(index, spoken::looks(media), media, "", &format!("{at}/media"))?;
            }
            None => {}
        }
        let words = self.before(index, &words)?;
        list.extend(words.as_deref().map(|words| blocks::section(&markup::escape(words))));
        list.extend(buttons);
        if let Some(footer) = asked.footer.as_deref().filter(|f| !f.is_empty()) {
            list.push(blocks::footing(footer));
        }
        let titles: Vec<&str> = asked.options.iter().map(|o| &*o.title).collect();
        let summary = words.or_else(|| asked.header.as_deref().map(str::to_owned)).unwrap_or_else(|| titles.join(", "));
        self.out.shown.push(spoken::shown(asked, |o| !matches!(o.kind, part::OptionKind::Call | part::OptionKind::Copy)));
        self.send(json!({ "text": markup::escape(&summary), "blocks": list }))
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if !card.options.is_empty() {
            return self.choices(index, &spoken::headed(card), at);
        }
        let words = spoken::lines([Some(&*card.title), card.text.as_deref()]);
        match &card.media {
            Some(media) => self.file(index, spoken::looks(media), media, &words, &format!("{at}/media")),
            None => self.text(index, &words, Format::Plain),
        }
    }

    fn carousel(&mut self, index: usize, carousel: &Carousel<'_>) -> Result<(), RenderError> {
        let at = |number: usize| format!("#/parts/{index}/cards/{number}");
        if carousel.cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        let fitting: Option<Vec<Value>> = carousel.cards.iter().enumerate().map(|(number, card)| blocks::card(card, number)).collect();
        let Some(cards) = fitting else {
            self.out.note(index, "carousel", "messages", "a card beside others has 150 characters of title, 200 of text and 3 buttons");
            if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                self.text(index, words, Format::Plain)?;
            }
            return carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)));
        };
        if cards.len() > CARDS {
            self.out.note(index, "carousel", "several carousels", "a carousel has at most 10 cards");
        }
        let titles: Vec<&str> = carousel.cards.iter().map(|card| &*card.title).collect();
        let words = self.before(index, carousel.text.as_deref().unwrap_or_default())?;
        let summary = words.clone().unwrap_or_else(|| titles.join(", "));
        for (number, row) in cards.chunks(CARDS).enumerate() {
            let mut list: Vec<Value> = words.iter().filter(|_| number == 0).map(|words| blocks::section(&markup::escape(words))).collect();
            list.push(json!({ "type": "carousel", "elements": row }));
            let titles = titles.chunks(CARDS).nth(number).unwrap_or_default().join(", ");
            let above = words.as_deref().filter(|_| number == 0);
            let cards = format!("[cards] {titles}");
            self.out.shown.push(spoken::lines([above, Some(cards.as_str())]));
            // What notifications show; the words above are told once.
            let summary = if number == 0 { &summary } else { &titles };
            self.send(json!({ "text": markup::escape(summary), "blocks": list }))?;
        }
        Ok(())
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.out.note(index, "notification", "message", "Slack shows its own notification of each message");
        let words = spoken::notification(push);
        match &push.image {
            Some(image) => {
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, "image", &media, &words, &format!("#/parts/{index}/image"))
            }
            None => self.text(index, &words, Format::Plain),
        }
    }

    fn reaction(&mut self, index: usize, reaction: &ReactionPart<'_>) -> Result<(), RenderError> {
        let wrong = |field: &str, code, problem: &str| RenderError::new(format!("#/parts/{index}/{field}"), code, problem);
        let ts = reaction.message_id.rsplit(':').next().filter(|ts| super::inbound::stamp(ts).is_some());
        let ts = ts.ok_or_else(|| wrong("message_id", "message_id_invalid", "expected the id of a Slack message, `CHANNEL:TS`"))?;
        let target = json!({ "channel": self.place, "timestamp": ts });
        let Some(given) = reaction.emoji.as_deref().filter(|e| !e.is_empty()) else {
            // Slack takes a reaction back by its name alone, so it is asked first which are ours.
            if self.channel.settings.bot_user_id.is_none() {
                return Err(wrong("emoji", "emoji_missing", "taking a reaction back needs the channel's `bot_user_id`"));
            }
            self.out.shown.push("[reaction taken back]".into());
            self.out.calls.push(upload::reactions(self.channel, &self.place, ts));
            return Ok(());
        };
        let name = emoji::name(given).ok_or_else(|| wrong("emoji", "emoji_unknown", "write the emoji's Slack name, such as `tada`"))?;
        self.out.shown.push(format!("[reaction] {given}"));
        let mut body = target;
        body["name"] = name.into();
        self.out.calls.push(self.channel.method("reactions.add", &body));
        Ok(())
    }

    /// A message. Where the bot is no member, what was pressed or typed there still lets us answer.
    fn send(&mut self, content: Value) -> Result<(), RenderError> {
        let mut body = json!({ "channel": self.place });
        spoken::merge(&mut body, content.as_object().expect("made above"));
        if let Some(thread) = &self.thread {
            body["thread_ts"] = thread.as_str().into();
        }
        if let Some(name) = self.message.author.and_then(|a| a.name.as_deref()).filter(|_| self.message.native.contains_key("icon_url")) {
            body["username"] = name.into();
        }
        body["metadata"] = json!({ "event_type": LABEL, "event_payload": { "mid": self.message.id } });
        spoken::merge(&mut body, self.message.native);
        let native = |name: &str| self.message.native.contains_key(name);
        let method = match () {
            () if native("user") => "chat.postEphemeral",
            () if native("post_at") => "chat.scheduleMessage",
            () => "chat.postMessage",
        };
        let call = self.channel.method(method, &body);
        let only = ["response_type", "replace_original", "delete_original"].into_iter().find(|name| native(name));
        let call = match (self.message.handle, only) {
            (Some(url), Some(name)) => errors::by_handle(self.channel, &call, url).ok_or_else(|| missing(name))?,
            (Some(url), None) => call.then(json!({ "then": "handle", "url": url }).to_string()),
            (None, Some(name)) => return Err(missing(name)),
            (None, None) => call,
        };
        self.out.calls.push(call);
        Ok(())
    }
}

/// Nothing that was pressed or typed lets us answer in this way any more.
fn missing(name: &str) -> RenderError {
    let problem = "only an answer to a press or a command, within half an hour, can do this";
    RenderError::new(format!("#/native/{name}"), "no_reply_handle", problem)
}
