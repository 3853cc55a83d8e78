//! A gateway as a process of its own in a folder of its own, and a small client.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway::transport::Transport;
use fairway_adapters::contract::{Call, Reply};
use http::Method;
use serde_json::{Value, json};

/// What a story runs on: `FAIRWAY_STORY_LOG=kafka` runs them all against the broker of `FAIRWAY_TEST_KAFKA` and the PostgreSQL of
/// `FAIRWAY_TEST_POSTGRES`.
fn on_servers() -> bool {
    std::env::var("FAIRWAY_STORY_LOG").as_deref() == Ok("kafka")
}

/// Whether a story's store is PostgreSQL: with Kafka, and by `FAIRWAY_STORY_STORE=postgres` with the embedded log too.
fn on_postgres() -> bool {
    on_servers() || std::env::var("FAIRWAY_STORY_STORE").as_deref() == Ok("postgres")
}

/// How long a story waits for what it calls that many seconds: servers of others, and a machine with other things to do, take theirs.
fn patience(seconds: u64) -> Duration {
    Duration::from_secs(seconds * if on_servers() { 6 } else { 3 })
}

/// A database of this name on the server of the tests.
pub async fn database(name: &str) -> String {
    let server = std::env::var("FAIRWAY_TEST_POSTGRES").expect("FAIRWAY_TEST_POSTGRES names the server; tests/run.sh starts one");
    let (client, connection) = tokio_postgres::connect(&format!("{server}/postgres"), tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    format!("{server}/{name}")
}

/// The database a world keeps its store in; nothing where it is files in its folder.
pub fn database_of(world: &World) -> Option<String> {
    let server = on_servers().then(|| std::env::var("FAIRWAY_TEST_POSTGRES").expect("tests/run.sh starts a server"))?;
    Some(format!("{server}/{}", topic_prefix(world.folder.path()).to_lowercase()))
}

fn log_section(folder: &std::path::Path) -> String {
    if on_servers() {
        let brokers = std::env::var("FAIRWAY_TEST_KAFKA").expect("FAIRWAY_TEST_KAFKA names the broker; tests/run.sh starts one");
        kafka_section(folder, &brokers)
    } else {
        format!("[log]\npath = \"{}\"\n", folder.join("log").display())
    }
}

fn kafka_section(folder: &std::path::Path, brokers: &str) -> String {
    format!(
        "[log]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic_prefix = \"{}\"\npartitions = 3\nreplication_factor = 1\nspool = \"{}\"\n",
        topic_prefix(folder),
        folder.join("spool").display()
    )
}

/// What the topics of a world in this folder begin with.
pub fn topic_prefix(folder: &std::path::Path) -> String {
    format!("story{}", folder.file_name().expect("a name").to_string_lossy().replace(['.', '-'], ""))
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
    transport: Transport,
}

impl World {
    /// Starts a gateway with the sandbox on and this more in its configuration.
    pub async fn start(more: &str) -> Self {
        Self::start_with(log_section, more).await
    }

    /// Starts one on Kafka, whatever the other stories run on.
    pub async fn start_on(brokers: &str) -> Self {
        Self::start_with(|folder| kafka_section(folder, brokers), "").await
    }

    /// Starts nodes of one cluster, on Kafka and PostgreSQL whatever the other stories run on, without the sandbox.
    pub async fn cluster(nodes: usize, more: &str) -> Vec<Self> {
        let brokers = std::env::var("FAIRWAY_TEST_KAFKA").expect("FAIRWAY_TEST_KAFKA names the broker; tests/run.sh starts one");
        let shared = tempfile::tempdir().expect("a folder");
        let prefix = topic_prefix(shared.path());
        let store = database(&prefix.to_lowercase()).await;
        let mut worlds = Vec::new();
        for _ in 0..nodes {
            let log = |folder: &std::path::Path| kafka_section(folder, &brokers).replace(&topic_prefix(folder), &prefix);
            worlds.push(Self::begin(log, &store, &format!("enabled = false\n{more}")).await);
        }
        worlds
    }

    async fn start_with(log: impl Fn(&std::path::Path) -> String, more: &str) -> Self {
        Self::begin(log, "", &format!("enabled = true\n{more}")).await
    }

    async fn begin(log: impl Fn(&std::path::Path) -> String, store: &str, more: &str) -> Self {
        fairway::tls::install_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let store = match store {
            "" if on_postgres() => database(&topic_prefix(folder.path()).to_lowercase()).await,
            "" => format!("sqlite:{}", folder.path().join("fairway.db").display()),
            shared => shared.to_owned(),
        };
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n{}[store]\nurl = \"{store}\"\n[media]\npath = \"{}\"\n[sandbox]\n{more}",
            log(folder.path()),
            folder.path().join("media").display(),
        );
        std::fs::write(folder.path().join("fairway.toml"), text).expect("a writable folder");
        let transport = Transport::new(true, Arc::new(|_| None));
        let mut world = Self { folder, port, child: None, transport };
        world.restart().await;
        world
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("fairway.toml")
    }

    /// Starts the process and waits until it is ready.
    pub async fn restart(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("gateway.log")).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_fairway"))
            .arg("--config")
            .arg(self.config())
            .current_dir(self.folder.path())
            .env("FAIRWAY_LOG", "info")
            .stdout(Stdio::from(log.try_clone().expect("a handle")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the gateway starts");
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(reply) = self.ask("GET", "/readyz", None).await
                && reply.status.is_success()
            {
                return;
            }
            let gone = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            assert!(gone.is_none(), "the gateway ended: {}", self.log());
            assert!(Instant::now() < until, "the gateway is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Changes the configuration; takes effect at the next start.
    pub fn rewrite(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).expect("a configuration");
        assert!(text.contains(from), "{from} does not stand in the configuration");
        std::fs::write(self.config(), text.replacen(from, to, 1)).expect("a writable folder");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, String> {
        let mut call = Call::new(Method::from_bytes(method.as_bytes()).expect("a method"), self.url(path));
        if let Some(body) = body {
            call = call.header("content-type", "application/json").bytes(body.to_string());
        }
        self.call(&call).await
    }

    pub async fn call(&self, call: &Call) -> Result<Reply, String> {
        self.call_within(call, Duration::from_secs(20)).await
    }

    pub async fn call_within(&self, call: &Call, within: Duration) -> Result<Reply, String> {
        // Books of a large run are larger than any provider's answer.
        self.transport.fetch(call, Some("story"), within, 64 << 20).await.map_err(|e| e.to_string())
    }

    pub async fn get(&self, path: &str) -> Value {
        // A kept connection may be closed for idleness at the moment it is used again: what changes nothing is asked a second time.
        let reply = match self.ask("GET", path, None).await {
            Ok(reply) => reply,
            Err(_) => match self.ask("GET", path, None).await {
                Ok(reply) => reply,
                Err(e) => panic!("{path}: {e}\n{}", self.log()),
            },
        };
        assert!(reply.status.is_success(), "{path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body));
        serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self.ask("POST", path, Some(body)).await.expect("an answer");
        (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
    }

    /// A person on a simulated provider writes.
    pub async fn says(&self, provider: &str, person: &str, text: &str) {
        let (status, body) = self.post(&format!("/sandbox-control/{provider}/act"), &json!({ "person": person, "text": text })).await;
        assert_eq!(status, 200, "{body}");
    }

    /// Makes a provider sick, or well again.
    pub async fn mood(&self, provider: &str, mood: &Value) {
        let reply = self.ask("PUT", &format!("/sandbox-control/{provider}/mood"), Some(mood)).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 204);
    }

    pub async fn books(&self, provider: &str) -> Value {
        self.get("/sandbox-control").await[provider]["books"].clone()
    }

    /// All events of a type.
    pub async fn events(&self, kind: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::from("beginning"));
        loop {
            let page = self.get(&format!("/v1/events?type={kind}&limit=500&after={after}")).await;
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            after = page["next"].as_str().unwrap_or_default().to_owned();
            if page["has_more"] != true {
                return all;
            }
        }
    }

    /// Waits until something is true.
    pub async fn until(&self, what: &str, seconds: u64, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let until = Instant::now() + patience(seconds);
        while !holds(self).await {
            assert!(Instant::now() < until, "{what} did not happen in {seconds} s\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A message, once the views have it.
    pub async fn message(&self, id: &str) -> Value {
        let until = Instant::now() + patience(5);
        loop {
            let reply = self.ask("GET", &format!("/v1/messages/{id}"), None).await.expect("an answer");
            if reply.status.is_success() {
                return serde_json::from_slice(&reply.body).expect("JSON");
            }
            assert!(reply.status == 404 && Instant::now() < until, "{id}: {}\n{}", reply.status, self.log());
        }
    }

    /// Waits until a message is in one of these states.
    pub async fn reaches(&self, id: &str, states: &[&str], seconds: u64) -> Value {
        let until = Instant::now() + patience(seconds);
        loop {
            let message = self.message(id).await;
            if states.contains(&message["state"].as_str().unwrap_or_default()) {
                return message;
            }
            assert!(Instant::now() < until, "{id} is {} and not {states:?}: {message:#}\n{}", message["state"], self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn send(&self, to: &str, text: &str) -> String {
        let (status, body) = self.post("/v1/messages", &json!({ "to": to, "parts": [{ "type": "text", "text": text }] })).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().expect("an id").to_owned()
    }

    /// Runs the command line against this gateway.
    pub fn cli(&self, args: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_fairway")).args(args).args(["--url", &self.url("")]).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
        if let (Ok(brokers), true) = (std::env::var("FAIRWAY_TEST_KAFKA"), std::env::var("FAIRWAY_STORY_LOG").as_deref() == Ok("kafka")) {
            delete_topics(&brokers, &topic_prefix(self.folder.path()));
        }
    }
}

/// Every story makes its own 450 partitions, and one small broker plays for all of them. It need not be waited for.
fn delete_topics(brokers: &str, prefix: &str) {
    use rdkafka::{ClientConfig, admin::AdminClient, admin::AdminOptions, client::DefaultClientContext};
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an administrator");
    let names: Vec<String> = fairway::log::Topic::ALL.iter().map(|t| format!("{prefix}.{}", t.name())).collect();
    let deleting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        runtime.block_on(admin.delete_topics(&names, &AdminOptions::new())).map(drop)
    });
    let _ = deleting.join();
}
