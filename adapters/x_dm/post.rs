//! What people say to the account in public: mentions, answers, quotes.

use std::borrow::Cow;

use crate::contract::event::{Comment, ReplyTo};
use crate::contract::*;
use crate::kit::address::address;
use crate::kit::object::Object;

/// A public post with its author and its time.
pub(super) struct Post<'a> {
    /// X's number of it.
    pub id: Text<'a>,
    /// X's number of its author.
    pub author: Text<'a>,
    /// When it was written.
    pub time: Option<Time>,
    /// What it says.
    pub comment: Comment<'a>,
}

/// A person as the account's API has them; the Activity API wraps them once more (event-payloads, read 2026-11-30).
pub(super) fn user(object: Object<'_>) -> Object<'_> {
    object.object("data").unwrap_or(object)
}

/// A post in the words of either API; `None` for one of the account itself, and for what only passes another's on.
/// `users` are those that came along.
pub(super) fn read<'a>(post: &Object<'a>, account: &str, users: &[Object<'a>]) -> Option<Post<'a>> {
    let number = |object: &Object<'a>| object.words("id_str").or_else(|| object.words("id"));
    let inline = post.object("user");
    let id = number(post)?;
    let author = inline.as_ref().and_then(number).or_else(|| post.words("author_id")).filter(|author| author != account)?;
    let references = post.objects("referenced_tweets");
    let reference = |kind: &str| references.iter().find(|r| r.text("type").as_deref() == Some(kind)).and_then(|r| r.words("id"));
    if post.has("retweeted_status") || reference("retweeted").is_some() {
        return None;
    }
    // What did not fit into the first 140 characters stands in a place of its own.
    let long = |name: &str, field: &str| post.object(name).and_then(|long| long.words(field));
    let text = long("extended_tweet", "full_text").or_else(|| long("note_tweet", "text"));
    let text = text.or_else(|| post.words("full_text")).or_else(|| post.words("text"))?;
    // What was cut has its links and pictures where its whole text is.
    let whole = post.object("extended_tweet").or_else(|| post.object("note_tweet")).unwrap_or_default();
    // Of several pictures the plain entities tell the first alone.
    let inside = |name: &str, list: &str| {
        [&whole, post].into_iter().find_map(|of| Some(of.object(name)?.objects(list)).filter(|list| !list.is_empty()))
    };
    let files = inside("extended_entities", "media").or_else(|| inside("entities", "media")).unwrap_or_default();
    let shown: Vec<Text<'a>> = files.iter().filter_map(|file| file.words("url")).collect();
    let text = super::message::spelled_out(text, &inside("entities", "urls").unwrap_or_default(), &shown);
    let mut parts: Vec<Part<'a>> = text.map(Part::text).into_iter().collect();
    parts.extend(files.iter().filter_map(super::message::file));
    if parts.is_empty() {
        parts.push(Part::unsupported("post", post.kept("entities")));
    }
    let answered = post.words("in_reply_to_status_id_str").or_else(|| reference("replied_to"));
    let named = || users.iter().cloned().map(user).find(|user| number(user).as_ref() == Some(&author));
    let user = inline.or_else(named).unwrap_or_default();
    let from = Person {
        name: user.words("name"),
        username: user.words("username").or_else(|| user.words("screen_name")),
        kind: Some(Cow::Borrowed("person")),
        ..Person::at(address("x", &author))
    };
    let stamp = post.int("timestamp_ms").filter(|t| *t > 0).map(Time);
    let time = stamp.or_else(|| Time::parse(&post.text("created_at")?));
    let message = Message {
        id: id.clone(),
        sent_at: time,
        parts,
        reply_to: answered.clone().map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
        visibility: Some(Cow::Borrowed("public")),
        ..Message::default()
    };
    let mut extra = Extra::default();
    for name in [
        "entities",
        "extended_entities",
        "attachments",
        "conversation_id",
        "quoted_status_id_str",
        "quoted_status",
        "referenced_tweets",
        "lang",
    ] {
        adapter::keep(&mut extra, name, post.kept(name));
    }
    let about = answered.or_else(|| post.words("conversation_id")).or_else(|| Some(id.clone()));
    let comment = Comment { from, message, post: about, visibility: Cow::Borrowed("public"), extra };
    Some(Post { id, author, time, comment })
}
