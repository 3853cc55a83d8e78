//! `/v1/keys`: API keys.

use axum::Json;
use axum::extract::State as Extract;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::page::Page;
use super::problem::{self, Problem};
use crate::store::ApiKey;

/// A key to make.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for.
    name: String,
    /// What it may do; sending and reading messages when empty.
    #[serde(default)]
    scopes: Vec<String>,
    /// Which channels it may use; all when empty.
    #[serde(default)]
    channels: Vec<String>,
}

/// A key with its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MadeKey {
    /// The key.
    #[serde(flatten)]
    key: ApiKey,
    /// Shown this once; only its hash is kept.
    secret: String,
}

/// Lists keys.
#[utoipa::path(get, path = "/v1/keys", operation_id = "listKeys", tag = "keys", responses((status = 200, body = Page<ApiKey>)))]
pub async fn list(Extract(api): Extract<Api>, caller: Caller) -> Result<Json<Page<ApiKey>>, Problem> {
    caller.may("admin")?;
    Ok(Json(Page::whole(api.keys.list())))
}

/// Makes a key.
#[utoipa::path(post, path = "/v1/keys", operation_id = "createKey", tag = "keys", request_body = NewKey,
    responses((status = 201, body = MadeKey), (status = 422, body = Problem)))]
pub async fn create(Extract(api): Extract<Api>, caller: Caller, Body(new): Body<NewKey>) -> Result<(StatusCode, Json<MadeKey>), Problem> {
    caller.may("admin")?;
    let (key, secret) = api.keys.create(new.name, new.scopes, new.channels).await?;
    Ok((StatusCode::CREATED, Json(MadeKey { key, secret })))
}

/// Revokes a key.
#[utoipa::path(delete, path = "/v1/keys/{id}", operation_id = "revokeKey", tag = "keys", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    caller.may("admin")?;
    match api.keys.revoke(&id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(&problem::NOT_FOUND, "there is no key with this id")),
    }
}
