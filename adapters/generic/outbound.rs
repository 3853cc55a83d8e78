//! Messages as calls: one for each part, its JSON made from the settings' tree.

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::settings::{ChoicesRule, Markup, Revising};
use super::template::{Template, Tree, Values};
use super::{Channel, checks, facts};
use crate::contract::part::{Card, Choices};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, revise, spoken, text, words};

/// What stands in a path as it is (RFC 3986, unreserved, and what ids are made of).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');
/// What the answers to calls about a message are told by.
pub(super) const EDIT: &str = "edit";
pub(super) const RECALL: &str = "recall";
/// The largest body with credentials in it, in bytes.
const BODY: usize = 1 << 20;

/// The calls that bring a message to the provider.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    written(channel, message, None, cx)
}

/// The call that changes a message, or takes it back; `None` where the settings describe none.
pub(super) fn revise(
    channel: &Channel,
    sent: &SentMessage<'_>,
    revision: Revision<'_>,
    cx: &Context<'_>,
) -> Option<Result<Call, RenderError>> {
    let (rule, note) = match revision {
        Revision::Edit(_) => (channel.settings.edit.as_ref()?, EDIT),
        Revision::Recall => (channel.settings.recall.as_ref()?, RECALL),
    };
    if sent.provider_id.is_empty() || sent.provider_id.contains(char::is_control) {
        return Some(Err(RenderError::no_message("the provider's id of the message")));
    }
    let call = match revision {
        Revision::Edit(edit) => {
            let plain = Outbound { reply_to: None, handle: None, ..*edit };
            written(channel, &plain, Some((rule, sent.provider_id)), cx).and_then(|rendered| revise::only(rendered.calls))
        }
        Revision::Recall => Ok(recalled(channel, rule, sent, cx)),
    };
    Some(call.map(|call| call.then(note)))
}

fn recalled(channel: &Channel, rule: &Revising, sent: &SentMessage<'_>, cx: &Context<'_>) -> Call {
    let mut values = channel.secrets(cx);
    values.insert("provider_id".into(), sent.provider_id.into());
    if let Some(to) = address::id(sent.to, channel.facts.schemes[0]) {
        values.insert("to".into(), (&*to).into());
    }
    if let Some(thread) = sent.thread {
        values.insert("thread".into(), (&*address::unescape(thread)).into());
    }
    let call = about(channel, rule, Method::DELETE, &values);
    let mut secrets = Vec::new();
    match rule.body.as_ref().and_then(|body| body.fill(&values, "", &mut secrets)) {
        Some(body) => with_body(typed(call), &body, secrets, &values),
        None => call,
    }
}

/// A call about a message, without its body.
fn about(channel: &Channel, rule: &Revising, usual: Method, values: &Values) -> Call {
    // The name has been checked; a channel whose settings are wrong is never bound.
    let method = checks::method("method", rule.method.as_deref(), usual.clone()).unwrap_or(usual);
    let mut call = call(channel, &method, &rule.path, values);
    add_headers(&mut call, rule.headers.as_ref().unwrap_or(&channel.settings.send.headers), values);
    call
}

/// With the type of its body, unless the settings say one.
fn typed(call: Call) -> Call {
    if call.headers.iter().all(|(name, _)| name != "content-type") { call.header("content-type", "application/json") } else { call }
}

fn written(channel: &Channel, message: &Outbound<'_>, edit: Option<(&Revising, &str)>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let scheme = channel.facts.schemes[0];
    let to = address::id(message.to, scheme).filter(|id| !id.contains(char::is_control));
    let Some(to) = to else {
        let problem = format!("expected `{scheme}:` and the id or number that {} knows the person by", channel.facts.name);
        return Err(RenderError::new("#/to", "address_invalid", problem));
    };
    if message.template.is_some() {
        let problem = format!("the settings of {} describe no templates: send parts", channel.facts.name);
        return Err(RenderError::new("#/template", "template_not_supported", problem));
    }
    if message.parts.is_empty() && message.native.is_empty() {
        return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or `native`"));
    }
    let mut values = channel.secrets(cx);
    let mut put = |name: &str, value: Option<&str>| drop(value.map(|value| values.insert(name.to_owned(), value.into())));
    put("to", Some(&*to));
    put("id", Some(message.id));
    put("reply_to", message.reply_to);
    put("thread", message.thread.map(address::unescape).as_deref());
    put("author", message.author.and_then(|author| author.name.as_deref()));
    put("category", serde_json::to_value(message.category).ok().as_ref().and_then(Value::as_str));
    put("provider_id", edit.map(|(_, id)| id));
    let edit = edit.map(|(rule, _)| rule);
    let mut writer = Writer { channel, message, edit, values, out: Rendered::default() };
    if message.reply_to.is_some() && !facts::takes(&channel.settings, "reply_to") {
        writer.note(0, "quote", "message", "the settings have no place for the message answered");
    }
    if message.thread.is_some() && !facts::takes(&channel.settings, "thread") {
        writer.note(0, "thread", "message", "the settings have no place for the thread");
    }
    if message.parts.is_empty() {
        writer.send(&channel.settings.send.body, "text", &[], "[native]")?;
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    /// How a message is changed, when it is not a new one.
    edit: Option<&'w Revising>,
    /// What is the same in all calls, credentials too.
    values: Values,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let marked = markup::told(words, self.dialect(), "the channel", index, &mut self.out);
                self.text(index, &marked)
            }
            Part::Image(file) => self.file(index, "image", file),
            Part::Video(file) => self.file(index, "video", file),
            Part::Audio(file) | Part::Voice(file) => self.file(index, "audio", file),
            Part::File(file) => self.file(index, "file", file),
            Part::Sticker(file) => {
                self.note(index, "sticker", "image", "stickers go as pictures");
                self.file(index, "image", file)
            }
            Part::Location(place) => self.as_text(index, "location", &spoken::place(place)),
            Part::Contacts(list) => self.as_text(index, "contacts", &spoken::contacts(&list.contacts)),
            Part::Product(product) => self.as_text(index, "product", &spoken::product(product)),
            Part::Notification(push) => {
                let words = spoken::notification(push);
                let Some(image) = &push.image else { return self.as_text(index, "notification", &words) };
                self.note(index, "notification", "message", "the settings describe no such message");
                let media = Media { url: Some(image.clone()), ..Media::default() };
                self.file(index, "image", &MediaPart { media, caption: Some(words.into()) })
            }
            Part::Order(order) => self.as_text(index, "order", &words::order(order)),
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "there are no polls");
                self.choices(index, &spoken::poll(poll))
            }
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.cards(index, "card", std::slice::from_ref(card)),
            Part::Carousel(carousel) => {
                if let Some(words) = carousel.text.as_deref().filter(|words| !words.trim().is_empty()) {
                    self.text(index, words)?;
                }
                self.cards(index, "carousel", &carousel.cards)
            }
            other => Err(RenderError::unsupported(index, other.kind(), self.channel.facts.name)),
        }
    }

    fn dialect(&self) -> markup::Dialect {
        match self.channel.settings.send.markup {
            Markup::Plain => markup::Dialect::Plain,
            Markup::Stars => markup::Dialect::Stars,
            Markup::Html => markup::Dialect::Html,
        }
    }

    fn as_text(&mut self, index: usize, kind: &str, words: &str) -> Result<(), RenderError> {
        self.note(index, kind, "text", "the settings describe no such message");
        self.text(index, words)
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        let limit = self.channel.facts.text;
        for piece in text::split(words, limit.max, limit.unit) {
            self.send(&self.channel.settings.send.body, "text", &[("text", piece.into())], piece)?;
        }
        Ok(())
    }

    fn file(&mut self, index: usize, kind: &'static str, file: &MediaPart<'_>) -> Result<(), RenderError> {
        let caption = file.caption.as_deref().unwrap_or_default();
        let Some(link) = spoken::link(&file.media) else {
            let problem = format!("{} fetches files itself: the file needs a public `url`", self.channel.facts.name);
            return Err(RenderError::new(format!("#/parts/{index}/media"), "media_missing", problem));
        };
        let send = &self.channel.settings.send;
        let tree = self.edit.and_then(|edit| edit.body.as_ref()).or(send.media.as_ref()).unwrap_or(&send.body);
        if !tree.takes("media") {
            self.note(index, kind, "link", "the settings have no place for files");
            return self.text(index, &spoken::linked(caption, &file.media, link));
        }
        let limit = self.channel.facts.text;
        let beside = tree.takes("text") && limit.unit.count(caption) <= limit.max;
        let mut values: Vec<(&str, Value)> = vec![("media.url", link.into())];
        values.extend(file.media.mime_type.as_deref().map(|mime| ("media.type", mime.into())));
        values.extend(file.media.filename.as_deref().map(|name| ("media.filename", name.into())));
        if beside && !caption.is_empty() {
            values.push(("text", caption.into()));
        }
        let shown = format!("[{kind}] {}", if beside { caption } else { "" });
        self.send(tree, kind, &values, shown.trim())?;
        if beside || caption.is_empty() {
            return Ok(());
        }
        self.note(index, "caption", "text", "the words do not fit beside the file: they follow");
        self.text(index, caption)
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let unusable = |title: &str| title.trim().is_empty();
        if asked.options.is_empty() || asked.options.iter().any(|option| unusable(&option.title)) {
            let at = format!("#/parts/{index}/options");
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        if let Some(media) = &asked.media {
            self.file(index, spoken::looks(media), &MediaPart { media: media.clone(), caption: None })?;
        }
        let send = &self.channel.settings.send;
        let answered = asked.options.iter().filter(|option| words::answers(option)).count();
        let spoken: Vec<String> = asked.options.iter().filter_map(spoken::acting).collect();
        let others = answered + spoken.len() < asked.options.len();
        let limit = self.channel.facts.text;
        let lines = spoken.iter().map(|line| Some(line.as_str()));
        let question = spoken::lines([Some(&*words::question(asked))].into_iter().chain(lines));
        let shows = |edit: &Revising| edit.body.as_ref().is_some_and(|body| body.takes("options"));
        let why = match send.choices.as_ref().filter(|_| self.edit.is_none_or(shows)) {
            None => "the settings describe no buttons",
            Some(_) if answered == 0 || others => "only options that are answered become buttons",
            Some(rule) if answered > rule.max => "there are more options than the provider has buttons for",
            Some(_) if limit.unit.count(&question) > limit.max => "the question is too long to have buttons",
            Some(rule) => {
                if asked.options.iter().any(words::asks) {
                    self.note(index, "ask", "button", "the settings describe no such button; the press comes back as a choice");
                }
                if !spoken.is_empty() {
                    self.note(index, "option", "text", "only options that are answered become buttons: the others stand in the text");
                }
                return self.buttons(rule, asked, &question);
            }
        };
        self.note(index, "choices", "text", why);
        self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }))
    }

    fn buttons(&mut self, rule: &ChoicesRule, asked: &Choices<'_>, question: &str) -> Result<(), RenderError> {
        let mut options = Vec::new();
        let mut titles = String::new();
        for option in asked.options.iter().filter(|option| words::answers(option)) {
            let mut values = self.values.clone();
            values.insert("option.id".into(), words::payload(option).into());
            values.insert("option.title".into(), (&*option.title).into());
            options.extend(rule.option.fill(&values, "", &mut Vec::new()));
            titles.push_str(&format!(" [{}]", option.title));
        }
        let shown = format!("{question}\n{}", titles.trim());
        self.send(&rule.body, "choices", &[("text", question.into()), ("options", Value::Array(options))], &shown)
    }

    fn cards(&mut self, index: usize, kind: &str, cards: &[Card<'_>]) -> Result<(), RenderError> {
        if cards.is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
        }
        self.note(index, kind, "messages", "there are no cards: each goes as a message");
        for card in cards {
            let asked = spoken::card(card);
            if !asked.options.is_empty() {
                self.choices(index, &asked)?;
                continue;
            }
            match &asked.media {
                Some(media) => {
                    let part = MediaPart { media: media.clone(), caption: Some(asked.text.clone()) };
                    self.file(index, spoken::looks(media), &part)?;
                }
                None => self.text(index, &asked.text)?,
            }
        }
        Ok(())
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    /// The call of a new message, without its body.
    fn new_message(&self, values: &Values) -> Call {
        let send = &self.channel.settings.send;
        let mut call = call(self.channel, &self.channel.method, &send.path, values);
        add_headers(&mut call, &send.headers, values);
        if let Some(name) = &self.channel.idempotency {
            call.headers.push((name.clone(), values["call"].as_str().unwrap_or_default().to_owned()));
        }
        call
    }

    /// One call.
    fn send(&mut self, tree: &Tree, kind: &str, more: &[(&str, Value)], shown: &str) -> Result<(), RenderError> {
        let mut values = self.values.clone();
        values.insert("kind".into(), kind.into());
        values.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        // A message of several calls must not look like one call repeated.
        let number = self.out.calls.len() + 1;
        let id = self.message.id;
        values.insert("call".into(), if number == 1 { id.into() } else { format!("{id}-{number}").into() });
        let mut secrets = Vec::new();
        let tree = self.edit.and_then(|edit| edit.body.as_ref()).unwrap_or(tree);
        let mut body = tree.fill(&values, "", &mut secrets).unwrap_or_else(|| Value::Object(Default::default()));
        if body.is_object() {
            words::merge(&mut body, self.message.native);
        }
        let call = match self.edit {
            // No key: another edit of the same message is no repetition.
            Some(edit) => about(self.channel, edit, Method::PATCH, &values),
            None => self.new_message(&values),
        };
        self.out.calls.push(with_body(typed(call), &body, secrets, &values));
        self.out.shown.push(shown.to_owned());
        Ok(())
    }
}

/// A call of a path behind `api_base`; a credential in it is kept apart.
pub(super) fn call(channel: &Channel, method: &Method, path: &Template, values: &Values) -> Call {
    let secret = path.holes().find(|hole| values.get(*hole).is_some() && Template::secret(hole));
    let mut marked = values.clone();
    if let Some(name) = secret {
        marked.insert(name.to_owned(), "\0".into()); // Nothing else can be that: control characters are refused in `to`.
    }
    let written = path.text(&marked, &|text| match text {
        "\0" => "{secret}".into(),
        text => utf8_percent_encode(text, KEPT).to_string().into(),
    });
    let call = Call::new(method.clone(), format!("{}{}", channel.base, written.unwrap_or_default()));
    match secret.and_then(|name| values.get(name)).and_then(Value::as_str) {
        Some(secret) => call.url_secret(&utf8_percent_encode(secret, KEPT).to_string()),
        None => call,
    }
}

/// Headers, those with credentials apart.
pub(super) fn add_headers(call: &mut Call, headers: &std::collections::BTreeMap<String, Template>, values: &Values) {
    for (name, template) in headers {
        let name = http::HeaderName::try_from(name.to_ascii_lowercase());
        let (Ok(name), Some(value)) = (name, template.text(values, &|text| text.into())) else { continue };
        if template.is_secret() {
            call.secret_headers.push((name, Secret::new(value)));
        } else {
            call.headers.push((name, value));
        }
    }
}

/// The call with its JSON. Credentials are put in when it leaves, so that no preview, log or ledger sees them.
pub(super) fn with_body(call: Call, body: &Value, secrets: Vec<(String, Template)>, values: &Values) -> Call {
    let bytes = body.to_string();
    if secrets.is_empty() {
        return call.bytes(bytes);
    }
    let filled: Vec<(String, Secret)> =
        secrets.into_iter().filter_map(|(at, template)| Some((at, Secret::new(template.text(values, &|text| text.into())?)))).collect();
    let finish = move |call: Call| {
        let mut body: Value = serde_json::from_slice(call.body_bytes()).unwrap_or_default();
        for (at, secret) in &filled {
            if let Some(place) = body.pointer_mut(at) {
                *place = secret.reveal().into();
            }
        }
        call.bytes(body.to_string())
    };
    call.pieces(vec![Piece::Bytes(bytes.into())], BODY, Some(Arc::new(finish)))
}
