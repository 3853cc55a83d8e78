//! A provider's twin on a port of its own, outside the process under test.

use std::sync::Arc;

use fairway_adapters::conformance::stage::Stage;
use fairway_adapters::contract::twin::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

pub struct Hosted {
    pub stage: Arc<Mutex<Stage>>,
    pub port: u16,
    provider: &'static str,
}

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
    let shared = Arc::clone(&stage);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stage = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let stage = Arc::clone(&stage);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let path = head.uri.path().to_owned();
                        let query = head.uri.query().unwrap_or_default().to_owned();
                        let request = Request { method: head.method, path, query, headers: head.headers, body };
                        let outcome = stage.lock().serve(&request, fairway::clock::now());
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
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
    Hosted { stage, port, provider }
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

    /// The words of every message it took.
    pub fn accepted(&self) -> Vec<String> {
        self.stage.lock().accepted().iter().map(|(_, a)| a.text.clone()).collect()
    }
}
