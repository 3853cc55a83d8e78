//! Messages as forms for `Messages.json`.

use serde_json::{Map, Value};

use super::Channel;
use crate::contract::part::{Card, Choices, Contacts, Layout, Location, Notification, OptionKind, Poll};
use crate::contract::*;
use crate::kit::address::{is_e164, unescape};
use crate::kit::{choices, gsm, markup, spoken, text, words};

/// twilio.com/docs/messaging/api/message-resource and twilio.com/docs/content, read 2026-11-20.
const TEXT: usize = 1600;
const RICH_TEXT: usize = 1024;
const VALIDITY_SECS: i64 = 36_000;

/// What carries the message, by the recipient's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Sms,
    Whatsapp,
    Rcs,
    Messenger,
}

/// The calls that bring a message to Twilio.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let (to, medium) = recipient(message.to)?;
    let from = sender(channel, medium)?;
    if message.native.contains_key("To") {
        return Err(RenderError::new("#/native/To", "native_not_allowed", "`to` says who gets the message"));
    }
    let mut writer = Writer { channel, message, cx, to, from, medium, out: Rendered::default() };
    words::unquoted(message, "Twilio", &mut writer.out);
    match message.template {
        Some(template) if message.parts.is_empty() => writer.template(template)?,
        _ if message.parts.is_empty() => {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs at least one part"));
        }
        _ => message.parts.iter().enumerate().try_for_each(|(index, part)| writer.part(index, part))?,
    }
    writer.out.cost = writer.out.cost.max(1);
    Ok(writer.out)
}

/// Twilio's form of a person's address.
fn recipient(address: &str) -> Result<(String, Medium), RenderError> {
    let wrong = |expected: &str| Err(RenderError::new("#/to", "address_invalid", format!("expected {expected}")));
    let Some((scheme, id)) = address.split_once(':') else { return wrong("an address such as `tel:+14155550123`") };
    let id = unescape(id);
    match scheme {
        "tel" if is_e164(&id) => Ok((id.into_owned(), Medium::Sms)),
        "tel" => wrong("`tel:` and a number in E.164: +14155550123"),
        "rcs" if is_e164(&id) => Ok((id.into_owned(), Medium::Rcs)),
        "rcs" => wrong("`rcs:` and a number in E.164: +14155550123"),
        // A number with or without plus, or a business-scoped id such as US.44010001.
        "whatsapp" if is_e164(&id) || is_scoped(&id) => Ok((format!("whatsapp:{id}"), Medium::Whatsapp)),
        "whatsapp" if is_e164(&format!("+{id}")) => Ok((format!("whatsapp:+{id}"), Medium::Whatsapp)),
        "whatsapp" => wrong("`whatsapp:` and a number or a business-scoped id"),
        "messenger" if !id.is_empty() => Ok((format!("messenger:{id}"), Medium::Messenger)),
        _ => wrong("`tel:`, `whatsapp:`, `rcs:` or `messenger:`"),
    }
}

fn is_scoped(id: &str) -> bool {
    id.split_once('.')
        .is_some_and(|(country, rest)| country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()) && !rest.is_empty())
}

/// The sender in the form this medium wants; empty when a service chooses.
fn sender(channel: &Channel, medium: Medium) -> Result<String, RenderError> {
    let Some(from) = channel.settings.from.as_deref().filter(|from| !from.is_empty()) else { return Ok(String::new()) };
    let wrong = |kind: &str| RenderError::new("#/to", "sender_does_not_reach", format!("this channel's sender is for {kind} alone"));
    match (from.split_once(':').map(|(prefix, _)| prefix), medium) {
        (None, Medium::Whatsapp) if from.starts_with('+') => Ok(format!("whatsapp:{from}")),
        (None, Medium::Sms | Medium::Rcs) | (Some("whatsapp"), Medium::Whatsapp) | (Some("messenger"), Medium::Messenger) => {
            Ok(from.to_owned())
        }
        // An RCS agent reaches phones by their number.
        (Some("rcs"), Medium::Rcs | Medium::Sms) => Ok(from.to_owned()),
        (Some("whatsapp"), _) => Err(wrong("WhatsApp")),
        (Some("rcs"), _) => Err(wrong("RCS")),
        (Some("messenger"), _) => Err(wrong("Messenger")),
        _ => Err(wrong("SMS")),
    }
}

struct Writer<'w> {
    channel: &'w Channel,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    to: String,
    from: String,
    medium: Medium,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let dialect = if self.medium == Medium::Whatsapp { markup::Dialect::Stars } else { markup::Dialect::Plain };
                let marked = markup::told(words, dialect, "this channel", index, &mut self.out);
                self.text(index, &marked)
            }
            Part::Image(m) | Part::Video(m) | Part::Sticker(m) => self.file(index, &m.media, m.caption.as_deref(), true),
            // WhatsApp does not show a caption on sound and documents.
            Part::Audio(m) | Part::Voice(m) | Part::File(m) => {
                self.file(index, &m.media, m.caption.as_deref(), self.medium != Medium::Whatsapp)
            }
            Part::Location(place) => self.location(index, place),
            Part::Contacts(contacts) => self.contacts(index, contacts),
            Part::Choices(choices) => self.choices(index, choices),
            Part::Card(card) => self.card(index, card),
            Part::Carousel(carousel) => {
                if let Some(words) = carousel.text.as_deref().filter(|t| !t.is_empty()) {
                    self.text(index, words)?;
                }
                self.note(index, "carousel", "messages", "cards side by side need an approved template");
                carousel.cards.iter().try_for_each(|card| self.card(index, card))
            }
            Part::Poll(poll) => self.poll(index, poll),
            Part::Notification(push) => self.notification(index, push),
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.out.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) if !product.skus.is_empty() || product.text.is_some() => {
                self.note(index, "product", "text", "products of a catalogue need an approved template");
                self.text(index, &spoken::product(product))
            }
            Part::Typing(_) if self.medium == Medium::Whatsapp && self.message.reply_to.is_some() => {
                self.out.calls.push(self.channel.typing(self.message.reply_to.unwrap_or_default()));
                Ok(())
            }
            Part::Typing(_) => {
                let problem = "Twilio shows typing on WhatsApp alone, in answer to a message (`reply_to`)";
                Err(RenderError::new(format!("#/parts/{index}"), "part_not_supported", problem))
            }
            other => Err(RenderError::unsupported(index, other.kind(), "Twilio")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        let at = || format!("#/parts/{index}/text");
        if words.trim().is_empty() {
            return Err(RenderError::new(at(), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, TEXT, Unit::Chars) {
            let piece = self.encoded(piece);
            let segments = if self.medium == Medium::Sms { gsm::parts(&piece).count() } else { 1 };
            if let Some(max) = self.channel.settings.max_parts.filter(|max| segments > *max) {
                return Err(RenderError::new(
                    at(),
                    "text_too_long",
                    format!("the text takes {segments} SMS segments; `max_parts` allows {max}"),
                ));
            }
            self.out.shown.push(piece.clone());
            self.send(vec![("Body".into(), piece)], segments);
        }
        Ok(())
    }

    fn encoded(&self, words: &str) -> String {
        let smart = self.channel.settings.smart_encoding && self.medium == Medium::Sms;
        if smart { gsm::smart(words).into_owned() } else { words.to_owned() }
    }

    /// A file by its address, with words where the medium shows them.
    fn file(&mut self, index: usize, media: &Media<'_>, caption: Option<&str>, captions: bool) -> Result<(), RenderError> {
        let caption = caption.unwrap_or_default();
        let link = media.url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let Some(link) = link else {
            let at = format!("#/parts/{index}/media/url");
            return Err(RenderError::new(at, "media_missing", "Twilio takes no uploads; a file needs a public `url`"));
        };
        let part = &self.message.parts[index];
        let kind = part.kind();
        let max = if self.medium == Medium::Whatsapp { 16 << 20 } else { 5 << 20 };
        let reached = self.medium != Medium::Sms || self.to.starts_with("+1");
        let large = media.size.is_some_and(|size| size > max);
        if !reached || large {
            let why = if large { "the file is larger than the channel takes" } else { "MMS reaches the United States and Canada" };
            self.note(index, kind, "text", why);
            return self.text(index, &spoken::linked(caption, media, link));
        }
        let under = captions && !caption.is_empty() && Unit::Chars.count(caption) <= TEXT;
        let mut form = Vec::new();
        if under {
            form.push(("Body".to_owned(), self.encoded(caption)));
        }
        form.push(("MediaUrl".to_owned(), link.to_owned()));
        let beside = if under { caption } else { media.filename.as_deref().unwrap_or_default() };
        let word = if part.media().is_some() { kind } else { spoken::looks(media) };
        self.out.shown.push(format!("[{word}] {beside}").trim().to_owned());
        self.send(form, 1);
        if caption.is_empty() || under {
            return Ok(());
        }
        self.note(index, "caption", "text", "the channel does not show these words with the file");
        self.text(index, caption)
    }

    fn location(&mut self, index: usize, place: &Location<'_>) -> Result<(), RenderError> {
        let (lat, lon) = (place.latitude, place.longitude);
        let known = [place.name.as_deref(), place.address.as_deref()].into_iter().flatten().collect::<Vec<_>>();
        if self.medium == Medium::Whatsapp {
            let label = known.first().map_or_else(|| format!("{lat}, {lon}"), |name| name.replace('|', " "));
            let body = if known.is_empty() { label.clone() } else { known.join("\n") };
            self.out.shown.push(format!("[location] {label}"));
            self.send(vec![("Body".into(), body), ("PersistentAction".into(), format!("geo:{lat},{lon}|{label}"))], 1);
            return Ok(());
        }
        self.note(index, "location", "text", "only WhatsApp shows a map");
        let link = format!("https://maps.google.com/?q={lat},{lon}");
        self.text(index, &[&known[..], &[link.as_str()]].concat().join("\n"))
    }

    fn contacts(&mut self, index: usize, contacts: &Contacts<'_>) -> Result<(), RenderError> {
        self.note(index, "contacts", "text", "Twilio carries a contact only as a file with a public address");
        let mut lines: Vec<&str> = Vec::new();
        for card in &contacts.contacts {
            lines.extend(card.name.as_deref());
            lines.extend(card.organization.as_deref());
            lines.extend(card.phones.iter().chain(&card.emails).map(|t| &**t));
        }
        self.text(index, &lines.join("\n"))
    }

    /// Options: a Content resource where the settings name one of the right shape, else a numbered list.
    fn choices(&mut self, index: usize, choices: &Choices<'_>) -> Result<(), RenderError> {
        if choices.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(format!("#/parts/{index}/options"), "title_empty", "an option needs words"));
        }
        if let Some((content, variables)) = self.content(choices) {
            self.out.shown.push(choices::numbered(choices));
            self.send(vec![("ContentSid".into(), content), ("ContentVariables".into(), Value::Object(variables).to_string())], 1);
            return Ok(());
        }
        self.note(index, "choices", "text", "Twilio's buttons are Content resources; name one of this shape in `contents`");
        let words = choices::numbered(choices);
        match &choices.media {
            Some(media) => self.file(index, media, Some(&words), true),
            None => self.text(index, &words),
        }
    }

    /// The resource and its variables; `None` when there is none, or it would not hold these options.
    fn content(&self, choices: &Choices<'_>) -> Option<(String, Map<String, Value>)> {
        let replies = choices.options.iter().all(|o| matches!(o.kind, OptionKind::Reply | OptionKind::Postback));
        let count = choices.options.len();
        let list = choices.layout == Some(Layout::List) || count > 3;
        let longest = if list { 24 } else { 20 };
        let fits = choices
            .options
            .iter()
            .all(|o| Unit::Chars.count(&o.title) <= longest && Unit::Chars.count(o.id.as_deref().unwrap_or_default()) <= 200);
        let plain = choices.media.is_none() && self.medium != Medium::Sms;
        if !plain || !replies || !fits || !(1..=10).contains(&count) {
            return None;
        }
        let name = if list { format!("list_{count}") } else { format!("quick_reply_{count}") };
        let content = self.channel.settings.contents.get(&name)?;
        let words = [choices.header.as_deref(), Some(&*choices.text), choices.footer.as_deref()];
        let words = words.into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n\n");
        if Unit::Chars.count(&words) > RICH_TEXT {
            return None;
        }
        let opener = list.then(|| choices.menu_label.as_deref().unwrap_or("Options").to_owned());
        let options = choices.options.iter().flat_map(|o| [o.title.to_string(), o.id.as_deref().unwrap_or(&o.title).to_owned()]);
        let values = std::iter::once(words).chain(opener).chain(options);
        Some((content.clone(), values.enumerate().map(|(n, value)| ((n + 1).to_string(), value.into())).collect()))
    }

    fn card(&mut self, index: usize, card: &Card<'_>) -> Result<(), RenderError> {
        let words =
            [Some(&*card.title), card.text.as_deref()].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n");
        let words = if card.options.is_empty() {
            words
        } else {
            self.note(index, "options", "text", "a card's buttons need a template");
            choices::numbered(&Choices { text: words.into(), options: card.options.clone(), ..Choices::default() })
        };
        match &card.media {
            Some(media) => self.file(index, media, Some(&words), true),
            None => self.text(index, &words),
        }
    }

    fn poll(&mut self, index: usize, poll: &Poll<'_>) -> Result<(), RenderError> {
        words::one_answer(poll, index, &mut self.out);
        self.note(index, "poll", "choices", "Twilio has no polls");
        self.choices(index, &spoken::poll(poll))
    }

    fn notification(&mut self, index: usize, push: &Notification<'_>) -> Result<(), RenderError> {
        self.note(index, "notification", "message", "a message shows its own notification");
        let words: Vec<&str> = [&push.title, &push.body, &push.url].into_iter().flatten().map(|t| &**t).collect();
        match &push.image {
            Some(image) => self.file(index, &Media { url: Some(image.clone()), ..Media::default() }, Some(&words.join("\n")), true),
            None => self.text(index, &words.join("\n")),
        }
    }

    fn template(&mut self, template: &Template) -> Result<(), RenderError> {
        let named = self.channel.settings.contents.get(&template.name);
        let is_sid = template.name.len() > 2 && template.name.starts_with("HX") && template.name.bytes().all(|b| b.is_ascii_alphanumeric());
        let Some(content) = named.or(is_sid.then_some(&template.name)) else {
            let problem = "expected a ContentSid (`HX...`) or a name that stands in the channel's `contents`";
            return Err(RenderError::new("#/template/name", "template_unknown", problem));
        };
        let mut form = vec![("ContentSid".to_owned(), content.clone())];
        if !template.params.is_empty() {
            let name = |key: &str| key.strip_prefix("body.").unwrap_or(key).to_owned();
            let variables: Map<String, Value> = template.params.iter().map(|(key, value)| (name(key), value.clone().into())).collect();
            form.push(("ContentVariables".into(), Value::Object(variables).to_string()));
        }
        self.out.shown.push(format!("[template] {}", template.name));
        self.send(form, 1);
        Ok(())
    }

    fn send(&mut self, more: Vec<(String, String)>, cost: u32) {
        let settings = &self.channel.settings;
        let mut form: Vec<(String, String)> = vec![("To".into(), self.to.clone())];
        if !self.from.is_empty() {
            form.push(("From".into(), self.from.clone()));
        }
        if let Some(service) = settings.messaging_service_sid.as_deref().filter(|s| !s.is_empty()) {
            form.push(("MessagingServiceSid".into(), service.into()));
        }
        form.extend(more);
        form.push(("StatusCallback".into(), self.callback()));
        if let Some(until) = self.message.expires_at {
            let seconds = until.since(self.cx.now) / 1000;
            if seconds < VALIDITY_SECS {
                form.push(("ValidityPeriod".into(), seconds.max(5).to_string()));
            }
        }
        for (name, value) in self.message.native {
            form.retain(|(n, _)| n != name);
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match value {
                Value::Array(values) => form.extend(values.iter().map(|value| (name.clone(), text(value)))),
                value => form.push((name.clone(), text(value))),
            }
        }
        let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", self.channel.base("api"), settings.account_sid);
        self.out.cost += cost;
        self.out.calls.push(self.channel.authorised(Call::form(url, &form)));
    }

    /// Where receipts come, with our id, so that one that overtakes the answer still finds its message.
    fn callback(&self) -> String {
        let url = self.channel.settings.public_url.as_deref().unwrap_or(self.cx.hook_url);
        let url = url.split('#').next().unwrap_or_default();
        let id: String = form_urlencoded::byte_serialize(self.message.id.as_bytes()).collect();
        format!("{url}{}ref={id}", if url.contains('?') { '&' } else { '?' })
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }
}
