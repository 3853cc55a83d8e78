//! The HTTP API. Errors are problems, lists are pages, ids and times are text; what a build does not do is refused by name.

pub mod auth;
pub mod channels;
pub mod devices;
pub mod events;
pub mod idempotency;
pub mod keys;
pub mod letters;
pub mod media;
pub mod messages;
pub mod operations;
pub mod page;
pub mod problem;
pub mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request, rejection::JsonRejection};
use axum::middleware;
use axum::routing::{delete, get, post, put};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::channels::Live;
use crate::config::Config;
use crate::delivery::feed::Feed;
use crate::log::EventLog;
use crate::outbound::accept::Acceptor;
use crate::outbound::owner::Units;
use crate::store::Store;
use problem::Problem;

/// What the API needs of the rest.
pub struct Shared {
    /// The configuration it was started with.
    pub config: Config,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Writes events.
    pub writer: crate::envelope::Writer,
    /// Seals what lets us answer.
    pub seal: Arc<crate::seal::Seal>,
    /// The channels in force.
    pub channels: Live,
    /// The way in for sends.
    pub acceptor: Acceptor,
    /// The units of this node.
    pub units: Units,
    /// Events.
    pub feed: Arc<Feed>,
    /// API keys.
    pub keys: Arc<auth::Keys>,
    /// Turns true when the process is to stop.
    pub stopping: watch::Receiver<bool>,
    /// The client, for calls beside the lanes.
    pub transport: crate::transport::Transport,
    /// Parses kept webhooks again.
    pub replayer: Arc<dyn operations::Replayer>,
    /// Events delivered to URLs.
    pub webhooks: Arc<crate::delivery::webhooks::Webhooks>,
    /// Media: bytes and links.
    pub media: media::Room,
}

/// The API's state.
pub type Api = Arc<Shared>;

/// The routes under `/v1` and what machines ask for.
pub fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route("/v1/messages", post(messages::send).get(messages::list))
        .route("/v1/messages/batch", post(messages::batch))
        .route("/v1/messages/preview", post(messages::preview))
        .route("/v1/messages/{id}", get(messages::show).patch(messages::not_yet).delete(messages::not_yet))
        .route("/v1/messages/{id}/cancel", post(messages::cancel))
        .route("/v1/conversations/{*id}", get(messages::conversation))
        .route("/v1/events", get(events::events))
        .route("/v1/channels", get(channels::list))
        .route("/v1/channels/{name}", get(channels::show))
        .route("/v1/channels/{name}/pause", post(channels::pause))
        .route("/v1/channels/{name}/resume", post(channels::resume))
        .route("/v1/channels/{name}/throttle", put(channels::throttle))
        .route("/v1/channels/{name}/setup", post(channels::setup))
        .route("/v1/channels/{name}/probe", post(channels::probe))
        .route("/v1/devices", post(devices::register))
        .route("/v1/typing", post(channels::typing))
        .route("/v1/read", post(channels::read))
        .route("/v1/dead-letters", get(letters::list))
        .route("/v1/dead-letters/{id}", get(letters::show).delete(letters::drop_letter))
        .route("/v1/dead-letters/{id}/retry", post(letters::retry))
        .route("/v1/dead-letters/{id}/settle", post(letters::settle))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::revoke))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/webhooks/{id}", delete(webhooks::remove))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/replay", post(webhooks::replay))
        .route("/v1/media", post(media::upload))
        .route("/v1/media/{id}", get(media::show))
        .route("/v1/media/{id}/link", post(media::link))
        .route("/v1/replay", post(operations::replay))
        .route("/v1/status", get(operations::status))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), auth::guard));
    Router::new()
        .merge(guarded)
        .route("/m/{id}", get(media::public))
        .route("/livez", get(operations::livez))
        .route("/healthz", get(operations::livez))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/openapi.json", get(operations::openapi))
        .route("/asyncapi.json", get(operations::asyncapi))
        .route("/schemas/{name}/{version}", get(operations::schema))
        .route("/problems/{name}", get(operations::problem))
        .with_state(api)
}

/// A JSON body whose errors are problems that name the place.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<serde_json::Value>::from_request(request, state).await {
            Ok(axum::Json(value)) => parse(value).map(Self),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: application/json`"))
            }
            Err(JsonRejection::BytesRejection(_)) => Err(Problem::new(&problem::TOO_LARGE, "the body is too large or broke off")),
            Err(e) => Err(Problem::new(&problem::MALFORMED, e.body_text())),
        }
    }
}

/// Reads a value; the error names the field as a JSON pointer.
pub fn parse<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let mut pointer = String::from("#");
        for segment in e.path().iter() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => pointer.push_str(&format!("/{key}")),
                _ => {}
            }
        }
        let detail = e.inner().to_string();
        Problem::new(&problem::INVALID, detail).at(pointer, "field_invalid")
    })
}
