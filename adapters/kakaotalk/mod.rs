//! KakaoTalk: a channel's chatbot (skill server and Event API), and business messages (AlimTalk, Brand Message) through
//! NHN Cloud.
//!
//! People of the chatbot are `kakaotalk:BOT_USER_KEY` (also `kakaotalk:plusfriend/KEY`, `kakaotalk:app/ID`; who adds the channel and
//! has not told the app who they are is `kakaotalk:open/ID`), rooms are `kakaotalk:group/KEY`; business messages go to `tel:+82...`.
//! An answer goes by the callback of the person's last turn while that is good, and by the Event API else.
//!
//! Turns recorded in open-source skill servers, and those of Kakao's documentation, were read on 2026-11-29.

mod business;
mod components;
mod dispatch;
mod errors;
mod facts;
mod hooks;
mod outbound;
mod skill;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError,
    Setup, Step, Time, Verified, VerifyError, Webhook,
};
use crate::kit::borrow::{Maybe, Word};
use crate::kit::{address, crypto, entry};

/// The settings of a KakaoTalk channel. Each surface is there when its settings are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The chatbot's id. Turns are routed by it.
    pub bot_id: Option<String>,
    /// The channel's id as its home address has it (`_ZeUTxl`): links that start a conversation lead to it.
    pub channel_public_id: Option<String>,
    /// The header that the skill sends, entered in the admin center; `x-gateway-secret` when absent.
    pub skill_header_name: Option<String>,
    /// Its value. Old and new while it is replaced.
    #[serde(default)]
    pub skill_header_value: Secrets,
    /// What a person reads while the answer is on its way.
    pub waiting_text: Option<String>,
    /// Whether a turn without a callback is held for three and a half seconds, so that a message to the person can be its answer.
    #[serde(default)]
    pub answer_in_response: bool,
    /// What a person reads when the block has no callback and the answer comes later or not at all.
    pub fallback_text: Option<String>,
    /// The block that calls the skill again when an option is picked, so that its id comes back.
    pub reply_block_id: Option<String>,
    /// The REST key for messages that answer nothing (Event API, `KakaoAK`).
    pub rest_api_key: Option<Secret>,
    /// The event set on the block that such messages go through; that block calls the skill.
    pub event_name: Option<String>,
    /// NHN Cloud's appkey, for business messages.
    pub nhn_appkey: Option<String>,
    /// NHN Cloud's secret key.
    pub nhn_secret_key: Option<Secret>,
    /// The sender profile, 40 characters.
    pub sender_key: Option<String>,
    /// The string typed in NHN's console as the webhook's signature. Old and new while it is replaced.
    #[serde(default)]
    pub webhook_signature: Secrets,
    /// To whom Brand Messages go: `I` (our list), `M` or `N`; `I` when absent.
    pub brand_targeting: Option<String>,
    /// The 080 number for opting out of Brand Messages.
    pub unsubscribe_no: Option<String>,
    /// Where the APIs are, for a stand-in.
    pub api_base: Option<String>,
}

/// A chatbot and a sender profile.
pub struct Channel {
    settings: Settings,
    header: String,
    bot_base: String,
    business_base: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", bound = "'de: 'a")]
struct Named<'a> {
    bot: Maybe<Bot<'a>>,
    bot_id: Word<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, bound = "'de: 'a")]
struct Bot<'a> {
    id: Word<'a>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let (skill, business) = (settings.bot_id.is_some(), settings.nhn_appkey.is_some());
        if !skill && !business {
            return Err(SettingsError::new(
                "bot_id",
                "missing",
                "give `bot_id` for the chatbot, `nhn_appkey` for business messages, or both",
            ));
        }
        if skill && settings.skill_header_value.is_empty() {
            return Err(SettingsError::new(
                "skill_header_value",
                "missing",
                "enter a secret header in the skill's settings, and its value here",
            ));
        }
        if business && settings.webhook_signature.is_empty() {
            return Err(SettingsError::new("webhook_signature", "missing", "enter a signature for the webhook in NHN's console, and here"));
        }
        if business && (settings.nhn_secret_key.is_none() || settings.sender_key.is_none()) {
            return Err(SettingsError::new("nhn_secret_key", "missing", "business messages need `nhn_secret_key` and `sender_key`"));
        }
        if settings.rest_api_key.is_some() != settings.event_name.is_some() {
            return Err(SettingsError::new("event_name", "half of the Event API", "give `rest_api_key` and `event_name` together"));
        }
        let header = settings.skill_header_name.as_deref().unwrap_or("x-gateway-secret").to_ascii_lowercase();
        if http::HeaderName::try_from(&*header).is_err() {
            return Err(SettingsError::new("skill_header_name", "not a header's name", "letters, digits and hyphens"));
        }
        let base = |usual: &str| settings.api_base.as_deref().unwrap_or(usual).trim_end_matches('/').to_owned();
        let (bot_base, business_base) = (base("https://bot-api.kakao.com"), base("https://kakaotalk-bizmessage.api.nhncloudservice.com"));
        Ok(Self { settings, header, bot_base, business_base })
    }

    fn account(&self) -> Option<&str> {
        self.settings.bot_id.as_deref()
    }

    fn limit_group(&self) -> Option<&str> {
        self.settings.nhn_appkey.as_deref()
    }

    /// Nothing is signed: a static secret in a header, and the right bot.
    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let bytes = |name: &str| hook.headers.get(name).and_then(|v| std::str::from_utf8(v.as_bytes()).ok());
        if let Some(given) = bytes("x-toast-webhook-signature") {
            let good = crypto::is_one_of(&self.settings.webhook_signature, given);
            return if good { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) };
        }
        let given = bytes(&self.header).ok_or(VerifyError::MISSING)?;
        if !crypto::is_one_of(&self.settings.skill_header_value, given) {
            return Err(VerifyError::MISMATCH);
        }
        let named: Named<'_> = serde_json::from_slice::<Maybe<Named<'_>>>(hook.body).unwrap_or_default().0.unwrap_or_default();
        let id = named.bot.0.as_ref().and_then(|bot| bot.id.some()).or_else(|| named.bot_id.some());
        match (id.map(|id| id.trim_end_matches('!')), self.account()) {
            (Some(id), Some(ours)) if id != ours => Err(VerifyError::Mismatch { status: http::StatusCode::FORBIDDEN }),
            _ => Ok(hook.verified()),
        }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, cx: &Context<'_>) -> Parsed<'a> {
        let Some(text) = hook.text() else { return Parsed::not_understood("the body is not UTF-8") };
        let Some(body) = crate::kit::object::Object::parse(text) else { return Parsed::not_understood("the body is not a JSON object") };
        if body.has("userRequest") {
            skill::parse(self, text, &body, cx)
        } else if body.has("isInSlotFilling") {
            skill::checked(&body)
        } else if body.has("hooks") {
            hooks::results(self, &body)
        } else if body.has("group") {
            hooks::room(text, &body)
        } else if body.has("op") && body.has("d") {
            dispatch::parse(text, &body)
        } else if body.has("event") && body.has("id_type") {
            hooks::relation(hook.hook(), text, &body)
        } else {
            Parsed::not_understood("neither a turn nor a result")
        }
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(call, reply)
    }

    /// Plain links; those of secure pictures end soon.
    fn fetch(&self, media: &MediaRef, _cx: &Context<'_>) -> Option<Call> {
        let link = address::stand_in(media.url.as_deref()?, self.settings.api_base.as_deref(), &["kakao.com", "kakaocdn.net"]);
        Some(Call::get(link).redirects(3))
    }

    /// How many results the last ten minutes had.
    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        let minute = |time: Time| business::korean(time).replace(' ', "%20");
        let query = format!("startUpdateDate={}&endUpdateDate={}", minute(cx.now.plus(-600_000)), minute(cx.now));
        Some(self.business(Call::get(format!("{}/message-results/count?{query}", self.appkey_url("alimtalk/v2.3")?))))
    }

    /// Kakao's SDK for Flutter, `chatChannelUrl`, read 2026-11-29.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(id) = self.settings.channel_public_id.as_deref().filter(|id| !id.is_empty()) else {
            let remedy = "set `channel_public_id`, the id in the channel's home address (`_ZeUTxl`): the link leads to it";
            return Some(Err(EntryLink::lacks(remedy)));
        };
        Some(Ok(entry::bare(format!("https://pf.kakao.com/{}/chat", entry::escape(id)), entry)))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let mut words = Vec::new();
        if self.settings.bot_id.is_some() {
            words.push(format!(
                "In the chatbot admin center: create a skill with the URL {} and the header `{}` with this channel's secret, let the blocks \
                 use it (\"use skill data\"), ask for the callback option in the bot's settings and switch it on for each block.",
                cx.hook_url, self.header
            ));
        }
        if self.settings.nhn_appkey.is_some() {
            words.push(format!(
                "In NHN Cloud's console: add {} as a webhook for message results and templates, with this channel's signature.",
                cx.hook_url
            ));
        }
        Setup::ByHand(words.join(" "))
    }
}

impl Channel {
    /// The appkey's part of NHN's API.
    fn appkey_url(&self, api: &str) -> Option<String> {
        let key = self.settings.nhn_appkey.as_deref()?;
        Some(format!("{}/{api}/appkeys/{}", self.business_base, address::escape(key)))
    }

    /// With NHN's credentials.
    fn business(&self, call: Call) -> Call {
        call.secret_header("x-secret-key", self.settings.nhn_secret_key.as_ref().map(Secret::reveal).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::twin::{Act, Request, Twin as _};

    const CX: Context<'static> = Context {
        now: Time(1_795_000_000_000),
        public_url: "https://gw.example.org",
        hook_url: "https://gw.example.org/hooks/k",
        login: None,
        keys: None,
    };

    fn bound(more: serde_json::Value) -> Channel {
        let mut settings = super::Twin::new(3).settings();
        settings.extend(more.as_object().cloned().unwrap_or_default());
        <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings")
    }

    #[test]
    fn the_published_cases_hold() {
        let secrets = json!({ "bot_id": "fakebot01", "skill_header_value": "fake-skill-secret-01", "webhook_signature": "fake-nhn-webhook-signature" });
        let channel = bound(secrets);
        let status = |header: &'static str, value: &str, body: &str| {
            let mut headers = http::HeaderMap::new();
            if !header.is_empty() {
                headers.insert(header, value.parse().expect("ASCII"));
            }
            let hook = Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body: body.as_bytes() };
            channel.verify(hook, &CX).map_or_else(|e| e.status().as_u16(), |_| 200)
        };
        let ours = r#"{"bot":{"id":"fakebot01!"},"userRequest":{}}"#;
        assert_eq!(status("x-gateway-secret", "fake-skill-secret-01", ours), 200);
        assert_eq!(status("x-gateway-secret", "fake-skill-secret-0", ours), 401);
        assert_eq!(status("", "", ours), 401);
        assert_eq!(status("x-gateway-secret", "fake-skill-secret-01", r#"{"bot":{"id":"otherbot"}}"#), 403);
        assert_eq!(status("x-toast-webhook-signature", "fake-nhn-webhook-signature", "{}"), 200);
        assert_eq!(status("x-toast-webhook-signature", "FAKE-nhn-webhook-signature", "{}"), 401);
    }

    #[test]
    fn a_turn_is_answered_by_its_callback() {
        let mut twin = super::Twin::new(3);
        let channel = bound(json!({ "api_base": "http://twin.test" }));
        let draft = twin.act("kakaotalk:fakeUserKey0001", &Act::Text("hello".into()), CX.now).remove(0);
        let headers = http::HeaderMap::new();
        let hook = Webhook { method: &draft.method, url: "", query: "", headers: &headers, body: &draft.body };
        let parsed = channel.parse(&Verified::from_our_own_log(hook), &CX);
        let handle = parsed.handles.first().expect("a callback");
        assert!(!crate::conformance::written(&parsed.events[0]).to_string().contains("callback"), "it is not published");
        assert!(!format!("{handle:?}").contains("callback"));
        let parts = [crate::contract::Part::text("hi")];
        let native = serde_json::Map::new();
        let message = Outbound {
            id: "msg_1",
            to: "kakaotalk:fakeUserKey0001",
            thread: None,
            parts: &parts,
            template: None,
            category: crate::contract::Category::Service,
            reply_to: None,
            handle: Some(&handle.value),
            author: None,
            expires_at: None,
            native: &native,
        };
        let call = channel.render(&message, &CX).expect("it renders").calls.remove(0);
        let url = call.full_url();
        let path = url.trim_start_matches("http://twin.test").to_owned();
        let body = call.body_bytes().to_vec().into();
        let request = Request { method: call.method.clone(), path, query: String::new(), headers: call.header_map(), body };
        assert!(matches!(
            channel.classify(&call, &twin.answer(&request, CX.now).reply),
            Step::Done(crate::contract::Verdict::Accept { .. })
        ));
        // A second time it is over.
        let again = channel.classify(&call, &twin.answer(&request, CX.now).reply);
        assert!(matches!(again, Step::Done(crate::contract::Verdict::Reject(_))), "{again:?}");
    }

    #[test]
    fn it_says_how_it_is_set_up_and_asks_harmlessly() {
        let channel = bound(json!({}));
        assert!(matches!(channel.setup(&CX), Setup::ByHand(words) if words.contains(CX.hook_url) && words.contains("x-gateway-secret")));
        let probe = channel.probe(&CX).expect("a call");
        assert!(probe.url.contains("endUpdateDate=2026-11-18%2020:06"), "{}", probe.url);
        assert!(!format!("{probe:?}").contains("secret"));
    }
}
