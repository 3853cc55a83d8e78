//! Slack: an app in its workspaces, by the Events API, interactivity, slash commands and the Web API.
//!
//! A conversation is a channel of a workspace, `slack:TEAM/CHANNEL`, and a thread stands behind `#`. A message's `ts` is
//! unique in its channel only, so our id of it is `CHANNEL:TS`. An answer is a thread: Slack has no other quotation.
//!
//! Checked against `slack_sdk` (`tests/sdks/python/check_slack.py`): signatures in both directions, its client on the twin and its
//! reading of `Retry-After`, its types on the blocks we render.
//!
//! Deliveries recorded in the tests of courier, Zulip, Rasa, Bolt for Python and the Chat SDK were read on 2026-11-29.

mod blocks;
mod checks;
mod content;
mod emoji;
mod errors;
mod facts;
mod inbound;
mod interactive;
mod markup;
mod outbound;
mod revise;
mod twin;
mod upload;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Fetched, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secrets,
    SentMessage, SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::object::Object;
use crate::kit::{crypto, entry};

/// The settings of a Slack channel: one app in one workspace.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The app's signing secret, shared by all its workspaces; proves every delivery.
    pub signing_secret: Secrets,
    /// The bot's token in this workspace: `xoxb-...`. Leave token rotation off: a rotated token is only good for 12 h.
    pub bot_token: Secrets,
    /// The workspace: `T...`. Needed where one app serves several.
    pub team_id: Option<String>,
    /// The organisation, where the app is installed in all its workspaces: `E...`.
    pub enterprise_id: Option<String>,
    /// The app: `A...`.
    pub app_id: Option<String>,
    /// The bot's own user: `U...`. Tells its messages and mentions from those of others.
    pub bot_user_id: Option<String>,
    /// Where the Web API is, for tests; stands for all of Slack's hosts.
    pub api_base: Option<String>,
}

/// An app in a workspace.
pub struct Channel {
    settings: Settings,
    keys: Vec<crypto::Key>,
    base: String,
}

/// How far a delivery's time may be from ours: docs.slack.dev/authentication/verifying-requests-from-slack, read 2026-11-20.
const TOLERANCE_SECS: i64 = 300;

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.signing_secret.is_empty() {
            return Err(SettingsError::new("signing_secret", "empty", "every delivery is proved with it; see the app's basic information"));
        }
        if !settings.bot_token.iter().all(|token| token.bytes().all(|b| b.is_ascii_graphic())) || settings.bot_token.is_empty() {
            return Err(SettingsError::new("bot_token", "not a token", "copy the bot user's token whole: xoxb-..."));
        }
        let ids = [("team_id", &settings.team_id), ("bot_user_id", &settings.bot_user_id)];
        for (key, id) in ids {
            if id.as_deref().is_some_and(|id| !is_id(id)) {
                return Err(SettingsError::new(key, "not a Slack id", "it is written in capitals and digits, such as T0123ABC"));
            }
        }
        let keys = crypto::sha256_keys(&settings.signing_secret);
        let base = settings.api_base.as_deref().unwrap_or("https://slack.com/api").trim_end_matches('/').to_owned();
        Ok(Self { settings, keys, base })
    }

    fn account(&self) -> Option<&str> {
        self.settings.team_id.as_deref()
    }

    fn limit_group(&self) -> Option<&str> {
        self.settings.team_id.as_deref()
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        if hook.method == http::Method::GET && hook.query.contains("ssl_check=1") {
            return Ok(hook.verified()); // Slack looks whether our certificate is good; nothing comes of it.
        }
        let tag = hook.header("x-slack-signature").ok_or(VerifyError::MISSING)?;
        let stamp = hook.header("x-slack-request-timestamp").ok_or(VerifyError::MISSING)?;
        let tag = tag.strip_prefix("v0=").and_then(crypto::unhex::<32>).ok_or(VerifyError::MISMATCH)?;
        if !crypto::signed_pieces(&self.keys, &[b"v0:", stamp.as_bytes(), b":", hook.body], &tag) {
            return Err(VerifyError::MISMATCH);
        }
        let sent: i64 = stamp.parse().map_err(|_| VerifyError::MISMATCH)?;
        if (cx.now.0 / 1000).abs_diff(sent) > TOLERANCE_SECS as u64 { Err(VerifyError::Stale) } else { Ok(hook.verified()) }
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
        match media.url.as_deref() {
            Some(url) => self.download(url),
            None if !media.id.is_empty() => {
                Some(Call::get(format!("{}/files.info?file={}", self.base, escaped(&media.id))).bearer(self.settings.bot_token.first()))
            }
            None => None,
        }
    }

    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        upload::fetched(self, call, reply)
    }

    fn probe(&self, _cx: &Context<'_>) -> Option<Call> {
        Some(self.method("auth.test", &json!({})))
    }

    /// docs.slack.dev, "Deep linking into Slack", read 2026-11-29: the app and the workspace, nothing else.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(app) = self.settings.app_id.as_deref().filter(|app| !app.is_empty()) else {
            return Some(Err(EntryLink::lacks("set `app_id`, the app's id (`A...`): the link leads to it")));
        };
        let url = entry::with("https://slack.com/app_redirect", &[("app", Some(app)), ("team", self.settings.team_id.as_deref())]);
        Some(Ok(entry::bare(url, entry)))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "In the app's settings at api.slack.com/apps, enter {url} three times: under Event Subscriptions as the request URL, under \
             Interactivity & Shortcuts, and for each slash command. Subscribe the bot to message.im, message.channels, message.groups, \
             message.mpim, app_mention, reaction_added, reaction_removed, app_home_opened, member_joined_channel, member_left_channel, \
             team_join, user_change, tokens_revoked and app_uninstalled. Under App Home, allow messages to the Messages tab. \
             Install the app again after changing scopes.",
            url = cx.hook_url
        ))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(revise::revise(self, sent, revision, cx))
    }

    fn signal(&self, signal: Signalled<'_>, _cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let (to, thread) = to.split_once('#')?;
        Some(self.status(&outbound::channel_of(to)?.1, &crate::kit::address::unescape(thread)))
    }
}

impl Channel {
    /// A call of one of the Web API's methods.
    fn method(&self, name: &str, body: &impl serde::Serialize) -> Call {
        let bytes = serde_json::to_vec(body).expect("requests are plain data");
        Call::new(http::Method::POST, format!("{}/{name}", self.base))
            .header("content-type", "application/json; charset=utf-8")
            .bearer(self.settings.bot_token.first())
            .bytes(bytes)
    }

    /// Shows that the app works on an answer; only assistants' threads have that.
    fn status(&self, channel: &str, thread: &str) -> Call {
        self.method("assistant.threads.setStatus", &json!({ "channel_id": channel, "thread_ts": thread, "status": "is typing..." }))
    }

    /// A URL of Slack's that works without a token, for whoever has it.
    fn bearing(&self, method: http::Method, host: &str, url: &str) -> Option<Call> {
        let parsed = url::Url::parse(url).ok().filter(|u| u.scheme() == "https" && u.host_str() == Some(host))?;
        let path = format!("{}{}", parsed.path(), parsed.query().map(|q| format!("?{q}")).unwrap_or_default());
        let base =
            self.settings.api_base.as_deref().map_or_else(|| format!("https://{host}"), |base| base.trim_end_matches('/').to_owned());
        Some(Call::new(method, format!("{base}{{secret}}")).url_secret(&path))
    }

    /// A file's bytes; the token goes to Slack's own hosts alone.
    fn download(&self, url: &str) -> Option<Call> {
        let parsed = url::Url::parse(url).ok()?;
        let own = parsed.scheme() == "https" && parsed.host_str().is_some_and(|host| host == "slack.com" || host.ends_with(".slack.com"));
        let token = self.settings.bot_token.first();
        match &self.settings.api_base {
            Some(base) if own => Some(Call::get(format!("{}{}", base.trim_end_matches('/'), parsed.path())).bearer(token)),
            None if own => Some(Call::get(url).bearer(token).redirects(2)),
            _ => Some(Call::get(url).redirects(3)),
        }
    }

    /// Whether a message of this user, bot or app is our own.
    fn is_own(&self, user: Option<&str>, app: Option<&str>) -> bool {
        let same = |ours: &Option<String>, theirs: Option<&str>| ours.is_some() && ours.as_deref() == theirs;
        same(&self.settings.bot_user_id, user) || same(&self.settings.app_id, app)
    }
}

/// The object in an answer; an empty one where there is none.
fn answer(reply: &Reply) -> Object<'_> {
    std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Capitals and digits.
fn is_id(id: &str) -> bool {
    id.len() > 1 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::contract::{Time, twin::Twin as _};

    const CX: Context<'static> = Context {
        now: Time(1_763_600_000_000),
        public_url: "https://gw.example.org",
        hook_url: "https://gw.example.org/hooks/s",
        login: None,
        keys: None,
    };

    fn channel() -> Channel {
        let mut settings = super::Twin::new(1).settings();
        settings.insert("signing_secret".into(), "fake-signing-phrase".into());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_vectors_hold() {
        let channel = channel();
        let check = |body: &str, stamp: &str, tag: &str, now: i64| {
            let mut headers = HeaderMap::new();
            headers.insert("x-slack-request-timestamp", stamp.parse().expect("ASCII"));
            headers.insert("x-slack-signature", tag.parse().expect("ASCII"));
            let hook = Webhook { method: &Method::POST, url: CX.hook_url, query: "", headers: &headers, body: body.as_bytes() };
            channel.verify(hook, &Context { now: Time::from_secs(now), ..CX }).map(|_| ()).map_err(|e| e.label())
        };
        let vectors = [
            (
                r#"{"type":"event_callback","team_id":"T0FAKE","event_id":"Ev0FAKE","event":{"type":"message","text":"hi"}}"#,
                "v0=73c667e4687147dfebd51484a1f07ddedc59cf7f555aecfc270e1a5831dcc9e6",
            ),
            ("payload=%7B%22type%22%3A%22block_actions%22%7D", "v0=4cdd4decb8a10939bbfcce9f3539ed480eca7b88b72c92f15dcdc8411def800c"),
        ];
        for (body, tag) in vectors {
            assert_eq!(check(body, "1763600000", tag, 1_763_600_000), Ok(()));
            assert_eq!(check(body, "1763600000", tag, 1_763_600_301), Err("stale"));
            assert_eq!(check(body, "1763600001", tag, 1_763_600_000), Err("mismatch"));
            assert_eq!(check(&body[1..], "1763600000", tag, 1_763_600_000), Err("mismatch"));
            assert_eq!(check(body, "1763600000", &tag[1..], 1_763_600_000), Err("mismatch"));
        }
    }

    #[test]
    fn the_token_goes_to_slack_alone() {
        let channel = channel();
        let bears = |url: &str| channel.download(url).map(|call| !call.secret_headers.is_empty());
        assert_eq!(bears("https://files.slack.com/files-pri/T0-F0/download/a.png"), Some(true));
        for other in ["https://evilslack.com/a", "https://slack.com.evil.example/a", "http://files.slack.com/a", "https://drive.example/a"]
        {
            assert_eq!(bears(other), Some(false), "{other}");
        }
        assert!(channel.bearing(Method::POST, "hooks.slack.com", "https://hooks.slack.com.evil.example/actions/1").is_none());
        let call = channel.bearing(Method::POST, "hooks.slack.com", "https://hooks.slack.com/actions/T0/1/x").expect("a call");
        assert!(!format!("{call:?}").contains("/1/x"));
        assert_eq!(call.full_url(), "https://hooks.slack.com/actions/T0/1/x");
    }

    #[test]
    fn typing_shows_in_assistants_threads() {
        let channel = channel();
        assert!(channel.signal(Signalled::Typing { to: "slack:T0ACME/D0CHAT", last: None }, &CX).is_none());
        let call = channel.signal(Signalled::Typing { to: "slack:T0ACME/D0CHAT#1763600000.000100", last: None }, &CX).expect("a call");
        assert!(call.url.ends_with("/assistant.threads.setStatus"));
    }
}
