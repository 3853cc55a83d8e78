//! The network's side of our own chat: sockets and long polls of visitors, sessions, files, and the history of each
//! conversation. The adapter in `adapters/webchat` is bound to this room as other adapters are to a provider.
//!
//! - What a visitor does goes through [`Door`] as a signed delivery, like any webhook: made durable, deduplicated,
//!   published. Only then is it acknowledged and written to the `webchat` topic, for his other tabs and for history.
//! - What goes to a visitor is POSTed to `deliver` by the outbound side and written to the same topic. Every node tails
//!   that topic and pushes to the sockets it holds, so it does not matter which node a visitor is connected to.
//! - A conversation's frames lie in one partition and are numbered by their offsets: a visitor who comes back says the
//!   last number he has and gets the rest. Frames have ids of their own, so that one written twice is shown once.

mod act;
mod files;
mod limits;
mod network;
mod poll;
mod reply;
mod session;
mod site;
mod socket;
mod thread;
mod threads;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::header;
use tokio::sync::watch;

use crate::channels::Live;
use crate::config::Config;
use crate::log::{EventLog, Pending, ReadError};
use crate::media::blobs::Blobs;
use limits::Limits;
use site::Sites;
use threads::Threads;

/// The largest frame of a visitor.
const MAX_FRAME: usize = 64 << 10;

/// The way in for deliveries. The application provides it, because rooms of one row do not know each other.
pub trait Door: Send + Sync {
    /// Takes a delivery as if it had come to the channel's hook; resolves when it is durable. `headers` prove its origin.
    fn take<'a>(&'a self, channel: &'a str, headers: http::HeaderMap, body: Bytes) -> Pending<'a, Result<(), Shut>>;
}

/// Why a delivery was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is not understood or not allowed; repeating it changes nothing.
    Refused,
    /// Not now.
    Away,
}

/// What the room needs of the rest.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The channels in force.
    pub channels: Live,
    /// The way in.
    pub door: Arc<dyn Door>,
    /// Where files lie.
    pub blobs: Blobs,
    /// Turns true when the process is to stop.
    pub stopping: watch::Receiver<bool>,
}

/// The room.
pub struct Room {
    door: Arc<dyn Door>,
    blobs: Blobs,
    sites: Sites,
    threads: Threads,
    limits: Limits,
    public_url: String,
    max_file: u64,
    stopping: watch::Receiver<bool>,
}

impl Room {
    /// Opens the room at the log's end.
    pub async fn open(parts: Parts, config: &Config) -> Result<Arc<Self>, ReadError> {
        Ok(Arc::new(Self {
            threads: Threads::open(parts.log).await?,
            door: parts.door,
            blobs: parts.blobs,
            sites: Sites::new(parts.channels, &config.server.public_url),
            limits: Limits::new(&config.server.trusted_proxies),
            public_url: config.server.public_url.clone(),
            max_file: config.media.max_size.0,
            stopping: parts.stopping,
        }))
    }

    /// Carries frames from the log to the visitors until the process ends.
    pub async fn run(self: Arc<Self>) {
        let tidying = Arc::clone(&self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                tidying.limits.tidy();
            }
        });
        self.threads.tail().await;
    }
}

/// The routes under `/webchat`.
pub fn router(room: Arc<Room>) -> Router {
    let visitors = Router::new()
        .route("/webchat/{channel}/session", any(session::open))
        .route("/webchat/{channel}/socket", get(socket::open))
        .route("/webchat/{channel}/poll", any(poll::poll))
        .route("/webchat/{channel}/upload", any(files::upload))
        .route("/webchat/{channel}/file/{reference}", get(files::file))
        .layer(middleware::from_fn_with_state(Arc::clone(&room), site::admit));
    Router::new()
        .merge(visitors)
        .route("/webchat/{channel}/deliver", post(network::deliver))
        .route("/webchat/{channel}/revise", post(network::revise))
        .route("/webchat/{channel}/signal", post(network::signal))
        .route("/webchat/widget.js", get(widget))
        .with_state(room)
}

/// The widget. Other sites' pages load it, so it says that they may.
async fn widget() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (http::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    (headers, fairway_adapters::webchat::WIDGET).into_response()
}
