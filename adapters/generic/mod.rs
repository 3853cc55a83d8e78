//! Any provider that speaks JSON over HTTP, described in the configuration alone: where its things stand in a delivery, how
//! it proves them, what its calls look like, and what its answers mean.
//!
//! A person's address has the scheme that the settings declare; limits and abilities are those they tell (`facts`).
//! `fairway check` refuses what cannot work and reads the deliveries under `samples`; `check --live` makes the `probe`.
//!
//! Checked against what others wrote: the examples of RFC 6901 (pointers), the vectors of RFC 2202 and RFC 4231 (HMAC), the
//! example of RFC 7617, and `standardwebhooks` (`tests/sdks/standard.mjs`), whose signature can be written down here.

mod checks;
mod errors;
mod facts;
mod inbound;
mod outbound;
mod pointer;
mod proof;
mod settings;
mod template;
#[cfg(test)]
mod tests;
mod twin;

use http::{HeaderName, Method};
use serde_json::Value;

pub use facts::FACTS;
pub use settings::Settings;
pub use twin::Twin;

use self::pointer::Pointer;
use self::template::Values;
use crate::NUMBERS;
use crate::contract::{
    Ack, Adapter, Call, Context, Facts, MediaRef, Outbound, Parsed, RenderError, Rendered, Reply, Revision, Secret, SentMessage,
    SettingsError, Setup, Step, Verified, VerifyError, Webhook,
};
use crate::kit::address;

/// How long a login is taken to be good when its answer does not say, in seconds.
const LOGIN_SECS: f64 = 3_600.0;

/// A channel of a provider that is described in its settings.
pub struct Channel {
    settings: Settings,
    facts: &'static Facts,
    proof: proof::Proof,
    base: String,
    method: Method,
    idempotency: Option<HeaderName>,
    ack: Ack<'static>,
    /// Where rules look, each place once.
    places: Vec<Pointer>,
}

impl Adapter for Channel {
    fn bind(settings: crate::contract::Settings) -> Result<Self, SettingsError> {
        let settings: Settings = settings.parse()?;
        checks::settings(&settings)?;
        let rules = settings.messages.iter().map(|rule| &rule.each).chain(settings.receipts.iter().map(|rule| &rule.each));
        let mut places = Vec::new();
        for each in rules.chain(settings.ignore.iter().map(|rule| &rule.each)) {
            if !places.contains(each) {
                places.push(each.clone());
            }
        }
        let channel = Self {
            facts: facts::declared(&settings)?,
            proof: proof::bind(&settings)?,
            base: settings.api_base.trim_end_matches('/').to_owned(),
            method: checks::method("send.method", settings.send.method.as_deref(), Method::POST)?,
            idempotency: checks::header("send.idempotency_header", settings.send.idempotency_header.as_deref())?,
            ack: inbound::ack(&settings)?,
            places,
            settings,
        };
        checks::trial(&channel)?;
        Ok(channel)
    }

    /// Deliveries are taken to be about the channel whose URL they come to.
    fn account(&self) -> Option<&str> {
        None
    }

    fn facts(&self) -> Option<&'static Facts> {
        Some(self.facts)
    }

    fn verify<'a>(&self, hook: Webhook<'a>, cx: &Context<'_>) -> Result<Verified<'a>, VerifyError> {
        self.proof.check(&hook, cx).map(|()| hook.verified())
    }

    fn parse<'a>(&self, hook: &Verified<'a>, _cx: &Context<'_>) -> Parsed<'a> {
        inbound::parse(self, hook.text().unwrap_or_default())
    }

    fn render(&self, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
        outbound::render(self, message, cx)
    }

    fn classify(&self, call: &Call, reply: &Reply) -> Step {
        let named = |name: &str| call.then.as_deref() == Some(name.as_bytes());
        let edit = self.settings.edit.as_ref().filter(|_| named(outbound::EDIT));
        match edit.or(self.settings.recall.as_ref().filter(|_| named(outbound::RECALL))) {
            Some(rule) => errors::revised(self, rule, reply),
            None => errors::classify(self, reply),
        }
    }

    fn revise(&self, sent: &SentMessage<'_>, revision: Revision<'_>, cx: &Context<'_>) -> Option<Result<Call, RenderError>> {
        outbound::revise(self, sent, revision, cx)
    }

    fn login(&self, cx: &Context<'_>) -> Option<Call> {
        let login = self.settings.login.as_ref()?;
        let values = self.secrets(cx);
        let mut call = outbound::call(self, &Method::POST, &login.path, &values);
        outbound::add_headers(&mut call, &login.headers, &values);
        if let Some(form) = &login.form {
            let fields: Vec<_> = form.iter().filter_map(|(name, field)| Some((name, field.text(&values, &|text| text.into())?))).collect();
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            return Some(call.header("content-type", "application/x-www-form-urlencoded").bytes(body));
        }
        let mut secrets = Vec::new();
        let body = login.body.as_ref().and_then(|tree| tree.fill(&values, "", &mut secrets)).unwrap_or_default();
        Some(outbound::with_body(call.header("content-type", "application/json"), &body, secrets, &values))
    }

    fn logged_in(&self, reply: &Reply) -> Option<(Secret, u64)> {
        let login = self.settings.login.as_ref().filter(|_| reply.status.is_success())?;
        let body = serde_json::from_slice(&reply.body).ok()?;
        let seconds = login.expires_in.as_ref().and_then(|pointer| pointer.answer(body)?.trim().parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0).unwrap_or(LOGIN_SECS);
        Some((Secret::new(login.token.answer(body)?), (seconds * 1000.0) as u64))
    }

    /// A link, or a path of the API. Credentials go to the API alone, wherever a link leads.
    fn fetch(&self, media: &MediaRef, cx: &Context<'_>) -> Option<Call> {
        let link = media.url.as_deref()?;
        let path = if link.starts_with('/') { Some(link) } else { link.strip_prefix(&self.base).filter(|rest| rest.starts_with('/')) };
        let Some(path) = path else { return Some(Call::get(link).redirects(3)) };
        let mut call = Call::get(format!("{}{path}", self.base)).redirects(3);
        outbound::add_headers(&mut call, &self.settings.fetch_headers, &self.secrets(cx));
        Some(call)
    }

    fn probe(&self, cx: &Context<'_>) -> Option<Call> {
        let probe = self.settings.probe.as_ref()?;
        let values = self.secrets(cx);
        let method = checks::method("probe.method", probe.method.as_deref(), Method::GET).ok()?;
        let mut call = outbound::call(self, &method, &probe.path, &values);
        outbound::add_headers(&mut call, probe.headers.as_ref().unwrap_or(&self.settings.send.headers), &values);
        Some(call)
    }

    fn setup(&self, cx: &Context<'_>) -> Setup {
        if !self.facts.delivers() {
            return Setup::ByHand(format!("The settings describe no deliveries of {}: there is nothing to register.", self.facts.name));
        }
        Setup::ByHand(format!("Enter {} as the webhook address in the console of {}.", cx.hook_url, self.facts.name))
    }
}

impl Channel {
    /// The address of a person as the provider writes it. Phone numbers without their `+` get it.
    fn person(&self, id: &str) -> String {
        let scheme = self.facts.schemes[0];
        let bare =
            NUMBERS.contains(&scheme) && (8..=15).contains(&id.len()) && !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit());
        if bare { address::address(scheme, &format!("+{id}")) } else { address::address(scheme, id) }
    }

    /// What fills holes and must not be shown.
    fn secrets(&self, cx: &Context<'_>) -> Values {
        let own = self.settings.credentials.iter().map(|(name, secret)| (format!("credentials.{name}"), Value::from(secret.reveal())));
        own.chain(cx.login.map(|token| ("login".to_owned(), token.reveal().into()))).collect()
    }
}
