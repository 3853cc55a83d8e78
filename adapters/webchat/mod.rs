//! Web chat: our own widget on a site's pages. The gateway is the provider here: the engine's `webchat` room plays the
//! network's side, keeps the history and pushes to the sockets; this adapter is bound to it as any other is to its network.
//!
//! ```text
//!   widget ──frame──▶ room ──signed body──▶ verify, parse ──▶ event
//!   widget ◀──frame── room ◀──POST deliver── render ◀──────── message
//! ```

mod facts;
pub mod identity;
mod inbound;
mod outbound;
pub mod pass;
mod twin;

use schemars::JsonSchema;
use serde::Deserialize;

pub use facts::FACTS;
pub use outbound::{frame_id, our_id};
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secrets, SentMessage,
    SettingsError, Setup, Signalled, Step, Verified, VerifyError, Webhook,
};
use crate::kit::entry;
use pass::Keys;

/// The widget: one script, served by the room.
pub const WIDGET: &str = include_str!("fairway-chat.js");

/// The parameter of a page's address that a referral stands in.
const REFERRAL: &str = "fairway_ref";

/// The largest upload where the settings say nothing.
const MAX_UPLOAD: u64 = 10 << 20;

/// The settings of a web chat channel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// What this channel signs with: sessions, files, deliveries. 16 characters or more that nobody can guess; several to
    /// rotate, the first one signs.
    pub secret: Secrets,
    /// Secrets of the site's backend for proofs of identity (JWT, HS256). Without one there are only unknown visitors.
    #[serde(default)]
    pub identity_secrets: Secrets,
    /// Pages that may embed the widget: `https://shop.example.org`. None: this gateway's own pages and those of loopback.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The largest file a visitor may send, in bytes; 10 MiB when absent.
    pub max_upload: Option<u64>,
    /// A page that has the widget: links that start a conversation lead to it.
    pub page_url: Option<String>,
    /// Where the gateway reaches itself, when it cannot be reached by its `public_url` from inside.
    pub api_base: Option<String>,
}

impl Settings {
    /// The largest file a visitor may send.
    pub fn max_upload(&self) -> u64 {
        self.max_upload.unwrap_or(MAX_UPLOAD)
    }
}

/// A web chat channel.
pub struct Channel {
    settings: Settings,
    keys: Keys,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        if settings.secret.is_empty() || settings.secret.iter().any(|s| s.len() < 16) {
            return Err(SettingsError::new("secret", "too short to be safe", "use 16 characters or more, such as `openssl rand -hex 32`"));
        }
        if settings.identity_secrets.iter().any(|s| s.len() < 16) {
            return Err(SettingsError::new("identity_secrets", "one is too short to be safe", "use 16 characters or more"));
        }
        if let Some(at) = settings.origins.iter().position(|o| !is_origin(o)) {
            let problem = format!("entry {} is not an origin", at + 1);
            return Err(SettingsError::new("origins", problem, "write scheme, host and port alone: https://shop.example.org"));
        }
        let is_page = |page: &String| url::Url::parse(page).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !settings.page_url.iter().all(is_page) {
            return Err(SettingsError::new("page_url", "not the address of a page", "write it whole: https://shop.example.org/help"));
        }
        let keys = Keys::new(&settings.secret);
        Ok(Self { settings, keys })
    }

    fn account(&self) -> Option<&str> {
        None // Each channel has a hook of its own.
    }

    fn verify<'a>(&self, hook: Webhook<'a>, _cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        let value = hook.header(pass::SIGNATURE).ok_or(VerifyError::MISSING)?;
        if self.keys.signed(hook.body, value) { Ok(hook.verified()) } else { Err(VerifyError::MISMATCH) }
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(hook)
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, _call: &Call, reply: &Reply) -> Step {
        outbound::classify(reply)
    }

    /// The page with the referral in its address, which the widget tells with what a visitor writes there.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let Some(page) = self.settings.page_url.as_deref() else {
            return Some(Err(EntryLink::lacks("set `page_url`, the address of a page that has the widget: the link leads to it")));
        };
        let (page, place) = page.split_once('#').map_or((page, None), |(page, place)| (page, Some(place)));
        let mut link = entry::by_parameter(page, REFERRAL, None, entry);
        if let Some(place) = place {
            link.url = format!("{}#{place}", link.url);
        }
        Some(Ok(link))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        Setup::ByHand(format!(
            "Put this line into your pages: <script src=\"{}/webchat/widget.js\" data-channel=\"{}\" defer></script>",
            cx.public_url,
            channel_of(cx)
        ))
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        Some(outbound::revise(self, sent, revision, cx))
    }

    fn signal(&self, signal: Signalled<'_>, cx: &Context<'_>) -> Option<Call> {
        outbound::signal(self, signal, cx)
    }
}

/// The channel's name, which stands at the end of its hook.
fn channel_of<'a>(cx: &Context<'a>) -> &'a str {
    cx.hook_url.rsplit_once("/hooks/").map_or(cx.hook_url, |(_, name)| name).rsplit('/').next().unwrap_or_default()
}

/// Whether a text is an origin as browsers write it.
fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::twin::Twin as _;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in ["https://shop.example.org", "http://localhost:3000", "https://xn--bcher-kva.example"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in ["https://shop.example.org/", "shop.example.org", "https://shop.example.org/chat", "null", "*", "ftp://a.example"] {
            assert!(!is_origin(bad), "{bad}");
        }
    }

    #[test]
    fn a_setting_nobody_should_use_is_refused_with_its_remedy() {
        for (key, value) in [("secret", json!("short")), ("identity_secrets", json!(["tiny"])), ("origins", json!(["*"]))] {
            let mut settings = Twin::new(1).settings();
            settings.insert(key.into(), value);
            let Err(error) = <Channel as Adapter>::bind(crate::contract::Settings(settings)) else { panic!("{key} passed") };
            assert_eq!(error.key, key);
        }
    }
}
