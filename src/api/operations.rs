//! What operators and machines ask: health, metrics, schemas, replay, a status screen.

use std::fmt::Write;

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use fairway_adapters::contract::Time;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::problem::{self, Problem};
use crate::schemas;
use crate::telemetry::{self, openmetrics};

/// The process can make progress: answered without asking anybody.
pub async fn livez() -> &'static str {
    "ok"
}

/// Query of `/readyz`.
#[derive(Deserialize)]
pub struct ReadyQuery {
    verbose: Option<String>,
    exclude: Option<String>,
}

/// Whether an event can be made durable; with `?verbose`, what else is away.
pub async fn readyz(Extract(api): Extract<Api>, Query(query): Query<ReadyQuery>) -> Response {
    let store = api.store.setting("probe").await.is_ok();
    let health = api.log.health();
    let checks = [
        ("log-or-spool", api.log.ready(), true),
        ("not-stopping", !*api.stopping.borrow(), true),
        ("log", health.log, false),
        ("store", store, false),
    ];
    let excluded = |name: &str| query.exclude.as_deref() == Some(name);
    let ready = checks.iter().all(|(name, ok, needed)| *ok || !needed || excluded(name));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = String::new();
    if query.verbose.is_some() || !ready {
        for (name, ok, _) in checks {
            let _ = writeln!(text, "[{}]{name} {}", if ok { '+' } else { '-' }, if ok { "ok" } else { "failed" });
        }
        if let Some(trouble) = &health.trouble {
            let _ = writeln!(text, "{trouble}");
        }
    } else {
        text.push_str("ok");
    }
    (status, text).into_response()
}

/// Metrics in the Prometheus text format, or as OpenMetrics for who asks for it.
pub async fn metrics(Extract(api): Extract<Api>, headers: HeaderMap) -> Response {
    let health = api.log.health();
    use telemetry::names;
    telemetry::gauge(&names::LOG_READY, &[]).set(if api.log.ready() { 1.0 } else { 0.0 });
    telemetry::gauge(&names::SPOOL_RECORDS, &[]).set(health.spooled as f64);
    telemetry::gauge(&names::BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
    telemetry::gauge(&names::SPOOL_BYTES, &[]).set(health.spool_bytes as f64);
    // With thousands of channels this is megabytes of text: not on a thread that webhooks wait for.
    let open = openmetrics::is_wanted(&headers);
    let text = move || if open { openmetrics::text(&telemetry::exposition()) } else { telemetry::exposition() };
    let text = tokio::task::spawn_blocking(text).await.unwrap_or_default();
    let kind = if open { openmetrics::CONTENT_TYPE } else { "text/plain; version=0.0.4; charset=utf-8" };
    ([(header::CONTENT_TYPE, kind), (header::VARY, "accept")], text).into_response()
}

/// The API, described.
pub async fn openapi() -> Json<serde_json::Value> {
    Json(schemas::openapi())
}

/// The topics, described.
pub async fn asyncapi(Extract(api): Extract<Api>) -> Json<serde_json::Value> {
    Json(schemas::asyncapi(&api.config.log.topic_prefix))
}

/// The schema of an event type.
pub async fn schema(Path((name, version)): Path<(String, String)>) -> Result<Json<serde_json::Value>, Problem> {
    let none = || Problem::new(&problem::NOT_FOUND, "there is no such schema");
    if version != "1" {
        return Err(none());
    }
    schemas::event(&name).map(Json).ok_or_else(none)
}

/// What a type of problem means.
pub async fn problem(Path(name): Path<String>) -> Result<Json<serde_json::Value>, Problem> {
    let kind = problem::KINDS.iter().find(|k| k.name == name);
    kind.map(|k| Json(serde_json::to_value(k).unwrap_or_default()))
        .ok_or_else(|| Problem::new(&problem::NOT_FOUND, "there is no such type of problem"))
}

/// Which kept webhooks to parse again.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Received from then on.
    #[schema(value_type = String, format = "date-time")]
    pub from: Time,
    /// And before then.
    #[schema(value_type = String, format = "date-time")]
    pub to: Time,
    /// Only of this channel.
    pub channel: Option<String>,
    /// Whether to append what was not seen before; else only count.
    #[serde(default)]
    pub write: bool,
}

/// What a replay found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replayed {
    /// Kept webhooks looked at.
    pub webhooks: u64,
    /// Events they hold now.
    pub events: u64,
    /// Events not seen before: appended, when asked to.
    pub fresh: u64,
    /// Events known already.
    pub known: u64,
    /// Known events that read differently now: appended under a new id with `replaces`, when asked to.
    pub corrected: u64,
    /// Webhooks that are still not wholly understood.
    pub still_unparsed: u64,
    /// Whether the fresh ones were appended.
    pub written: bool,
}

/// Parses kept webhooks again. The application provides it: it joins rooms that do not know each other.
pub trait Replayer: Send + Sync {
    /// Does it.
    fn replay(&self, request: ReplayRequest) -> crate::log::Pending<'_, Result<Replayed, String>>;
}

/// Parses kept webhooks again.
#[utoipa::path(post, path = "/v1/replay", operation_id = "replayWebhooks", tag = "operations", request_body = ReplayRequest,
    responses((status = 200, body = Replayed), (status = 503, body = Problem)))]
pub async fn replay(Extract(api): Extract<Api>, caller: Caller, Body(request): Body<ReplayRequest>) -> Result<Json<Replayed>, Problem> {
    caller.may("admin")?;
    api.replayer.replay(request).await.map(Json).map_err(|e| Problem::new(&problem::UNAVAILABLE, e))
}

/// One screen: what is stuck, why, until when, and what helps.
#[utoipa::path(get, path = "/v1/status", operation_id = "status", tag = "operations", responses((status = 200, body = Object)))]
pub async fn status(Extract(api): Extract<Api>, caller: Caller, _headers: HeaderMap) -> Result<Json<serde_json::Value>, Problem> {
    caller.may("messages:read")?;
    let balance: serde_json::Map<String, serde_json::Value> =
        api.store.balance().await?.into_iter().map(|(s, n)| (s.word().to_owned(), n.into())).collect();
    let accepted: u64 = balance.values().filter_map(serde_json::Value::as_u64).sum();
    Ok(Json(serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": api.log.ready(),
        "log": api.log.health(),
        "units": api.units.count(),
        "accepted": accepted,
        "balance": balance,
    })))
}
