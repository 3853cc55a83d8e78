//! WeChat: official accounts (service and subscription accounts).
//!
//! A person's address is the openid (`wechat:o...`). Answers go as customer-service messages within 48 hours; templates
//! go by `message/template/send`, and subscription notifications by a template named `subscribe/ID`.
//!
//! Checked against `wechatpy` (`tests/sdks/python/check_wechat.py`): signatures and encryption in both directions, its client on the twin.
//!
//! Messages and events recorded in the tests of courier, Senparc, wechatpy, JFinal and EasyWeChat were read on 2026-11-29.

mod errors;
mod facts;
mod inbound;
mod outbound;
mod passive;
mod seal;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Ack, Adapter, Call, Context, Fetched, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError, Setup,
    Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::{address, form, object};

/// How deliveries are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Not at all: the signature then covers no content.
    Plain,
    /// Clear and encrypted beside each other.
    #[default]
    Compatible,
    /// Encrypted alone; others are refused.
    Safe,
}

/// The settings of a WeChat channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The account's app id (`wx...`).
    pub app_id: String,
    /// The account's app secret.
    pub app_secret: Secret,
    /// The token entered in the console (3 to 32 letters and digits). Old and new while it is replaced.
    pub token: Secrets,
    /// The key entered in the console (43 characters). Old and new while it is replaced.
    #[serde(default)]
    pub encoding_aes_key: Secrets,
    /// `plain`, `compatible` or `safe`, as chosen in the console; what comes says itself which it is.
    #[serde(default)]
    pub encryption_mode: Encryption,
    /// The account's original id (`gh_...`), as deliveries name it; needed where several channels share a token.
    pub original_id: Option<String>,
    /// Whether what a person writes is held for four seconds, so that a message to them can be its answer (passive reply): it counts in
    /// no allowance, and it is all that an account has which is not verified.
    #[serde(default)]
    pub answer_in_response: bool,
    /// The agent's account in whose name messages go (`name@account`).
    pub kf_account: Option<String>,
    /// The media id of a permanent picture shown before a video plays: WeChat demands one.
    pub video_thumb_media_id: Option<String>,
    /// Where the API is, for a stand-in or another region.
    pub api_base: Option<String>,
}

/// An official account.
pub struct Channel {
    settings: Settings,
    keys: Vec<seal::AesKey>,
    base: String,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.token.is_empty() {
            return Err(SettingsError::new("token", "empty", "use the token entered in the console"));
        }
        let keys: Option<Vec<seal::AesKey>> = settings.encoding_aes_key.iter().filter(|k| !k.is_empty()).map(seal::AesKey::read).collect();
        let Some(keys) = keys else {
            return Err(SettingsError::new("encoding_aes_key", "not a key", "copy the 43 characters from the console"));
        };
        if keys.is_empty() && settings.encryption_mode == Encryption::Safe {
            return Err(SettingsError::new("encoding_aes_key", "missing", "safe mode needs the key from the console"));
        }
        let base = settings.api_base.as_deref().unwrap_or("https://api.weixin.qq.com").trim_end_matches('/').to_owned();
        Ok(Self { settings, keys, base })
    }

    fn account(&self) -> Option<&str> {
        self.settings.original_id.as_deref()
    }

    fn limit_group(&self) -> Option<&str> {
        Some(&self.settings.app_id)
    }

    /// `msg_signature` over the encrypted part where there is one, else `signature`, which covers the query alone.
    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let forbidden = http::StatusCode::FORBIDDEN;
        let query = |name| form::query(hook.query, name);
        let (Some(timestamp), Some(nonce)) = (query("timestamp"), query("nonce")) else {
            return Err(VerifyError::Missing { status: forbidden });
        };
        let sealed = hook.method != http::Method::GET && query("encrypt_type").as_deref() == Some("aes");
        let good = if sealed {
            let given = query("msg_signature").ok_or(VerifyError::Missing { status: forbidden })?;
            // The signature covers this element alone; what else stands in the body is not believed.
            let encrypted = std::str::from_utf8(hook.body).ok().and_then(seal::encrypted);
            encrypted.is_some_and(|text| seal::signed(&self.settings.token, &[&timestamp, &nonce, &text], &given))
        } else if hook.method != http::Method::GET && self.settings.encryption_mode == Encryption::Safe {
            false
        } else {
            let given = query("signature").ok_or(VerifyError::Missing { status: forbidden })?;
            seal::signed(&self.settings.token, &[&timestamp, &nonce], &given)
        };
        if good { Ok(hook.verified()) } else { Err(VerifyError::Mismatch { status: forbidden }) }
    }

    /// Whatever came, the answer is `success`: any other shows the person that the service is unavailable.
    fn parse<'a>(&self, hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a> {
        if hook.hook().method == http::Method::GET {
            return match form::query(hook.hook().query, "echostr") {
                Some(echo) => Parsed { ack: Ack::text(echo), ..Parsed::default() },
                None => Parsed::not_understood("a GET without `echostr`"),
            };
        }
        let mut out = Parsed { ack: Ack::text("success"), ..Parsed::default() };
        inbound::parse(self, hook, cx, &mut out);
        out
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    /// The stable token: asking again gives the same one, so several nodes do not revoke each other's.
    fn login(&self, _cx: &Context<'_>) -> Option<Call> {
        let s = &self.settings;
        let body = json!({ "grant_type": "client_credential", "appid": s.app_id, "secret": s.app_secret.reveal(), "force_refresh": false });
        Some(Call::json(format!("{}/cgi-bin/stable_token", self.base), &body))
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        let answer = object::Object::parse(std::str::from_utf8(&reply.body).ok()?)?;
        let seconds = answer.int("expires_in").and_then(|s| u64::try_from(s).ok()).unwrap_or(300);
        Some((Secret::new(answer.words("access_token")?), seconds.saturating_mul(1000)))
    }

    /// A picture's link needs no token; everything else is had by its id.
    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        if let Some(url) = &media.url {
            return Some(Call::get(address::stand_in(url, self.settings.api_base.as_deref(), &["qpic.cn", "qq.com"])).redirects(3));
        }
        let id: String = form_urlencoded::byte_serialize(media.id.as_bytes()).collect();
        (!id.is_empty())
            .then(|| self.authorised(Call::get(format!("{}/cgi-bin/media/get?access_token={{secret}}&media_id={id}", self.base)), cx))
    }

    /// Errors come as JSON with 200, and so do the links of videos.
    fn fetched(&self, call: &Call, reply: &Reply, _cx: &Context<'_>) -> Fetched {
        let kind = reply.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let says_json = kind.contains("json") || kind.starts_with("text/plain");
        match reply.status.as_u16() {
            200..=299 if says_json && call.url.contains("/cgi-bin/") => {
                let answer = std::str::from_utf8(&reply.body).ok().and_then(object::Object::parse).unwrap_or_default();
                match (answer.words("video_url"), answer.int("errcode")) {
                    (Some(url), _) => Fetched::Call(
                        Call::get(address::stand_in(&url, self.settings.api_base.as_deref(), &["qpic.cn", "qq.com"])).redirects(3),
                    ),
                    (None, Some(-1 | 40001 | 40014 | 42001 | 45009 | 45011)) => Fetched::Later,
                    (None, code) => Fetched::Gone(format!("the provider answered with its code {}", code.unwrap_or_default())),
                }
            }
            200..=299 => Fetched::Bytes,
            408 | 425 | 429 | 500..=599 => Fetched::Later,
            status => Fetched::Gone(format!("the provider answered {status}")),
        }
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        Some(self.authorised(Call::get(format!("{}/cgi-bin/getcallbackip?access_token={{secret}}", self.base)), cx))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "In the Official Accounts console, under Settings and Development > Basic Configuration: enter {} as the server address with \
             the token (and the EncodingAESKey, best in safe mode) of this channel, save while the gateway runs, and enable it. Add the \
             gateway's outgoing addresses to the IP whitelist.",
            cx.hook_url
        ))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        let Signalled::Typing { to, .. } = signal else { return None };
        let openid = address::id(to.split('#').next()?, "wechat")?;
        let url = self.url("message/custom/typing");
        Some(self.authorised(Call::json(url, &json!({ "touser": openid, "command": "Typing" })), cx))
    }
}

impl Channel {
    /// A method, with its token still to come.
    fn url(&self, method: &str) -> String {
        format!("{}/cgi-bin/{method}?access_token={{secret}}", self.base)
    }

    fn authorised(&self, call: Call, cx: &Context<'_>) -> Call {
        call.url_secret(cx.login.map(Secret::reveal).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Time;
    use crate::contract::twin::{Act, Request, Twin as _};
    use crate::kit::xml;

    fn cx(login: Option<&Secret>) -> Context<'_> {
        let (public_url, hook_url) = ("https://gw.example.org", "https://gw.example.org/hooks/w");
        Context { now: Time(0), public_url, hook_url, login, keys: None }
    }

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    fn request(call: &Call) -> Request {
        let url = call.full_url();
        let rest = url.trim_start_matches("http://twin.test");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let body = call.body_bytes().to_vec().into();
        Request { method: call.method.clone(), path: path.to_owned(), query: query.to_owned(), headers: call.header_map(), body }
    }

    const ENCRYPTED: &str = "frrrGBEIwqRjZMTu1BHRAj4gqKMZxQ5srKleNdcQAG82fJYWDy9tBg6Naflhc7INexxpChSUHfOWrb1eDSOgKrqAOs11wCjVXcTt0XrGKJBkqEqr0I2UI4dbTXInbSy/dHtYz0TYwbYuRz8yi7tScG/0DsYKvAeI8q+V0BluAUNl0egqcfBepr54/nbVqQwTuwXUn5onAabHK6CrskGvhcHMRit26OUzy3sfGlBONoh0etjbyrmGVJttr9h/74DTwnDxyY9FYasHr6fckNFEpA5E08tUdI6AmgEgZuCfQjxvbsA+tIYgSKkcG1tmNFDlOWIoehQM2p22HL+TY0TjfRp51pFu3mPpKznkNSWEJOahfobVZTpJrGqAFfqt3PCKePZ8zVIR1L4XOKIWMJOSbcqih42oQ7a5t1lj3x9Ju7Q=";

    #[test]
    fn the_published_vectors_hold() {
        let key = "FakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFak";
        let channel = bound(json!({ "token": "fakewechattoken", "app_id": "wxfake0000000001", "encoding_aes_key": key }));
        let headers = http::HeaderMap::new();
        let body = format!("<xml><ToUserName><![CDATA[gh_fake00000001]]></ToUserName><Encrypt><![CDATA[{ENCRYPTED}]]></Encrypt></xml>");
        let check = |method: http::Method, query: &str, body: &str| {
            channel.verify(Webhook { method: &method, url: "", query, headers: &headers, body: body.as_bytes() }, &cx(None)).is_ok()
        };
        let plain = "signature=41dbf241e344ea5b568a6a7593665d000680e9e4&timestamp=1795000000&nonce=1234567890";
        assert!(check(http::Method::GET, plain, "") && check(http::Method::POST, plain, "<xml></xml>"));
        assert!(!check(http::Method::GET, &plain.replace("nonce=1", "nonce=2"), ""));
        let sealed = "timestamp=1795000000&nonce=1234567890&encrypt_type=aes&msg_signature=292e176e87cdd67347f1171e5da0f51997dfb8c0";
        assert!(check(http::Method::POST, sealed, &body) && !check(http::Method::POST, sealed, &body.replace("frrr", "frrs")));
        // In safe mode nothing clear is believed.
        let safe = bound(json!({ "token": "fakewechattoken", "encoding_aes_key": key, "encryption_mode": "safe" }));
        let hook = Webhook { method: &http::Method::POST, url: "", query: plain, headers: &headers, body: b"<xml></xml>" };
        assert!(safe.verify(hook, &cx(None)).is_err());
        let hook = Webhook { method: &http::Method::POST, url: "", query: sealed, headers: &headers, body: body.as_bytes() };
        let parsed = channel.parse(&Verified::from_our_own_log(hook), &cx(None));
        let written = crate::conformance::written(&parsed.events[0]);
        assert_eq!(written["data"]["message"]["parts"][0]["text"], "你好");
        assert_eq!(written["key"], "23000000000000001");
        // Encrypted for somebody else.
        let other = bound(json!({ "token": "fakewechattoken", "app_id": "wxother", "encoding_aes_key": key }));
        let parsed = other.parse(&Verified::from_our_own_log(hook), &cx(None));
        assert!(parsed.events.is_empty() && parsed.unparsed.is_some());
    }

    #[test]
    fn it_logs_in_and_fetches() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test" }));
        let call = channel.login(&cx(None)).expect("it logs in");
        let (token, _) = channel.logged_in(&twin.answer(&request(&call), Time(0)).reply).expect("a token");
        let cx = cx(Some(&token));
        let draft = twin.act("wechat:oFAKEopenid0000000000000001", &Act::Image(String::new()), Time(1)).remove(0);
        let body = String::from_utf8(draft.body).expect("text");
        let root = xml::Node::parse(&body).expect("XML");
        let id = root.words("MediaId").expect("an id").to_string();
        for media in
            [MediaRef { id, ..MediaRef::default() }, MediaRef { url: root.words("PicUrl").map(|u| u.to_string()), ..MediaRef::default() }]
        {
            let call = channel.fetch(&media, &cx).expect("a call");
            assert!(!format!("{call:?}").contains(token.reveal()));
            let reply = twin.answer(&request(&call), Time(0)).reply;
            assert!(matches!(channel.fetched(&call, &reply, &cx), Fetched::Bytes), "{reply:?}");
        }
        let call = channel.fetch(&MediaRef { id: "m".into(), ..MediaRef::default() }, &cx).expect("a call");
        let reply = |body| Reply::json(200, &body);
        assert!(
            matches!(channel.fetched(&call, &reply(json!({ "video_url": "http://v.qq.com/x" })), &cx), Fetched::Call(next) if next.url == "http://twin.test/x")
        );
        assert!(matches!(channel.fetched(&call, &reply(json!({ "errcode": 40007 })), &cx), Fetched::Gone(_)));
        assert!(matches!(channel.fetched(&call, &reply(json!({ "errcode": 42001 })), &cx), Fetched::Later));
        let typing = channel.signal(Signalled::Typing { to: "wechat:oFAKEopenid0000000000000001", last: None }, &cx);
        for call in typing.into_iter().chain(channel.probe(&cx)) {
            let reply = twin.answer(&request(&call), Time(0)).reply;
            assert!(!String::from_utf8_lossy(&reply.body).contains("errcode\":4"), "{call:?}");
        }
        assert!(matches!(channel.setup(&cx), Setup::ByHand(words) if words.contains(cx.hook_url)));
    }
}
