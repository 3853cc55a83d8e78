//! A message as one encrypted push, for the service worker of the page to show.

use serde_json::{Map, Value, json};

use super::seal::{self, Browser};
use super::subscription::Subscription;
use super::{Channel, FACTS};
use crate::contract::{Call, Category, Context, Outbound, RenderError, Rendered};
use crate::kit::push::{self, Note};
use crate::kit::{address, words};

/// Seconds that every operator keeps a push: four weeks.
const TTL: i64 = 2_419_200;

pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    if address::id(message.to, "webpush").is_none() {
        return Err(RenderError::new("#/to", "address_invalid", "expected `webpush:` and the id of a registered browser"));
    }
    let Some(handle) = message.handle else {
        return Err(RenderError::new("#/to", "no_reply_handle", "no subscription of this browser is known: register it first"));
    };
    let wrong =
        |problem: &str| RenderError::new("#/to", "subscription_invalid", format!("this browser's subscription cannot be used: {problem}"));
    let to = Subscription::read(handle, &channel.settings.hosts).map_err(wrong)?;
    let mut out = Rendered::default();
    let note = push::note(message, &FACTS, &mut out)?;
    if note.is_silent() {
        let problem = "browsers take the permission from pages whose pushes show nothing; give it a title or words";
        return Err(RenderError::new("#/parts", "silent_not_supported", problem));
    }
    let mut content = content(&note, message);
    words::merge(&mut content, message.native);
    let content = content.to_string();
    push::fits(content.len(), seal::CONTENT)?;
    let body = sealed(channel, message.id, &to, content.as_bytes()).ok_or_else(|| wrong("its p256dh is no point of the curve"))?;
    let ttl = push::ttl(message, cx.now, TTL).unwrap_or_else(|| i64::from(channel.settings.ttl.unwrap_or(u32::MAX)).min(TTL));
    let call = Call::new(http::Method::POST, format!("{}/{{secret}}", base(channel, &to)))
        .url_secret(&to.rest())
        .header("ttl", ttl.to_string())
        .header("urgency", if message.category == Category::Marketing { "normal" } else { "high" })
        .header("topic", push::topic(note.tag(message)))
        .header("content-type", "application/octet-stream")
        .header("content-encoding", "aes128gcm")
        .secret_header("authorization", channel.authorization(&to.origin(), cx.now))
        .bytes(body);
    out.calls.push(call);
    Ok(out)
}

fn base(channel: &Channel, to: &Subscription) -> String {
    channel.settings.api_base.as_deref().map_or_else(|| to.origin(), |base| base.trim_end_matches('/').to_owned())
}

fn sealed(channel: &Channel, id: &str, to: &Subscription, content: &[u8]) -> Option<Vec<u8>> {
    let browser = Browser { public: &to.p256dh, auth: &to.auth };
    let with = channel.seeds.ephemeral(id, &browser, content)?;
    seal::seal(content, seal::padding(content.len()), &browser, &with)
}

/// What `showNotification` takes, in its own words, with what the worker needs besides.
fn content(note: &Note, message: &Outbound<'_>) -> Value {
    let mut out = Map::new();
    for (name, text) in [("title", &note.title), ("body", &note.body), ("image", &note.image)] {
        if let Some(text) = text {
            out.insert(name.into(), text.as_str().into());
        }
    }
    out.insert("tag".into(), note.tag(message).into());
    if let Some(badge) = note.badge {
        out.insert("badge_count".into(), badge.into());
    }
    if !note.options.is_empty() {
        out.insert("actions".into(), note.options.iter().map(|(id, title)| json!({ "action": id, "title": title })).collect());
    }
    let mut data = note.data.clone();
    data.insert(push::OUR_ID.into(), message.id.into());
    if let Some(url) = &note.url {
        data.entry("url").or_insert_with(|| url.as_str().into());
    }
    out.insert("data".into(), data.into());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;
    use crate::contract::{Adapter, Part, Time};

    const CX: Context<'static> = Context {
        now: Time(1_795_169_730_000),
        public_url: "https://gw.example.org",
        hook_url: "https://gw.example.org/hooks/w",
        login: None,
        keys: None,
    };

    #[test]
    fn the_browser_reads_what_was_written_and_the_endpoint_shows_nowhere() {
        let twin = super::super::Twin::new(1);
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(twin.settings())).expect("settings");
        let parts = [Part::text("Your table is ready")];
        let native = Map::new();
        let message = Outbound {
            id: "msg_1",
            to: "webpush:b1",
            thread: None,
            parts: &parts,
            template: None,
            category: Category::Transactional,
            reply_to: None,
            handle: Some(super::super::twin::SUBSCRIPTION),
            author: None,
            expires_at: None,
            native: &native,
        };
        let call = channel.render(&message, &CX).expect("rendered").calls.remove(0);
        let shown: Value = serde_json::from_slice(&twin.opened(call.body_bytes()).expect("opened")).expect("JSON");
        assert_eq!(shown, json!({ "body": "Your table is ready", "tag": "msg_1", "data": { "fairway_message_id": "msg_1" } }));
        assert!(!format!("{call:?} {}", call.url).contains("twin-fake"));
        assert!(call.full_url().ends_with("/fcm/send/twin-fake-endpoint-1"));
    }
}
