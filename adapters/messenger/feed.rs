//! Changes of the Page itself: public comments and mentions, templates, and whatever else was subscribed to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::KIND;
use crate::contract::event::{Comment, Created, Deleted, Edited, Notice, Origin, ProviderEvent, Reaction, ReactionAction, Severity};
use crate::contract::part::{MediaPart, MediaRef, MediaStatus};
use crate::contract::*;
use crate::kit::address::address;
use crate::kit::crypto;
use crate::kit::inbox::{About, Change, stamp};
use crate::kit::object::{self, Object};

/// Posts on the Page, by what they hold.
const POSTS: &[&str] = &["post", "status", "photo", "video", "share", "album", "rating"];

/// One of `changes[]`. What the Page itself wrote in public is told as such.
pub(super) fn change<'a>(out: &mut Parsed<'a>, change: &Change<'_, 'a>) {
    let Change { page, time, field, value: inside, raw } = change;
    let field: &str = field;
    let value = Object::parse(inside.get()).unwrap_or_default();
    let page = page.take().unwrap_or_default();
    let from = author(&value);
    let post = post(&value);
    // Comments of one post keep their order.
    let peer = post.as_ref().map(|post| Cow::Owned(format!("messenger:post/{}", crate::kit::address::escape(post))));
    let spelt = || value.text("created_time").and_then(|text| Time::parse(&text));
    let at = stamp(value.int("created_time")).or_else(spelt).or_else(|| stamp(time.int()));
    let item = value.text("item").unwrap_or_default();
    let verb = value.words("verb").unwrap_or_default();
    let ours = from.as_ref().is_some_and(|(id, _)| *id == page);
    let mut about = About::of_page(KIND, page, peer.unwrap_or_default(), at);
    let body = match (field, &*item) {
        _ if field.ends_with("template_status_update") => {
            about.peer = Cow::Borrowed("");
            Some(Body::Notice(template(&value, inside)))
        }
        ("feed" | "ratings", "reaction" | "like") => from.filter(|_| !ours).and_then(|from| reacted(&value, from, &verb)),
        ("group_feed", _) => {
            let verb = if verb.is_empty() { "add" } else { &*verb };
            public(&value, value.words("comment_id"), from.map(person), ours, verb, at)
        }
        ("feed" | "ratings", "comment") => public(&value, value.words("comment_id"), from.map(person), ours, &verb, at),
        // What the Page posts is no word to anybody.
        ("feed", _) | ("ratings", "rating") if POSTS.contains(&&*item) && from.is_some() && !ours => {
            public(&value, post, from.map(person), false, &verb, at)
        }
        ("mention", _) => {
            // Nobody says who mentioned us: it can be looked up and answered where it stands.
            let from = from.map(person).or_else(|| Some(Person::at(about.peer.clone())));
            public(&value, value.words("comment_id").or(post), from, ours, &verb, at)
        }
        _ => None,
    };
    let body = body.unwrap_or_else(|| {
        let named = [field, &*item, &*verb].iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(".");
        Body::Provider(ProviderEvent { provider_type: Cow::Owned(named), raw: Raw::borrowed(raw) })
    });
    if let (Body::Reaction(reaction), true) = (&body, about.peer.is_empty()) {
        about.peer = Cow::Owned(format!("messenger:comment/{}", crate::kit::address::escape(&reaction.message_id)));
    }
    let key = match (&body, value.text("comment_id")) {
        (Body::Comment(_) | Body::Created(_) | Body::Edited(_) | Body::Deleted(_), Some(comment)) => {
            format!("{comment}:{verb}:{}", value.text("created_time").unwrap_or_default())
        }
        _ => crypto::fingerprint(&[&about.page, field, inside.get()]),
    };
    out.events.push(about.event(key, body));
}

/// A public post, comment or mention, by what happened to it.
fn public<'a>(
    value: &Object<'a>,
    id: Option<Text<'a>>,
    from: Option<Person<'a>>,
    ours: bool,
    verb: &str,
    at: Option<Time>,
) -> Option<Body<'a>> {
    let id = id?;
    if matches!(verb, "remove" | "delete") {
        return Some(Body::Deleted(Deleted { from, message_id: id }));
    }
    let from = from?;
    let message = Message { visibility: Some(Cow::Borrowed("public")), ..written(value, id.clone(), at) };
    match verb {
        "add" if ours => Some(Body::Created(Created { message_id: id, origin: Origin::Echo, message, ..Created::default() })),
        "add" => {
            let (post, extra) = (post(value), leftovers(value));
            Some(Body::Comment(Comment { from, message, post, visibility: Cow::Borrowed("public"), extra }))
        }
        "edited" | "edit" => Some(Body::Edited(Edited { from, message, message_id: id, extra: leftovers(value) })),
        _ => None,
    }
}

/// What somebody feels about a comment, or about the post when no comment is named.
fn reacted<'a>(value: &Object<'a>, from: Author<'a>, verb: &str) -> Option<Body<'a>> {
    let action = match verb {
        "add" | "edit" | "edited" => ReactionAction::Added,
        "remove" | "delete" => ReactionAction::Removed,
        _ => return None,
    };
    let message_id = value.words("comment_id").or_else(|| value.words("post_id"))?;
    let reaction = value.words("reaction_type").or_else(|| value.words("item"));
    Some(Body::Reaction(Reaction { from: person(from), message_id, reaction, action }))
}

type Author<'a> = (Text<'a>, Option<Text<'a>>);

/// The post; a recommendation of the Page has the id of its story.
fn post<'a>(value: &Object<'a>) -> Option<Text<'a>> {
    value.words("post_id").or_else(|| value.words("open_graph_story_id"))
}

/// Id and name; older deliveries have them beside the rest.
fn author<'a>(value: &Object<'a>) -> Option<Author<'a>> {
    let from = value.object("from").unwrap_or_default();
    let either = |inside: &str, beside: [&str; 2]| from.words(inside).or_else(|| beside.iter().find_map(|name| value.words(name)));
    Some((either("id", ["sender_id", "reviewer_id"])?, either("name", ["sender_name", "reviewer_name"])))
}

fn person<'a>((id, name): Author<'a>) -> Person<'a> {
    Person { name, kind: Some(Cow::Borrowed("person")), ..Person::at(address("messenger", &id)) }
}

type Made<'a> = fn(MediaPart<'a>) -> Part<'a>;

fn written<'a>(value: &Object<'a>, id: Text<'a>, at: Option<Time>) -> Message<'a> {
    let mut parts: Vec<Part<'a>> = value.words("message").or_else(|| value.words("review_text")).map(Part::text).into_iter().collect();
    let link = |item: &str| value.words("link").filter(|_| value.text("item").as_deref() == Some(item));
    let photos = value.list("photos").into_iter().filter_map(object::text);
    let files = value.words("photo").or_else(|| link("photo")).into_iter().chain(photos).map(|url| (Part::Image as Made<'a>, url));
    let video = value.words("video").or_else(|| link("video")).map(|url| (Part::Video as Made<'a>, url));
    for (kind, url) in files.chain(video).filter(|(_, url)| url.starts_with("http")) {
        let source = MediaRef { url: Some(url.into_owned()), ..MediaRef::default() };
        let media = Media { status: Some(MediaStatus::Pending), source: Some(source), ..Media::default() };
        parts.push(kind(MediaPart { media, caption: None }));
    }
    let (parent, post) = (value.words("parent_id"), value.words("post_id"));
    let answered = parent.filter(|parent| Some(parent) != post.as_ref());
    let reply_to = answered.map(|id| event::ReplyTo { id: Some(id), ..event::ReplyTo::default() });
    Message { id, sent_at: at, parts, reply_to, ..Message::default() }
}

fn leftovers<'a>(value: &Object<'a>) -> Extra<'a> {
    const PLACED: &[&str] = &[
        "from",
        "sender_id",
        "sender_name",
        "reviewer_id",
        "reviewer_name",
        "item",
        "verb",
        "comment_id",
        "post_id",
        "message",
        "review_text",
        "photo",
        "photos",
        "video",
        "created_time",
        "recipient",
    ];
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
