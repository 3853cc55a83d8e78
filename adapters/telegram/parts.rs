//! What a message says, as parts: words, files, and things that are neither.

use super::content::{Message, TOLD, full_name, is_told};
use super::rich;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::object::Object;

/// Content that exists and has no place among our parts.
const OTHER: &[&str] = &[
    "dice",
    "story",
    "checklist",
    "game",
    "rich_message",
    "paid_media",
    "invoice",
    "users_shared",
    "user_shared",
    "chat_shared",
    "giveaway",
    "giveaway_winners",
    "gift",
    "unique_gift",
    "passport_data",
];

/// Attributes of a message that are not content; everything else a message without content carries is.
const ATTRIBUTES: &[&str] = &[
    "entities",
    "caption_entities",
    "forward_origin",
    "external_reply",
    "quote",
    "via_bot",
    "author_signature",
    "effect_id",
    "receiver_user",
    "guest_bot_caller_user",
    "guest_bot_caller_chat",
    "suggested_post_info",
    "reply_to_checklist_task_id",
    "reply_to_poll_option_id",
    "reply_markup",
    "link_preview_options",
    "has_protected_content",
    "is_automatic_forward",
    "is_from_offline",
    "paid_star_count",
    "sender_boost_count",
    "sender_business_bot",
    "show_caption_above_media",
    "has_media_spoiler",
    "is_paid_post",
    "sender_tag",
    "forward_date",
    "forward_from",
    "forward_from_chat",
    "forward_from_message_id",
    "forward_signature",
    "forward_sender_name",
    "reply_to_story",
];

impl<'a> Message<'_, 'a> {
    pub fn parts(&self) -> Vec<Part<'a>> {
        let mut parts = Vec::with_capacity(1);
        if self.fields.has("reply_to_story") {
            parts.push(Part::Story(Story { kind: "reply".into(), media: None }));
        }
        if let Some(text) = self.fields.words("text") {
            let mentions = self.mentions("entities", &text);
            parts.push(Part::Text(TextPart { text, mentions, ..TextPart::default() }));
        }
        // What was paid for comes without words.
        let paid = if parts.is_empty() { self.paid() } else { Vec::new() };
        match self.media().or_else(|| if paid.is_empty() { self.thing() } else { None }) {
            Some(part) => {
                // Who makes a present may write to it.
                let words = matches!(part, Part::Unsupported(_)).then(|| self.fields.object("gift")?.words("text")).flatten();
                parts.push(part);
                parts.extend(words.map(Part::text));
            }
            None if !paid.is_empty() => parts.extend(paid),
            None if parts.is_empty() => parts.extend(self.unknown()),
            None => {}
        }
        // A caption belongs to media; what is captioned without being media of ours keeps its words.
        if let Some(words) = self.fields.words("caption")
            && !parts.iter().any(|part| part.media().is_some())
        {
            parts.push(Part::text(words));
        }
        parts
    }

    /// What there is besides the words we know: the first field that is not an attribute. A caption alone is words.
    fn unknown(&self) -> Option<Part<'a>> {
        // Content of a known name is here only when its type was strange: it is kept like the unknown.
        let captioned = self.fields.words("caption").is_some();
        let known = |name: &str| TOLD.contains(&name) || ATTRIBUTES.contains(&name) || captioned && name == "caption";
        match self.fields.0.iter().find(|(name, raw)| !known(name) && is_told(raw)) {
            Some((name, raw)) => Some(Part::unsupported(name.clone(), Some(Raw::borrowed(raw)))),
            None if captioned => None,
            None => Some(Part::unsupported("empty", None)),
        }
    }

    fn media(&self) -> Option<Part<'a>> {
        let fields = self.fields;
        // An animation also fills `document`, so it is asked for first.
        if let Some(file) = fields.object("animation") {
            let part = self.file(&file, "video/mp4")?;
            let moving = part.media.mime_type.as_deref() != Some("image/gif");
            return Some(if moving { Part::Video(part) } else { Part::Image(part) });
        }
        // So does a live photo with `photo`.
        if let Some(live) = fields.object("live_photo") {
            return self.file(&live, "video/mp4").map(Part::Video);
        }
        if let Some(largest) = largest(fields) {
            return self.file(&largest, "image/jpeg").map(Part::Image);
        }
        let file = |name: &str, usual| fields.object(name).and_then(|file| self.file(&file, usual));
        if let Some(part) = file("voice", "audio/ogg") {
            return Some(Part::Voice(part));
        }
        if let Some(part) = file("video", "video/mp4").or_else(|| file("video_note", "video/mp4")) {
            return Some(Part::Video(part));
        }
        if let Some(part) = file("audio", "audio/mpeg") {
            return Some(Part::Audio(part));
        }
        if let Some(part) = file("document", "application/octet-stream") {
            return Some(Part::File(part));
        }
        let sticker = fields.object("sticker")?;
        let kind = match (sticker.flag("is_animated"), sticker.flag("is_video")) {
            (true, _) => "application/x-tgsticker",
            (_, true) => "video/webm",
            _ => "image/webp",
        };
        let mut part = self.file(&sticker, kind)?;
        part.caption = part.caption.or_else(|| sticker.words("emoji"));
        Some(Part::Sticker(part))
    }

    /// Pictures and videos that were paid for with stars. Of what is not paid for yet there is no file.
    fn paid(&self) -> Vec<Part<'a>> {
        let paid = self.fields.object("paid_media").map(|paid| paid.objects("paid_media")).unwrap_or_default();
        let part = |item: &Object<'a>| match item.object("video").or_else(|| item.object("live_photo")) {
            Some(video) => self.file(&video, "video/mp4").map(Part::Video),
            None => self.file(&largest(item)?, "image/jpeg").map(Part::Image),
        };
        paid.iter().filter_map(part).collect()
    }

    fn file(&self, file: &Object<'a>, usual: &'static str) -> Option<MediaPart<'a>> {
        let pixels = |name: &str| file.int(name).or_else(|| file.int("length")).and_then(|n| u32::try_from(n).ok());
        let media = Media {
            mime_type: Some(file.words("mime_type").unwrap_or_else(|| usual.into())),
            size: file.int("file_size").and_then(|n| u64::try_from(n).ok()),
            filename: file.words("file_name"),
            width: pixels("width"),
            height: pixels("height"),
            duration_ms: file.float("duration").filter(|s| *s >= 0.0).map(|s| (s * 1000.0) as u64),
            source: Some(MediaRef { id: file.words("file_id")?.into_owned(), ..MediaRef::default() }),
            ..Media::default()
        };
        Some(MediaPart { media, caption: self.fields.words("caption") })
    }

    /// Content that is neither words nor a file.
    fn thing(&self) -> Option<Part<'a>> {
        let fields = self.fields;
        let venue = fields.object("venue");
        let place = venue.as_ref().and_then(|venue| venue.object("location")).or_else(|| fields.object("location"));
        if let Some(place) = place {
            let words = |name: &str| venue.as_ref().and_then(|venue| venue.words(name));
            // 0x7FFFFFFF means until it is stopped.
            let live = place.int("live_period").filter(|period| *period != 0x7FFF_FFFF);
            return Some(Part::Location(Location {
                latitude: place.float("latitude")?,
                longitude: place.float("longitude")?,
                name: words("title"),
                address: words("address"),
                live_until: live.zip(self.date).map(|(period, date)| Time::from_secs(date.saturating_add(period))),
            }));
        }
        if let Some(contact) = fields.object("contact") {
            return Some(Part::Contacts(Contacts { contacts: vec![self.contact(&contact)] }));
        }
        if let Some(poll) = fields.object("poll") {
            let options = poll.objects("options").into_iter().filter_map(|option| option.text("text")).collect();
            let multiple = poll.has("allows_multiple_answers").then(|| poll.flag("allows_multiple_answers"));
            return Some(Part::Poll(Poll { question: poll.text("question").unwrap_or_default(), options, multiple }));
        }
        if let Some(data) = fields.object("web_app_data") {
            return Some(Part::Form(Form { name: data.words("button_text"), fields: data.kept("data") }));
        }
        for (name, state) in [("successful_payment", "paid"), ("refunded_payment", "refunded")] {
            if let Some(payment) = fields.object(name) {
                return Some(Part::Payment(Payment {
                    state: state.into(),
                    amount: money(&payment),
                    reference: payment.words("invoice_payload"),
                }));
            }
        }
        let (name, raw) = fields.0.iter().find(|(name, raw)| OTHER.contains(&&**name) && is_told(raw))?;
        Some(match rich::words(name, raw) {
            Some(words) => Part::text(words),
            None => Part::unsupported(name.clone(), Some(Raw::borrowed(raw))),
        })
    }

    fn contact(&self, contact: &Object<'a>) -> ContactCard<'a> {
        let sender = self.fields.object("from").and_then(|from| from.int("id"));
        ContactCard {
            name: full_name(contact),
            phones: contact.words("phone_number").into_iter().collect(),
            vcard: contact.words("vcard"),
            own: Some(sender.is_some() && contact.int("user_id") == sender),
            ..ContactCard::default()
        }
    }

    /// Mentions of people. Telegram counts UTF-16 units, we count code points.
    fn mentions(&self, name: &str, text: &str) -> Vec<Mention<'a>> {
        if !self.fields.has(name) {
            return Vec::new();
        }
        let points = |units: i64| {
            let mut left = units;
            text.chars()
                .take_while(|c| {
                    let more = left > 0;
                    left -= c.len_utf16() as i64;
                    more
                })
                .count() as u32
        };
        let mention = |entity: Object<'a>| {
            let kind = entity.text("type")?;
            let user = entity.object("user").and_then(|user| user.text("id"));
            if !matches!(&*kind, "mention" | "text_mention") {
                return None;
            }
            let (start, length) = (entity.int("offset")?.max(0), entity.int("length")?.max(0));
            let offset = points(start);
            let own = user.as_deref().map(|id| id == self.bot.bot_id).filter(|own| *own);
            let address = user.map(|id| format!("telegram:{id}").into());
            Some(Mention { address, offset, length: points(start.saturating_add(length)) - offset, own })
        };
        self.fields.objects(name).into_iter().filter_map(mention).collect()
    }
}

/// A picture comes in several sizes.
fn largest<'a>(fields: &Object<'a>) -> Option<Object<'a>> {
    fields.objects("photo").into_iter().max_by_key(|size| size.int("width"))
}

/// An amount in the currency's smallest unit as decimal text.
fn money<'a>(payment: &Object<'a>) -> Option<Money<'a>> {
    let (total, currency) = (payment.int("total_amount")?, payment.words("currency")?);
    let decimals = match &*currency {
        // Stars are whole; the others have no smaller coin (ISO 4217, 2026).
        "XTR" | "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_i64.pow(decimals);
    let sign = if total < 0 { "-" } else { "" };
    let (whole, rest) = (total.unsigned_abs() / unit.unsigned_abs(), total.unsigned_abs() % unit.unsigned_abs());
    let amount = if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:0width$}", width = decimals as usize) };
    Some(Money { amount: amount.into(), currency })
}
