//! The gateways we start ourselves: a folder of their own, a configuration, a process that can be killed and started again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::relay::{Relay, server_of, through};
use crate::wire::Wire;

/// How long a start may take: many channels and a long log take their time.
const START: Duration = Duration::from_secs(60);

/// What a gateway of ours stands on; by itself the embedded log and SQLite, in a folder of its own.
#[derive(Clone, Default)]
pub struct Ground {
    /// A Kafka, `host:port`.
    pub kafka: Option<String>,
    /// A PostgreSQL and its empty database. It holds a password, so nothing prints it.
    pub store: Option<String>,
    /// What its topics begin with; nodes with the same topics and the same store are one gateway.
    pub topics: String,
    /// What its webhook URLs begin with.
    pub public_url: String,
    /// Where it keeps media; nodes share it.
    pub media: Option<PathBuf>,
    /// Whether its clock can be moved.
    pub clock: bool,
}

impl Ground {
    /// A gateway of one node on this port, on this Kafka when one is named.
    pub fn of_one(port: u16, kafka: Option<&str>) -> Self {
        let public_url = Wire::local(port).url("");
        Self { kafka: kafka.map(str::to_owned), topics: format!("load{port}"), public_url, ..Self::default() }
    }
}

/// A gateway of ours, or one node of it.
pub struct Gateway {
    process: Process,
    folder: PathBuf,
    binary: PathBuf,
    faked_clock: Option<PathBuf>,
    store: Option<Relay>,
    /// How long the last start took until `/readyz`.
    pub ready_after: Duration,
}

/// The gateway beside us; built first where it is missing and `cargo` started us.
///
/// # Errors
/// What to do when there is none.
pub fn binary() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let binary = own.with_file_name("fairway");
    if binary.exists() {
        return Ok(binary);
    }
    let release = own.parent().is_some_and(|p| p.ends_with("release"));
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Err(format!("{} is not built; run `cargo build{}` first", binary.display(), if release { " --release" } else { "" }));
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "fairway", "--bin", "fairway"]).args(release.then_some("--release"));
    let built = command.status().map_err(|e| e.to_string())?;
    if built.success() && binary.exists() { Ok(binary) } else { Err("the gateway beside us cannot be built".into()) }
}

/// The library that fakes the clock of a process, where it is installed.
pub fn faketime() -> Option<PathBuf> {
    let known =
        ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime"];
    known.iter().map(|folder| Path::new(folder).join("libfaketimeMT.so.1")).find(|file| file.exists())
}

impl Gateway {
    /// Starts one on this port with this more in its configuration.
    ///
    /// # Errors
    /// When it does not become ready, with the end of its log.
    pub async fn start(port: u16, ground: &Ground, more: &str) -> Result<Self, String> {
        let binary = binary()?;
        let folder = Self::folder(port);
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let store = match &ground.store {
            Some(url) => {
                let (host, port) = server_of(url)?;
                Some(Relay::to(format!("{host}:{port}")).await.map_err(|e| e.to_string())?)
            }
            None => None,
        };
        let text = configuration(port, ground, store.as_ref()) + more;
        std::fs::write(folder.join("fairway.toml"), text).map_err(|e| format!("{}: {e}", folder.display()))?;
        let faked_clock = ground.clock.then(faketime).flatten();
        std::fs::write(folder.join("clock"), "+0").map_err(|e| e.to_string())?;
        let started = Instant::now();
        let process = spawn(&binary, &folder, port, faked_clock.as_deref(), store.is_some())?;
        let mut gateway = Self { process, folder, binary, faked_clock, store, ready_after: Duration::ZERO };
        gateway.wait(started).await?;
        Ok(gateway)
    }

    /// The folder of a gateway of ours on this port.
    pub fn folder(port: u16) -> PathBuf {
        std::env::temp_dir().join(format!("fairway-load-{}-{port}", std::process::id()))
    }

    async fn wait(&mut self, started: Instant) -> Result<(), String> {
        if let Err(e) = self.process.wait("/readyz", START).await {
            return Err(format!("the gateway did not become ready: {e}\n{}", self.log()));
        }
        self.ready_after = started.elapsed();
        Ok(())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Where it is reached.
    pub fn wire(&self) -> Wire {
        Wire::local(self.process.port)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `kill -9`, and after a while a start on what it left behind.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn kill_and_start(&mut self, dead: Duration) -> Result<(), String> {
        self.process.kill();
        tokio::time::sleep(dead).await;
        let started = Instant::now();
        self.process = spawn(&self.binary, &self.folder, self.process.port, self.faked_clock.as_deref(), self.store.is_some())?;
        self.wait(started).await
    }

    /// Cuts it off from its store, or lets it back.
    ///
    /// # Errors
    /// When its store is a file of its own.
    pub fn without_store(&self, cut: bool) -> Result<(), String> {
        self.store.as_ref().map(|relay| relay.cut(cut)).ok_or_else(|| "its store is a file; name a server with --store".into())
    }

    /// Moves its clock by whole seconds from the true time.
    ///
    /// # Errors
    /// When its clock cannot be moved.
    pub fn clock(&self, seconds: i64) -> Result<(), String> {
        if self.faked_clock.is_none() {
            return Err("its clock cannot be moved: install libfaketime (apt-get install faketime)".into());
        }
        std::fs::write(self.folder.join("clock"), format!("{seconds:+}")).map_err(|e| e.to_string())
    }
}

fn configuration(port: u16, ground: &Ground, store: Option<&Relay>) -> String {
    let url = match (&ground.store, store) {
        (Some(url), Some(relay)) => through(url, relay.port),
        _ => "sqlite:fairway.db".into(),
    };
    let media = ground.media.as_ref().map_or_else(|| "media".into(), |folder| folder.display().to_string());
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{}\"\n\
         [store]\nurl = \"{url}\"\n[media]\npath = \"{media}\"\n[sandbox]\nenabled = false\n[log]\npath = \"log\"\n",
        ground.public_url
    );
    if let Some(brokers) = &ground.kafka {
        let _ = write!(
            text,
            "kind = \"kafka\"\nbrokers = \"{brokers}\"\nreplication_factor = 1\ntopic_prefix = \"{}\"\nspool = \"spool\"\n",
            ground.topics
        );
    }
    text
}

/// Starts the process. One of several on this machine goes behind us: a provider has a machine of its own, and a twin that has to wait
/// for the nodes it measures would note down arrivals later than they came.
fn spawn(binary: &Path, folder: &Path, port: u16, clock: Option<&Path>, one_of_several: bool) -> Result<Process, String> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("gateway.log")).map_err(|e| e.to_string())?;
    // A file that may not grow answers with an error then, as a full disk does, and does not kill the process.
    let mut command = Command::new("nice");
    command
        .args(["-n", if one_of_several { "5" } else { "0" }, "env", "--ignore-signal=XFSZ"])
        .arg(binary)
        .args(["--config", "fairway.toml"])
        .current_dir(folder);
    command.env("FAIRWAY_LOG", "warn").stdout(Stdio::null()).stderr(log);
    if let Some(library) = clock {
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    Process::start(&mut command, port)
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
