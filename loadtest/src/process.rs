//! Processes under test: what they use, and what can be done to them.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::wire::Wire;

/// A child process that ends with us.
pub struct Process {
    child: Child,
    /// Its port.
    pub port: u16,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub memory: u64,
}

/// The processes of a gateway's nodes, as they are now: a node that is dead has none.
#[derive(Debug, Default)]
pub struct Pids(Mutex<Vec<Option<u32>>>);

impl Pids {
    /// These.
    pub fn of(pids: Vec<u32>) -> Self {
        Self(Mutex::new(pids.into_iter().map(Some).collect()))
    }

    /// A node's process is another now.
    pub fn set(&self, node: usize, pid: Option<u32>) {
        if let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(node) {
            *place = pid;
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Option<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A port that is free now.
///
/// # Errors
/// What the system says.
pub fn free_port() -> Result<u16, String> {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port()).map_err(|e| e.to_string())
}

/// What a process has used so far; nothing when there is none.
pub fn usage_of(pid: u32) -> Option<Usage> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    // Ticks of a hundredth of a second, as Linux counts for user space; pages of 4 KiB.
    Some(Usage { cpu: Duration::from_millis((number(11) + number(12)) * 10), memory: number(21) * 4096 })
}

/// Stops a process where it stands, or lets it go on.
pub fn stall(pid: u32, stalled: bool) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, if stalled { Signal::STOP } else { Signal::CONT });
    }
}

impl Process {
    /// Starts one that will listen on this port.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(command: &mut Command, port: u16) -> Result<Self, String> {
        let child = command.spawn().map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
        Ok(Self { child, port })
    }

    /// The bare hyper server; with a Kafka, what a team writes in an afternoon ([`crate::naive`]).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn floor(kafka: Option<&str>) -> Result<Self, String> {
        let port = free_port()?;
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut process = Self::start(Command::new(own).arg("floor").arg(port.to_string()).args(kafka), port)?;
        process.wait("/", Duration::from_secs(10)).await?;
        Ok(process)
    }

    /// Waits until a path is answered with 200.
    ///
    /// # Errors
    /// When the process ended, or does not answer in time.
    pub async fn wait(&mut self, path: &str, patience: Duration) -> Result<(), String> {
        let (wire, until) = (Wire::local(self.port), Instant::now() + patience);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            match wire.get(path).await {
                Ok((200, _)) => return Ok(()),
                _ if Instant::now() > until => return Err(format!("no answer on port {}", self.port)),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        usage_of(self.child.id()).unwrap_or_default()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id() as i32)
    }

    /// No file of it may grow beyond this many bytes: to a program this is a disk that has filled up. `None` lifts it.
    pub fn largest_file(&self, bytes: Option<u64>) -> Result<(), String> {
        let limit = Rlimit { current: bytes, maximum: rustix::process::getrlimit(Resource::Fsize).maximum };
        rustix::process::prlimit(self.pid(), Resource::Fsize, limit).map(|_| ()).map_err(|e| format!("prlimit: {e}"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the body and answers 200: what no gateway can be faster than.
///
/// # Errors
/// When the port cannot be had.
pub async fn floor(port: u16) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
    loop {
        let (stream, _) = listener.accept().await.map_err(|e| e.to_string())?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(hyper::Response::new(Full::<bytes::Bytes>::default()))
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
