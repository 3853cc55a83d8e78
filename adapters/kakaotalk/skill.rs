//! Turns of the chatbot: what a person wrote or pressed, and the answer that the person's screen waits for.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde_json::{Value, json};

use super::Channel;
use crate::contract::event::Group;
use crate::contract::part::{Choice, ChoiceKind, Location, MediaPart, MediaStatus};
use crate::contract::*;
use crate::kit::object::Object;
use crate::kit::{address, crypto};

/// How long a callback is good: one-to-one, and in a room (ai_chatbot_callback_guide, read 2026-11-20).
const CALLBACK_MS: i64 = 60_000;
const ROOM_CALLBACK_MS: i64 = 300_000;
/// How long the screen waits where there is none, and how long a message may take to be what it shows.
const SCREEN_MS: i64 = 5_000;
const HELD_MS: i64 = 3_500;

/// What we put beside an event, to be given back when its block calls us.
pub(super) const CONTENT: &str = "fairway";
/// Our id, likewise.
pub(super) const OUR_ID: &str = "fairway_id";
/// The id of a picked option, in its `extra`.
pub(super) const CHOICE: &str = "choice";

/// What a turn means, and its answer.
pub(super) fn parse<'a>(channel: &Channel, whole: &'a str, body: &Object<'a>, cx: &Context<'_>) -> Parsed<'a> {
    let mut out = Parsed::default();
    let request = body.object("userRequest").unwrap_or_default();
    let action = body.object("action").unwrap_or_default();
    let bot = body.object("bot").and_then(|bot| bot.words("id")).unwrap_or_default();
    let account = Some(Cow::Owned(bot.trim_end_matches('!').to_owned())).filter(|bot: &Text<'_>| !bot.is_empty());
    let user = request.object("user").unwrap_or_default();
    let Some(id) = user.words("id") else {
        out.ack = answered(&json!([]));
        out.leave("a turn without a person");
        return out;
    };
    let room = request.object("chat").and_then(|chat| chat.words("id"));
    let from = address::address("kakaotalk", &id);
    let peer = room.as_ref().map_or_else(|| from.clone(), |room| format!("kakaotalk:group/{}", address::escape(room)));
    let event = |key: String, body| Event {
        account: account.clone(),
        key: Some(Cow::Owned(key)),
        medium: Cow::Borrowed("kakaotalk"),
        peer: Cow::Owned(peer.clone()),
        time: None,
        body,
    };
    if let Some((template, ours)) = pushed(&action) {
        // A message of ours on its way: its block asks for the content that travelled with the event.
        out.ack = json_ack(&json!({ "version": "2.0", "template": template }));
        let key = crypto::fingerprint(&[&id, ours.as_deref().unwrap_or_default(), whole]);
        let receipt = Receipt { message_id: ours.map(Cow::Owned), ..Receipt::new("", State::Sent) };
        out.events.push(event(key, Body::Receipt(receipt)));
        return out;
    }
    let callback = request.words("callbackUrl").filter(|url| may_call(url));
    let key = match &callback {
        Some(url) => crypto::fingerprint(&["callback", url]),
        None => unnumbered(&bot, &id, &block(&request), &request.text("utterance").unwrap_or_default(), cx.now),
    };
    let good_for = if room.is_some() { ROOM_CALLBACK_MS } else { CALLBACK_MS };
    let settings = &channel.settings;
    out.ack = match (&callback, &settings.fallback_text) {
        (Some(_), _) => {
            let mut waiting = json!({ "version": "2.0", "useCallback": true });
            if let Some(text) = &settings.waiting_text {
                waiting["data"] = json!({ "text": text });
            }
            json_ack(&waiting)
        }
        (None, Some(text)) => answered(&json!([{ "simpleText": { "text": text } }])),
        (None, None) => answered(&json!([])),
    };
    let parts = parts(&request, &action, body);
    let message =
        Message { id: Cow::Owned(key.clone()), parts, group: room.clone().map(|id| Group { id, name: None }), ..Message::default() };
    let wait = if callback.is_some() { good_for } else { SCREEN_MS };
    let received = Received {
        from: person(from, &user, &request),
        to: account.as_ref().map(|bot| Cow::Owned(address::address("kakaotalk", bot))),
        message,
        respond_by: Some(cx.now.plus(wait)),
        extra: leftovers(body, &request, &action),
        ..Received::default()
    };
    out.events.push(event(key, Body::Received(received)));
    if callback.is_none() && settings.answer_in_response {
        let (account, peer) = (account.clone(), Cow::Owned(peer.clone()));
        out.waiting = Some(Waiting { account, peer, value: Cow::Borrowed("turn"), until: cx.now.plus(HELD_MS) });
    }
    if let Some(url) = callback {
        let until = Some(cx.now.plus(good_for));
        out.handles.push(Handle { account: account.clone(), peer: Cow::Owned(peer.clone()), value: url, until, uses: Some(1) });
    }
    out
}

/// A block asks whether a parameter is good before it goes on: whatever it understood is.
pub(super) fn checked<'a>(body: &Object<'a>) -> Parsed<'a> {
    let mut out = Parsed { ack: json_ack(&json!({ "status": "SUCCESS" })), ..Parsed::default() };
    let bot = body.object("bot").and_then(|bot| bot.words("id"));
    let user = body.object("user").and_then(|user| user.words("id"));
    out.events.push(Event {
        account: bot.map(|bot| Cow::Owned(bot.trim_end_matches('!').to_owned())),
        key: None,
        medium: Cow::Borrowed("kakaotalk"),
        peer: user.map(|id| Cow::Owned(address::address("kakaotalk", &id))).unwrap_or_default(),
        time: None,
        body: Body::Provider(event::ProviderEvent { provider_type: Cow::Borrowed("parameter_check"), raw: body.without(&["callbackUrl"]) }),
    });
    out
}

fn json_ack<'a>(body: &Value) -> Ack<'a> {
    Ack { content_type: Some("application/json"), body: Cow::Owned(body.to_string().into_bytes()), ..Ack::default() }
}

fn answered<'a>(outputs: &Value) -> Ack<'a> {
    json_ack(&json!({ "version": "2.0", "template": { "outputs": outputs } }))
}

/// Content of ours that came back: the template and our id.
fn pushed(action: &Object<'_>) -> Option<(Value, Option<String>)> {
    let place = ["params", "clientExtra"].into_iter().filter_map(|name| action.object(name)).find(|place| place.has(CONTENT))?;
    let template: Value = serde_json::from_str(&place.text(CONTENT)?).ok()?;
    let ours = place.words(OUR_ID).map(|id| id.into_owned());
    template.get("outputs").is_some_and(Value::is_array).then_some((template, ours))
}

/// Callbacks are Kakao's own; anything else would be somebody using us to reach elsewhere.
pub(super) fn may_call(link: &str) -> bool {
    let Ok(url) = url::Url::parse(link) else { return false };
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" && (host == "kakao.com" || host.ends_with(".kakao.com")) && url.port().is_none()
}

fn block<'a>(request: &Object<'a>) -> Text<'a> {
    request.object("block").and_then(|block| block.words("id")).unwrap_or_default()
}

/// Kakao numbers nothing: who, where, what, in which second.
fn unnumbered(bot: &str, user: &str, block: &str, utterance: &str, now: Time) -> String {
    let text = format!("{bot}|{user}|{block}|{utterance}|{}", now.0.div_euclid(1000));
    crypto::hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn person<'a>(address: String, user: &Object<'a>, request: &Object<'a>) -> Person<'a> {
    let properties = user.object("properties").unwrap_or_default();
    // Each is told under two names, and sometimes under one of them alone.
    let also = [(["plusfriendUserKey", "plusfriend_user_key"], "plusfriend"), (["appUserId", "app_user_id"], "app")];
    let also = also.into_iter().filter_map(|(names, kind)| {
        let id = names.iter().find_map(|name| properties.words(name))?;
        Some(Cow::Owned(format!("kakaotalk:{kind}/{}", address::escape(&id))))
    });
    let locale = request.words("lang").map(|lang| if lang == "kr" { Cow::Borrowed("ko") } else { lang }); // Some deliveries name the country.
    Person { locale, kind: Some(Cow::Borrowed("person")), also: also.collect(), ..Person::at(address) }
}

fn parts<'a>(request: &Object<'a>, action: &Object<'a>, body: &Object<'a>) -> Vec<Part<'a>> {
    let utterance = request.text("utterance").unwrap_or_default();
    let extra = action.object("clientExtra").filter(|extra| !extra.0.is_empty());
    if let Some(extra) = extra {
        // Ours, or whatever the bot's builder attached.
        let id = extra.words(CHOICE).or_else(|| action.raw("clientExtra").map(|raw| Cow::Borrowed(raw.get())));
        let title = Some(utterance).filter(|title| !title.is_empty());
        return vec![Part::Choice(Choice { kind: surface(body), id, title, values: Vec::new() })];
    }
    let mut parts = pictures(request, action, &utterance);
    parts.extend(places(action));
    let picture = parts.iter().any(|part| part.media().is_some()) && (utterance.starts_with("http") || utterance.starts_with("List("));
    if !utterance.is_empty() && !picture {
        parts.insert(0, Part::text(utterance));
    }
    if parts.is_empty() {
        parts.push(Part::unsupported("turn", None));
    }
    parts
}

fn surface(body: &Object<'_>) -> ChoiceKind {
    let trigger = body.object("flow").and_then(|flow| flow.object("trigger")).and_then(|t| t.words("type")).unwrap_or_default();
    if trigger.contains("QUICKREPLY") {
        ChoiceKind::QuickReply
    } else if trigger.contains("LIST_ITEM") {
        ChoiceKind::List
    } else {
        ChoiceKind::Postback
    }
}

type Make<'a> = fn(MediaPart<'a>) -> Part<'a>;

/// Pictures come as the utterance, as the request's media, or as links of the secure-image plugin.
fn pictures<'a>(request: &Object<'a>, action: &Object<'a>, utterance: &str) -> Vec<Part<'a>> {
    let mut links: Vec<(String, Make<'a>)> = Vec::new();
    let params = request.object("params").unwrap_or_default();
    if let Some(media) = params.object("media")
        && let Some(url) = media.words("url")
    {
        let make = match media.words("type").as_deref() {
            Some("video") => Part::Video,
            Some("audio") => Part::Audio,
            kind if kind.is_none_or(|kind| kind.contains("image")) => Part::Image,
            _ => Part::File,
        };
        links.push((url.into_owned(), make));
    }
    // The plugin's links stand in what it was told and, within JSON, in what it made of that.
    let details = action.object("detailParams").unwrap_or_default();
    let told = details.0.iter().filter_map(|(_, raw)| Object::parse(raw.get())?.text("origin").map(Text::into_owned));
    let params = action.object("params").unwrap_or_default();
    let made = params.0.iter().filter_map(|(name, _)| Object::parse(&params.text(name)?)?.text("secureUrls").map(Text::into_owned));
    let detailed = details
        .0
        .iter()
        .filter_map(|(_, raw)| Object::parse(&Object::parse(raw.get())?.text("value")?)?.text("secureUrls").map(Text::into_owned));
    for origin in told.chain(made).chain(detailed) {
        let list = origin.trim().strip_prefix("List(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
        for link in list.split(", ").filter(|link| link.starts_with("https://") || link.starts_with("http://")) {
            if !links.iter().any(|(known, _)| known == link) {
                links.push((link.to_owned(), Part::Image));
            }
        }
    }
    let bare = utterance.trim();
    let end = bare.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    // Older links have no TLS.
    let link = url::Url::parse(bare).ok().filter(|link| matches!(link.scheme(), "http" | "https"));
    let hosted = link.and_then(|u| u.host_str().map(|h| h.ends_with("kakaocdn.net") || h.ends_with(".kakao.com")));
    let looks = [".jpg", ".jpeg", ".png", ".gif", ".webp"].iter().any(|e| end.ends_with(e)) && hosted == Some(true);
    if links.is_empty() && looks {
        links.push((bare.to_owned(), Part::Image));
    }
    let part = |(url, make): (String, Make<'a>)| {
        let source = Some(MediaRef { id: String::new(), url: Some(url), expires_at: None });
        let media = MediaPart { media: Media { status: Some(MediaStatus::Pending), source, ..Media::default() }, caption: None };
        make(media)
    };
    links.into_iter().map(part).collect()
}

/// A place is JSON inside a parameter.
fn places<'a>(action: &Object<'a>) -> Vec<Part<'a>> {
    let params = action.object("params").unwrap_or_default();
    let place = |text: Text<'a>| {
        let value: Value = serde_json::from_str(&text).ok()?;
        let number = |names: [&str; 3]| {
            let found = names.iter().map(|name| &value[*name]).find(|v| !v.is_null())?;
            found.as_f64().or_else(|| found.as_str()?.parse().ok())
        };
        let word = |name: &str| value[name].as_str().map(|t| Cow::Owned(t.to_owned()));
        Some(Part::Location(Location {
            latitude: number(["latitude", "lat", "y"])?,
            longitude: number(["longitude", "lng", "x"])?,
            name: word("name"),
            address: word("address"),
            live_until: None,
        }))
    };
    params.0.iter().filter_map(|(name, _)| params.text(name)).filter_map(place).collect()
}

/// Which block it was and what it filled in. The callback stays in the gateway, and so do links of secure pictures.
fn leftovers<'a>(body: &Object<'a>, request: &Object<'a>, action: &Object<'a>) -> Extra<'a> {
    let mut extra = Extra::default();
    for name in ["intent", "flow", "contexts"] {
        adapter::keep(&mut extra, name, body.kept(name).filter(|raw| !matches!(raw.get(), "[]" | "{}")));
    }
    adapter::keep(&mut extra, "block", request.kept("block"));
    adapter::keep(&mut extra, "timezone", request.kept("timezone"));
    let properties = request.object("user").and_then(|user| user.object("properties")).unwrap_or_default();
    adapter::keep(&mut extra, "isFriend", properties.kept("isFriend"));
    for name in ["params", "clientExtra"] {
        let sealed = |raw: &Raw<'_>| ["List(http", "secureUrls", "credential="].iter().any(|mark| raw.get().contains(mark));
        let plain = |raw: &Raw<'_>| raw.get() != "{}" && !sealed(raw);
        adapter::keep(&mut extra, name, action.kept(name).filter(plain));
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_numbered_gets_the_published_key() {
        let key = |text| unnumbered("fakebot0000000000000001", "fakeUserKey0001", "blk0000000000000000001", text, Time(1_795_000_000_999));
        assert_eq!(key("hello"), "387d4f7ba1c7b29502ba10006dcc290f34bf8891287e3e778e7c32f883c1fd82");
        assert_eq!(key("주문 확인"), "bfb47c44ceda2161529f85239b777981e1666e626a04b487fb5ebecc79c7506d");
    }

    #[test]
    fn callbacks_are_kakaos_own() {
        assert!(may_call("https://bot-api.kakao.com/v1/callback/x"));
        for elsewhere in [
            "http://bot-api.kakao.com/x",
            "https://kakao.com.evil.test/x",
            "https://evilkakao.com/x",
            "https://bot-api.kakao.com:8443/x",
            "x",
        ] {
            assert!(!may_call(elsewhere), "{elsewhere}");
        }
    }
}
