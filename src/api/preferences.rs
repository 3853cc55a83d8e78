//! `/p/{token}`: a person's own page, and the one click of RFC 8058. A GET changes nothing: scanners follow links too.

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{Html, IntoResponse, Response};
use fairway_adapters::contract::event::ConsentState;
use fairway_adapters::contract::{Category, Time};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Raw};
use super::problem::{self, Problem};
use crate::consent::{Ask, Word, page};
use crate::people::address;
use crate::{clock, envelope, ids};

/// Whose page.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// The person's address.
    address: String,
    /// The channel whose messages it is about.
    channel: String,
}

/// A link to a person's own page.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Link {
    /// For messages to that person, and for `List-Unsubscribe`.
    url: String,
}

/// Makes the link to a person's preference page.
#[utoipa::path(post, path = "/v1/consents/link", operation_id = "linkPreferences", tag = "consent", request_body = NewLink,
    responses((status = 200, body = Link), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn link(Extract(api): Extract<Api>, caller: Caller, Body(new): Body<NewLink>) -> Result<Json<Link>, Problem> {
    caller.may("messages:write")?;
    let channel = super::channels::named(&api, &caller, &new.channel)?;
    if !channel.reaches(&address::normal(&new.address)) {
        return Err(Problem::new(&problem::INVALID, "this channel does not reach the address").at("#/address", "channel_mismatch"));
    }
    Ok(Json(Link { url: page::link(&api.seal, &api.config.server.public_url, &channel.id, &new.address) }))
}

/// The page.
pub async fn show(Extract(api): Extract<Api>, Path(token): Path<String>) -> Response {
    match page::open(&api.seal, &token) {
        Some((channel, address)) => shown(&api, &channel, &address, ""),
        None => broken(),
    }
}

fn broken() -> Response {
    html(
        StatusCode::NOT_FOUND,
        &body("<h1>This link does not work</h1><p>It may have been cut. Please open it from the message once more.</p>"),
    )
}

/// What the person chose; or the one click of a mail program, which sends `List-Unsubscribe=One-Click`.
pub async fn choose(Extract(api): Extract<Api>, Path(token): Path<String>, Raw(form): Raw) -> Response {
    let Some((channel, address)) = page::open(&api.seal, &token) else { return broken() };
    // Multipart bodies of mail programs carry the same words.
    let one_click = form.windows(9).any(|w| w == b"One-Click");
    let choice = form_urlencoded::parse(&form).find(|(k, _)| k == "choice").map(|(_, v)| v.into_owned());
    let (scope, state, done) = match (one_click, choice.as_deref()) {
        (true, _) => ("marketing", ConsentState::OptedOut, ""),
        (_, Some("no_marketing")) => ("marketing", ConsentState::OptedOut, "You get no more advertising from us here."),
        (_, Some("nothing")) => ("all", ConsentState::OptedOut, "You get no more messages from us here."),
        (_, Some("everything")) => ("all", ConsentState::OptedIn, "You get our messages again."),
        _ => return html(StatusCode::UNPROCESSABLE_ENTITY, &body("<h1>Please choose</h1><p>Nothing was changed.</p>")),
    };
    let how = if one_click { "one_click" } else { "page" };
    let word = word(&channel, &address, scope, state, how, clock::now());
    if api.consent.record(std::slice::from_ref(&word)).await.is_err() {
        return html(
            StatusCode::SERVICE_UNAVAILABLE,
            &body("<h1>Not now</h1><p>Your choice could not be kept. Please try again in a minute.</p>"),
        );
    }
    if one_click { StatusCode::OK.into_response() } else { shown(&api, &channel, &address, done) }
}

fn word(channel: &str, address: &str, scope: &str, state: ConsentState, how: &str, at: Time) -> Word {
    let named = ids::fingerprint(&[b"consent-page", channel.as_bytes(), address.as_bytes(), scope.as_bytes(), &at.0.to_le_bytes()]);
    Word {
        event: envelope::id_text(named),
        address: address.to_owned(),
        channel: channel.to_owned(),
        scope: scope.to_owned(),
        state,
        at,
        how: how.to_owned(),
        evidence: serde_json::json!({ "page": "/p" }),
    }
}

fn shown(api: &Api, channel: &str, address: &str, done: &str) -> Response {
    let may = |category| api.consent.may(&Ask { address, channel, category, program: None }).is_yes();
    let (any, marketing) = (may(Category::Transactional), may(Category::Marketing));
    let now = match (any, marketing) {
        (false, _) => "You get no messages from us here.",
        (true, false) => "You get messages about what you do with us, and no advertising.",
        (true, true) => "You get our messages and our advertising.",
    };
    let done = if done.is_empty() { String::new() } else { format!("<p role=\"status\" class=\"done\">{done}</p>") };
    let option = |value: &str, text: &str, on: bool| {
        format!(
            "<label><input type=\"radio\" name=\"choice\" value=\"{value}\" required{}> {text}</label>",
            if on { " checked" } else { "" }
        )
    };
    let text = format!(
        "<h1>Your messages</h1>{done}<p>For <strong>{}</strong>. {now}</p><form method=\"post\"><fieldset><legend>What may we send you here?</legend>{}{}{}</fieldset><button>Save</button></form>",
        escaped(&masked(address)),
        option("everything", "Messages and advertising", any && marketing),
        option("no_marketing", "No advertising", any && !marketing),
        option("nothing", "Nothing at all", !any),
    );
    html(StatusCode::OK, &body(&text))
}

/// Enough of an address for its owner to know it, and no more: links are forwarded.
fn masked(address: &str) -> String {
    let rest: Vec<char> = address::rest(address).chars().collect();
    let shown = (rest.len() / 4).clamp(1, 4);
    let hidden = rest.len().saturating_sub(shown * 2);
    let (head, tail): (String, String) = (rest.iter().take(shown).collect(), rest.iter().skip(shown + hidden).collect());
    format!("{head}{}{tail}", "•".repeat(hidden))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn body(main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Your messages</title><style>{STYLE}</style><main>{main}</main></html>"
    )
}

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0;background:#fff;color:#1a1a1a}main{max-width:32rem;margin:2rem auto;padding:0 1rem}\
fieldset{border:1px solid #767676;border-radius:.5rem}label{display:block;padding:.5rem 0}input{width:1.2rem;height:1.2rem;vertical-align:-.2rem}\
button{font:inherit;margin-top:1rem;padding:.6rem 1.4rem;border:0;border-radius:.5rem;background:#0b57d0;color:#fff}\
:focus-visible{outline:3px solid #0b57d0;outline-offset:2px}.done{padding:.6rem;background:#e6f4ea}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#eee}.done{background:#1e3a26}button{background:#8ab4f8;color:#111}}";

fn html(status: StatusCode, text: &str) -> Response {
    let mut response = (status, Html(text.to_owned())).into_response();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_recognised_and_not_told() {
        assert_eq!(masked("tel:+15550100200"), "+15••••••200");
        assert_eq!(masked("mailto:ana@example.org"), "ana•••••••••org");
        assert_eq!(masked("x:1"), "1");
        assert_eq!(escaped("<a&\">"), "&lt;a&amp;&quot;&gt;");
    }
}
