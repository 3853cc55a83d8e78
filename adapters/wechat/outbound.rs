//! Messages as calls: customer-service messages, templates and subscription notifications (doc/service, read 2026-11-20).

use serde_json::{Value, json};

use super::{Channel, FACTS, passive};
use crate::contract::part::{Card, ChoiceOption, Choices, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, text, words};

/// An article's headline is shown as a line or two; the reference names no limit.
const TITLE: usize = 64;

/// The calls that bring a message to WeChat.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let openid = address::id(message.to, "wechat").filter(|id| !id.contains(char::is_whitespace) && !id.starts_with('+'));
    let Some(openid) = openid else {
        return Err(RenderError::new("#/to", "address_invalid", "expected `wechat:` and the person's openid"));
    };
    if message.native.contains_key("touser") {
        return Err(RenderError::new("#/native/touser", "native_not_allowed", "`to` says who gets the message"));
    }
    let mut writer = Writer { channel, openid: &openid, message, cx, out: Rendered::default() };
    if let Some(template) = message.template {
        writer.template(template)?;
    } else if message.parts.is_empty() {
        if !message.native.contains_key("msgtype") {
            return Err(RenderError::new(
                "#/parts",
                "message_empty",
                "a message needs a part, a template, or a `native` with its `msgtype`",
            ));
        }
        writer.out.shown.push("[native]".into());
        writer.send(json!({}));
    }
    if message.reply_to.is_some() && !message.parts.is_empty() {
        writer.note(0, "quote", "message", "official accounts cannot quote");
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    // One answer, and the first thing said is it.
    if let Some(answer) = writer.out.calls.first().and_then(|call| passive::instead(channel, call, &openid, message, cx.now)) {
        writer.out.calls[0] = answer;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

struct Writer<'w> {
    channel: &'w Channel,
    openid: &'w str,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, "WeChat", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Sticker(m) | Part::Voice(m) | Part::Audio(m) | Part::Video(m) | Part::File(m) => {
                self.file(index, part, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => {
                self.note(index, "location", "text", "official accounts cannot send places: a link to the map stands in");
                self.text(index, &words::location(place))
            }
            Part::Contacts(list) => {
                self.note(index, "contacts", "text", "official accounts have no contact cards");
                self.text(index, &words::contacts(&list.contacts))
            }
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.card(index, card, &format!("#/parts/{index}")),
            Part::Carousel(carousel) => {
                if carousel.cards.is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
                }
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.text(index, words)?;
                }
                self.note(index, "carousel", "cards", "WeChat has no carousel: the cards stand one below the other");
                let at = |card| format!("#/parts/{index}/cards/{card}");
                carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => {
                self.note(index, "product", "text", "official accounts have no catalogues here");
                self.text(index, &words::product(product))
            }
            Part::Notification(push) => {
                self.note(index, "notification", "message", "WeChat shows its own notification of each message");
                match (&push.title, &push.url) {
                    (Some(title), Some(url)) => {
                        let article = article(title, push.body.as_deref(), url, push.image.as_deref());
                        self.news(title, article);
                        Ok(())
                    }
                    _ => self.text(index, &words::notification(push)),
                }
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "an official account cannot start a poll");
                self.choices(index, &words::poll(poll))
            }
            Part::Typing(_) => {
                let body = json!({ "touser": self.openid, "command": "Typing" });
                self.call("message/custom/typing", &body);
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "WeChat")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, FACTS.text.max, FACTS.text.unit) {
            self.out.shown.push(piece.to_owned());
            self.send(json!({ "msgtype": "text", "text": { "content": piece } }));
        }
        Ok(())
    }

    /// Files are uploaded out of the gateway; of those elsewhere there is only a link.
    fn file(&mut self, index: usize, part: &Part<'_>, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let stored = file.id.as_deref().filter(|id| !id.is_empty());
        let thumb = self.channel.settings.video_thumb_media_id.clone();
        let speech = file.mime_type.as_deref().is_none_or(|m| ["audio/amr", "audio/mpeg", "audio/mp3"].contains(&m));
        let upload = match part {
            Part::Image(_) => Some("image"),
            Part::Sticker(_) => {
                self.note(index, "sticker", "image", "official accounts cannot send stickers");
                Some("image")
            }
            Part::Voice(_) | Part::Audio(_) if speech => Some("voice"),
            Part::Video(_) if thumb.is_some() => Some("video"),
            _ => None,
        };
        let url = file.url.as_deref().filter(|url| words::is_link(url));
        match (upload, stored, url) {
            (Some(kind), Some(id), _) => {
                let content = match kind {
                    "video" => json!({ "media_id": "", "thumb_media_id": thumb, "title": file.filename, "description": caption }),
                    _ => json!({ "media_id": "" }),
                };
                self.upload(kind, id, file, content);
                if caption.is_empty() || kind == "video" {
                    return Ok(());
                }
                self.note(index, "caption", "text", "files have no captions on WeChat: the words follow");
                self.text(index, caption)
            }
            (Some("image"), None, Some(url)) => {
                self.note(index, part.kind(), "article", "a picture that is not in the gateway goes as an article with its link");
                let fits = Unit::Chars.count(caption) <= TITLE && !caption.contains('\n');
                let title = if caption.is_empty() || !fits { file.filename.as_deref().unwrap_or("…") } else { caption };
                let article = article(title, None, url, Some(url));
                self.news(title, article);
                if fits {
                    return Ok(());
                }
                self.note(index, "caption", "text", "an article's headline is short: the words follow");
                self.text(index, caption)
            }
            (_, _, Some(url)) => {
                let why = match part {
                    Part::Video(_) => "a video needs `video_thumb_media_id` and to be in the gateway: its link stands in",
                    Part::File(_) => "official accounts cannot send documents: the link stands in",
                    _ => "WeChat takes this file only out of the gateway, as AMR or MP3: its link stands in",
                };
                self.note(index, part.kind(), "text", why);
                let lines = [caption, file.filename.as_deref().unwrap_or_default(), url];
                self.text(index, &lines.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n"))
            }
            _ => {
                let problem = "give the `id` of an uploaded picture or voice note, or an http(s) `url`";
                Err(RenderError::new(format!("#/parts/{index}/media"), "media_missing", problem))
            }
        }
    }

    fn upload(&mut self, kind: &str, id: &str, file: &Media<'_>, content: Value) {
        let body = self.body(json!({ "msgtype": kind, kind: content }));
        let field = Field::Media {
            name: "media".into(),
            id: id.to_owned(),
            filename: file.filename.as_deref().unwrap_or("file").to_owned(),
            mime_type: file.mime_type.as_deref().unwrap_or("application/octet-stream").to_owned(),
        };
        let note = json!({ "url": self.channel.url("message/custom/send"), "body": body, "at": format!("/{kind}/media_id") });
        let call = Call::multipart(format!("{}&type={kind}", self.channel.url("media/upload")), vec![field]).then(note.to_string());
        self.out.shown.push(format!("[{kind}]"));
        self.out.calls.push(self.channel.authorised(call, self.cx));
    }

    /// A menu of answers; links and numbers stand in the words under it.
    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        if let Some(media) = &asked.media {
            self.note(index, "media", "message", "a menu has no picture: it goes before");
            self.file(index, &Part::Image(Default::default()), media, "")?;
        }
        let (answers, others): (Vec<&ChoiceOption<'_>>, Vec<&ChoiceOption<'_>>) = asked.options.iter().partition(|o| words::answers(o));
        let head = words::question(&Choices { footer: None, ..asked.clone() });
        if answers.is_empty() || Unit::Bytes.count(&head) > FACTS.text.max {
            self.note(index, "choices", "text", "WeChat's menus hold answers alone, under at most 2048 bytes of words");
            return self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }));
        }
        let mut tail: Vec<String> = others.iter().map(|o| spoken(o)).collect();
        if !others.is_empty() {
            self.note(index, "option", "text", "WeChat's menus hold answers alone: links and numbers stand under them");
        }
        if answers.iter().any(|o| words::asks(o)) {
            self.note(index, "ask", "answer", "a menu cannot ask for this; what is picked comes back as a choice");
        }
        tail.extend(asked.footer.as_deref().filter(|f| !f.is_empty()).map(str::to_owned));
        let list: Vec<Value> = answers.iter().map(|o| json!({ "id": words::payload(o), "content": o.title })).collect();
        let tail = tail.join("\n");
        let shown = listed::shown(&head, answers.iter().map(|o| &*o.title));
        self.out.shown.push(format!("{shown}\n{tail}").trim_end().to_owned());
        let menu = json!({ "head_content": head, "list": list, "tail_content": tail });
        self.send(json!({ "msgtype": "msgmenu", "msgmenu": menu }));
        Ok(())
    }

    /// An article where there is a link or a picture; its other buttons follow as a menu.
    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if card.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
        }
        let link = card.options.iter().find(|o| matches!(o.kind, OptionKind::Url | OptionKind::Webview)).and_then(|o| o.value.as_deref());
        let picture = card.media.as_ref().and_then(|m| m.url.as_deref()).filter(|url| words::is_link(url));
        let Some(url) = link.or(picture) else {
            if card.options.is_empty() {
                return self.text(index, &words::card(card).text);
            }
            return self.choices(index, &words::card(card));
        };
        self.news(&card.title, article(&card.title, card.text.as_deref(), url, picture));
        let rest: Vec<ChoiceOption<'_>> = card.options.iter().filter(|o| o.value.as_deref() != Some(url)).cloned().collect();
        if rest.is_empty() {
            return Ok(());
        }
        self.note(index, "card", "article and menu", "an article on WeChat has one link: the other buttons follow");
        self.choices(index, &Choices { text: card.title.clone(), options: rest, ..Choices::default() })
    }

    fn news(&mut self, title: &str, article: Value) {
        self.out.shown.push(format!("[article] {title}"));
        self.send(json!({ "msgtype": "news", "news": { "articles": [article] } }));
    }

    fn template(&mut self, template: &Template) -> Result<(), RenderError> {
        let (notice, id) = template.name.strip_prefix("subscribe/").map_or((false, template.name.as_str()), |id| (true, id));
        if id.is_empty() {
            return Err(RenderError::new("#/template/name", "template_invalid", "a template has an id"));
        }
        let mut body = json!({ "touser": self.openid, "template_id": id });
        let mut data = serde_json::Map::new();
        for (key, value) in &template.params {
            match key.as_str() {
                "url" | "page" => body[key] = value.as_str().into(),
                "miniprogram.appid" | "miniprogram.pagepath" => body["miniprogram"][&key["miniprogram.".len()..]] = value.as_str().into(),
                name => drop(data.insert(name.strip_prefix("body.").unwrap_or(name).to_owned(), json!({ "value": value }))),
            }
        }
        body["data"] = data.into();
        if !notice {
            // The same number is sent once within ten minutes.
            body["client_msg_id"] = self.message.id.into();
        }
        words::merge(&mut body, self.message.native);
        self.out.shown.push(format!("[template {id}]"));
        self.call(if notice { "message/subscribe/bizsend" } else { "message/template/send" }, &body);
        Ok(())
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    fn body(&self, content: Value) -> Value {
        let mut body = json!({ "touser": self.openid });
        if let Value::Object(content) = &content {
            words::merge(&mut body, content);
        }
        if let Some(agent) = &self.channel.settings.kf_account {
            body["customservice"] = json!({ "kf_account": agent });
        }
        words::merge(&mut body, self.message.native);
        body
    }

    fn send(&mut self, content: Value) {
        let body = self.body(content);
        self.call("message/custom/send", &body);
    }

    fn call(&mut self, method: &str, body: &Value) {
        self.out.calls.push(self.channel.authorised(Call::json(self.channel.url(method), body), self.cx));
    }
}

fn article(title: &str, words: Option<&str>, url: &str, picture: Option<&str>) -> Value {
    json!({ "title": title, "description": words.unwrap_or_default(), "url": url, "picurl": picture.unwrap_or_default() })
}

/// A link a person can tap; anything else as it is.
fn spoken(option: &ChoiceOption<'_>) -> String {
    let value = option.value.as_deref().unwrap_or_default();
    match option.kind {
        OptionKind::Url | OptionKind::Webview => format!("<a href=\"{}\">{}</a>", value.replace('"', "%22"), option.title),
        _ => format!("{}: {value}", option.title),
    }
}
