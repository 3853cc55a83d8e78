//! Discord: an application by interactions and webhook events over HTTP, and the REST API.
//!
//! Commands, buttons, menus and forms come in this way. What people write in channels Discord tells over its gateway alone, a
//! connection that `gateway = true` opens (`session.rs`); interactions come by it too where no interactions URL is set. A
//! conversation is a channel, `discord:CHANNEL`, and a thread is a channel of its own behind `#`; a person without one is
//! `discord:user/ID`, whose direct messages are opened on sending.
//!
//! Checked against `discord-interactions`, `@discordjs/rest` and `@discordjs/ws` (`tests/sdks/discord.mjs`): the twin's signatures, the
//! clients and their errors on the twin; the session against a gateway on tokio-tungstenite (`tests/stories/discord.rs`).
//!
//! Webhook events of Discord's documentation, and interactions and dispatches recorded in the tests of the Chat SDK,
//! were read on 2026-11-29.

mod bound;
mod checks;
mod closing;
mod components;
mod content;
mod endpoint;
mod errors;
mod facts;
mod gateway;
mod gateway_twin;
mod inbound;
mod intents;
mod interaction;
mod markup;
mod outbound;
mod place;
mod progress;
mod revise;
mod session;
#[cfg(test)]
mod session_checks;
#[cfg(test)]
mod session_desk;
mod shard;
mod starts;
mod twin;

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub use facts::FACTS;
pub use intents::Intent;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, CallBody, Context, Fetched, Field, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, Secrets,
    SentMessage, Session, SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::crypto;
use crate::kit::object::Object;

/// The settings of a Discord channel: one application.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The application's id.
    pub application_id: String,
    /// The application's public key, 64 hex digits; proves every delivery.
    pub public_key: String,
    /// The bot's token.
    pub bot_token: Secrets,
    /// Whether answers to commands are shown to the asking person alone.
    #[serde(default)]
    pub private_answers: bool,
    /// Whether we listen on Discord's gateway: only there it tells what people write, their reactions and their votes. Interactions come
    /// by it too unless the application has an interactions URL.
    #[serde(default)]
    pub gateway: bool,
    /// What the gateway is to tell. Privileged ones (`message_content` among the usual ones) must be switched on in Discord's
    /// developer portal: application, page Bot, Privileged Gateway Intents.
    #[serde(default = "intents::usual")]
    pub gateway_intents: Vec<Intent>,
    /// Over how many connections: one for each 2,500 servers that the bot is in, at least.
    #[serde(default = "one")]
    pub gateway_shards: u16,
    /// Where the gateway is, for tests.
    pub gateway_url: Option<String>,
    /// Where the REST API is, for tests; stands for the file hosts too.
    pub api_base: Option<String>,
}

fn one() -> u16 {
    1
}

/// An application.
pub struct Channel {
    settings: Settings,
    socket: Option<Arc<bound::Bound>>,
    key: [u8; 32],
    base: String,
}

/// How old a delivery may be. Webhook events are repeated for ten minutes.
const TOLERANCE_SECS: u64 = 900;

/// Who calls; without it Cloudflare turns the call away.
const AGENT: &str = "DiscordBot (https://github.com/fairway, 1.0)";

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let Some(key) = crypto::unhex(&settings.public_key) else {
            return Err(SettingsError::new(
                "public_key",
                "not a public key",
                "copy the 64 hex digits from the application's general information",
            ));
        };
        if !place::is_id(&settings.application_id) {
            return Err(SettingsError::new("application_id", "not an id", "copy the digits from the application's general information"));
        }
        let graphic = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        if settings.bot_token.is_empty() || !settings.bot_token.iter().all(graphic) {
            return Err(SettingsError::new("bot_token", "not a token", "copy it whole from the application's bot page"));
        }
        let base = settings.api_base.as_deref().unwrap_or("https://discord.com/api/v10").trim_end_matches('/').to_owned();
        let socket = if settings.gateway { Some(Arc::new(socket(&settings)?)) } else { None };
        Ok(Self { settings, socket, key, base })
    }

    fn account(&self) -> Option<&str> {
        Some(&self.settings.application_id)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        // What our own session says of its deliveries is covered by no signature.
        if hook.header(gateway::SINCE).is_some() {
            return Err(VerifyError::MISMATCH);
        }
        let stamp = hook.header("x-signature-timestamp").ok_or(VerifyError::MISSING)?;
        let tag = hook.header("x-signature-ed25519").ok_or(VerifyError::MISSING)?;
        let tag = crypto::unhex::<64>(tag.trim()).ok_or(VerifyError::MISMATCH)?;
        let signed = [stamp.as_bytes(), hook.body].concat();
        if UnparsedPublicKey::new(&ED25519, self.key).verify(&signed, &tag).is_err() {
            return Err(VerifyError::MISMATCH);
        }
        let sent: i64 = stamp.trim().parse().map_err(|_| VerifyError::MISMATCH)?;
        if (cx.now.0 / 1000).abs_diff(sent) > TOLERANCE_SECS { Err(VerifyError::Stale) } else { Ok(hook.verified()) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(self, hook, cx.now)
    }

    fn render(&self, message: &Outbound<'_>, _cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(self, call, reply)
    }

    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        media.url.as_deref().map(|url| self.file(url))
    }

    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        let status = reply.status.as_u16();
        if call.url.ends_with("/attachments/refresh-urls") {
            let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
            let fresh = body.objects("refreshed_urls").first().and_then(|one| one.words("refreshed"));
            return match fresh {
                Some(url) => Fetched::Call(self.file(&url).then("fresh")),
                None if matches!(status, 429 | 500..=599) => Fetched::Later,
                None => Fetched::Gone("Discord does not give the file any more".into()),
            };
        }
        match status {
            200..=299 => Fetched::Bytes,
            408 | 425 | 429 | 500..=599 => Fetched::Later,
            // A link works for about a day; a fresh one can be had while the message is there.
            403 | 404 if call.then.is_none() => {
                Fetched::Call(self.json(Method::POST, "/attachments/refresh-urls", &json!({ "attachment_urls": [call.url] })))
            }
            _ => Fetched::Gone(format!("Discord answered {status}")),
        }
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        Some(self.call(Method::GET, "/users/@me"))
    }

    fn session(&self, memory: &[u8]) -> Option<Box<dyn Session>> {
        self.socket.as_ref().map(|bound| Box::new(session::Gateway::new(Arc::clone(bound), memory)) as Box<dyn Session>)
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let events = [
            "APPLICATION_AUTHORIZED",
            "APPLICATION_DEAUTHORIZED",
            "ENTITLEMENT_CREATE",
            "ENTITLEMENT_UPDATE",
            "ENTITLEMENT_DELETE",
            "LOBBY_MESSAGE_CREATE",
            "LOBBY_MESSAGE_UPDATE",
            "LOBBY_MESSAGE_DELETE",
            "GAME_DIRECT_MESSAGE_CREATE",
            "GAME_DIRECT_MESSAGE_UPDATE",
            "GAME_DIRECT_MESSAGE_DELETE",
        ];
        // Discord tries the address at once, with good and bad signatures.
        let body = json!({ "interactions_endpoint_url": cx.hook_url, "event_webhooks_url": cx.hook_url, "event_webhooks_status": 2, "event_webhooks_types": events });
        Setup::Calls(vec![self.json(Method::PATCH, "/applications/@me", &body)])
    }

    fn setup_besides(&self) -> Option<&'static str> {
        let privileged = self.settings.gateway && self.settings.gateway_intents.iter().any(|intent| intent.is_privileged());
        privileged.then_some(
            "For what people write, switch on Message Content Intent (and what else `gateway_intents` names of its kind) in Discord's developer \
             portal: application, page Bot, Privileged Gateway Intents. Without it Discord refuses the connection.",
        )
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(revise::revise(self, sent, revision, cx))
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let (to, thread) = to.split_once('#').map_or((to, None), |(to, thread)| (to, Some(thread)));
        match place::parse(to, thread)? {
            place::Place::Channel(id) => Some(self.call(Method::POST, &format!("/channels/{id}/typing"))),
            place::Place::User(_) => None,
        }
    }
}

/// What a session says of itself, and where.
fn socket(settings: &Settings) -> Result<bound::Bound, SettingsError> {
    if settings.gateway_intents.is_empty() {
        return Err(SettingsError::new("gateway_intents", "empty", "leave it away, or name what the gateway is to tell"));
    }
    if settings.gateway_shards == 0 {
        return Err(SettingsError::new("gateway_shards", "zero", "use at least 1"));
    }
    Ok(bound::Bound {
        application_id: settings.application_id.clone(),
        token: Secret::new(settings.bot_token.first()),
        intents: intents::bits(&settings.gateway_intents),
        shards: settings.gateway_shards,
        place: endpoint::configured(settings.gateway_url.as_deref())?,
    })
}

impl Channel {
    fn call(&self, method: Method, path: &str) -> Call {
        let token = format!("Bot {}", self.settings.bot_token.first());
        Call::new(method, format!("{}{path}", self.base)).header("user-agent", AGENT).secret_header("authorization", token)
    }

    fn json(&self, method: Method, path: &str, body: &Value) -> Call {
        self.call(method, path).header("content-type", "application/json").bytes(body.to_string())
    }

    /// A message, with its files where there are some.
    fn message(&self, call: Call, body: &Value, files: &[Value]) -> Call {
        if files.is_empty() {
            return call.header("content-type", "application/json").bytes(body.to_string());
        }
        let mut fields = vec![Field::Text { name: "payload_json".into(), value: body.to_string() }];
        for (index, file) in files.iter().enumerate() {
            let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
            fields.push(Field::Media {
                name: format!("files[{index}]"),
                id: text("id"),
                filename: text("filename"),
                mime_type: text("mime_type"),
            });
        }
        Call { body: CallBody::Multipart(fields), ..call }
    }

    /// An answer to an interaction; its token is all the proof it needs.
    fn answer(&self, method: Method, token: &str, path: &str) -> Call {
        let url = format!("{}/webhooks/{}/{{secret}}{path}", self.base, self.settings.application_id);
        Call::new(method, url).url_secret(token).header("user-agent", AGENT)
    }

    /// The first answer to an interaction that came over the socket.
    fn called_back(&self, id: &str, token: &str, body: Vec<u8>) -> Call {
        let url = format!("{}/interactions/{id}/{{secret}}/callback", self.base);
        Call::new(Method::POST, url).url_secret(token).header("user-agent", AGENT).header("content-type", "application/json").bytes(body)
    }

    /// A file on Discord's own hosts, or elsewhere; never with our token.
    fn file(&self, url: &str) -> Call {
        let own = url::Url::parse(url)
            .ok()
            .filter(|u| u.host_str().is_some_and(|h| h.ends_with(".discordapp.com") || h.ends_with(".discordapp.net")));
        let url = match (&self.settings.api_base, own) {
            (Some(base), Some(url)) => format!("{}{}?{}", base.trim_end_matches('/'), url.path(), url.query().unwrap_or_default()),
            _ => url.to_owned(),
        };
        Call::get(url).redirects(2)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> = Context {
        now: Time(1_763_600_000_000),
        public_url: "https://gw.example.org",
        hook_url: "https://gw.example.org/hooks/d",
        login: None,
        keys: None,
    };

    fn channel(more: Value) -> Channel {
        let mut settings = super::Twin::new(1).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_vectors_hold() {
        let channel = channel(json!({ "public_key": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8" }));
        let check = |body: &str, tag: &str, now: i64| {
            let mut headers = HeaderMap::new();
            headers.insert("x-signature-timestamp", "1763600000".parse().expect("ASCII"));
            headers.insert("x-signature-ed25519", tag.parse().expect("ASCII"));
            let hook = Webhook { method: &Method::POST, url: CX.hook_url, query: "", headers: &headers, body: body.as_bytes() };
            channel.verify(hook, &Context { now: Time::from_secs(now), ..CX }).map(|_| ()).map_err(|e| e.label())
        };
        let vectors = [
            (
                r#"{"type":1}"#,
                "a01acd23c204285902d47f455a3f3901fa38a61944eaf4775ed1f5beac58bc3de2ae546d20dce7916fd1d52b22ebceb3b651cdde02612618d508e29cddea7005",
            ),
            (
                r#"{"version":1,"application_id":"100000000000000001","type":0}"#,
                "7912526bc236570792495333917b2dccabe10809b887de19a543f130cda858b6cec09f27219bff75a0b892a6b28ad221b8c1d42d9c765558c5bd07f98f729c06",
            ),
        ];
        for (body, tag) in vectors {
            assert_eq!(check(body, tag, 1_763_600_000), Ok(()));
            assert_eq!(check(&body.replace('1', "2"), tag, 1_763_600_000), Err("mismatch"));
            assert_eq!(check(body, &tag[2..], 1_763_600_000), Err("mismatch"));
            assert_eq!(check(body, &"zz".repeat(64), 1_763_600_000), Err("mismatch"));
            assert_eq!(check(body, tag, 1_763_601_000), Err("stale"));
        }
    }

    #[test]
    fn a_link_that_has_run_out_is_renewed_once() {
        let channel = channel(json!({}));
        let media = MediaRef { url: Some("https://cdn.discordapp.com/attachments/8/9/a.png?ex=1".into()), ..MediaRef::default() };
        let first = channel.fetch(&media, &CX).expect("a call");
        assert!(first.secret_headers.is_empty(), "the token goes to the API alone");
        let Fetched::Call(refresh) = channel.fetched(&first, &Reply::json(404, &()), &CX) else { panic!("not renewed") };
        let fresh =
            json!({ "refreshed_urls": [{ "original": "x", "refreshed": "https://cdn.discordapp.com/attachments/8/9/a.png?ex=2" }] });
        let Fetched::Call(second) = channel.fetched(&refresh, &Reply::json(200, &fresh), &CX) else { panic!("no second try") };
        assert!(second.url.ends_with("ex=2"));
        assert!(matches!(channel.fetched(&second, &Reply::json(404, &()), &CX), Fetched::Gone(_)));
    }

    #[test]
    fn typing_shows_in_channels() {
        let channel = channel(json!({}));
        let typing = |to| channel.signal(Signalled::Typing { to, last: None }, &CX).map(|call| call.url);
        assert_eq!(typing("discord:400#401").as_deref(), Some("https://discord.com/api/v10/channels/401/typing"));
        assert_eq!(typing("discord:user/500"), None);
    }
}
