//! E-mail: out over SMTP submission, Amazon SES, SendGrid, Mailgun or Postmark; in through our own SMTP listener and
//! through the webhooks of those services, each with its own proof.
//!
//! A mail is one message whatever its parts: they stand under each other, as text and as HTML. Threads follow
//! `References`: the first message of a thread names it.
//!
//! Checked against `@sendgrid/eventwebhook`, `@sendgrid/mail`, `mailgun.js` and `postmark` (`tests/sdks/mail.mjs`): the twin's
//! signature, and the clients on the twin.
//!
//! What comes in was checked on 2026-11-29 against mails and deliveries recorded elsewhere: 117 bounces of `flufl.bounce`, the
//! replies of `talon`, `email_reply_parser`, `mail-parser-reply` and Crisp's parser, the mails of `mail-parser`, bounces and
//! complaints of Sisimai, and the webhooks in `django-anymail`'s tests of Amazon SES, SendGrid, Mailgun and Postmark; on 2026-11-30 against those of
//! `griddler`, `mailgun-go` and Mailgun's page of payloads, and the mails in the tests of `Mail::DeliveryStatus::BounceParser`, MIME-tools,
//! mime4j, enmime, Redmine, Request Tracker, Sympa, Horde, KMime, notmuch and Python's `email`.

mod bounce;
mod compose;
mod dkim;
mod errors;
mod facts;
mod filename;
mod html;
mod inbound;
mod letter;
mod mailgun;
mod outbound;
mod postmark;
mod proof;
mod quote;
mod report;
mod sendgrid;
mod ses;
mod sigv4;
mod twin;
mod wrapped;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

pub use facts::FACTS;
pub use twin::Twin;

use crate::contract::{
    Adapter, Call, Context, Entry, EntryLink, Outbound, Parsed, RenderError, Rendered, Reply, Secret, Secrets, SettingsError, Setup, Step,
    Verified, VerifyError, Webhook,
};
use crate::kit::{crypto, entry};

/// The way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Submission to a mail server.
    Smtp,
    /// Amazon Simple Email Service.
    Ses,
    /// Twilio SendGrid.
    Sendgrid,
    /// Mailgun.
    Mailgun,
    /// Postmark.
    Postmark,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the first byte (port 465).
    #[default]
    Implicit,
    /// By `STARTTLS` (port 587).
    Starttls,
}

/// The settings of an e-mail channel. What comes in is taken from every service whose proof is configured.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Settings {
    /// The way out.
    pub transport: Transport,
    /// The sender: `Acme <hello@acme.example>` or a bare address.
    pub from: String,
    /// Proves what our own listener hands in, and the links people unsubscribe by.
    pub hook_secret: Secrets,
    /// Where answers go, when not to `from`.
    pub reply_to: Option<String>,
    /// The subject where a message names none.
    pub subject: Option<String>,
    /// The domain of our message ids, and Mailgun's sending domain; that of `from` when absent.
    pub domain: Option<String>,
    /// The name under which a relay of yours in front of our listener writes `Authentication-Results`; nobody else's are believed.
    pub trusted_authserv_id: Option<String>,
    /// An address that unsubscribes whoever writes to it, named beside the link.
    pub unsubscribe_mailto: Option<String>,
    /// SMTP: the server.
    pub host: Option<String>,
    /// SMTP: its port; 465 or 587 as `tls` says.
    pub port: Option<u16>,
    /// SMTP: how it is encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// SMTP: a certificate authority of your own that signed the server's certificate, in PEM (`file:ca.pem`).
    pub tls_ca: Option<String>,
    /// SMTP: the name we give ourselves; that of `domain` when absent.
    pub helo_name: Option<String>,
    /// SMTP: the user.
    pub username: Option<String>,
    /// SMTP: the password.
    pub password: Option<Secret>,
    /// SMTP: where bounces go; our message id is added behind a `+`. The address of `from` when absent.
    pub bounce_address: Option<String>,
    /// SMTP: the selector under which the DKIM key is published.
    pub dkim_selector: Option<String>,
    /// SMTP: the DKIM key in PEM (PKCS #8), RSA or Ed25519.
    pub dkim_private_key: Option<Secret>,
    /// SMTP: the signing domain; that of `from` when absent.
    pub dkim_domain: Option<String>,
    /// SES: such as `eu-west-1`. SendGrid and Mailgun: `eu` for their European service.
    pub region: Option<String>,
    /// SES: the access key's id.
    pub access_key_id: Option<String>,
    /// SES: the access key's secret.
    pub secret_access_key: Option<Secret>,
    /// SES: the token of temporary credentials.
    pub session_token: Option<Secret>,
    /// SES: the configuration set that publishes what became of a mail.
    pub configuration_set: Option<String>,
    /// SES: the SNS topics that may deliver.
    #[serde(default)]
    pub topic_arns: Vec<String>,
    /// SendGrid and Mailgun: the API key.
    pub api_key: Option<Secret>,
    /// SendGrid: the public key of the event webhook.
    pub event_public_key: Option<String>,
    /// SendGrid: the public key of the inbound parse webhook's security policy.
    pub parse_public_key: Option<String>,
    /// Mailgun: the HTTP webhook signing key.
    pub webhook_signing_key: Option<Secrets>,
    /// Postmark: the server's token.
    pub server_token: Option<Secret>,
    /// Postmark: the stream; `outbound` when absent.
    pub message_stream: Option<String>,
    /// Postmark, and SendGrid's inbound parse without a policy: the user in the webhook's URL.
    pub webhook_user: Option<String>,
    /// The password beside it.
    pub webhook_password: Option<Secrets>,
    /// Where the service's API is, for tests; SMTP messages are posted there too.
    pub api_base: Option<String>,
}

/// One sender.
pub struct Channel {
    settings: Settings,
    hook_keys: Vec<crypto::Key>,
    mailgun_keys: Vec<crypto::Key>,
    signer: Option<Arc<dkim::Signer>>,
    /// The sender's name and address.
    name: Option<String>,
    address: String,
    domain: String,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        let (name, address) = compose::mailbox(&settings.from);
        let Some((_, own)) = address.rsplit_once('@').filter(|_| compose::is_address(&address)) else {
            return Err(SettingsError::new("from", "not an address", "write `Name <user@domain>` or `user@domain`"));
        };
        if settings.hook_secret.is_empty() {
            return Err(SettingsError::new("hook_secret", "empty", "give it a long random text"));
        }
        check(&settings)?;
        let domain = settings.domain.clone().filter(|d| !d.is_empty()).unwrap_or_else(|| own.to_owned());
        let signer = signer(&settings, own)?;
        let hook_keys = crypto::sha256_keys(&settings.hook_secret);
        let mailgun_keys = settings.webhook_signing_key.as_ref().filter(|s| !s.is_empty()).map(crypto::sha256_keys).unwrap_or_default();
        Ok(Self { hook_keys, mailgun_keys, signer, name, address, domain, settings })
    }

    fn account(&self) -> Option<&str> {
        None
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        proof::verify(self, &hook, cx)?;
        Ok(hook.verified())
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        Parsed { once: proof::once(hook.hook()).map(Into::into), ..inbound::parse(self, hook) }
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        errors::classify(self.settings.transport, call, reply)
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        outbound::probe(self, cx)
    }

    /// RFC 6068. The mark stands in the subject: what is written below ends in the sender's signature.
    fn entry(&self, entry: &Entry<'_>) -> Option<Result<EntryLink, RenderError>> {
        let to = self.settings.reply_to.as_deref().map_or_else(|| self.address.clone(), |text| compose::mailbox(text).1);
        let (user, domain) = to.rsplit_once('@').unwrap_or((&to, ""));
        let base = format!("mailto:{}@{domain}", entry::escape(user));
        let subject = entry::marked(&Entry { text: self.settings.subject.as_deref(), referral: entry.referral });
        let note = "The referral is the mark in the subject: it comes back while that stays, with the first mail.";
        let body = entry.text.map(|text| text.replace("\r\n", "\n").replace('\n', "\r\n"));
        Some(Ok(EntryLink {
            url: entry::with(&base, &[("subject", subject.as_deref()), ("body", body.as_deref())]),
            referral: entry.referral.map(str::to_owned),
            text: entry.text.map(str::to_owned),
            notes: entry.referral.map(|_| note).into_iter().collect(),
        }))
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        let url = cx.hook_url;
        Setup::ByHand(match self.settings.transport {
            Transport::Smtp => format!(
                "Bounces and answers arrive as mail: let the MX of {} lead to our listener, and publish SPF, the DKIM key and DMARC for it.",
                self.domain
            ),
            Transport::Ses => format!(
                "Create an SNS topic (signature version 2, no raw delivery, with a dead-letter queue) and subscribe {url} by HTTPS; publish \
                 the configuration set's events to it, and a receipt rule's mail; name the topic in `topic_arns`."
            ),
            Transport::Sendgrid => format!(
                "Enter {url} as Event Webhook with its signature switched on, its key in `event_public_key`; and as Inbound Parse URL with a \
                 security policy, or with `webhook_user:webhook_password@` before the host."
            ),
            Transport::Mailgun => format!(
                "Enter {url} for every kind of webhook, and a route with store() or forward(\"{url}\"); the HTTP webhook signing key belongs in \
                 `webhook_signing_key`."
            ),
            Transport::Postmark => format!(
                "Enter {url} with `webhook_user:webhook_password@` before the host for the server's webhooks and its inbound stream, with the raw \
                 e-mail included."
            ),
        })
    }
}

/// What each way out needs.
fn check(settings: &Settings) -> Result<(), SettingsError> {
    let text = |value: &Option<String>| value.as_deref().is_some_and(|v| !v.is_empty());
    let secret = |value: &Option<Secret>| value.as_ref().is_some_and(|v| !v.reveal().is_empty());
    let needed: &[(&str, bool)] = match settings.transport {
        Transport::Smtp => &[("host", text(&settings.host))],
        Transport::Ses => &[
            ("region", text(&settings.region)),
            ("access_key_id", text(&settings.access_key_id)),
            ("secret_access_key", secret(&settings.secret_access_key)),
        ],
        Transport::Sendgrid | Transport::Mailgun => &[("api_key", secret(&settings.api_key))],
        Transport::Postmark => &[("server_token", secret(&settings.server_token))],
    };
    match needed.iter().find(|(_, given)| !given) {
        Some((key, _)) => Err(SettingsError::new(*key, "missing", format!("add `{key} = ...`, this transport needs it"))),
        None => Ok(()),
    }
}

fn signer(settings: &Settings, own: &str) -> Result<Option<Arc<dkim::Signer>>, SettingsError> {
    let (Some(selector), Some(key)) = (&settings.dkim_selector, &settings.dkim_private_key) else {
        return match (&settings.dkim_selector, &settings.dkim_private_key) {
            (None, None) => Ok(None),
            _ => Err(SettingsError::new(
                "dkim_private_key",
                "a DKIM key needs its selector",
                "set `dkim_selector` and `dkim_private_key`, or neither",
            )),
        };
    };
    let domain = settings.dkim_domain.as_deref().unwrap_or(own);
    match dkim::Signer::new(domain, selector, key.reveal()) {
        Some(signer) => Ok(Some(Arc::new(signer))),
        None => Err(SettingsError::new("dkim_private_key", "not a key", "give an RSA or Ed25519 key in PEM (PKCS #8)")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::twin::Twin as _;

    #[test]
    fn what_is_missing_is_named() {
        let wrong = |more: serde_json::Value| {
            let mut settings = super::Twin::new(1).settings();
            settings.extend(more.as_object().cloned().unwrap_or_default());
            <Channel as Adapter>::bind(crate::contract::Settings(settings)).err().map(|e| e.key)
        };
        assert_eq!(wrong(json!({})), None);
        assert_eq!(wrong(json!({ "from": "Acme" })).as_deref(), Some("from"));
        assert_eq!(wrong(json!({ "transport": "smtp", "host": "" })).as_deref(), Some("host"));
        assert_eq!(wrong(json!({ "transport": "postmark", "server_token": "" })).as_deref(), Some("server_token"));
        assert_eq!(wrong(json!({ "dkim_selector": "s" })).as_deref(), Some("dkim_private_key"));
        assert_eq!(wrong(json!({ "dkim_selector": "s", "dkim_private_key": "x" })).as_deref(), Some("dkim_private_key"));
    }
}
