//! The gateway we start ourselves: a folder of its own, a configuration, a process that can be killed and started again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::wire::Wire;

/// How long a start may take: many channels and a long log take their time.
const START: Duration = Duration::from_secs(60);

/// A gateway of ours.
pub struct Gateway {
    process: Process,
    folder: PathBuf,
    binary: PathBuf,
    faked_clock: Option<PathBuf>,
    /// The prefix of its topics, when it runs on Kafka.
    pub topics: String,
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
    /// Starts one on a free port with this more in its configuration. With `clock` its clock can be moved.
    ///
    /// # Errors
    /// When it does not become ready, with the end of its log.
    pub async fn start(port: u16, kafka: Option<&str>, more: &str, clock: bool) -> Result<Self, String> {
        let binary = binary()?;
        let folder = std::env::temp_dir().join(format!("fairway-load-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let topics = format!("load{port}");
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\
             [store]\nurl = \"sqlite:fairway.db\"\n[media]\npath = \"media\"\n[sandbox]\nenabled = false\n[log]\npath = \"log\"\n"
        );
        if let Some(brokers) = kafka {
            let _ = write!(
                text,
                "kind = \"kafka\"\nbrokers = \"{brokers}\"\nreplication_factor = 1\ntopic_prefix = \"{topics}\"\nspool = \"spool\"\n"
            );
        }
        text.push_str(more);
        std::fs::write(folder.join("fairway.toml"), text).map_err(|e| format!("{}: {e}", folder.display()))?;
        let faked_clock = clock.then(faketime).flatten();
        std::fs::write(folder.join("clock"), "+0").map_err(|e| e.to_string())?;
        let started = Instant::now();
        let process = spawn(&binary, &folder, port, faked_clock.as_deref())?;
        let mut gateway = Self { process, folder, binary, faked_clock, topics, ready_after: Duration::ZERO };
        gateway.wait(started).await?;
        Ok(gateway)
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

    /// `kill -9`, and a start on what it left behind.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn kill_and_start(&mut self) -> Result<(), String> {
        self.process.kill();
        let started = Instant::now();
        self.process = spawn(&self.binary, &self.folder, self.process.port, self.faked_clock.as_deref())?;
        self.wait(started).await
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

fn spawn(binary: &Path, folder: &Path, port: u16, clock: Option<&Path>) -> Result<Process, String> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("gateway.log")).map_err(|e| e.to_string())?;
    // A file that may not grow answers with an error then, as a full disk does, and does not kill the process.
    let mut command = Command::new("env");
    command.arg("--ignore-signal=XFSZ").arg(binary).args(["--config", "fairway.toml"]).current_dir(folder);
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
