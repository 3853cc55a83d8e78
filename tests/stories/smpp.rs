//! An account at a message centre of others: node-smpp, in `tests/smpp/smsc.mjs`, speaks with us over a real connection.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fairway_adapters::contract::Call;
use serde_json::{Value, json};

use crate::world::World;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/smpp")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// The message centre: a process that can be killed.
struct Smsc {
    child: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
    control: u16,
}

impl Smsc {
    fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts it once its folder is prepared.
    fn start_with(prepare: impl FnOnce(&Path)) -> Self {
        let installed = Command::new(folder().join("install.sh")).status().expect("tests/smpp/install.sh runs");
        assert!(installed.success(), "node-smpp cannot be installed");
        let mut smsc = Self { child: None, folder: tempfile::tempdir().expect("a folder"), port: free_port(), control: free_port() };
        prepare(smsc.folder.path());
        smsc.restart();
        smsc
    }

    fn restart(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("smsc.log")).expect("a log file");
        let child = Command::new("node")
            .arg(folder().join("smsc.mjs"))
            .args([self.folder.path().display().to_string(), self.port.to_string(), self.control.to_string()])
            .stdout(Stdio::from(log.try_clone().expect("a handle")))
            .stderr(Stdio::from(log))
            .spawn();
        self.child = Some(child.expect("node runs"));
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Has it do something; what stands in its books then.
    async fn tell(&self, world: &World, what: &str, order: &Value) -> Value {
        let call = Call::json(format!("http://127.0.0.1:{}/{what}", self.control), order);
        // A process that was just started takes a moment to listen.
        for _ in 0..200 {
            if let Ok(reply) = world.call(&call).await {
                return serde_json::from_slice(&reply.body).expect("JSON");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the message centre does not answer: {}", fs::read_to_string(self.folder.path().join("smsc.log")).unwrap_or_default());
    }

    async fn books(&self, world: &World) -> Value {
        self.tell(world, "books", &json!({})).await
    }

    fn channel(&self, more: &str) -> String {
        format!(
            "[channels.sms]\nprovider = \"smpp\"\nhosts = [\"127.0.0.1:{}\"]\nsystem_id = \"fakeesme\"\npassword = \"fakepw1\"\nsender = \"14155550199\"\nquiet_hours = \"off\"\n{more}",
            self.port
        )
    }
}

impl Drop for Smsc {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The texts it has, parts put together, by recipient.
fn texts(books: &Value) -> BTreeMap<String, Vec<String>> {
    let mut parts: BTreeMap<(String, u64), BTreeMap<u64, String>> = BTreeMap::new();
    let mut whole: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in books["accepted"].as_array().expect("a list") {
        let (to, text) = (entry["to"].as_str().expect("a number").to_owned(), entry["text"].as_str().expect("a text").to_owned());
        match entry["part"].as_object() {
            None => whole.entry(to).or_default().push(text),
            Some(part) => {
                let number = |key: &str| part[key].as_u64().expect("a number");
                let group = parts.entry((to.clone(), number("reference"))).or_default();
                group.insert(number("number"), text);
                if group.len() as u64 == number("total") {
                    whole.entry(to).or_default().push(group.values().cloned().collect());
                }
            }
        }
    }
    whole
}

async fn send(world: &World, to: &str, text: &str, category: &str) -> String {
    let lane = if category == "marketing" { "bulk" } else { "normal" };
    let body = json!({ "to": format!("tel:+{to}"), "channel": "sms", "category": category, "priority": lane, "parts": [{ "type": "text", "text": text }] });
    let (status, accepted) = world.post("/v1/messages", &body).await;
    assert_eq!(status, 202, "{accepted}");
    accepted["id"].as_str().expect("an id").to_owned()
}

async fn connected(world: &World) {
    world.until("the connection", 20, async |w| w.get("/v1/channels/sms").await["connections"]["up"] == 1).await;
}

async fn received(world: &World) -> Vec<String> {
    let events = world.events("fairway.message.received").await;
    events.iter().map(|e| e["data"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_both_ways_through_a_message_centre_of_others() {
    let smsc = Smsc::start();
    let world = World::start(&smsc.channel("")).await;
    connected(&world).await;
    let long = "The quick brown fox jumps over the lazy dog [for 5 €]. ".repeat(6).trim().to_owned();
    let wide = "Съешь же ещё этих мягких французских булок 😀, да выпей чаю. ".repeat(3).trim().to_owned();
    let mut sent = Vec::new();
    for (to, text) in [("14155550101", "Hi $ 5 €"), ("14155550102", &*long), ("14155550103", &*wide), ("14155550104", "Too fast for you")]
    {
        sent.push((to, text.to_owned(), send(&world, to, text, "transactional").await));
    }
    for (_, text, id) in &sent {
        let message = world.reaches(id, &["delivered", "failed"], 30).await;
        assert_eq!(message["state"], "delivered", "{text}: {message:#}");
    }
    let books = smsc.books(&world).await;
    let texts = texts(&books);
    for (to, text, _) in &sent {
        assert_eq!(texts[*to], std::slice::from_ref(text), "{books:#}");
    }
    assert!(books["throttled"].as_u64() >= Some(1), "it was too fast, and came through all the same");
    assert_eq!((&books["accepted"][0]["ton"], &books["accepted"][0]["coding"]), (&json!(1), &json!(0)));
    let refused = send(&world, "14155550105", "Refused", "transactional").await;
    assert!(world.reaches(&refused, &["failed"], 20).await.to_string().contains("recipient_invalid"));

    // A person writes: short, long in the wrong order, and the same words twice, which are two messages.
    let pieces = json!([
        { "number": 3, "total": 3, "text": "three." }, { "number": 1, "total": 3, "text": "One {1}, " }, { "number": 2, "total": 3, "text": "two, " },
    ]);
    smsc.tell(&world, "write", &json!({ "from": "14155550123", "pieces": pieces })).await;
    world.until("the long text", 10, async |w| received(w).await == ["One {1}, two, three."]).await;
    for _ in 0..2 {
        smsc.tell(&world, "write", &json!({ "from": "14155550123", "pieces": [{ "text": "Yes" }] })).await;
    }
    world.until("both answers", 10, async |w| received(w).await.len() == 3).await;
    let event = world.events("fairway.message.received").await.remove(0);
    assert_eq!(event["data"]["conversation"], "sms/tel:+14155550123", "{event:#}");
    world.until("every answer", 10, async |w| smsc.books(w).await["unanswered"] == 0).await;

    // A unit that nobody knows is refused, and the connection stays; a length that is none ends it, and it comes back.
    smsc.tell(&world, "raw", &json!({ "hex": "00000010000102000000000000000009" })).await;
    let stays = send(&world, "14155550106", "Still there", "transactional").await;
    world.reaches(&stays, &["delivered"], 20).await;
    smsc.tell(&world, "raw", &json!({ "hex": "00000003" })).await;
    smsc.tell(&world, "unbind", &json!({})).await;
    world.until("the connection's end", 20, async |w| smsc.books(w).await["sessions"] == 0).await;
    let after = send(&world, "14155550107", "Back again", "transactional").await;
    world.reaches(&after, &["delivered"], 30).await;
}

/// The connection breaks with messages without an answer: nobody knows what became of them, which is said, and their receipts
/// settle it. Nothing goes twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_connection_leaves_open_is_settled_by_receipts() {
    let smsc = Smsc::start();
    let world = World::start(&smsc.channel("")).await;
    connected(&world).await;
    smsc.tell(&world, "hold", &json!({})).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&world, &format!("1415555020{number}"), &format!("{number} bottles on the wall"), "marketing").await);
    }
    world.until("all of them under way", 15, async |w| smsc.books(w).await["held"] == 5).await;
    smsc.tell(&world, "silent", &json!({ "silent": true })).await;
    smsc.tell(&world, "cut", &json!({})).await;
    for id in &ids {
        world.reaches(id, &["in_doubt"], 15).await;
    }
    let listed = world.get("/v1/dead-letters?in_doubt=true&channel=sms").await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(5), "{listed:#}");
    smsc.tell(&world, "silent", &json!({ "silent": false })).await;
    smsc.tell(&world, "cut", &json!({})).await;
    for id in &ids {
        world.reaches(id, &["delivered"], 30).await;
    }
    assert_eq!(smsc.books(&world).await["accepted"].as_array().map(Vec::len), Some(5), "nothing went twice");
}

/// A wrong password is said once, where people look, and nothing else suffers from it.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_refused_says_so() {
    let smsc = Smsc::start();
    let world = World::start(&smsc.channel("").replace("fakepw1", "wrongpw")).await;
    world.until("the refusal", 20, async |w| w.get("/v1/channels/sms").await["connections"]["problem"].is_string()).await;
    let shown = world.get("/v1/channels/sms").await;
    assert!(
        shown["connections"]["problem"].as_str().is_some_and(|p| p.contains("mend `password`") && p.contains("0x0000000e")),
        "{shown:#}"
    );
    assert_eq!((&shown["health"], &shown["connections"]["up"]), (&json!("disconnected"), &json!(0)));
    assert!(world.ask("GET", "/readyz", None).await.expect("an answer").status.is_success());
    let waits = send(&world, "14155550101", "Nobody gets this", "transactional").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let message = world.message(&waits).await;
    assert!(!["sent", "in_doubt", "failed"].contains(&message["state"].as_str().unwrap_or_default()), "{message:#}");
    let log = fs::read_to_string(world.folder.path().join("gateway.log")).expect("a log");
    assert_eq!(log.matches("no connection to the provider").count(), 1, "{log}");
    assert!(!log.contains("wrongpw"), "a password stands in the log");
    assert_eq!(smsc.books(&world).await["refusals"], 1, "a refused account is not tried again at once");
}

/// The message centre is killed and comes back while messages go out: what it has is delivered, what it has not is in doubt and
/// listed, and nobody gets anything twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_centre_that_is_killed_loses_and_doubles_nothing() {
    let count: usize = std::env::var("FAIRWAY_SMPP_MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let mut smsc = Smsc::start();
    let world = World::start(&smsc.channel("tps = 200\nwindow = 20\n")).await;
    connected(&world).await;
    let mut ids = HashMap::new();
    for number in 0..count {
        let to = format!("1415{number:07}");
        ids.insert(to.clone(), send(&world, &to, &format!("{number} is your number"), "marketing").await);
        if number % (count / 3 + 1) == count / 4 {
            smsc.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            smsc.restart();
        }
    }
    world
        .until("all of them settled", 120, async |w| {
            let taken = texts(&smsc.books(w).await);
            for (to, id) in &ids {
                let state = w.message(id).await["state"].as_str().unwrap_or_default().to_owned();
                if state != "delivered" && (state != "in_doubt" || taken.contains_key(to)) {
                    return false;
                }
            }
            true
        })
        .await;
    let taken = texts(&smsc.books(&world).await);
    let twice: Vec<_> = taken.iter().filter(|(_, texts)| texts.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let doubted = ids.keys().filter(|to| !taken.contains_key(*to)).count();
    assert!(doubted <= 2 * 20, "{doubted} in doubt, and no more than two windows were open");
}

/// Parts that were acknowledged are ours: a crash between them loses none. A graceful stop says goodbye.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_parts_loses_neither() {
    let smsc = Smsc::start();
    let mut world = World::start(&smsc.channel("")).await;
    connected(&world).await;
    let piece = |number: u64, text: &str| json!({ "from": "14155550123", "pieces": [{ "number": number, "total": 3, "text": text }] });
    for (number, text) in [(1, "Once, "), (3, "never lost.")] {
        smsc.tell(&world, "write", &piece(number, text)).await;
    }
    world.until("both answers", 10, async |w| smsc.books(w).await["unanswered"] == 0).await;
    assert!(received(&world).await.is_empty(), "a part is missing");
    world.kill();
    world.restart().await;
    connected(&world).await;
    smsc.tell(&world, "write", &piece(2, "taken, ")).await;
    world.until("the whole text", 10, async |w| received(w).await == ["Once, taken, never lost."]).await;
    let pid = world.pid().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    world.until("goodbye", 15, async |w| smsc.books(w).await["goodbyes"] == 1).await;
}

/// Over TLS with an authority of one's own; a certificate of anybody else is refused, and said.
#[tokio::test(flavor = "multi_thread")]
async fn connections_are_encrypted_and_the_other_side_is_proved() {
    let smsc = Smsc::start_with(|folder| {
        let made = Command::new("openssl")
            .current_dir(folder)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"])
            .args([
                "-subj",
                "/CN=smsc.example",
                "-addext",
                "subjectAltName=DNS:smsc.example",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    });
    let authority = smsc.folder.path().join("cert.pem");
    let trusting = format!("tls = true\ntls_server_name = \"smsc.example\"\ntls_ca = \"file:{}\"\n", authority.display());
    let doubting = smsc.channel("tls = true\ntls_server_name = \"smsc.example\"\n").replace("channels.sms", "channels.doubting");
    let world = World::start(&(smsc.channel(&trusting) + &doubting)).await;
    connected(&world).await;
    let id = send(&world, "14155550101", "Nobody else reads this", "transactional").await;
    world.reaches(&id, &["delivered"], 20).await;
    world.until("the doubt", 20, async |w| w.get("/v1/channels/doubting").await["connections"]["problem"].is_string()).await;
    let shown = world.get("/v1/channels/doubting").await;
    assert!(shown["connections"]["problem"].as_str().is_some_and(|p| p.contains("no encryption")), "{shown:#}");
}

/// A newcomer without any account: the simulated message centre writes to us, takes our answer, and says what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn smpp_works_in_the_sandbox() {
    let world = World::start("").await;
    let long = "A long text is cut on its way and put together again. ".repeat(4).trim().to_owned();
    world.says("smpp", "tel:+14155550123", &long).await;
    world.until("the event", 15, async |w| received(w).await == [long.clone()]).await;
    let reply = json!({ "conversation": "demo-smpp/tel:+14155550123", "parts": [{ "type": "text", "text": long }] });
    let (status, accepted) = world.post("/v1/messages", &reply).await;
    assert_eq!(status, 202, "{accepted}");
    world.reaches(accepted["id"].as_str().expect("an id"), &["delivered"], 20).await;
    assert_eq!(world.books("smpp").await["accepted"], 2, "two parts");
    // The provider takes a message and falls silent: in doubt, and the receipt tells.
    world.mood("smpp", &json!({ "timeout": 1.0 })).await;
    let body = json!({ "to": "tel:+14155550124", "channel": "demo-smpp", "parts": [{ "type": "text", "text": "Are you there?" }] });
    let (status, accepted) = world.post("/v1/messages", &body).await;
    assert_eq!(status, 202, "{accepted}");
    world.reaches(accepted["id"].as_str().expect("an id"), &["delivered"], 30).await;
    assert_eq!(world.books("smpp").await["unanswered"], 1, "it was not sent again");
}
