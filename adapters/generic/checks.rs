//! What cannot work is said when the configuration is read, with the key and what to write instead.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use serde_json::value::RawValue;

use super::settings::{Revising, Settings};
use super::template::{Template, Tree};
use super::{Channel, inbound, outbound};
use crate::contract::{Category, Context, Outbound, Part, SettingsError, Time};

/// What a message fills.
const MESSAGE: &[&str] = &[
    "to",
    "text",
    "id",
    "call",
    "kind",
    "reply_to",
    "thread",
    "author",
    "category",
    "media.url",
    "media.type",
    "media.filename",
    "options",
];
/// What a message fills that is safe in headers and paths.
const PLAIN: &[&str] = &["to", "id", "call", "reply_to", "thread", "category"];

/// Everything that can be told from the settings alone.
pub(super) fn settings(settings: &Settings) -> Result<(), SettingsError> {
    names(settings)?;
    let secrets: Vec<String> = settings.credentials.keys().map(|name| format!("credentials.{name}")).collect();
    let own: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let all: Vec<&str> = own.iter().copied().chain(settings.login.as_ref().map(|_| "login")).collect();
    let with = |more: &[&'static str]| -> Vec<&str> { more.iter().copied().chain(all.iter().copied()).collect() };
    send(settings, &with(MESSAGE), &with(PLAIN))?;
    if let Some(probe) = &settings.probe {
        path("probe.path", &probe.path, &all)?;
        method("probe.method", probe.method.as_deref(), Method::GET)?;
        // Those of `send` may hold what only a message has; these are left out of the probe.
        if let Some(own) = &probe.headers {
            headers("probe.headers", own, &all)?;
        }
    }
    headers("fetch_headers", &settings.fetch_headers, &all)?;
    if let Some(number) = settings.receipts.iter().position(|rule| rule.states.is_empty()) {
        let remedy = "write what the provider's words mean, such as `{ arrived = \"delivered\", lost = \"failed\" }`";
        return Err(SettingsError::new(format!("receipts[{number}].states"), "empty", remedy));
    }
    revising("edit", settings.edit.as_ref(), Method::PATCH, &all)?;
    revising("recall", settings.recall.as_ref(), Method::DELETE, &all)?;
    login(settings, &own)
}

/// A call about a message that the provider has.
fn revising(key: &str, rule: Option<&Revising>, usual: Method, known: &[&str]) -> Result<(), SettingsError> {
    let Some(rule) = rule else { return Ok(()) };
    let at = |name: &str| format!("{key}.{name}");
    let with = |more: &[&'static str]| -> Vec<&str> { ["provider_id"].iter().chain(more).copied().chain(known.iter().copied()).collect() };
    let takes = |name: &str| rule.body.as_ref().is_some_and(|body| body.takes(name));
    path(&at("path"), &rule.path, &with(PLAIN))?;
    method(&at("method"), rule.method.as_deref(), usual)?;
    if let Some(own) = &rule.headers {
        headers(&at("headers"), own, &with(PLAIN))?;
    }
    if let Some(body) = &rule.body {
        tree(&at("body"), body, &with(MESSAGE))?;
    }
    statuses(&at("done"), rule.done.keys())?;
    if !takes("provider_id") && !rule.path.holes().any(|hole| hole == "provider_id") {
        return Err(SettingsError::new(at("path"), "does not say which message", "put `{{provider_id}}` where the provider wants its id"));
    }
    match key {
        "edit" if !takes("text") => {
            Err(SettingsError::new("edit.body", "has no place for the words", "put `{{text}}` where the provider wants them"))
        }
        _ => Ok(()),
    }
}

fn names(settings: &Settings) -> Result<(), SettingsError> {
    let scheme = &settings.scheme;
    let good = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    if !good {
        return Err(SettingsError::new("scheme", "no scheme of a URI", "write lower-case letters and digits, such as `pigeon`"));
    }
    let base = url::Url::parse(&settings.api_base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if base.is_none_or(|url| url.query().is_some() || url.fragment().is_some()) {
        return Err(SettingsError::new("api_base", "no address of an API", "write `https://HOST` or `https://HOST/PATH`"));
    }
    match settings.credentials.iter().find(|(_, secret)| secret.reveal().is_empty()) {
        Some((name, _)) => Err(SettingsError::new(format!("credentials.{name}"), "empty", "is the environment variable it names set?")),
        None => Ok(()),
    }
}

fn send(settings: &Settings, message: &[&str], plain: &[&str]) -> Result<(), SettingsError> {
    let send = &settings.send;
    path("send.path", &send.path, plain)?;
    headers("send.headers", &send.headers, plain)?;
    tree("send.body", &send.body, message)?;
    if !send.body.takes("text") {
        return Err(SettingsError::new("send.body", "has no place for the words", "put `{{text}}` where the provider wants them"));
    }
    if !send.body.takes("to") && !send.path.holes().any(|hole| hole == "to") {
        return Err(SettingsError::new("send.body", "does not say to whom", "put `{{to}}` where the provider wants the recipient"));
    }
    if let Some(media) = &send.media {
        tree("send.media", media, message)?;
        if !media.takes("media.url") {
            return Err(SettingsError::new(
                "send.media",
                "has no place for the file",
                "put `{{media.url}}` where the provider wants its link",
            ));
        }
    }
    if let Some(choices) = &send.choices {
        tree("send.choices.body", &choices.body, message)?;
        tree("send.choices.option", &choices.option, &["option.id", "option.title"])?;
        if !choices.body.takes("options") || !choices.body.takes("text") || choices.max == 0 {
            let remedy = "put `{{text}}` and `{{options}}` into `body`, and write how many the provider takes as `max`";
            return Err(SettingsError::new("send.choices", "has no place for the question or its options", remedy));
        }
    }
    if send.text_limit.max == 0 {
        return Err(SettingsError::new("send.text_limit.max", "nothing fits", "write how long a text may be, or leave it out"));
    }
    statuses("send.errors.statuses", send.errors.statuses.keys())
}

fn statuses<'k>(key: &str, mut named: impl Iterator<Item = &'k String>) -> Result<(), SettingsError> {
    match named.find(|status| !matches!(status.parse(), Ok(100..=599_u16))) {
        Some(status) => Err(SettingsError::new(format!("{key}.{status}"), "no status", "write a number such as `429`")),
        None => Ok(()),
    }
}

fn login(settings: &Settings, known: &[&str]) -> Result<(), SettingsError> {
    let Some(login) = &settings.login else { return Ok(()) };
    path("login.path", &login.path, known)?;
    headers("login.headers", &login.headers, known)?;
    match (&login.form, &login.body) {
        (Some(form), None) => form.iter().try_for_each(|(name, field)| field.check(&format!("login.form.{name}"), known)),
        (None, Some(body)) => tree("login.body", body, known),
        _ => Err(SettingsError::new("login", "one of `form` and `body` is wanted", "write the fields the provider wants as one of them")),
    }
}

fn tree(key: &str, tree: &Tree, known: &[&str]) -> Result<(), SettingsError> {
    tree.leaves(key).iter().try_for_each(|(key, template)| template.check(key, known))
}

fn path(key: &str, template: &Template, known: &[&str]) -> Result<(), SettingsError> {
    template.check(key, known)?;
    if !template.begins_with('/') {
        return Err(SettingsError::new(key, "no path", "begin with `/`; what stands before it is `api_base`"));
    }
    if template.holes().filter(|hole| Template::secret(hole)).count() > 1 {
        return Err(SettingsError::new(key, "two credentials", "a path takes one; put the other into a header or the body"));
    }
    Ok(())
}

fn headers(key: &str, headers: &BTreeMap<String, Template>, known: &[&str]) -> Result<(), SettingsError> {
    headers.iter().try_for_each(|(name, template)| {
        let key = format!("{key}.{name}");
        header(&key, Some(name))?;
        template.check(&key, known)
    })
}

/// A header's name.
pub(super) fn header(key: &str, name: Option<&str>) -> Result<Option<HeaderName>, SettingsError> {
    let wrong = || SettingsError::new(key, "not a header's name", "write it as the provider's documentation does");
    name.map(|name| HeaderName::try_from(name.to_ascii_lowercase()).map_err(|_| wrong())).transpose()
}

/// A method of HTTP.
pub(super) fn method(key: &str, name: Option<&str>, usual: Method) -> Result<Method, SettingsError> {
    match name {
        None => Ok(usual),
        Some("GET") => Ok(Method::GET),
        Some("POST") => Ok(Method::POST),
        Some("PUT") => Ok(Method::PUT),
        Some("PATCH") => Ok(Method::PATCH),
        Some("DELETE") => Ok(Method::DELETE),
        Some(_) => Err(SettingsError::new(key, "not a method we use", "write `GET`, `POST`, `PUT`, `PATCH` or `DELETE`")),
    }
}

/// What only a try shows: a text is rendered, and the deliveries under `samples` are read.
pub(super) fn trial(channel: &Channel) -> Result<(), SettingsError> {
    let (parts, native) = ([Part::text("Hello")], serde_json::Map::new());
    let to = format!("{}:+15550100200", channel.facts.schemes[0]);
    let message = Outbound {
        id: "msg_trial",
        to: &to,
        thread: None,
        parts: &parts,
        template: None,
        category: Category::default(),
        reply_to: None,
        handle: None,
        author: None,
        expires_at: None,
        native: &native,
    };
    let cx = Context { now: Time(0), public_url: "", hook_url: "", login: None, keys: None };
    let rendered =
        outbound::render(channel, &message, &cx).map_err(|e| SettingsError::new("send", e.problem, "look at `body` and `path`"))?;
    if rendered.calls.iter().any(|call| url::Url::parse(&call.full_url()).is_err()) {
        return Err(SettingsError::new(
            "send.path",
            "makes no URL with `api_base`",
            "write the path behind `api_base`, beginning with `/`",
        ));
    }
    for (number, sample) in channel.settings.samples.iter().enumerate() {
        let key = format!("samples[{number}]");
        if serde_json::from_str::<&RawValue>(sample).is_err() {
            return Err(SettingsError::new(key, "not JSON", "copy a delivery as the provider makes it, between `'''`"));
        }
        if let Some(reason) = inbound::parse(channel, sample).unparsed {
            let remedy = "mend the rule, or add one to `messages`, `receipts` or `ignore`";
            return Err(SettingsError::new(key, format!("not understood: {reason}"), remedy));
        }
    }
    Ok(())
}
