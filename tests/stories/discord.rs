//! What people write on Discord: a gateway on tokio-tungstenite, made from Discord's documentation alone, tells it to us.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::world::World;

const TOKEN: &str = "fake-bot-token";

/// What the gateway has seen, and the one session it has.
#[derive(Default)]
struct Seen {
    /// Every event of the session; the number of each is its place, from 1.
    events: Vec<Value>,
    /// The connection that has the session.
    connection: Option<mpsc::UnboundedSender<Value>>,
    identifies: usize,
    /// The number and the port of every resumption.
    resumes: Vec<(u64, u16)>,
    /// The highest number a heartbeat has named.
    named: u64,
    wrong: Vec<String>,
}

#[derive(Clone)]
struct Gateway {
    seen: Arc<Mutex<Seen>>,
    ports: [u16; 2],
    /// The code with which it refuses to begin a session.
    refuses: Option<u16>,
}

impl Gateway {
    /// One port to begin at, one to come back to.
    async fn start(refuses: Option<u16>) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        }
        let port = |n: usize| listeners[n].local_addr().expect("an address").port();
        let gateway = Self { seen: Arc::default(), ports: [port(0), port(1)], refuses };
        for listener in listeners {
            let gateway = gateway.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(gateway.clone().converse(stream));
                }
            });
        }
        gateway
    }

    async fn converse(self, stream: TcpStream) {
        let port = stream.local_addr().expect("an address").port();
        #[allow(clippy::result_large_err, reason = "the library's own type")]
        let check = |request: &Request, response: Response| match request.uri().to_string().as_str() {
            "/?v=10&encoding=json" => Ok(response),
            other => Err(ErrorResponse::new(Some(other.to_owned()))),
        };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else { return };
        let hello = json!({ "op": 10, "d": { "heartbeat_interval": 1000 }, "s": null, "t": null });
        let (tell, mut told) = mpsc::unbounded_channel::<Value>();
        let _ = tell.send(hello);
        loop {
            tokio::select! {
                Some(payload) = told.recv() => {
                    if let Some(code) = payload["close"].as_u64() {
                        let frame = CloseFrame { code: (code as u16).into(), reason: "".into() };
                        let _ = socket.send(Message::Close(Some(frame))).await;
                        return;
                    }
                    if socket.send(Message::text(payload.to_string())).await.is_err() {
                        return;
                    }
                }
                heard = socket.next() => match heard {
                    Some(Ok(Message::Text(text))) => self.hear(serde_json::from_str(&text).expect("JSON"), &tell, port),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    fn hear(&self, payload: Value, tell: &mpsc::UnboundedSender<Value>, port: u16) {
        let mut seen = self.seen.lock();
        let data = &payload["d"];
        if matches!(payload["op"].as_u64(), Some(2 | 6)) && data["token"] != TOKEN {
            seen.wrong.push("a wrong token".into());
        }
        match payload["op"].as_u64() {
            Some(1) => {
                let named = data.as_u64().unwrap_or_default();
                if named < seen.named || named > seen.events.len() as u64 {
                    let wrong = format!("a heartbeat with {named} after {} of {}", seen.named, seen.events.len());
                    seen.wrong.push(wrong);
                }
                seen.named = named;
                let _ = tell.send(json!({ "op": 11 }));
            }
            Some(2) => {
                seen.identifies += 1;
                if let Some(code) = self.refuses {
                    let _ = tell.send(json!({ "close": code }));
                    return;
                }
                let properties = &data["properties"];
                if !data["intents"].is_u64()
                    || !properties["os"].is_string()
                    || !properties["browser"].is_string()
                    || data["shard"] != json!([0, 1])
                {
                    seen.wrong.push(format!("{data}"));
                }
                seen.events.clear();
                seen.connection = Some(tell.clone());
                let url = format!("ws://127.0.0.1:{}", self.ports[1]);
                seen.tell(
                    "READY",
                    json!({ "v": 10, "user": { "id": "1" }, "guilds": [], "session_id": "fake-session", "resume_gateway_url": url }),
                );
            }
            Some(6) => {
                let seq = data["seq"].as_u64().unwrap_or(u64::MAX);
                // What a heartbeat has named need not be kept.
                if data["session_id"] != "fake-session" || seq > seen.events.len() as u64 || seq < seen.named {
                    seen.wrong.push(format!("{data}"));
                }
                seen.resumes.push((seq, port));
                let missed: Vec<Value> = seen.events.iter().skip(seq as usize).cloned().collect();
                missed.into_iter().for_each(|event| drop(tell.send(event)));
                seen.connection = Some(tell.clone());
                seen.tell("RESUMED", json!({}));
            }
            _ => seen.wrong.push(payload.to_string()),
        }
    }

    /// A person writes.
    fn writes(&self, number: usize) {
        let author = json!({ "id": "500000000000000001", "username": "ann", "global_name": "Ann" });
        let message = json!({ "id": format!("70000000000000{number:04}"), "channel_id": "800000000000000001", "author": author, "content": format!("Line {number}"),
            "timestamp": "2026-11-20T10:00:00.000000+00:00", "edited_timestamp": null, "type": 0, "mentions": [], "attachments": [], "embeds": [] });
        self.seen.lock().tell("MESSAGE_CREATE", message);
    }

    fn channel(&self) -> String {
        format!(
            "[channels.chat]\nprovider = \"discord\"\napplication_id = \"100000000000000001\"\npublic_key = \"{}\"\nbot_token = \"{TOKEN}\"\ngateway = true\ngateway_url = \"ws://127.0.0.1:{}\"\n",
            "ab".repeat(32),
            self.ports[0]
        )
    }
}

impl Seen {
    fn tell(&mut self, kind: &str, data: Value) {
        let event = json!({ "op": 0, "s": self.events.len() + 1, "t": kind, "d": data });
        self.events.push(event.clone());
        if self.connection.as_ref().is_some_and(|connection| connection.send(event).is_err()) {
            self.connection = None;
        }
    }
}

async fn connected(world: &World) {
    world.until("the connection", 15, async |w| w.get("/v1/channels/chat").await["connections"]["up"] == 1).await;
}

async fn received(world: &World) -> Vec<String> {
    let events = world.events("fairway.message.received").await;
    events.iter().map(|e| e["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// People go on writing while the process is killed and comes back: nothing is lost, nothing comes twice, and no second session begins.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_on_discord_survives_a_crash() {
    let gateway = Gateway::start(None).await;
    let mut world = World::start(&gateway.channel()).await;
    connected(&world).await;
    gateway.writes(0);
    world.until("the message", 10, async |w| received(w).await == ["Line 0"]).await;
    let event = world.events("fairway.message.received").await.remove(0);
    assert_eq!(event["data"]["conversation"], "chat/discord:800000000000000001", "{event:#}");
    assert_eq!(event["data"]["from"]["name"], "Ann", "{event:#}");
    let writer = tokio::spawn({
        let gateway = gateway.clone();
        async move {
            for number in 1..=200 {
                gateway.writes(number);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    world.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.restart().await;
    connected(&world).await;
    writer.await.expect("it writes");
    world.until("all of it", 15, async |w| received(w).await.len() >= 201).await;
    let wanted: Vec<String> = (0..=200).map(|number| format!("Line {number}")).collect();
    assert_eq!(received(&world).await, wanted);
    // Once all of it is safe, a heartbeat says so.
    world.until("the last heartbeat", 10, async |_| gateway.seen.lock().named >= 202).await;
    let seen = gateway.seen.lock();
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert_eq!((seen.identifies, seen.resumes.len(), seen.resumes[0].1), (1, 1, gateway.ports[1]), "{:?}", seen.resumes);
    assert!(seen.resumes[0].0 > 1, "what was told before the crash is not told again from the beginning");
}

/// A bot that may not read messages is told where to switch that on, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_intent_is_said_where_people_look() {
    let gateway = Gateway::start(Some(4014)).await;
    let world = World::start(&gateway.channel()).await;
    world.until("the refusal", 15, async |w| w.get("/v1/channels/chat").await["connections"]["problem"].is_string()).await;
    let shown = world.get("/v1/channels/chat").await;
    let problem = shown["connections"]["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("Message Content Intent") && problem.contains("4014"), "{shown:#}");
    assert_eq!(shown["health"], "disconnected");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(gateway.seen.lock().identifies, 1, "it is not tried again at once");
}
