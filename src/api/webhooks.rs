//! `/v1/webhooks`: events delivered to a URL.

use axum::Json;
use axum::extract::State as Extract;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::page::Page;
use super::problem::{self, Problem};
use crate::delivery::webhooks::{Answer, Error};
use crate::store::Endpoint;

/// An endpoint to make.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to: https.
    url: String,
    /// Only these types; `fairway.message.*` takes all that begin so. All when empty.
    #[serde(default)]
    types: Vec<String>,
    /// Only these channels; all when empty.
    #[serde(default)]
    channels: Vec<String>,
}

/// From where to deliver again.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayFrom {
    /// A cursor of `/v1/events`, or `beginning`.
    after: String,
}

/// What a test delivery came to.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Tested {
    /// Whether the receiver took it.
    delivered: bool,
    /// What went wrong.
    detail: Option<String>,
}

impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        match e {
            Error::Url(why) => Self::new(&problem::INVALID, why).at("#/url", "url_invalid"),
            Error::Unknown => Self::new(&problem::NOT_FOUND, "there is no webhook with this id"),
            Error::Store(e) => e.into(),
            Error::Random => Self::new(&problem::INTERNAL, "no random bytes can be had"),
        }
    }
}

/// Lists endpoints, without their secrets.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "listWebhooks", tag = "webhooks", responses((status = 200, body = Page<Endpoint>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<Endpoint>>, Problem> {
    caller.may("admin")?;
    Ok(Json(Page::whole(api.webhooks.list().await?)))
}

/// Makes an endpoint. Its secret is shown this once.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "createWebhook", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = Endpoint), (status = 422, body = Problem)))]
pub async fn create(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(new): Body<NewWebhook>,
) -> Result<(StatusCode, Json<Endpoint>), Problem> {
    caller.may("admin")?;
    let known = api.channels.get();
    if let Some(at) = new.channels.iter().position(|c| !known.by_id.contains_key(c)) {
        let problem = Problem::new(&problem::INVALID, "there is no such channel");
        return Err(problem.at(format!("#/channels/{at}"), "channel_unknown"));
    }
    Ok((StatusCode::CREATED, Json(api.webhooks.create(new.url, new.types, new.channels).await?)))
}

/// Removes an endpoint.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    caller.may("admin")?;
    api.webhooks.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a made-up event and says what came of it.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", operation_id = "testWebhook", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = Tested), (status = 404, body = Problem)))]
pub async fn test(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Tested>, Problem> {
    caller.may("admin")?;
    let detail = match api.webhooks.test(&id).await? {
        Answer::Delivered => None,
        Answer::Gone => Some("it answered 410; an event would switch the endpoint off".to_owned()),
        Answer::Failed { why, .. } => Some(why),
    };
    Ok(Json(Tested { delivered: detail.is_none(), detail }))
}

/// Delivers again from a place on; switches on what was switched off.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", operation_id = "replayWebhook", tag = "webhooks", params(("id" = String, Path)),
    request_body = ReplayFrom,
    responses((status = 202, body = Endpoint), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn replay(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Body(from): Body<ReplayFrom>,
) -> Result<(StatusCode, Json<Endpoint>), Problem> {
    caller.may("admin")?;
    let place = match from.after.as_str() {
        "beginning" => api.feed.beginning().await?,
        text => api.feed.cursor(text)?,
    };
    Ok((StatusCode::ACCEPTED, Json(api.webhooks.replay(&id, &place).await?)))
}
