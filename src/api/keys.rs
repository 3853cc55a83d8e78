//! `/v1/keys`: API keys.

use axum::Json;
use axum::extract::State as Extract;
use fairway_adapters::contract::settings;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path};
use super::page::Page;
use super::problem::{self, Problem};
use crate::store::ApiKey;

/// Channels that a refusal names.
const SHOWN: usize = 20;

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
    let bound = api.channels.get();
    if let Some(at) = new.channels.iter().position(|name| !bound.by_id.contains_key(name)) {
        let detail = unknown(&new.channels[at], bound.by_id.keys().map(String::as_str).collect());
        return Err(Problem::new(&problem::INVALID, detail).at(format!("#/channels/{at}"), "channel_unknown"));
    }
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

/// What to say of a channel that is not configured.
fn unknown(name: &str, mut known: Vec<&str>) -> String {
    if known.is_empty() {
        return format!("there is no channel `{name}`; none is configured");
    }
    let nearest = Some(settings::nearest(name, &known)).filter(|n| n.starts_with("did you mean")).map_or_else(String::new, |n| n + " ");
    let more = known.len().saturating_sub(SHOWN);
    known.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there is no channel `{name}`; {nearest}there are {}{more}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn who_names_a_channel_that_is_not_there_is_told_which_are() {
        let said = |known: &[&str]| unknown("acme-mesages", known.to_vec());
        assert_eq!(
            said(&["acme-sms", "acme-messages"]),
            "there is no channel `acme-mesages`; did you mean `acme-messages`? there are acme-sms, acme-messages"
        );
        assert_eq!(said(&["desk"]), "there is no channel `acme-mesages`; there are desk");
        assert_eq!(said(&[]), "there is no channel `acme-mesages`; none is configured");
        assert!(said(&["x"; 25]).ends_with("x, x and 5 more"));
    }
}
