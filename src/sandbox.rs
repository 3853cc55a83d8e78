//! The sandbox: every provider's twin, hosted on our own listener, so that a newcomer without any account sees messages
//! arrive and go out on every channel.
//!
//! - `ANY /sandbox/{provider}/...` is the provider's API, as its twin plays it; twins that are spoken to over connections
//!   have ports of their own.
//! - `POST /sandbox-control/{provider}/act` lets a person there do something; `PUT .../mood` makes the provider sick;
//!   `GET /sandbox-control` shows moods and books, `GET .../{provider}` also what a client of the twin must know: its
//!   address and its credentials, which no real provider would issue.

mod lines;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Json, body::Body};
use fairway_adapters::PROVIDERS;
use fairway_adapters::conformance::stage::{Mood, Stage};
use fairway_adapters::contract::Call;
use fairway_adapters::contract::twin::{Act, Emit, Request as TwinRequest};
use http::StatusCode;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock;
use crate::config::{Channel, Config};
use crate::transport::Transport;

/// How often an unanswered webhook is repeated, as providers do.
const REDELIVERIES: u32 = 8;

/// The twins with their channels.
pub struct Sandbox {
    stages: Arc<BTreeMap<&'static str, Hosted>>,
}

struct Hosted {
    stage: Mutex<Stage>,
    hook_url: String,
    /// What the channel was made with.
    settings: serde_json::Map<String, Value>,
    transport: OnceLock<Transport>,
    /// Where it is spoken to, when not over HTTP.
    port: Option<lines::Port>,
}

fn channel_name(provider: &str) -> String {
    format!("demo-{provider}")
}

fn base(config: &Config, provider: &str) -> String {
    format!("{}/sandbox/{provider}", config.server.public_url)
}

/// Whether a channel talks to a twin.
pub fn is_simulated(config: &Config, channel: &str) -> bool {
    let base = format!("{}/sandbox/", config.server.public_url);
    let Some(known) = config.channels.get(channel) else { return false };
    let own_port = |b: &str| channel == channel_name(&known.provider) && b.starts_with("tcp://127.0.0.1:");
    known.settings.get("api_base").and_then(Value::as_str).is_some_and(|b| b.starts_with(&base) || own_port(b))
}

/// Keeps the simulated channels over a reload of the file.
pub fn keep(old: &Config, new: &mut Config) {
    let own = |name: &str, channel: &Channel| {
        name == channel_name(&channel.provider)
            && fairway_adapters::provider(&channel.provider).is_some_and(|p| (p.twin)(old.sandbox.seed).own())
    };
    for (name, channel) in &old.channels {
        if is_simulated(old, name) || own(name, channel) {
            new.channels.entry(name.clone()).or_insert_with(|| channel.clone());
        }
    }
}

impl Sandbox {
    /// Makes the twins and adds a channel for each.
    pub async fn open(config: &mut Config) -> Result<Self, String> {
        let mut stages = BTreeMap::new();
        for provider in PROVIDERS {
            let twin = (provider.twin)(config.sandbox.seed);
            let name = channel_name(provider.facts.id);
            if config.channels.contains_key(&name) {
                continue;
            }
            let mut settings = twin.settings();
            let own = twin.own();
            let mut port = None;
            if !own {
                settings.insert("api_base".into(), base(config, provider.facts.id).into());
            }
            if twin.line().is_some() {
                let (open, address) = lines::Port::open().await?;
                settings.extend(twin.line_settings(&address));
                port = Some(open);
            }
            let channel = Channel {
                provider: provider.facts.id.into(),
                app: None,
                limits: Vec::new(),
                shards: None,
                tenant: None,
                throttle: Default::default(),
                mailboxes: Vec::new(),
                hook_token: provider.facts.needs_hook_token.then(|| "sandbox-hook-token-0001".to_owned()),
                consent: Default::default(),
                opt_out: Default::default(),
                quiet_hours: None,
                egress: None,
                settings,
            };
            let token = channel.hook_token.as_ref().map(|t| format!("/{t}")).unwrap_or_default();
            let hook_url = format!("{}/hooks/{name}{token}", config.server.public_url);
            let settings = channel.settings.clone();
            config.channels.insert(name, channel);
            if own {
                continue; // The gateway plays this provider itself, and not only here.
            }
            let stage = Stage::new(twin, config.sandbox.seed);
            stages.insert(provider.facts.id, Hosted { stage: Mutex::new(stage), hook_url, settings, transport: OnceLock::new(), port });
        }
        Ok(Self { stages: Arc::new(stages) })
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/sandbox/{provider}", any(play))
            .route("/sandbox/{provider}/{*path}", any(play))
            .route("/sandbox-control", get(show))
            .route("/sandbox-control/{provider}", get(show_one))
            .route("/sandbox-control/{provider}/act", post(act))
            .route("/sandbox-control/{provider}/mood", put(mood))
            .with_state(Arc::clone(&self.stages))
    }

    /// The listener is up: webhooks can be delivered.
    pub async fn begin(self, _address: SocketAddr, transport: Transport) {
        for hosted in self.stages.values() {
            let _ = hosted.transport.set(transport.clone());
        }
        self.stages.keys().for_each(|provider| lines::serve(&self.stages, provider));
    }
}

type Stages = Arc<BTreeMap<&'static str, Hosted>>;

/// The provider's API.
async fn play(State(stages): State<Stages>, request: Request) -> Response {
    let path = request.uri().path().strip_prefix("/sandbox/").unwrap_or_default().to_owned();
    let (provider, rest) = path.split_once('/').unwrap_or((&path, ""));
    let Some((id, _)) = stages.get_key_value(provider) else { return StatusCode::NOT_FOUND.into_response() };
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let request = TwinRequest {
        method: head.method,
        path: format!("/{rest}"),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    let outcome = stages[id].stage.lock().serve(&request, clock::now());
    if outcome.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(outcome.delay_ms)).await;
    }
    let emits = outcome.emits;
    deliver(&stages, id, emits);
    match outcome.reply {
        Some(reply) => {
            let mut response = Response::new(Body::from(reply.body));
            (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
            response
        }
        // Accepted and never answered: the connection breaks off.
        None => {
            let broken = futures_util::stream::once(async { Err::<Bytes, std::io::Error>(std::io::ErrorKind::ConnectionReset.into()) });
            Response::new(Body::from_stream(broken))
        }
    }
}

/// Sends webhooks, each after its time, again when they are not taken.
fn deliver(stages: &Stages, provider: &'static str, emits: Vec<Emit>) {
    for emit in emits {
        let stages = Arc::clone(stages);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(emit.after_ms)).await;
            let hosted = &stages[provider];
            let Some(emit) = hosted.over_line(emit) else { return };
            let Some(transport) = hosted.transport.get() else { return };
            let url = emit.url.clone().unwrap_or_else(|| hosted.hook_url.clone());
            let signed = hosted.stage.lock().sign(&url, emit.draft);
            let url = if signed.query.is_empty() { url } else { format!("{url}?{}", signed.query) };
            let mut call = Call::new(signed.method, url).bytes(signed.body);
            for (name, value) in signed.headers {
                if let Ok(name) = http::HeaderName::try_from(name) {
                    call.headers.push((name, value));
                }
            }
            for round in 0..REDELIVERIES {
                match transport.call(&call, None, Duration::from_secs(10)).await {
                    Ok(reply) if reply.status.is_success() => return,
                    _ => tokio::time::sleep(Duration::from_millis(200 << round)).await,
                }
            }
        });
    }
}

/// What a person does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Doing {
    /// The person's address.
    person: String,
    /// Words to write.
    text: Option<String>,
    /// A caption for a picture to send.
    image: Option<String>,
    /// An option to pick: its id.
    pick: Option<String>,
    /// The words on that option.
    title: Option<String>,
    /// A link of ours to open.
    open: Option<String>,
    /// Reads all.
    #[serde(default)]
    read: bool,
    /// Blocks us.
    #[serde(default)]
    block: bool,
    /// Delivers it this many times at once.
    copies: Option<usize>,
}

async fn act(State(stages): State<Stages>, Path(provider): Path<String>, Json(doing): Json<Doing>) -> Response {
    let Some((id, hosted)) = stages.get_key_value(provider.as_str()) else { return StatusCode::NOT_FOUND.into_response() };
    let act = match (doing.text, doing.image, doing.pick) {
        (Some(text), ..) => Some(Act::Text(text)),
        (_, Some(caption), _) => Some(Act::Image(caption)),
        (_, _, Some(id)) => Some(Act::Pick { title: doing.title.unwrap_or_else(|| id.clone()), id }),
        _ if doing.read => Some(Act::Read),
        _ if doing.block => Some(Act::Block),
        _ => None,
    };
    let emits = match (act, doing.open) {
        (Some(act), _) => hosted.stage.lock().act(&doing.person, &act, clock::now()),
        (None, Some(link)) => hosted.stage.lock().open(&doing.person, &link, clock::now()),
        (None, None) => return (StatusCode::UNPROCESSABLE_ENTITY, "say what: text, image, pick, open, read or block").into_response(),
    };
    let raw: Vec<Value> = emits
        .iter()
        .map(|e| serde_json::from_slice(&e.draft.body).unwrap_or_else(|_| String::from_utf8_lossy(&e.draft.body).into()))
        .collect();
    for _ in 0..doing.copies.unwrap_or(1).clamp(1, 200) {
        deliver(&stages, id, emits.clone());
    }
    Json(json!({ "webhooks": raw })).into_response()
}

async fn mood(State(stages): State<Stages>, Path(provider): Path<String>, Json(mood): Json<Mood>) -> StatusCode {
    match stages.get(provider.as_str()) {
        Some(hosted) => {
            hosted.stage.lock().mood = mood;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}

async fn show(State(stages): State<Stages>) -> Json<Value> {
    Json(Value::Object(stages.iter().map(|(id, hosted)| ((*id).to_owned(), shown(id, hosted))).collect()))
}

/// Mood and books of a twin.
fn shown(provider: &str, hosted: &Hosted) -> Value {
    let stage = hosted.stage.lock();
    json!({ "channel": channel_name(provider), "mood": stage.mood, "books": stage.books() })
}

async fn show_one(State(stages): State<Stages>, Path(provider): Path<String>) -> Response {
    let Some((id, hosted)) = stages.get_key_value(provider.as_str()) else { return StatusCode::NOT_FOUND.into_response() };
    let mut one = shown(id, hosted);
    one["hook_url"] = hosted.hook_url.as_str().into();
    one["settings"] = hosted.settings.clone().into();
    Json(one).into_response()
}
