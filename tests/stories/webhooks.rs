//! Events delivered to a URL: signed, in order, again after a failure and after a crash.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use bytes::Bytes;
use fairway_adapters::kit::crypto;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::world::World;

/// A delivery as the receiver saw it.
#[derive(Clone)]
struct Got {
    id: String,
    timestamp: i64,
    signature: String,
    kind: String,
    body: Bytes,
    answered: u16,
}

impl Got {
    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn text(&self) -> String {
        self.event()["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    fn is_signed_by(&self, secret: &str) -> bool {
        let key = crypto::unbase64(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let mut content = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        content.extend_from_slice(&self.body);
        let expected = crypto::base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content).as_ref());
        self.signature.split(' ').any(|s| s.strip_prefix("v1,") == Some(&expected))
    }
}

type Answering = Box<dyn FnMut(&Got, &[Got]) -> u16 + Send>;

/// A receiver of webhooks.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    async fn start(answering: Answering) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let got = Arc::new(Mutex::new(Vec::new()));
        let shared = (Arc::clone(&got), Arc::new(Mutex::new(answering)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (got, answering) = shared.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.expect("a body").to_bytes();
                        let header = |n: &str| head.headers.get(n).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
                        let mut one = Got {
                            id: header("webhook-id"),
                            timestamp: header("webhook-timestamp").parse().unwrap_or_default(),
                            signature: header("webhook-signature"),
                            kind: header("content-type"),
                            body,
                            answered: 0,
                        };
                        let mut got = got.lock().expect("not poisoned");
                        one.answered = answering.lock().expect("not poisoned")(&one, &got);
                        got.push(one.clone());
                        let mut response = hyper::Response::new(Full::new(Bytes::new()));
                        *response.status_mut() = http::StatusCode::from_u16(one.answered).expect("a status");
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().expect("not poisoned").clone()
    }
}

async fn endpoint(world: &World, url: &str) -> (String, String) {
    let (status, made) = world.post("/v1/webhooks", &json!({ "url": url, "types": ["fairway.message.received"] })).await;
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().expect("an id").to_owned(), made["secrets"][0].as_str().expect("a secret").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_signed_in_order_and_again_after_a_failure() {
    let mut world = World::start("").await;
    // The first delivery of Anna's second message fails; Ben's conversation does not wait for it.
    let receiver = Receiver::start(Box::new(|got, before| {
        let fails = got.text() == "anna 1" && !before.iter().any(|b| b.id == got.id);
        if fails { 500 } else { 204 }
    }))
    .await;
    let (id, secret) = endpoint(&world, &receiver.url).await;
    assert!(!world.get("/v1/webhooks").await.to_string().contains("whsec_"), "a secret is shown once");
    let (_, tested) = world.post(&format!("/v1/webhooks/{id}/test"), &json!({})).await;
    assert_eq!(tested["delivered"], true, "{tested}");
    for i in 0..4 {
        world.says("telegram", "telegram:5550001", &format!("anna {i}")).await;
        world.says("telegram", "telegram:5550002", &format!("ben {i}")).await;
        world.until("the events", 10, async |w| w.events("fairway.message.received").await.len() == (i + 1) * 2).await;
    }
    world.until("all are delivered", 20, async |_| receiver.got().iter().filter(|g| g.answered == 204).count() == 9).await;
    let got = receiver.got();
    let taken =
        |who: &str| -> Vec<String> { got.iter().filter(|g| g.answered == 204).map(Got::text).filter(|t| t.starts_with(who)).collect() };
    assert_eq!(taken("anna"), ["anna 0", "anna 1", "anna 2", "anna 3"]);
    assert_eq!(taken("ben"), ["ben 0", "ben 1", "ben 2", "ben 3"]);
    let place = |text: &str| got.iter().position(|g| g.answered == 204 && g.text() == text).expect("taken");
    assert!(place("ben 3") < place("anna 1"), "one conversation does not wait for another");
    let tries: Vec<&Got> = got.iter().filter(|g| g.text() == "anna 1").collect();
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[0].id, tries[1].id, "a repeat has the same id");
    for one in &got {
        assert!(one.is_signed_by(&secret) && one.id == one.event()["id"], "{}", one.id);
        assert_eq!(one.kind, "application/cloudevents+json");
        assert!((fairway::clock::now().0 / 1000 - one.timestamp).abs() < 60);
    }

    // A crash: it goes on where it was. The played provider counts from one again, so its first words are known already.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    world.kill();
    world.restart().await;
    for _ in 0..8 {
        world.says("telegram", "telegram:5550001", "known").await;
    }
    world.says("telegram", "telegram:5550001", "anna 4").await;
    world.until("what came after the crash", 10, async |_| receiver.got().iter().any(|g| g.text() == "anna 4")).await;
    let mut ids: Vec<String> = receiver.got().into_iter().filter(|g| g.answered == 204).map(|g| g.id).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "nothing is repeated");

    // All again, on request.
    let (before, known) = (receiver.got().len(), world.events("fairway.message.received").await.len());
    let (status, body) = world.post(&format!("/v1/webhooks/{id}/replay"), &json!({ "after": "beginning" })).await;
    assert_eq!(status, 202, "{body}");
    world.until("all again", 10, async |_| receiver.got().len() == before + known).await;
    let reply = world.ask("DELETE", &format!("/v1/webhooks/{id}"), None).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_left_alone_and_a_private_one_never_called() {
    let world = World::start("").await;
    let receiver = Receiver::start(Box::new(|_, _| 410)).await;
    endpoint(&world, &receiver.url).await;
    world.says("telegram", "telegram:5550001", "hello").await;
    world.until("it is switched off", 10, async |w| w.get("/v1/webhooks").await["data"][0]["disabled"].is_string()).await;
    for url in ["http://10.0.0.1/x", "http://169.254.169.254/latest", "ftp://example.org/", "nonsense", "https://u:p@example.org/"] {
        let (status, body) = world.post("/v1/webhooks", &json!({ "url": url })).await;
        assert_eq!((status, &body["errors"][0]["pointer"]), (422, &json!("#/url")), "{url}: {body}");
    }
}
