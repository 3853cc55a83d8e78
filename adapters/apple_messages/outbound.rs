//! Messages as calls of the gateway, one each, under ids of our own.

use serde_json::{Value, json};

use super::{Channel, FACTS};
use crate::contract::part::{Card, ChoiceOption, Choices, OptionKind};
use crate::contract::*;
use crate::kit::{address, choices as listed, crypto, markup, text, words};

/// The extension that shows pickers.
const BID: &str = "com.apple.messages.MSMessageExtensionBalloonPlugin:0000000000:com.apple.icloud.apps.messages.business.extension";
const QUICK: std::ops::RangeInclusive<usize> = 2..=5;
/// Above 10 KB Apple answers with a reference (messages-sent, read 2026-11-28); this much nobody scrolls through.
const PAYLOAD: usize = 64_000;

/// The calls that bring a message to Apple.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    for name in ["id", "sourceId", "destinationId"] {
        if message.native.contains_key(name) {
            return Err(RenderError::new(format!("#/native/{name}"), "native_not_allowed", "`to` says who gets the message"));
        }
    }
    if message.to.starts_with("tel:") {
        return invite(channel, message, cx);
    }
    let Some(customer) = address::id(message.to, "apple").filter(|id| !id.contains(char::is_whitespace)) else {
        return Err(RenderError::new(
            "#/to",
            "address_invalid",
            "expected `apple:` and the customer's opaque id, or `tel:+1...` for an invitation",
        ));
    };
    if message.template.is_some() {
        return Err(RenderError::new("#/template", "template_not_supported", "invitations go to numbers: `tel:+1...`"));
    }
    let mut writer = Writer { channel, customer: &customer, message, cx, out: Rendered::default() };
    if message.parts.is_empty() {
        if !message.native.contains_key("type") {
            return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, or a `native` with its `type`"));
        }
        writer.out.shown.push("[native]".into());
        writer.send(json!({}))?;
    }
    if message.reply_to.is_some() && !message.parts.is_empty() {
        writer.note(0, "quote", "message", "a business cannot quote");
    }
    for (index, part) in message.parts.iter().enumerate() {
        writer.part(index, part)?;
    }
    writer.out.cost = u32::try_from(writer.out.calls.len()).unwrap_or(u32::MAX).max(1);
    Ok(writer.out)
}

/// An invitation that Apple approved, to somebody who has not written yet.
fn invite(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    if !message.to.strip_prefix("tel:").is_some_and(address::is_e164) {
        return Err(RenderError::new("#/to", "address_invalid", "a number is written as tel:+15550100200"));
    }
    let Some(template) = message.template.filter(|template| !template.name.is_empty()) else {
        return Err(RenderError::new("#/template", "template_required", "a number gets an invitation that Apple approved: a template"));
    };
    let params: std::collections::BTreeMap<&str, &str> =
        template.params.iter().map(|(key, value)| (key.strip_prefix("body.").unwrap_or(key), value.as_str())).collect();
    let locale = template.locale.as_deref().unwrap_or("en-us").to_lowercase();
    let notification = json!({ "templateId": template.name, "locale": locale, "referenceId": message.id, "parameters": params });
    let data = json!({ "version": "1.0", "requestIdentifier": message.id, "notification": notification });
    let mut writer = Writer { channel, customer: message.to, message, cx, out: Rendered::default() };
    writer.out.shown.push(format!("[invitation {}]", template.name));
    writer.send(json!({ "type": "interactive", "interactiveData": { "bid": BID, "data": data } }))?;
    let mut out = writer.out;
    out.cost = 1;
    out.calls.iter_mut().for_each(|call| *call = call.clone().header("message-type", "notification"));
    Ok(out)
}

struct Writer<'w> {
    channel: &'w Channel,
    customer: &'w str,
    message: &'w Outbound<'w>,
    cx: &'w Context<'w>,
    out: Rendered,
}

impl Writer<'_> {
    fn part(&mut self, index: usize, part: &Part<'_>) -> Result<(), RenderError> {
        match part {
            Part::Text(words) => {
                let plain = markup::told(words, markup::Dialect::Plain, "Apple Messages", index, &mut self.out);
                self.text(index, &plain)
            }
            Part::Image(m) | Part::Sticker(m) | Part::Audio(m) | Part::Voice(m) | Part::File(m) | Part::Video(m) => {
                self.linked(index, part, &m.media, m.caption.as_deref().unwrap_or_default())
            }
            Part::Location(place) => {
                self.note(index, "location", "text", "a place goes as a link to the map");
                let map = format!("https://maps.apple.com/?ll={},{}", place.latitude, place.longitude);
                let lines = [place.name.as_deref(), place.address.as_deref(), Some(map.as_str())];
                self.text(index, &lines.into_iter().flatten().collect::<Vec<_>>().join("\n"))
            }
            Part::Contacts(list) => {
                self.note(index, "contacts", "text", "contact cards would be files, which cannot be sent from here");
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
                self.note(index, "carousel", "cards", "there is no carousel: the cards stand one below the other");
                let at = |number| format!("#/parts/{index}/cards/{number}");
                carousel.cards.iter().enumerate().try_for_each(|(number, card)| self.card(index, card, &at(number)))
            }
            Part::Order(order) if !order.items.is_empty() || order.text.is_some() => {
                self.note(index, "order", "text", words::ORDER);
                self.text(index, &words::order(order))
            }
            Part::Product(product) => {
                self.note(index, "product", "text", "there are no catalogues");
                self.text(index, &words::product(product))
            }
            Part::Notification(push) => {
                self.note(index, "notification", "message", "Messages shows its own notification of each message");
                if let Some(image) = &push.image {
                    let media = Media { url: Some(image.clone()), ..Media::default() };
                    self.linked(index, &Part::Image(Default::default()), &media, "")?;
                }
                self.text(index, &words::notification(push))
            }
            Part::Poll(poll) => {
                words::one_answer(poll, index, &mut self.out);
                self.note(index, "poll", "choices", "a business cannot start a poll");
                self.choices(index, &words::poll(poll))
            }
            Part::Typing(_) => self.send(json!({ "type": "typing_start" })),
            other => Err(RenderError::unsupported(index, other.kind(), "Apple Messages")),
        }
    }

    fn text(&mut self, index: usize, words: &str) -> Result<(), RenderError> {
        if words.trim().is_empty() {
            return Err(RenderError::new(format!("#/parts/{index}/text"), "text_empty", "a text needs at least one character"));
        }
        for piece in text::split(words, FACTS.text.max, FACTS.text.unit) {
            self.out.shown.push(piece.to_owned());
            self.send(json!({ "type": "text", "body": piece }))?;
        }
        Ok(())
    }

    /// Files are encrypted before they are uploaded, which the gateway cannot do: a link stands in, with a film in it
    /// where it is one.
    fn linked(&mut self, index: usize, part: &Part<'_>, file: &Media<'_>, caption: &str) -> Result<(), RenderError> {
        let Some(url) = file.url.as_deref().filter(|url| words::is_link(url)) else {
            let problem = "a file needs a public http(s) `url`: it goes as a link";
            return Err(RenderError::new(format!("#/parts/{index}/media"), "media_missing", problem));
        };
        if matches!(part, Part::Video(_)) && url.starts_with("https://") {
            self.note(index, "video", "link", "films go as rich links");
            let title = if caption.is_empty() { file.filename.as_deref().unwrap_or("Video") } else { caption };
            let mime = file.mime_type.as_deref().unwrap_or("video/mp4");
            return self.rich(title, url, json!({ "video": { "url": url, "mimeType": mime } }));
        }
        self.note(index, part.kind(), "text", "files cannot be sent from here: the link stands in");
        let lines = [caption, file.filename.as_deref().unwrap_or_default(), url];
        self.text(index, &lines.into_iter().filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n"))
    }

    fn rich(&mut self, title: &str, url: &str, assets: Value) -> Result<(), RenderError> {
        self.out.shown.push(format!("[link] {title}"));
        self.send(json!({ "type": "richLink", "richLinkData": { "url": url, "title": title, "assets": assets } }))
    }

    fn choices(&mut self, index: usize, asked: &Choices<'_>) -> Result<(), RenderError> {
        let at = format!("#/parts/{index}/options");
        if asked.options.is_empty() || asked.options.iter().any(|o| o.title.trim().is_empty()) {
            return Err(RenderError::new(at, "option_invalid", "choices need options, and each a title"));
        }
        if let Some(media) = &asked.media {
            self.linked(index, &Part::Image(Default::default()), media, "")?;
        }
        let (answers, others): (Vec<&ChoiceOption<'_>>, Vec<&ChoiceOption<'_>>) = asked.options.iter().partition(|o| words::answers(o));
        if answers.is_empty() {
            self.note(index, "choices", "text", "pickers hold answers alone: links and numbers stand in the words");
            return self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }));
        }
        if !others.is_empty() {
            self.note(index, "option", "text", "pickers hold answers alone: links and numbers stand before them");
            let lines: Vec<String> = others.iter().map(|o| format!("{}: {}", o.title, o.value.as_deref().unwrap_or_default())).collect();
            self.text(index, &lines.join("\n"))?;
        }
        if answers.iter().any(|o| words::asks(o)) {
            self.note(index, "ask", "answer", "a picker cannot ask for this; what is picked comes back as a choice");
        }
        let described = answers.iter().any(|o| o.description.is_some() || o.section.is_some());
        let list = asked.layout == Some(part::Layout::List) || described || !QUICK.contains(&answers.len());
        let data = if list { self.list(asked, &answers) } else { self.quick(asked, &answers) };
        if data.to_string().len() > PAYLOAD - 1_000 {
            self.note(index, "choices", "text", "so many options do not fit into one message");
            return self.text(index, &listed::numbered(&Choices { media: None, ..asked.clone() }));
        }
        self.out.shown.push(listed::shown(&words::question(asked), answers.iter().map(|o| &*o.title)));
        self.send(json!({ "type": "interactive", "interactiveData": data }))
    }

    /// Sections in the order in which they first appear.
    fn list(&self, asked: &Choices<'_>, answers: &[&ChoiceOption<'_>]) -> Value {
        let mut sections: Vec<(&str, Vec<Value>)> = Vec::new();
        for option in answers {
            let heading = option.section.as_deref().or(asked.menu_label.as_deref()).unwrap_or_default();
            let place = sections.iter().position(|(title, _)| *title == heading).unwrap_or_else(|| {
                sections.push((heading, Vec::new()));
                sections.len() - 1
            });
            let items = &mut sections[place].1;
            let mut item = json!({ "identifier": words::payload(option), "title": option.title, "order": items.len(), "style": "default" });
            if let Some(words) = option.description.as_deref().filter(|d| !d.is_empty()) {
                item["subtitle"] = words.into();
            }
            items.push(item);
        }
        let section = |(order, (title, items)): (usize, (&str, Vec<Value>))| json!({ "title": title, "order": order, "multipleSelection": false, "items": items });
        let sections: Vec<Value> = sections.into_iter().enumerate().map(section).collect();
        let title =
            [asked.header.as_deref(), Some(&*asked.text)].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n");
        let subtitle = asked.footer.as_deref().or(asked.menu_label.as_deref()).unwrap_or_default();
        json!({
            "bid": BID,
            "data": { "version": "1.0", "mspVersion": "1.0", "requestIdentifier": self.message.id, "listPicker": { "sections": sections } },
            "receivedMessage": { "title": title, "subtitle": subtitle, "style": "icon" },
            "replyMessage": { "title": asked.text, "style": "icon" },
        })
    }

    fn quick(&self, asked: &Choices<'_>, answers: &[&ChoiceOption<'_>]) -> Value {
        let items: Vec<Value> = answers.iter().map(|o| json!({ "identifier": words::payload(o), "title": o.title })).collect();
        let reply = json!({ "summaryText": words::question(asked), "items": items });
        json!({ "bid": BID, "data": { "version": "1.0", "requestIdentifier": self.message.id, "quick-reply": reply } })
    }

    fn card(&mut self, index: usize, card: &Card<'_>, at: &str) -> Result<(), RenderError> {
        if card.title.trim().is_empty() {
            return Err(RenderError::new(format!("{at}/title"), "card_invalid", "a card needs a title"));
        }
        let is_link = |o: &ChoiceOption<'_>| matches!(o.kind, OptionKind::Url | OptionKind::Webview);
        let link = card.options.iter().find(|o| is_link(o)).and_then(|o| o.value.as_deref()).filter(|url| words::is_link(url));
        let rest: Vec<ChoiceOption<'_>> = card.options.iter().filter(|o| o.value.as_deref() != link || link.is_none()).cloned().collect();
        if let Some(media) = &card.media {
            self.linked(index, &Part::Image(Default::default()), media, "")?;
        }
        if !rest.is_empty() {
            return self.choices(index, &Choices { media: None, ..words::card(card) });
        }
        let text = words::card(card).text;
        match link {
            Some(url) => self.text(index, &format!("{text}\n{url}")),
            None => self.text(index, &text),
        }
    }

    fn note(&mut self, part: usize, from: &str, into: &str, why: &str) {
        self.out.note(part, from, into, why);
    }

    fn send(&mut self, mut content: Value) -> Result<(), RenderError> {
        // The same on every attempt, and another for every call.
        let id = crypto::uuid(&["apple", self.message.id, &self.out.calls.len().to_string()]);
        words::merge(&mut content, self.message.native);
        if content.to_string().len() > PAYLOAD {
            return Err(RenderError::new("#/parts", "message_too_large", "Apple takes about 64 KB: shorter words or fewer options"));
        }
        let mut call = self.channel.message(content, &id, self.customer, self.cx);
        // Whatever no person wrote says so.
        if self.message.author.and_then(|a| a.kind.as_deref()) != Some("agent") {
            call = call.header("auto-reply", "true");
        }
        self.out.calls.push(call);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;

    #[test]
    fn what_nobody_scrolls_through_becomes_words() {
        let settings = super::super::Twin::new(3).settings();
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let render = |count: usize| {
            let option = |n: usize| ChoiceOption { title: format!("Option {n}").into(), ..ChoiceOption::default() };
            let asked = Choices { text: "Pick".into(), options: (0..count).map(option).collect(), ..Choices::default() };
            let (parts, native) = ([Part::Choices(asked)], serde_json::Map::new());
            let message = Outbound {
                id: "msg_1",
                to: "apple:urn:mbid:FAKE-ANN",
                thread: None,
                parts: &parts,
                template: None,
                category: Category::Service,
                reply_to: None,
                handle: None,
                author: None,
                expires_at: None,
                native: &native,
            };
            let cx = Context { now: Time(0), public_url: "", hook_url: "", login: None, keys: None };
            super::render(&channel, &message, &cx).expect("it renders")
        };
        assert!(render(200).downgrades.is_empty());
        let many = render(1_500);
        assert_eq!((many.downgrades.len(), many.downgrades[0].into.as_str()), (1, "text"));
        assert!(many.calls.len() > 1, "and the words go in pieces");
    }
}
