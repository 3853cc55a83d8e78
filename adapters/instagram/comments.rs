//! Public comments and mentions, and whatever else of the account was subscribed to.

use std::borrow::Cow;

use super::KIND;
use crate::contract::event::{Comment, Created, Origin, ProviderEvent, ReplyTo};
use crate::contract::*;
use crate::kit::inbox::{About, Change, stamp};
use crate::kit::{address, crypto, object::Object};

/// One of `changes[]`. What the account itself wrote in public is told as such.
pub(super) fn change<'a>(out: &mut Parsed<'a>, change: &Change<'_, 'a>) {
    let account = change.page.take().unwrap_or_default();
    let at = stamp(change.time.int());
    // One page of the documentation shows the value as a list.
    let values: Vec<Object<'a>> = match Object::parse(change.value.get()) {
        Some(value) => vec![value],
        None => serde_json::from_str(change.value.get()).unwrap_or_default(),
    };
    let before = out.events.len();
    for value in &values {
        let comment = value.words("id").or_else(|| value.words("comment_id"));
        let event = match (&*change.field, comment) {
            ("comments" | "live_comments", Some(id)) => {
                let author = value.object("from").and_then(|f| Some((f.words("id")?, f.words("username"))));
                Some(commented(&account, at, &change.field, value, id, author))
            }
            ("mentions", comment) => mentioned(&account, at, value, comment),
            _ => None,
        };
        out.events.extend(event);
    }
    if out.events.len() == before {
        let about = About::of_page(KIND, account.clone(), Cow::Borrowed(""), at);
        let key = crypto::fingerprint(&[&account, &change.field, change.value.get()]);
        let body = Body::Provider(ProviderEvent { provider_type: change.field.clone(), raw: Raw::borrowed(change.raw) });
        out.events.push(about.event(key, body));
    }
}

/// The conversation under a post: comments of one post keep their order.
fn under(kind: &str, id: &str) -> String {
    format!("instagram:{kind}/{}", address::escape(id))
}

type Author<'a> = (Text<'a>, Option<Text<'a>>);

fn commented<'a>(
    account: &Text<'a>,
    at: Option<Time>,
    field: &str,
    value: &Object<'a>,
    id: Text<'a>,
    author: Option<Author<'a>>,
) -> Event<'a> {
    let media = value.object("media").unwrap_or_default();
    // A comment on a boosted post comes twice, once under the ad's copy of it.
    let post = media.words("original_media_id").or_else(|| media.words("id")).or_else(|| value.words("media_id"));
    let peer = post.as_ref().map_or_else(|| under("comment", &id), |post| under("media", post));
    let about = About::of_page(KIND, account.clone(), Cow::Owned(peer), at);
    let ours = author.as_ref().is_some_and(|(author, _)| author == account);
    let from = match author {
        Some((author, username)) => {
            Person { username, kind: Some(Cow::Borrowed("person")), ..Person::at(address::address("instagram", &author)) }
        }
        // Tests of the dashboard and old versions do not say who: it can be answered where it stands.
        None => Person::at(under("comment", &id)),
    };
    let mut parts: Vec<Part<'a>> = value.words("text").map(Part::text).into_iter().collect();
    if parts.is_empty() {
        parts.push(Part::unsupported(field.to_owned(), None));
    }
    let message = Message {
        id: id.clone(),
        sent_at: at,
        parts,
        reply_to: value.words("parent_id").map(|id| ReplyTo { id: Some(id), ..ReplyTo::default() }),
        visibility: Some(Cow::Borrowed("public")),
        ..Message::default()
    };
    let mut extra = Extra::default();
    for (name, raw) in value.0.iter().filter(|(name, _)| !matches!(&**name, "id" | "comment_id" | "text" | "from" | "parent_id")) {
        extra.push(name.clone(), Raw::borrowed(raw));
    }
    let body = if ours {
        Body::Created(Created { message_id: id.clone(), origin: Origin::Echo, message, ..Created::default() })
    } else {
        Body::Comment(Comment { from, message, post, visibility: Cow::Borrowed("public"), extra })
    };
    about.event(format!("{field}:{id}"), body)
}

/// Nobody says who mentioned us or in which words: it can be answered where it stands, and looked up by its ids.
fn mentioned<'a>(account: &Text<'a>, at: Option<Time>, value: &Object<'a>, comment: Option<Text<'a>>) -> Option<Event<'a>> {
    let media = value.words("media_id")?;
    let place = under("mention", &media);
    let about = About::of_page(KIND, account.clone(), Cow::Owned(place.clone()), at);
    let id = comment.unwrap_or_else(|| media.clone());
    let message = Message {
        id: id.clone(),
        sent_at: at,
        parts: vec![Part::unsupported(
            "mention",
            Some(Raw::of(&value.0.iter().map(|(n, r)| (n, *r)).collect::<std::collections::BTreeMap<_, _>>())),
        )],
        visibility: Some(Cow::Borrowed("public")),
        ..Message::default()
    };
    let from = Person::at(place);
    let body =
        Body::Comment(Comment { from, message, post: Some(media.clone()), visibility: Cow::Borrowed("public"), extra: Extra::default() });
    Some(about.event(format!("mentions:{media}:{id}"), body))
}
