//! `/v1/channels/{name}/links`: links and QR codes by which people start a conversation. Nothing is kept: the same request makes the
//! same link, and what it brings back stands in the event.

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use fairway_adapters::contract::entry::{self, Entry, EntryLink};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::problem::{self, Problem};
use super::qr::{self, Code};
use crate::channels::Channel;

/// The longest prepared text, in characters.
const TEXT: usize = 1000;
/// Pixels of a module where nobody says, and at most: a code of version 40 has 185 modules a side.
const SCALE: u32 = 8;
const MOST_SCALE: u32 = 32;

/// What the link is to bring along.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "referral": "spring-flyer", "text": "Hi, I would like to book a table" }))]
pub struct NewConversationLink {
    /// Where people come from: 1 to 64 of `A-Z a-z 0-9 _ -`. It comes back as `referral.payload`.
    referral: Option<String>,
    /// What people find written, and may change before they send it: at most 1,000 characters.
    text: Option<String>,
}

/// A link that starts a conversation.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "channel": "acme-chat",
    "url": "https://chat.example/acme?ref=spring-flyer",
    "referral": "spring-flyer",
    "text": null,
    "qr": {
        "svg": "https://gw.example/v1/channels/acme-chat/links/qr.svg?referral=spring-flyer",
        "png": "https://gw.example/v1/channels/acme-chat/links/qr.png?referral=spring-flyer"
    },
    "notes": ["This provider's link has no place for a prepared text: people write their own."]
}))]
pub struct ConversationLink {
    /// The channel it leads to.
    channel: String,
    /// The link.
    url: String,
    /// What stands in `referral.payload` of the event; null where the provider brings nothing back.
    referral: Option<String>,
    /// What people find written, with the referral where the provider has no other place for it; null where it is left out.
    text: Option<String>,
    /// Its QR codes, to be fetched with a key.
    qr: QrCodes,
    /// What whoever hands the link out should know.
    notes: Vec<&'static str>,
}

/// Where the QR codes of a link are.
#[derive(Serialize, utoipa::ToSchema)]
pub struct QrCodes {
    /// A drawing, for print.
    svg: String,
    /// A picture.
    png: String,
}

/// The link whose QR code it is.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct QrQuery {
    /// As in the link.
    referral: Option<String>,
    /// As in the link.
    text: Option<String>,
    /// Pixels of a module in a PNG, 1 to 32; 8 when absent.
    #[param(minimum = 1, maximum = 32)]
    scale: Option<u32>,
}

/// The link of a channel as it stands, where it has one and its settings have what it needs.
pub(super) fn plain(channel: &Channel) -> Option<String> {
    channel.adapter.entry(&Entry::default())?.ok().map(|link| link.url)
}

/// A link and its QR code; why there is none.
fn made(channel: &Channel, referral: Option<&str>, text: Option<&str>) -> Result<(EntryLink, Code), Problem> {
    let invalid = |pointer: &str, code: &str, detail: String| Problem::new(&problem::INVALID, detail).at(pointer, code);
    if referral.is_some_and(|referral| !entry::is_referral(referral)) {
        let detail = format!("a referral is 1 to {} of A-Z a-z 0-9 _ -", entry::REFERRAL);
        return Err(invalid("#/referral", "referral_invalid", detail));
    }
    if text.is_some_and(|text| text.chars().count() > TEXT) {
        return Err(invalid("#/text", "text_too_long", format!("a prepared text has at most {TEXT} characters")));
    }
    let link = match channel.adapter.entry(&Entry { referral, text: text.filter(|text| !text.trim().is_empty()) }) {
        Some(link) => link.map_err(|e| invalid(&e.pointer, e.code, e.problem))?,
        None => {
            let detail = format!("{} has no link that starts a conversation", channel.facts().name);
            return Err(Problem::new(&problem::NOT_SUPPORTED, detail));
        }
    };
    let code = Code::of(&link.url).ok_or_else(|| {
        let detail = format!("the link has {} bytes, and a QR code holds {} at most: shorten the text", link.url.len(), qr::MOST);
        invalid("#/text", "text_too_long", detail)
    })?;
    Ok((link, code))
}

/// Makes a link that starts a conversation.
#[utoipa::path(post, path = "/v1/channels/{name}/links", operation_id = "linkChannel", tag = "channels", params(("name" = String, Path)),
    request_body = NewConversationLink,
    responses((status = 200, body = ConversationLink), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "The referral or the text does not fit, or the channel's settings lack what its link is made of"),
        (status = 501, body = Problem, description = "This provider has no such link")))]
pub async fn make(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Body(new): Body<NewConversationLink>,
) -> Result<Json<ConversationLink>, Problem> {
    caller.may("messages:read")?;
    let channel = super::channels::named(&api, &caller, &name)?;
    let (link, _) = made(&channel, new.referral.as_deref(), new.text.as_deref())?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("referral", new.referral), ("text", new.text)] {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let query = match query.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    };
    let qr = |kind: &str| format!("{}/v1/channels/{}/links/qr.{kind}{query}", api.config.server.public_url, channel.id);
    let EntryLink { url, referral, text, notes } = link;
    Ok(Json(ConversationLink {
        channel: channel.id.to_string(),
        url,
        referral,
        text,
        qr: QrCodes { svg: qr("svg"), png: qr("png") },
        notes,
    }))
}

/// Draws the QR code of a link.
#[utoipa::path(get, path = "/v1/channels/{name}/links/qr.svg", operation_id = "drawChannelQr", tag = "channels",
    params(("name" = String, Path), QrQuery),
    responses((status = 200, body = String, content_type = "image/svg+xml", description = "The code, four light modules around it"),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn svg(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<QrQuery>,
) -> Result<Response, Problem> {
    let code = code(&api, &caller, &name, &of)?;
    Ok(picture("image/svg+xml", code.svg()))
}

/// Paints the QR code of a link.
#[utoipa::path(get, path = "/v1/channels/{name}/links/qr.png", operation_id = "paintChannelQr", tag = "channels",
    params(("name" = String, Path), QrQuery),
    responses((status = 200, body = Vec<u8>, content_type = "image/png", description = "The code, four light modules around it"),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn png(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(of): Query<QrQuery>,
) -> Result<Response, Problem> {
    let scale = of.scale.unwrap_or(SCALE);
    if !(1..=MOST_SCALE).contains(&scale) {
        let detail = format!("a module has 1 to {MOST_SCALE} pixels");
        return Err(Problem::new(&problem::INVALID, detail).at("#/scale", "scale_invalid"));
    }
    let code = code(&api, &caller, &name, &of)?;
    Ok(picture("image/png", code.png(scale)))
}

fn code(api: &Api, caller: &Caller, name: &str, of: &QrQuery) -> Result<Code, Problem> {
    caller.may("messages:read")?;
    let channel = super::channels::named(api, caller, name)?;
    Ok(made(&channel, of.referral.as_deref(), of.text.as_deref())?.1)
}

fn picture(kind: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
