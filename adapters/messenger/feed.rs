//! Changes of the Page itself: public comments and mentions, templates, and whatever else was subscribed to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::KIND;
use crate::contract::event::{Comment, Created, Deleted, Edited, Notice, Origin, ProviderEvent, Severity};
use crate::contract::part::{MediaPart, MediaRef, MediaStatus};
use crate::contract::*;
use crate::kit::inbox::{About, Change, stamp};
use crate::kit::{address::address, crypto, object::Object};

/// One of `changes[]`. What the Page itself wrote in public is told as such.
pub(super) fn change<'a>(out: &mut Parsed<'a>, change: &Change<'_, 'a>) {
    let Change { page, time, field, value: inside, raw } = change;
    let field: &str = field;
    let value = Object::parse(inside.get()).unwrap_or_default();
    let page = page.take().unwrap_or_default();
    let from = author(&value);
    let post = value.words("post_id");
    // Comments of one post keep their order.
    let peer = post.as_ref().map(|post| Cow::Owned(format!("messenger:post/{}", crate::kit::address::escape(post))));
    let at = stamp(value.int("created_time")).or_else(|| stamp(time.int()));
    let item = value.text("item").unwrap_or_default();
    let verb = value.words("verb").unwrap_or_default();
    let id = value.words("comment_id").or_else(|| post.clone().filter(|_| field == "mention"));
    let ours = from.as_ref().is_some_and(|(id, _)| *id == page);
    let mut about = About::of_page(KIND, page, peer.unwrap_or_default(), at);
    let public = (field == "feed" && item == "comment") || field == "mention";
    let body = match (id.filter(|_| public), from, &*verb) {
        (Some(id), Some(_), "add") if ours => {
            let message = Message { visibility: Some(Cow::Borrowed("public")), ..written(&value, id.clone(), at) };
            Body::Created(Created { message_id: id, origin: Origin::Echo, message, ..Created::default() })
        }
        (Some(id), Some(from), "add" | "edited" | "edit") => {
            let message = Message { visibility: Some(Cow::Borrowed("public")), ..written(&value, id.clone(), at) };
            let from = person(from);
            if &*verb == "add" {
                let extra = leftovers(&value);
                Body::Comment(Comment { from, message, post, visibility: Cow::Borrowed("public"), extra })
            } else {
                Body::Edited(Edited { from, message, message_id: id, extra: leftovers(&value) })
            }
        }
        (Some(id), from, "remove" | "delete") => Body::Deleted(Deleted { from: from.map(person), message_id: id }),
        _ if field.ends_with("template_status_update") => {
            about.peer = Cow::Borrowed("");
            Body::Notice(template(&value, inside))
        }
        _ => {
            let named = [field, &*item, &*verb].iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(".");
            Body::Provider(ProviderEvent { provider_type: Cow::Owned(named), raw: Raw::borrowed(raw) })
        }
    };
    let key = match (&body, value.text("comment_id")) {
        (Body::Comment(_) | Body::Created(_) | Body::Edited(_) | Body::Deleted(_), Some(comment)) => {
            format!("{comment}:{verb}:{}", value.text("created_time").unwrap_or_default())
        }
        _ => crypto::fingerprint(&[&about.page, field, inside.get()]),
    };
    out.events.push(about.event(key, body));
}

/// Id and name; older deliveries have them beside the rest.
fn author<'a>(value: &Object<'a>) -> Option<(Text<'a>, Option<Text<'a>>)> {
    let from = value.object("from").unwrap_or_default();
    let id = from.words("id").or_else(|| value.words("sender_id"))?;
    Some((id, from.words("name").or_else(|| value.words("sender_name"))))
}

fn person<'a>((id, name): (Text<'a>, Option<Text<'a>>)) -> Person<'a> {
    Person { name, kind: Some(Cow::Borrowed("person")), ..Person::at(address("messenger", &id)) }
}

fn written<'a>(value: &Object<'a>, id: Text<'a>, at: Option<Time>) -> Message<'a> {
    let mut parts: Vec<Part<'a>> = value.words("message").map(Part::text).into_iter().collect();
    for (name, kind) in [("photo", Part::Image as fn(MediaPart<'a>) -> Part<'a>), ("video", Part::Video)] {
        if let Some(url) = value.words(name).filter(|url| url.starts_with("http")) {
            let source = MediaRef { url: Some(url.into_owned()), ..MediaRef::default() };
            let media = Media { status: Some(MediaStatus::Pending), source: Some(source), ..Media::default() };
            parts.push(kind(MediaPart { media, caption: None }));
        }
    }
    let (parent, post) = (value.words("parent_id"), value.words("post_id"));
    let answered = parent.filter(|parent| Some(parent) != post.as_ref());
    let reply_to = answered.map(|id| event::ReplyTo { id: Some(id), ..event::ReplyTo::default() });
    Message { id, sent_at: at, parts, reply_to, ..Message::default() }
}

fn leftovers<'a>(value: &Object<'a>) -> Extra<'a> {
    const PLACED: &[&str] =
        &["from", "sender_id", "sender_name", "item", "verb", "comment_id", "post_id", "message", "photo", "video", "created_time"];
    let mut extra = Extra::default();
    for (name, raw) in value.0.iter().filter(|(name, _)| !PLACED.contains(&&**name)) {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    extra
}

fn template<'a>(value: &Object<'a>, raw: &'a RawValue) -> Notice<'a> {
    let event = value.words("event").or_else(|| value.words("status")).unwrap_or_default();
    let name = value.words("message_template_name").or_else(|| value.words("name")).unwrap_or_default();
    let fine = matches!(&*event, "APPROVED" | "PENDING" | "REINSTATED");
    Notice {
        kind: Cow::Borrowed("template_status"),
        severity: if fine { Severity::Info } else { Severity::Warning },
        text: Cow::Owned(format!("template {name}: {event}")),
        raw: Some(Raw::borrowed(raw)),
    }
}
