//! Dispatch alone: messages that lie in their lane when its owner begins, through a twin that answers after 20 ms, each with its
//! records in the ledger and its published state. No API, no views, nobody who listens.
//!
//! The twin is a process of its own, so that what is counted here is the sender; the floor is bare calls from here to the same process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairway::ids::MessageId;
use fairway::log::{Durability, Outcome, Topic};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::process;
use crate::stage::{self, Stage};
use crate::table::{Row, Table};
use crate::twin::{self, Hosted};

/// How long the twin takes to answer.
const LATENCY: Duration = Duration::from_millis(20);
/// Calls under way at once.
const CALLS: u32 = 256;
/// What is told of each: its content, and that it was sent.
const TOLD: u64 = 2;
/// Records of one append.
const TOGETHER: u64 = 2000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Serves a twin for another process, until that goes.
pub async fn serve() {
    let hosted = Hosted::serve(LATENCY).await;
    println!("{}", hosted.port());
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
}

/// A twin in a process of its own.
struct Apart {
    child: Child,
    base: String,
}

impl Apart {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        let mut child = command.arg("--twin").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a twin");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its port");
        Self { child, base: format!("http://127.0.0.1:{}", line.trim()) }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends so many messages.
pub async fn run(table: &mut Table, home: &Path, size: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let apart = Apart::start();
    let channel = twin::channels(&["tg".to_owned()], 100_000, CALLS, &apart.base);
    let mut stage = Stage::open(folder.path(), &channel).await;
    let unit = stage.channels.get().by_id["tg"].unit;
    for first in (0..size).step_by(TOGETHER as usize) {
        let message = |n: u64| {
            let to = format!("telegram:{}", 1_000_000_000 + n);
            stage::message(MessageId::random(unit), "tg", to, &format!("m{n}"), None).record(false)
        };
        let records = (first..size.min(first + TOGETHER)).map(message).collect();
        let outcomes = stage.log.append(records, Durability::Log).await;
        assert!(outcomes.iter().all(Outcome::is_durable));
    }
    let (cpu, began) = (process::cpu(), Instant::now());
    stage.own();
    let mut told = 0;
    while told < TOLD * size {
        assert!(began.elapsed() < PATIENCE, "{told} of {} were told of after {PATIENCE:?}", TOLD * size);
        tokio::time::sleep(Duration::from_millis(50)).await;
        told = stage.log.ends(Topic::Status).await.expect("read").values().sum();
    }
    let seconds = (process::cpu() - cpu).as_secs_f64();
    let rate = size as f64 / began.elapsed().as_secs_f64();
    let taken: u64 = get(&apart.base, twin::TAKEN).await.parse().expect("a number");
    assert_eq!((told, taken), (TOLD * size, size), "each is told of once, and the twin took each once");
    let note = format!("CPU, not time; {rate:.0}/s with {CALLS} calls under way, {} MiB", process::peak_mib());
    let floor = Some(("CPU of a bare hyper client's calls to it", calls(&apart.base, size).await));
    table.add(Row { what: "dispatch alone: lane, ledger, call, state", size, seconds, units: size, wanted: "<= 3 x", floor, note });
    stage.close().await;
}

async fn get(base: &str, path: &str) -> String {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answer = client.get(format!("{base}{path}").parse().expect("an address")).await.expect("an answer");
    String::from_utf8_lossy(&answer.into_body().collect().await.expect("a body").to_bytes()).into_owned()
}

/// Seconds of CPU that so many bare calls take, as many under way at once, to the same server with the same latency.
async fn calls(base: &str, size: u64) -> f64 {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let next = Arc::new(AtomicU64::new(0));
    let before = process::cpu();
    let callers: Vec<_> = (0..CALLS)
        .map(|_| {
            let (client, next, url) = (client.clone(), Arc::clone(&next), format!("{base}{}", twin::BARE));
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= size {
                        return;
                    }
                    let body = format!("{{\"chat_id\":\"{}\",\"text\":\"m{n}\"}}", 1_000_000_000 + n);
                    let request = http::Request::post(&url).header("content-type", "application/json");
                    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
                    let answer = client.request(request).await.expect("an answer");
                    assert!(answer.status().is_success());
                    answer.into_body().collect().await.expect("a body");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("it ends");
    }
    (process::cpu() - before).as_secs_f64()
}
