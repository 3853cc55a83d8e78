//! `/v1/jobs/{id}`: long work, its progress, and the rows it refused.

use axum::Json;
use axum::extract::{OriginalUri, State as Extract};
use axum::response::Response;
use serde::Deserialize;

use super::Api;
use super::auth::Caller;
use super::extract::{Path, Query};
use super::page::{Page, page};
use super::problem::{self, Problem};
use crate::people::import::BadRow;
use crate::people::jobs::Job;

fn unknown() -> Problem {
    Problem::new(&problem::NOT_FOUND, "there is no job with this id")
}

/// How far a job is.
#[utoipa::path(get, path = "/v1/jobs/{id}", operation_id = "showJob", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = Problem)))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    caller.may("contacts:read")?;
    api.jobs.get(&id).await?.map(Json).ok_or_else(unknown)
}

/// Query of the bad rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

/// The rows an import refused, by line.
#[utoipa::path(get, path = "/v1/jobs/{id}/bad-rows", operation_id = "listBadRows", tag = "contacts",
    params(("id" = String, Path), ("after" = Option<u64>, Query, description = "Behind this line"), ("limit" = Option<u64>, Query)),
    responses((status = 200, body = Page<BadRow>), (status = 404, body = Problem)))]
pub async fn bad_rows(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<RowsQuery>,
) -> Result<Response, Problem> {
    caller.may("contacts:read")?;
    api.jobs.get(&id).await?.ok_or_else(unknown)?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let mut rows = api.jobs.bad_rows(&id, query.after.unwrap_or(0), limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|r| r.line.to_string());
    Ok(page(&uri, rows, next, more))
}
