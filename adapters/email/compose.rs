//! A message as a letter: one subject, one text, one HTML body, files.

use serde_json::{Map, Value};

use super::{Channel, FACTS};
use crate::contract::part::{Card, ChoiceOption, Choices, Format, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, markup, text, words};

/// A file in the gateway's store.
pub(super) struct File {
    pub id: String,
    pub filename: String,
    pub mime_type: String,
}

/// What goes out, whatever carries it.
#[derive(Default)]
pub(super) struct Letter {
    pub to: String,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Without angle brackets.
    pub message_id: String,
    /// `In-Reply-To`, `References`, `List-Unsubscribe` and those of the caller.
    pub headers: Vec<(String, String)>,
    pub reply_to: Option<String>,
    pub files: Vec<File>,
    /// What the caller wants in the service's request as it is.
    pub native: Map<String, Value>,
}

/// A name and an address out of `Name <address>`.
pub(super) fn mailbox(text: &str) -> (Option<String>, String) {
    match text.trim().strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((name, address)) => (Some(name.trim().trim_matches('"').to_owned()).filter(|n| !n.is_empty()), address.trim().to_owned()),
        None => (None, text.trim().to_owned()),
    }
}

/// `user@domain`, with nothing that could end a header or a command.
pub(super) fn is_address(text: &str) -> bool {
    let safe =
        |t: &str| !t.is_empty() && !t.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"'));
    text.rsplit_once('@').is_some_and(|(user, domain)| safe(user) && safe(domain) && !user.contains('@')) && text.len() <= 320
}

/// A message id without anything that could end a header.
fn is_id(id: &str) -> bool {
    id.contains('@') && id.len() <= 900 && !id.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>'))
}

/// Puts a message together; notes in `out` what people will not see as it was meant.
pub(super) fn letter(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>, out: &mut Rendered) -> Result<Letter, RenderError> {
    let to = address::id(message.to, "mailto").map(|to| to.into_owned()).filter(|to| is_address(to));
    let Some(to) = to else { return Err(RenderError::new("#/to", "address_invalid", "expected `mailto:user@domain`")) };
    let mut letter = Letter {
        to,
        message_id: format!("{}@{}", message.id, channel.domain),
        reply_to: channel.settings.reply_to.clone(),
        native: message.native.clone(),
        ..Letter::default()
    };
    thread(&mut letter, message);
    natives(&mut letter)?;
    if message.category == Category::Marketing {
        let link = super::proof::unsubscribe_url(channel, cx.hook_url, &letter.to, message.id);
        let by_mail =
            channel.settings.unsubscribe_mailto.as_ref().map(|a| format!(", <mailto:{a}?subject=unsubscribe>")).unwrap_or_default();
        letter.headers.push(("List-Unsubscribe".into(), format!("<{link}>{by_mail}")));
        letter.headers.push(("List-Unsubscribe-Post".into(), "List-Unsubscribe=One-Click".into()));
    }
    let mut body = Body { letter: &mut letter, out };
    for (index, part) in message.parts.iter().enumerate() {
        body.part(index, part)?;
    }
    if letter.text.is_empty() && !letter.files.is_empty() {
        let names: Vec<&str> = letter.files.iter().map(|f| f.filename.as_str()).collect();
        letter.text = names.join(", ");
        letter.html = paragraph(&escape(&letter.text));
    }
    if letter.text.trim().is_empty() && !message.parts.is_empty() {
        return Err(RenderError::new("#/parts", "text_empty", "a mail needs words or a file"));
    }
    if letter.subject.is_empty() {
        // A link says little as a subject: words come first, then what the link leads to.
        let lines = || letter.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let linked = || lines().next().and_then(|link| link.split(['?', '#']).next()?.rsplit('/').find(|name| !name.is_empty()));
        let first = lines().find(|line| !words::is_link(line)).or_else(linked).unwrap_or_default();
        letter.subject = channel.settings.subject.clone().unwrap_or_else(|| text::shorten(first, 78, Unit::Chars));
    }
    if FACTS.text.unit.count(&letter.text) > FACTS.text.max {
        return Err(RenderError::new("#/parts/0/text", "text_too_long", format!("a mail has at most {} bytes of text", FACTS.text.max)));
    }
    let name = message.author.and_then(|a| a.name.as_deref());
    out.shown.push(format!("{}{}\n{}", name.map(|n| format!("{n}: ")).unwrap_or_default(), letter.subject, letter.text).trim().to_owned());
    Ok(letter)
}

/// `In-Reply-To` and `References` out of the message answered and the thread's first one.
fn thread(letter: &mut Letter, message: &Outbound<'_>) {
    let root = message.thread.map(|t| address::unescape(t).into_owned()).filter(|id| is_id(id));
    let parent = message.reply_to.map(|id| id.trim_matches(['<', '>']).to_owned()).filter(|id| is_id(id)).or_else(|| root.clone());
    let Some(parent) = parent else { return };
    let root = root.filter(|root| *root != parent).map(|root| format!("<{root}> ")).unwrap_or_default();
    letter.headers.push(("In-Reply-To".into(), format!("<{parent}>")));
    letter.headers.push(("References".into(), format!("{root}<{parent}>")));
}

/// What callers say of the letter itself: `subject`, `cc`, `bcc`, `reply_to`, `headers`.
fn natives(letter: &mut Letter) -> Result<(), RenderError> {
    let bad = |key: &str, problem: &str| Err(RenderError::new(format!("#/native/{key}"), "native_invalid", problem.to_owned()));
    if let Some(subject) = letter.native.shift_remove("subject") {
        letter.subject = subject.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for key in ["cc", "bcc", "reply_to"] {
        let list: Vec<String> = match letter.native.shift_remove(key) {
            None => continue,
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            Some(_) => return bad(key, "expected an address or a list of them"),
        };
        let list: Vec<String> = list.iter().map(|a| a.strip_prefix("mailto:").unwrap_or(a).to_owned()).collect();
        if !list.iter().all(|a| is_address(a)) {
            return bad(key, "expected `user@domain`");
        }
        match key {
            "cc" => letter.cc = list,
            "bcc" => letter.bcc = list,
            _ => letter.reply_to = list.into_iter().next(),
        }
    }
    if let Some(Value::Object(headers)) = letter.native.shift_remove("headers") {
        for (name, value) in headers {
            let value = value.as_str().unwrap_or_default().to_owned();
            let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let reserved =
                ["from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "received", "dkim-signature", "mime-version"];
            let lower = name.to_ascii_lowercase();
            if !token || value.chars().any(char::is_control) || reserved.contains(&lower.as_str()) || lower.starts_with("content-") {
                return bad("headers", "a header that may be set has a plain name, one line, and is none of the letter's own");
            }
            letter.headers.push((name, value));
        }
    }
    Ok(())
}

struct Body<'b> {
    letter: &'b mut Letter,
    out: &'b mut Rendered,
}

impl Body<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::from_any(&words.text, words.format, markup::Dialect::Plain).into_owned();
                if plain.trim().is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
                }
                let html = match (&words.html, words.format) {
                    (Some(html), _) => html.to_string(),
                    (None, Format::Html) => words.text.to_string(),
                    (None, Format::Markdown) => paragraph(&markup::from_commonmark(&words.text, markup::Dialect::Html)),
                    (None, Format::Plain) => paragraph(&escape(&words.text)),
                };
                self.push(&plain, &html);
                Ok(())
            }
            Part::Image(m) | Part::Sticker(m) | Part::Video(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) => {
                let shown = matches!(part, Part::Image(_) | Part::Sticker(_));
                self.file(index, part.kind(), shown, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => self.spoken(index, "location", "a mail shows no map: a link to it stands in", &words::location(place)),
            Part::Contacts(list) => {
                self.spoken(index, "contacts", "address-book entries are written out", &words::contacts(&list.contacts))
            }
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.card(index, card),
            Part::Carousel(carousel) => {
                if carousel.cards.is_empty() {
                    return Err(RenderError::new(format!("#/parts/{index}/cards"), "cards_empty", "a carousel needs at least one card"));
                }
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.trim().is_empty()) {
                    self.push(words, &paragraph(&escape(words)));
                }
                self.out.note(index, "carousel", "text", "cards stand under each other in a mail");
                carousel.cards.iter().try_for_each(|card| self.card(index, card))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.spoken(index, "order", words::ORDER, &words::order(order))
            }
            Part::Product(product) => self.spoken(index, "product", "a mail has no catalogue", &words::product(product)),
            Part::Poll(poll) => {
                words::one_answer(poll, index, self.out);
                self.out.note(index, "poll", "text", "a mail cannot hold a poll: a numbered list stands in");
                let words = listed::numbered(&words::poll(poll));
                self.push(&words, &paragraph(&escape(&words)));
                Ok(())
            }
            Part::Notification(push) => {
                if let (Some(title), true) = (&push.title, self.letter.subject.is_empty()) {
                    self.letter.subject = title.to_string();
                }
                self.out.note(index, "notification", "text", "a mail is its own notification");
                if let Some(image) = &push.image {
                    let media = Media { url: Some(image.clone()), ..Media::default() };
                    self.file(index, "notification", true, &media, "")?;
                }
                let words = words::notification(push);
                self.push(&words, &paragraph(&escape(&words)));
                Ok(())
            }
            other => Err(RenderError::unsupported(index, other.kind(), "e-mail")),
        }
    }

    fn push(&mut self, plain: &str, html: &str) {
        for (into, words, gap) in [(&mut self.letter.text, plain, "\n\n"), (&mut self.letter.html, html, "\n")] {
            if !into.is_empty() {
                into.push_str(gap);
            }
            into.push_str(words);
        }
    }

    fn spoken(&mut self, index: usize, from: &str, why: &str, words: &str) -> Result<(), RenderError> {
        self.out.note(index, from, "text", why);
        self.push(words, &paragraph(&escape(words)));
        Ok(())
    }

    /// A file of the gateway's store is attached; one that lies elsewhere becomes a picture or a link.
    fn file(&mut self, index: usize, kind: &str, shown: bool, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let name = file.filename.as_deref().filter(|n| !n.is_empty());
        if let Some(id) = file.id.as_deref().filter(|id| !id.is_empty()) {
            let token = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
            let kind = file.mime_type.as_deref().filter(|m| m.split_once('/').is_some_and(|(main, sub)| token(main) && token(sub)));
            let filename = name.unwrap_or("file").chars().filter(|c| !c.is_control()).collect();
            self.letter.files.push(File { id: id.to_owned(), filename, mime_type: kind.unwrap_or("application/octet-stream").to_owned() });
            if !caption.is_empty() {
                self.push(caption, &paragraph(&escape(caption)));
            }
            return Ok(());
        }
        let Some(url) = file.url.as_deref().filter(|url| words::is_link(url)) else {
            let at = format!("#/parts/{index}/media");
            return Err(RenderError::new(at, "media_missing", "a file needs the `id` of an upload, or an http(s) `url`"));
        };
        let label = name.unwrap_or(url);
        // Instead of a picture that is not loaded, people read its caption or its name.
        let instead = escape(if caption.is_empty() { name.unwrap_or_default() } else { caption });
        let (href, label, below) = (escape(url), escape(label), escape(caption));
        let html = if shown { format!("<img src=\"{href}\" alt=\"{instead}\">") } else { format!("<a href=\"{href}\">{label}</a>") };
        let lines: Vec<&str> = [caption, name.unwrap_or_default(), url].into_iter().filter(|l| !l.is_empty()).collect();
        if !shown {
            self.out.note(index, kind, "text", "the file is not attached: the link stands in");
        }
        self.push(&lines.join("\n"), &format!("<p>{html}{}{below}</p>", if below.is_empty() { "" } else { "<br>" }));
        Ok(())
    }

    fn card(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        if let Some(media) = &card.media {
            self.file(index, "card", true, media, "")?;
        }
        let asked = words::card(card);
        if asked.options.is_empty() {
            self.push(&asked.text, &paragraph(&escape(&asked.text)));
            return Ok(());
        }
        self.choices(index, &asked)
    }

    /// Links become buttons; what would come back as a choice becomes a numbered list to answer.
    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            let at = format!("#/parts/{index}/options");
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        if let Some(media) = &asked.media {
            self.file(index, "choices", true, media, "")?;
        }
        let head = [asked.header.as_deref(), Some(&*asked.text)].into_iter().flatten().filter(|t| !t.trim().is_empty());
        let mut html: String = head.map(|words| paragraph(&escape(words))).collect();
        let (mut number, mut under) = (0, "");
        for option in &asked.options {
            let section = option.section.as_deref().unwrap_or_default();
            if section != under && !section.is_empty() {
                html.push_str(&format!("<p><b>{}</b></p>", escape(section)));
            }
            under = section;
            html.push_str(&format!("<p>{}</p>", self.option(index, option, &mut number)?));
        }
        html.extend(asked.footer.as_deref().filter(|f| !f.is_empty()).map(|footer| paragraph(&escape(footer))));
        if number > 0 {
            self.out.note(index, "choices", "text", "nothing in a mail can be picked: a numbered list stands in");
        }
        self.push(&listed::numbered(&Choices { media: None, ..asked.clone() }), &html);
        Ok(())
    }

    /// An option in HTML; `number` counts those that are answered.
    fn option(&mut self, index: usize, option: &ChoiceOption<'_>, number: &mut usize) -> Result<String, RenderError> {
        let title = escape(&option.title);
        let value = option.value.as_deref().filter(|v| !v.is_empty());
        let shown = match (option.kind, value) {
            (OptionKind::Url | OptionKind::Webview, Some(url)) if words::is_link(url) => format!("<a href=\"{}\">{title}</a>", escape(url)),
            (OptionKind::Url | OptionKind::Webview, _) => {
                let at = format!("#/parts/{index}/options");
                return Err(RenderError::new(at, "option_invalid", "a link needs an http(s) `value`"));
            }
            (OptionKind::Call, Some(number)) => format!("<a href=\"tel:{}\">{title}</a>", escape(number)),
            (OptionKind::Copy, Some(words)) => format!("{title}: <code>{}</code>", escape(words)),
            _ => {
                *number += 1;
                format!("{number}. {title}")
            }
        };
        let more = option.description.as_deref().filter(|d| !d.is_empty()).map(|d| format!(" - {}", escape(d)));
        Ok(shown + &more.unwrap_or_default())
    }
}

/// Text that is safe inside HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn paragraph(html: &str) -> String {
    format!("<p>{}</p>", html.trim_end().replace('\n', "<br>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_cannot_end_a_command() {
        for bad in ["", "ann", "@x", "a@", "a b@x.y", "a@x.y\r\nDATA", "a@x>", "a@b@c", "a,b@x.y"] {
            assert!(!is_address(bad), "{bad}");
        }
        assert!(is_address("ann+tag@example.net") && is_address("用户@example.net"));
        assert_eq!(mailbox("\"Acme, Inc\" <a@acme.example>"), (Some("Acme, Inc".into()), "a@acme.example".into()));
        assert_eq!(mailbox("a@acme.example"), (None, "a@acme.example".into()));
    }
}
