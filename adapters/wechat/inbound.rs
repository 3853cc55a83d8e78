//! Deliveries: one message or event each, in XML.

use std::borrow::Cow;

use super::{Channel, passive};
use crate::contract::event::{
    Consent, ConsentState, ContactUpdated, Follow, Notice, ProviderEvent, Referral, ReplyWindow, Severity, Tracked,
};
use crate::contract::part::{Choice, ChoiceKind, Location, MediaPart, MediaStatus};
use crate::contract::*;
use crate::kit::address::{self, address};
use crate::kit::{crypto, form, xml::Node};

/// How long a person may be answered: after a message, and after a press or a scan (kf/intro, read 2026-11-20).
const MESSAGE_MS: i64 = 172_800_000;
const PRESS_MS: i64 = 60_000;

/// What is larger counts no seconds (it would be the year 5138).
const MILLIS: i64 = 100_000_000_000;

/// What nobody may use but us.
const TOKENS: &[&str] = &["Ticket", "Encrypt", "ComponentVerifyTicket", "AuthorizationCode", "PreAuthCode"];

struct About<'x> {
    account: Option<Text<'x>>,
    to: Option<Text<'x>>,
    key: String,
    peer: Text<'x>,
    time: Option<Time>,
}

impl<'x> About<'x> {
    fn person(&self) -> Person<'x> {
        Person { kind: Some(Cow::Borrowed("person")), ..Person::at(self.peer.clone()) }
    }

    fn received(&self, message: Message<'x>, window: i64, extra: Extra<'x>) -> Body<'x> {
        let closes_at = self.time.map(|time| time.plus(window));
        let reply_window = closes_at.map(|at| ReplyWindow { closes_at: Some(at), ..ReplyWindow::default() });
        Body::Received(Received { from: self.person(), to: self.to.clone(), message, reply_window, respond_by: None, extra })
    }

    fn written(&self, id: impl Into<Text<'x>>, parts: Vec<Part<'x>>) -> Message<'x> {
        Message { id: id.into(), sent_at: self.time, parts, ..Message::default() }
    }
}

/// Reads a delivery into `out`.
pub(super) fn parse<'a>(channel: &Channel, hook: &Verified<'a>, cx: &Context<'_>, out: &mut Parsed<'a>) {
    let Some(root) = hook.text().and_then(document) else { return out.leave("the body is neither XML nor JSON") };
    let sealed = form::query(hook.hook().query, "encrypt_type").as_deref() == Some("aes") || root.child("MsgType").is_none();
    let events = match root.words("Encrypt").filter(|_| sealed) {
        None => read(channel, &root),
        Some(encrypted) => {
            let opened = channel.keys.iter().find_map(|key| key.open(encrypted, &channel.settings.app_id));
            match opened.as_deref().and_then(document) {
                // What was decrypted lives no longer than this.
                Some(inside) => read(channel, &inside.into_owned()),
                None => return out.leave("an encrypted body that none of the keys opens, or of another account"),
            }
        }
    };
    match events {
        Ok(mut events) => {
            out.waiting = waiting(channel, &mut events, root.words("Encrypt").is_some() && sealed, cx.now);
            out.events.extend(events);
        }
        Err(why) => out.leave(why),
    }
}

/// Mini programs have the same messages and may have them as JSON (customer-message/receive, read 2026-11-30).
fn document(text: &str) -> Option<Node<'_>> {
    Node::parse_json(text).or_else(|| Node::parse(text))
}

/// Whether a message may be the answer: to what a person wrote, in an account whose own id is told.
fn waiting<'x>(channel: &Channel, events: &mut [Event<'x>], sealed: bool, now: Time) -> Option<Waiting<'x>> {
    let event = events.first_mut().filter(|_| channel.settings.answer_in_response)?;
    let Body::Received(received) = &mut event.body else { return None };
    let account = address::id(received.to.as_deref()?, "wechat")?;
    let (value, until) = (Cow::Owned(passive::value(&account, sealed)), now.plus(passive::WAIT_MS));
    received.respond_by = Some(until);
    Some(Waiting { account: event.account.clone(), peer: event.peer.clone(), value, until })
}

fn read<'x>(channel: &Channel, root: &Node<'x>) -> Result<Vec<Event<'x>>, Cow<'static, str>> {
    let Some(kind) = root.words("MsgType") else {
        return platform(root).map(|event| vec![event]).ok_or_else(|| "a delivery without `MsgType`".into());
    };
    let person = root.words("FromUserName").or_else(|| root.words("OpenID"));
    let name = root.words("Event").map(|name| name.trim().to_ascii_lowercase()).unwrap_or_default();
    let number = root.words("MsgId").or_else(|| root.words("MsgID")).map(|id| id.trim()).unwrap_or_default();
    let to = root.words("ToUserName");
    let about = About {
        account: to.filter(|_| channel.settings.original_id.is_some()).cloned(),
        to: to.map(|id| Cow::Owned(address("wechat", id))),
        key: key(root, kind, &name, number),
        peer: person.map(|id| Cow::Owned(address("wechat", id.trim()))).unwrap_or_default(),
        // Some bridges write milliseconds.
        time: root.int("CreateTime").filter(|t| *t > 0).map(|t| if t > MILLIS { Time(t) } else { Time::from_secs(t) }),
    };
    let event = |about: &About<'x>, key: String, body| Event {
        account: about.account.clone(),
        key: Some(Cow::Owned(key)),
        medium: Cow::Borrowed("wechat"),
        peer: about.peer.clone(),
        time: about.time,
        body,
    };
    if about.peer.is_empty() {
        return Err("a delivery without a person".into());
    }
    let bodies = match &**kind {
        "event" => happened(&about, root, &name),
        _ => vec![sent(&about, root, number)],
    };
    let several = bodies.len() > 1;
    let keys = |index| if several { format!("{}:{index}", about.key) } else { about.key.clone() };
    Ok(bodies.into_iter().enumerate().map(|(index, body)| event(&about, keys(index), body)).collect())
}

/// What a platform that serves other people's accounts is told of its authorisations, without what it logs in with.
fn platform<'x>(root: &Node<'x>) -> Option<Event<'x>> {
    let provider_type = own(root, "InfoType")?;
    Some(Event {
        account: None,
        key: Some(Cow::Owned(crypto::fingerprint(&[&root.json().to_string()]))),
        medium: Cow::Borrowed("wechat"),
        peer: Cow::Borrowed(""),
        time: root.int("CreateTime").filter(|t| *t > 0).map(Time::from_secs),
        body: Body::Provider(ProviderEvent { provider_type, raw: raw(root) }),
    })
}

/// Messages have numbers; events have a person, a second and a name.
fn key(root: &Node<'_>, kind: &str, name: &str, number: &str) -> String {
    if kind != "event" && !number.is_empty() {
        return number.to_owned();
    }
    let field = |name: &str| root.words(name).map(|t| t.trim()).unwrap_or_default();
    let person = if field("FromUserName").is_empty() { field("OpenID") } else { field("FromUserName") };
    let inside = if number.is_empty() { crypto::fingerprint(&[&root.json().to_string()]) } else { number.to_owned() };
    let more = if field("EventKey").is_empty() { inside } else { format!("{}:{number}", field("EventKey")) };
    format!("{person}:{}:{kind}:{name}:{more}", field("CreateTime"))
}

fn own<'x>(node: &Node<'x>, name: &str) -> Option<Text<'x>> {
    node.words(name).cloned()
}

/// The whole as JSON, without what is ours alone.
fn raw<'x>(root: &Node<'x>) -> Raw<'x> {
    let mut value = root.json();
    if let Some(fields) = value.as_object_mut() {
        TOKENS.iter().for_each(|name| drop(fields.remove(*name)));
    }
    Raw::of(&value)
}

fn sent<'x>(about: &About<'x>, root: &Node<'x>, number: &str) -> Body<'x> {
    let id = if number.is_empty() { about.key.clone() } else { number.to_owned() };
    let part = part(root).unwrap_or_else(|| Part::unsupported(own(root, "MsgType").unwrap_or_default(), Some(raw(root))));
    let mut extra = Extra::default();
    for name in ["MsgDataId", "Idx", "Scale", "Description", "Recognition", "ThumbMediaId", "MediaId16K"] {
        adapter::keep(&mut extra, name, root.words(name).map(|text| Raw::of(text.trim())));
    }
    about.received(about.written(id, vec![part]), MESSAGE_MS, extra)
}

fn part<'x>(root: &Node<'x>) -> Option<Part<'x>> {
    let media = |mime: Option<&'static str>| {
        let id = root.words("MediaId").map(|id| id.trim().to_owned()).unwrap_or_default();
        let url = root.words("PicUrl").map(|url| url.trim().to_owned());
        let known = !id.is_empty() || url.is_some();
        Media {
            mime_type: mime.map(Cow::Borrowed),
            status: Some(if known { MediaStatus::Pending } else { MediaStatus::Unavailable }),
            source: known.then_some(MediaRef { id, url, expires_at: None }),
            ..Media::default()
        }
    };
    let file = |mime, caption| MediaPart { media: media(mime), caption };
    Some(match &**root.words("MsgType")? {
        "text" => {
            let text = own(root, "Content").unwrap_or_default();
            match own(root, "bizmsgmenuid") {
                Some(id) => Part::Choice(Choice { kind: ChoiceKind::Button, id: Some(id), title: Some(text), values: Vec::new() }),
                None => Part::text(text),
            }
        }
        "image" => Part::Image(file(None, None)),
        // A file has a key of its own that no interface takes.
        "file" => {
            let media = Media {
                filename: own(root, "Title").or_else(|| own(root, "FileName")),
                size: root.int("FileTotalLen").and_then(|n| u64::try_from(n).ok()),
                reason: root.words("MediaId").is_none().then_some(Cow::Borrowed("WeChat gives accounts no files, only their names")),
                ..media(None)
            };
            Part::File(MediaPart { media, caption: None })
        }
        "voice" => {
            let mime = match root.words("Format").map(|f| f.to_lowercase()).as_deref() {
                Some("amr") => Some("audio/amr"),
                Some("speex") => Some("audio/speex"),
                _ => None,
            };
            Part::Voice(file(mime, own(root, "Recognition")))
        }
        "video" | "shortvideo" => Part::Video(file(None, None)),
        "location" => Part::Location(Location {
            latitude: root.float("Location_X")?,
            longitude: root.float("Location_Y")?,
            address: own(root, "Label"),
            ..Location::default()
        }),
        "link" => match (own(root, "Title"), own(root, "Url")?) {
            (Some(title), url) => Part::text(format!("{title}\n{url}")),
            (None, url) => Part::text(url),
        },
        _ => return None,
    })
}

/// What an event means; some hold several things.
fn happened<'x>(about: &About<'x>, root: &Node<'x>, name: &str) -> Vec<Body<'x>> {
    let key = own(root, "EventKey");
    let passed_on = || Body::Provider(ProviderEvent { provider_type: own(root, "Event").unwrap_or_default(), raw: raw(root) });
    let tracked = |what| Body::Tracked(Tracked { from: Some(about.person()), name: Cow::Borrowed(what), properties: Some(raw(root)) });
    vec![match name {
        "subscribe" => {
            let scene = key.and_then(|key| key.strip_prefix("qrscene_").map(|scene| Cow::Owned(scene.to_owned())));
            Body::Followed(came(about, scene))
        }
        "scan" => Body::Followed(came(about, key)),
        "unsubscribe" => Body::Unfollowed(Follow { from: about.person(), ..Follow::default() }),
        "location" => tracked("location"),
        "view" | "view_miniprogram" => tracked("menu_view"),
        "click" | "scancode_push" | "scancode_waitmsg" | "pic_sysphoto" | "pic_photo_or_album" | "pic_weixin" | "location_select" => {
            pressed(about, root, key)
        }
        "templatesendjobfinish" => match job(about, root) {
            Some(receipt) => Body::Receipt(receipt),
            None => passed_on(),
        },
        "subscribe_msg_popup_event" | "subscribe_msg_change_event" => {
            let found = consents(about, root);
            return if found.is_empty() { vec![passed_on()] } else { found };
        }
        "subscribe_msg_sent_event" => {
            let found = notified(about, root);
            return if found.is_empty() { vec![passed_on()] } else { found };
        }
        _ if name.ends_with("_verify_success") || name.ends_with("_verify_fail") || matches!(name, "annual_renew" | "verify_expired") => {
            Body::Notice(verified(root, name))
        }
        "user_info_modified" => Body::ContactUpdated(ContactUpdated {
            change: event::Change::Profile,
            previous: None,
            current: Some(about.peer.clone()),
            reason: Some(Cow::Borrowed("profile_changed")),
            extra: Extra::default(),
        }),
        "user_authorization_revoke" => Body::Consent(Consent {
            from: Some(about.person()),
            state: ConsentState::OptedOut,
            scope: Cow::Borrowed("profile"),
            evidence: Some(raw(root)),
        }),
        _ => passed_on(),
    }]
}

/// News of the account's verification (wx_verify_event, read 2026-11-29).
fn verified<'x>(root: &Node<'x>, name: &str) -> Notice<'x> {
    let (severity, text) = match name {
        "annual_renew" => (Severity::Warning, "the account's yearly verification is due"),
        "verify_expired" => (Severity::Error, "the account's verification has expired"),
        _ if name.ends_with("fail") => (Severity::Error, "the account's verification failed"),
        _ => (Severity::Info, "the account was verified"),
    };
    Notice { kind: Cow::Owned(name.to_owned()), severity, text: Cow::Borrowed(text), raw: Some(raw(root)) }
}

fn came<'x>(about: &About<'x>, scene: Option<Text<'x>>) -> Follow<'x> {
    let referral = scene.clone().map(|payload| Referral { kind: Some(Cow::Borrowed("qr")), payload: Some(payload), ..Referral::default() });
    Follow { from: about.person(), payload: scene, referral, extra: Extra::default() }
}

/// A menu, with what the person scanned or where they pointed.
fn pressed<'x>(about: &About<'x>, root: &Node<'x>, key: Option<Text<'x>>) -> Body<'x> {
    let scanned = root.child("ScanCodeInfo").and_then(|info| own(info, "ScanResult"));
    let choice = Choice { kind: ChoiceKind::Menu, id: key, title: None, values: scanned.into_iter().collect() };
    let mut parts = vec![Part::Choice(choice)];
    let mut extra = Extra::default();
    if let Some(place) = root.child("SendLocationInfo")
        && let (Some(latitude), Some(longitude)) = (place.float("Location_X"), place.float("Location_Y"))
    {
        let (name, address) = (own(place, "Poiname"), own(place, "Label"));
        parts.push(Part::Location(Location { latitude, longitude, name, address, live_until: None }));
    }
    for name in ["ScanCodeInfo", "SendPicsInfo"] {
        adapter::keep(&mut extra, name, root.child(name).map(|node| Raw::of(&node.json())));
    }
    about.received(about.written(about.key.clone(), parts), PRESS_MS, extra)
}

/// What became of a template.
fn job<'x>(about: &About<'x>, root: &Node<'x>) -> Option<Receipt<'x>> {
    let id = own(root, "MsgID").or_else(|| own(root, "MsgId"))?;
    let status = root.words("Status").map(|s| s.trim().to_lowercase()).unwrap_or_default();
    let (state, error) = match status.as_str() {
        "success" => (State::Delivered, None),
        s if s.contains("user block") => {
            (State::Failed, Some((ErrorClass::OptedOut, "blocked", "this person does not take such messages")))
        }
        s if s.contains("freq") => (State::Failed, Some((ErrorClass::Throttled, "frequency", "too many templates for this person"))),
        _ => (State::Failed, Some((ErrorClass::Transient, "system_failed", "WeChat could not deliver it"))),
    };
    let error = error.map(|(class, code, title)| Reason::new(class, code, title));
    Some(Receipt { at: about.time, error, detail: own(root, "Status"), ..Receipt::new(id, state) })
}

/// In JSON they stand in no element of their own.
fn lists<'n, 'x>(root: &'n Node<'x>) -> impl Iterator<Item = &'n Node<'x>> {
    let inside = root.children.iter().filter(|child| child.name.ends_with("Event") && !child.children.is_empty());
    inside.chain([root]).flat_map(|event| event.children.iter().filter(|item| item.name == "List"))
}

/// One answer a template.
fn consents<'x>(about: &About<'x>, root: &Node<'x>) -> Vec<Body<'x>> {
    let one = |item: &Node<'x>| {
        let accepted = item.words("SubscribeStatusString").is_some_and(|s| s.trim().eq_ignore_ascii_case("accept"));
        Some(Body::Consent(Consent {
            from: Some(about.person()),
            state: if accepted { ConsentState::OptedIn } else { ConsentState::OptedOut },
            scope: own(item, "TemplateId")?,
            evidence: Some(Raw::of(&item.json())),
        }))
    };
    lists(root).filter_map(one).collect()
}

fn notified<'x>(about: &About<'x>, root: &Node<'x>) -> Vec<Body<'x>> {
    let one = |item: &Node<'x>| {
        let id = own(item, "MsgID").or_else(|| own(item, "MsgId"))?;
        let code = item.int("ErrorCode").unwrap_or(0);
        let state = if code == 0 { State::Delivered } else { State::Failed };
        let class = if matches!(code, 43101 | 48002) { ErrorClass::OptedOut } else { ErrorClass::Recipient };
        let reason = || Reason::new(class, "notification_failed", "WeChat could not deliver the notification").provider_code(code);
        let error = (code != 0).then(reason);
        Some(Body::Receipt(Receipt { at: about.time, error, detail: own(item, "ErrorStatus"), ..Receipt::new(id, state) }))
    };
    lists(root).filter_map(one).collect()
}
