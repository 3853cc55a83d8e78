//! What stands in a message, as parts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Kind;
use crate::contract::event::{Referral, ReplyTo};
use crate::contract::part::{
    Card, Carousel, Choice, ChoiceKind, ChoiceOption, Choices, Form, Layout, Location, MediaPart, MediaRef, MediaStatus, Money, OptionKind,
    Order, OrderItem, Product, Story,
};
use crate::contract::*;
use crate::kit::object::Object;

/// Content, quotation and origin of a message. Its id and time are the caller's.
pub(super) fn message<'a>(kind: Kind, message: &Object<'a>, raw: Option<&'a RawValue>) -> Message<'a> {
    let referral = message.object("referral");
    let product = referral.as_ref().and_then(|r| r.object("product")).and_then(|p| p.words("id"));
    let quoted = message.object("reply_to").and_then(|r| r.words("mid"));
    let reply_to = (quoted.is_some() || product.is_some()).then(|| ReplyTo { id: quoted, product, ..ReplyTo::default() });
    let mut parts = parts(kind, message);
    if parts.is_empty() {
        let kind = if message.flag("is_unsupported") { "unsupported" } else { "message" };
        parts.push(Part::unsupported(kind, raw.map(Raw::borrowed)));
    }
    Message { parts, reply_to, referral: referral.as_ref().map(referred).filter(|r| *r != Referral::default()), ..Message::default() }
}

fn parts<'a>(kind: Kind, message: &Object<'a>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    if let Some(story) = message.object("reply_to").and_then(|r| r.object("story")) {
        parts.push(Part::Story(Story { kind: Cow::Borrowed("reply"), media: Some(media(&story)) }));
    }
    let text = message.words("text");
    let payload = message.object("quick_reply").and_then(|q| q.words("payload"));
    match (&text, payload) {
        (title, Some(payload)) => {
            let choice = Choice { kind: ChoiceKind::QuickReply, id: Some(payload), title: title.clone(), values: Vec::new() };
            parts.push(Part::Choice(choice));
        }
        (Some(text), None) => parts.push(offered(text.clone(), message)),
        (None, None) => {}
    }
    let list = message.list("attachments");
    // Until 2026-08-30 a sticker came twice, once as a picture.
    let among = |kind: &str| list.iter().filter_map(|raw| Object::parse(raw.get())).any(|a| a.text("type").as_deref() == Some(kind));
    // And while post types came up, a shared post came under its old name too.
    let (twice, post_twice) = (among("sticker"), among("ig_post") && among("share"));
    for raw in &list {
        match Object::parse(raw.get()) {
            Some(attachment) if post_twice && attachment.text("type").as_deref() == Some("share") => {}
            Some(attachment) => parts.extend(part(kind, &attachment, raw, text.as_deref(), twice)),
            None => parts.push(Part::unsupported("attachment", Some(Raw::borrowed(raw)))),
        }
    }
    parts
}

/// Words, with the quick replies that were sent with them.
fn offered<'a>(text: Text<'a>, message: &Object<'a>) -> Part<'a> {
    let replies = message.objects("quick_replies").into_iter();
    let options: Vec<ChoiceOption<'a>> = replies
        .filter_map(|reply| Some(ChoiceOption { id: reply.words("payload"), title: reply.words("title")?, ..ChoiceOption::default() }))
        .collect();
    if options.is_empty() {
        return Part::text(text);
    }
    Part::Choices(Choices { text, options, layout: Some(Layout::QuickReplies), ..Choices::default() })
}

fn part<'a>(inbox: Kind, attachment: &Object<'a>, raw: &'a RawValue, text: Option<&str>, twice: bool) -> Option<Part<'a>> {
    let kind = attachment.words("type").unwrap_or(Cow::Borrowed("attachment"));
    let payload = attachment.object("payload").unwrap_or_default();
    let file = || MediaPart { media: media(&payload), caption: None };
    let unsupported = || Part::unsupported(kind.clone(), Some(Raw::borrowed(raw)));
    Some(match &*kind {
        "image" if payload.has("sticker_id") && twice => return None,
        "image" if payload.has("sticker_id") => Part::Sticker(file()),
        "image" => Part::Image(file()),
        "video" => Part::Video(file()),
        "audio" => Part::Audio(file()),
        "file" => Part::File(MediaPart { media: Media { filename: payload.words("title"), ..media(&payload) }, caption: None }),
        "sticker" => Part::Sticker(file()),
        "reel" | "ig_reel" if !is_page(&payload) => Part::Video(MediaPart { caption: payload.words("title"), ..file() }),
        "location" => {
            let place = payload.object("coordinates").unwrap_or_default();
            match (place.float("lat"), place.float("long")) {
                (Some(latitude), Some(longitude)) => {
                    let name = attachment.words("title").or_else(|| payload.words("title"));
                    Part::Location(Location { latitude, longitude, name, ..Location::default() })
                }
                _ => unsupported(),
            }
        }
        "template" => template(&payload).unwrap_or_else(unsupported),
        "appointment_booking" => Part::Form(Form { name: Some(kind.clone()), fields: attachment.kept("payload") }),
        "story_mention" => Part::Story(Story { kind: Cow::Borrowed("mention"), media: Some(media(&payload)) }),
        "ig_story" | "story" => Part::Story(Story { kind: Cow::Borrowed("share"), media: Some(media(&payload)) }),
        // A heart has no file: people know it by its emoji.
        "like_heart" => Part::Sticker(MediaPart { caption: Some(Cow::Borrowed("\u{2764}\u{fe0f}")), ..file() }),
        "share" | "post" | "ig_post" if inbox.posts_are_files && payload.has("url") => {
            Part::File(MediaPart { caption: payload.words("title"), ..file() })
        }
        // A shared link or post: what a person would see of it.
        "fallback" | "share" | "post" | "ig_post" | "reel" | "ig_reel" => {
            let url = payload.words("url").or_else(|| attachment.words("url"));
            let title = payload.words("title").or_else(|| attachment.words("title"));
            let shown = text.unwrap_or_default();
            match (title, url) {
                (_, Some(url)) if shown.contains(&*url) => return None,
                (Some(title), Some(url)) => Part::text(format!("{title}\n{url}")),
                (None, Some(url)) => Part::text(url),
                (Some(title), None) if !shown.contains(&*title) => Part::text(title),
                (Some(_), None) => return None,
                (None, None) => unsupported(),
            }
        }
        _ => unsupported(),
    })
}

/// Whether a reel is named by the page people watch it on, and not by its file.
fn is_page(payload: &Object<'_>) -> bool {
    payload.text("url").is_some_and(|url| url.contains("/reel/") || url.contains("/reels/"))
}

/// Buttons and cards as they were sent, and the product somebody asks about.
fn template<'a>(payload: &Object<'a>) -> Option<Part<'a>> {
    if let Some(product) = payload.object("product") {
        let elements = product.objects("elements");
        let skus: Vec<Text<'a>> = elements.iter().filter_map(|e| e.words("retailer_id").or_else(|| e.words("id"))).collect();
        return Some(Part::Product(Product { catalog_id: None, skus, text: elements.first().and_then(|e| e.words("title")) }));
    }
    if let Some(text) = payload.words("text") {
        return Some(Part::Choices(Choices { text, options: options(payload), ..Choices::default() }));
    }
    if let Some((media, kind)) = shown(payload) {
        return Some(if kind == "video" { Part::Video(media) } else { Part::Image(media) });
    }
    let inside = payload.object("generic");
    let cards = inside.as_ref().unwrap_or(payload).objects("elements").into_iter().filter_map(|card| {
        let media = card.words("image_url").map(|url| linked(url));
        Some(Card { title: card.words("title")?, text: card.words("subtitle"), media, options: options(&card) })
    });
    let mut cards: Vec<Card<'a>> = cards.collect();
    match cards.len() {
        0 => None,
        1 => cards.pop().map(Part::Card),
        _ => Some(Part::Carousel(Carousel { text: None, cards })),
    }
}

/// A cart that somebody sent (`webhook-events/send_cart`, read 2026-11-30).
pub(super) fn ordered<'a>(order: &Object<'a>) -> Order<'a> {
    let items = order.objects("products").into_iter().map(|item| OrderItem {
        sku: item.words("retailer_id").or_else(|| item.words("id")).unwrap_or_default(),
        quantity: item.int("quantity").and_then(|n| u32::try_from(n).ok()),
        price: item.words("unit_price").map(|amount| Money { amount, currency: item.words("currency").unwrap_or_default() }),
    });
    Order { catalog_id: None, items: items.collect(), text: order.words("note") }
}

/// A picture or video that was sent with buttons.
fn shown<'a>(payload: &Object<'a>) -> Option<(MediaPart<'a>, Text<'a>)> {
    let element = payload.objects("elements").into_iter().next().filter(|e| e.has("media_type"))?;
    Some((MediaPart { media: media(&element), caption: None }, element.words("media_type")?))
}

fn options<'a>(of: &Object<'a>) -> Vec<ChoiceOption<'a>> {
    let option = |button: Object<'a>| {
        let (kind, id, value) = match button.text("type").as_deref() {
            Some("web_url") => (OptionKind::Url, None, button.words("url")),
            Some("phone_number") => (OptionKind::Call, None, button.words("payload")),
            _ => (OptionKind::Postback, button.words("payload"), None),
        };
        Some(ChoiceOption { id, title: button.words("title")?, kind, value, ..ChoiceOption::default() })
    };
    of.objects("buttons").into_iter().filter_map(option).collect()
}

fn media<'a>(payload: &Object<'a>) -> Media<'a> {
    let Some(url) = payload.words("url") else {
        let reason = Some(Cow::Borrowed("the provider sent no link"));
        return Media { status: Some(MediaStatus::Unavailable), reason, ..Media::default() };
    };
    linked(url)
}

fn linked<'a>(url: Text<'_>) -> Media<'a> {
    let source = MediaRef { id: String::new(), url: Some(url.into_owned()), expires_at: None };
    Media { status: Some(MediaStatus::Pending), source: Some(source), ..Media::default() }
}

/// Where the person came from.
pub(super) fn referred<'a>(referral: &Object<'a>) -> Referral<'a> {
    let kind = referral.words("source").map(|source| match &*source {
        "ADS" => Cow::Borrowed("ad"),
        "SHORTLINK" | "SHORTLINKS" | "IGME-SOURCE-LINK" => Cow::Borrowed("link"),
        "MESSENGER_CODE" => Cow::Borrowed("qr"),
        "CUSTOMER_CHAT_PLUGIN" => Cow::Borrowed("plugin"),
        "DISCOVER_TAB" => Cow::Borrowed("discover"),
        other => Cow::Owned(other.to_lowercase()),
    });
    let context = referral.object("ads_context_data").unwrap_or_default();
    Referral {
        kind,
        id: referral.words("ad_id"),
        source_url: referral.words("referer_uri"),
        payload: referral.words("ref"),
        click_id: None,
        headline: context.words("ad_title"),
    }
}

/// What of a message has no place in our format.
pub(super) fn leftovers<'a>(message: &Object<'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    let story = message.object("reply_to").and_then(|r| r.object("story"));
    adapter::keep(&mut extra, "story_id", story.and_then(|s| s.kept("id")));
    for (name, raw) in &message.0 {
        let placed = match &**name {
            "mid" | "text" | "quick_reply" | "reply_to" | "seq" | "nlp" | "is_echo" | "is_deleted" | "is_unsupported" => true,
            // The parts tell them; what they leave out is added below.
            "attachments" => true,
            _ => raw.get() == "null",
        };
        if !placed {
            extra.push(name.clone(), Raw::borrowed(raw));
        }
    }
    for raw in message.list("attachments") {
        let attachment = Object::parse(raw.get()).unwrap_or_default();
        let payload = attachment.object("payload").unwrap_or_default();
        // A file's own link is signed and works for anybody who has it: it stays in the gateway.
        match attachment.text("type").as_deref() {
            Some("template") => extra.push("attachment", Raw::borrowed(raw)),
            _ => {
                for name in ["sticker_id", "reel_video_id", "ig_post_media_id"] {
                    let told = extra.0.iter().any(|(kept, _)| kept == name);
                    adapter::keep(&mut extra, name, payload.kept(name).filter(|_| !told));
                }
            }
        }
    }
    extra
}
