//! A provider's twin on a port of its own, outside the process under test.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fairway::transport::Transport;
use fairway_adapters::conformance::stage::Stage;
use fairway_adapters::contract::Call;
use fairway_adapters::contract::twin::{Act, Emit, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

pub struct Hosted {
    pub stage: Arc<Mutex<Stage>>,
    pub port: u16,
    provider: &'static str,
    hook: Hook,
}

/// Where webhooks go, once that is known, and by which client.
type Hook = Arc<OnceLock<(String, Transport)>>;

/// How often a webhook that was not taken is repeated: for about a minute, with the gateway killed meanwhile.
const REDELIVERIES: u32 = 12;

/// Hosts a twin that refuses what is over this pace (messages, milliseconds).
pub async fn host_with_pace(provider: &'static str, pace: (u32, u64)) -> Hosted {
    let hosted = host(provider).await;
    {
        let mut stage = hosted.stage.lock();
        stage.enforce = true;
        stage.pace = pace;
        stage.set_pair_pace(None);
    }
    hosted
}

/// Hosts a twin without limits of its own.
pub async fn host(provider: &'static str) -> Hosted {
    let twin = (fairway_adapters::provider(provider).expect("built in").twin)(0);
    let mut stage = Stage::new(twin, 0);
    stage.enforce = false;
    let stage = Arc::new(Mutex::new(stage));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (shared, hook) = (Arc::clone(&stage), Hook::default());
    let told = Arc::clone(&hook);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (stage, hook) = (Arc::clone(&shared), Arc::clone(&told));
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (stage, hook) = (Arc::clone(&stage), Arc::clone(&hook));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let path = head.uri.path().to_owned();
                        let query = head.uri.query().unwrap_or_default().to_owned();
                        let request = Request { method: head.method, path, query, headers: head.headers, body };
                        let outcome = stage.lock().serve(&request, fairway::clock::now());
                        outcome.emits.into_iter().for_each(|emit| deliver(&stage, &hook, emit));
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        let reply = outcome.reply.unwrap_or_default();
                        let mut response = http::Response::new(Full::new(reply.body));
                        (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
                        Ok::<_, hyper::Error>(response)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Hosted { stage, port, provider, hook }
}

/// Sends a webhook after its time, again when it is not taken. Nowhere, while nobody has said where to.
fn deliver(stage: &Arc<Mutex<Stage>>, hook: &Hook, emit: Emit) {
    let Some((url, transport)) = hook.get().cloned() else { return };
    let stage = Arc::clone(stage);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(emit.after_ms)).await;
        let url = emit.url.unwrap_or(url);
        let signed = stage.lock().sign(&url, emit.draft);
        let url = if signed.query.is_empty() { url } else { format!("{url}?{}", signed.query) };
        let mut call = Call::new(signed.method, url).bytes(signed.body);
        let name = |(name, value): (String, String)| Some((http::HeaderName::try_from(name).ok()?, value));
        call.headers.extend(signed.headers.into_iter().filter_map(name));
        for round in 0..REDELIVERIES {
            match transport.call(&call, None, Duration::from_secs(10)).await {
                Ok(reply) if reply.status.is_success() => return,
                _ => tokio::time::sleep(Duration::from_millis((200 << round).min(5000))).await,
            }
        }
    });
}

impl Hosted {
    /// The configuration of a channel that talks to it.
    pub fn channel(&self, name: &str, more: &str) -> String {
        let settings = self.stage.lock().twin().settings();
        let mut text = format!("[channels.{name}]\nprovider = \"{}\"\napi_base = \"http://127.0.0.1:{}\"\n", self.provider, self.port);
        for (key, value) in settings.into_iter().filter(|(k, _)| k != "api_base") {
            text.push_str(&format!("{key} = {value}\n"));
        }
        text + more
    }

    /// From now on its webhooks go to this URL.
    pub fn delivers_to(&self, url: String) {
        let _ = self.hook.set((url, Transport::new(true, Arc::new(|_| None))));
    }

    /// A person there does something.
    pub fn act(&self, person: &str, act: &Act) {
        let emits = self.stage.lock().act(person, act, fairway::clock::now());
        emits.into_iter().for_each(|emit| deliver(&self.stage, &self.hook, emit));
    }

    /// How many messages it took.
    pub fn count(&self) -> usize {
        self.stage.lock().accepted().len()
    }

    /// The words of every message it took.
    pub fn accepted(&self) -> Vec<String> {
        self.stage.lock().accepted().iter().map(|(_, a)| a.text.clone()).collect()
    }
}
