//! A provider's twin on a port of its own, which remembers when it took what.

use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::Time;
use fairway_adapters::contract::twin::{Request, Twin};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

/// The provider: one whose messages are one call each.
const PROVIDER: &str = "telegram";
/// Answered beside the twin: how many messages it took.
pub const TAKEN: &str = "/taken";
/// Answered beside the twin, with nothing done for it.
pub const BARE: &str = "/bare";

/// A twin that is served.
pub struct Hosted {
    twin: Arc<Mutex<Box<dyn Twin>>>,
    /// When it accepted each message, in microseconds of the steady clock.
    pub taken: Arc<Mutex<Vec<i64>>>,
    port: u16,
}

/// The tables of some channels of the provider, which allow so much a second, in so many calls at once; `base` is where it is spoken to.
pub fn channels(names: &[String], rate: u64, calls: u32, base: &str) -> String {
    let twin = (fairway_adapters::provider(PROVIDER).expect("built in").twin)(1);
    let table = |(number, name): (usize, &String)| {
        let mut text = format!("[channels.{name}]\nprovider = \"{PROVIDER}\"\napi_base = \"{base}\"\n");
        for (key, value) in twin.settings().into_iter().filter(|(k, _)| k != "api_base") {
            // Each is an account of its own, and falls to a unit of its own.
            let value = if key == "bot_token" && number > 0 { format!("\"{number}:{}\"", "A".repeat(35)) } else { value.to_string() };
            text.push_str(&format!("{key} = {value}\n"));
        }
        text + &format!("[channels.{name}.throttle]\nrate = \"{rate}/s\"\nper_recipient = \"1000/s\"\nconcurrency = {calls}\n")
    };
    names.iter().enumerate().map(table).collect()
}

impl Hosted {
    /// Serves a twin that answers so late.
    pub async fn serve(latency: Duration) -> Self {
        let twin = Arc::new(Mutex::new((fairway_adapters::provider(PROVIDER).expect("built in").twin)(1)));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (played, books) = (Arc::clone(&twin), Arc::clone(&taken));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (twin, taken) = (Arc::clone(&played), Arc::clone(&books));
                let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (twin, taken) = (Arc::clone(&twin), Arc::clone(&taken));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        if !latency.is_zero() {
                            tokio::time::sleep(latency).await;
                        }
                        match head.uri.path() {
                            TAKEN => return Ok(http::Response::new(Full::new(taken.lock().len().to_string().into()))),
                            BARE => return Ok(http::Response::new(Full::new("{}".into()))),
                            _ => {}
                        }
                        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
                        let request = Request { method: head.method, path, query, headers: head.headers, body };
                        let answer = twin.lock().answer(&request, Time(fairway::clock::now().0));
                        let now = fairway::clock::steady();
                        taken.lock().extend(answer.accepted.iter().map(|_| now));
                        let mut response = http::Response::new(Full::new(answer.reply.body));
                        (*response.status_mut(), *response.headers_mut()) = (answer.reply.status, answer.reply.headers);
                        Ok::<_, hyper::Error>(response)
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { twin, taken, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The table of a channel that talks to it.
    pub fn channel(&self, name: &str, rate: u64) -> String {
        debug_assert!(!self.twin.lock().settings().is_empty());
        channels(&[name.to_owned()], rate, 64, &format!("http://127.0.0.1:{}", self.port))
    }
}
