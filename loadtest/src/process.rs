//! The processes under test: the gateway, and the floor beside it.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use crate::Load;

/// A child process that ends with us.
pub struct Process {
    child: Child,
    /// Its port.
    pub port: u16,
    folder: Option<PathBuf>,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub memory: u64,
}

fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map(|a| a.port()).map_err(|e| e.to_string())
}

impl Process {
    /// The bare hyper server.
    pub async fn floor() -> Result<Self, String> {
        let port = free_port()?;
        let child = Command::new(std::env::current_exe().map_err(|e| e.to_string())?)
            .arg("floor")
            .arg(port.to_string())
            .spawn()
            .map_err(|e| e.to_string())?;
        let process = Self { child, port, folder: None };
        process.wait("/").await?;
        Ok(process)
    }

    /// The gateway built beside us, with this more in its configuration.
    pub async fn gateway(load: &Load, more: &str) -> Result<Self, String> {
        let binary = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("fairway");
        if !binary.exists() {
            return Err(format!("{} is not built; run `cargo build --release` first", binary.display()));
        }
        let port = free_port()?;
        let folder = std::env::temp_dir().join(format!("fairway-load-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n[store]\nurl = \"sqlite:fairway.db\"\n[log]\npath = \"log\"\n"
        );
        if let Some(brokers) = &load.kafka {
            let _ = write!(
                text,
                "kind = \"kafka\"\nbrokers = \"{brokers}\"\nreplication_factor = 1\ntopic_prefix = \"load{port}\"\nspool = \"spool\"\n"
            );
        }
        text.push_str(more);
        std::fs::write(folder.join("fairway.toml"), text).map_err(|e| e.to_string())?;
        let log = std::fs::File::create(folder.join("gateway.log")).map_err(|e| e.to_string())?;
        let child = Command::new(binary)
            .args(["--config", "fairway.toml"])
            .current_dir(&folder)
            .env("FAIRWAY_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        let process = Self { child, port, folder: Some(folder) };
        let started = Instant::now();
        process.wait("/readyz").await?;
        println!("gateway: ready {} ms after its start", started.elapsed().as_millis());
        Ok(process)
    }

    async fn wait(&self, path: &str) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match crate::driver::get(self.port, path).await {
                Ok((200, _)) => return Ok(()),
                _ if Instant::now() > until => return Err(format!("no answer on port {}", self.port)),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let text = std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("stat")).unwrap_or_default();
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        // Ticks of a hundredth of a second, as Linux counts for user space; pages of 4 KiB.
        Usage { cpu: Duration::from_millis((number(11) + number(12)) * 10), memory: number(21) * 4096 }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Reads the body and answers 200: what no gateway can be faster than.
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
