//! Twins that are spoken to over connections, alone or besides: each has a port on loopback.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::Reply;
use fairway_adapters::contract::twin::{Draft, Emit, Line, Said};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::{Hosted, Stages, deliver};
use crate::clock;

/// The port of one twin, with what it has to deliver.
pub(super) struct Port {
    listener: Mutex<Option<TcpListener>>,
    waiting: Mutex<VecDeque<Draft>>,
    news: Notify,
}

impl Port {
    /// A free port on loopback; the address under which a channel reaches it.
    pub async fn open() -> Result<(Self, String), String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| format!("the sandbox gets no port: {e}"))?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let port = Self { listener: Mutex::new(Some(listener)), waiting: Mutex::default(), news: Notify::new() };
        Ok((port, address.to_string()))
    }

    /// Takes a delivery; it goes out on a connection that can carry it, and again on another while nobody acknowledged it.
    pub fn push(&self, draft: Draft) {
        self.waiting.lock().push_back(draft);
        self.news.notify_one();
    }
}

/// Serves a twin's port for as long as the process lives.
pub(super) fn serve(stages: &Stages, provider: &'static str) {
    let Some(listener) = stages[provider].port.as_ref().and_then(|port| port.listener.lock().take()) else { return };
    let stages = Arc::clone(stages);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Some(line) = stages[provider].stage.lock().twin().line() else { return };
            tokio::spawn(converse(Arc::clone(&stages), provider, stream, line));
        }
    });
}

async fn converse(stages: Stages, provider: &'static str, mut stream: TcpStream, mut line: Box<dyn Line>) {
    let hosted = &stages[provider];
    let Some(port) = &hosted.port else { return };
    let (answers, mut answered) = mpsc::unbounded_channel();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let (bytes, over) = tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(count @ 1..) => hear(&stages, provider, &mut *line, &buffer[..count], &answers),
                _ => break,
            },
            Some((number, reply)) = answered.recv() => match reply {
                Some(reply) => (line.answered(number, &reply), false),
                None => break, // Accepted and never answered: the connection breaks off.
            },
            () = port.news.notified() => (Vec::new(), false),
        };
        if stream.write_all(&bytes).await.is_err() || over || stream.write_all(&waiting(port, &mut *line)).await.is_err() {
            break;
        }
    }
    let mut waiting = port.waiting.lock();
    for draft in line.unacknowledged().into_iter().rev() {
        waiting.push_front(draft);
    }
    drop(waiting);
    port.news.notify_one();
}

/// What is to be delivered and this connection can carry.
fn waiting(port: &Port, line: &mut dyn Line) -> Vec<u8> {
    let mut waiting = port.waiting.lock();
    let mut out = Vec::new();
    while let Some(bytes) = waiting.front().and_then(|draft| line.deliver(draft)) {
        waiting.pop_front();
        out.extend(bytes);
    }
    out
}

/// What bytes lead to: what is written back at once, and whether the twin hangs up after that.
fn hear(
    stages: &Stages,
    provider: &'static str,
    line: &mut dyn Line,
    bytes: &[u8],
    answers: &mpsc::UnboundedSender<(u64, Option<Reply>)>,
) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    for said in line.hear(bytes) {
        match said {
            Said::Write(bytes) => out.extend(bytes),
            Said::Close => return (out, true),
            Said::Ask(number, request) => {
                let outcome = stages[provider].stage.lock().serve(&request, clock::now());
                deliver(stages, provider, outcome.emits);
                let answers = answers.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(outcome.delay_ms)).await;
                    let _ = answers.send((number, outcome.reply));
                });
            }
        }
    }
    (out, false)
}

impl Hosted {
    /// Takes what goes out over a connection; what does not is given back.
    pub(super) fn over_line(&self, emit: Emit) -> Option<Emit> {
        let Some(port) = &self.port else { return Some(emit) };
        let mut stage = self.stage.lock();
        if !stage.twin().goes_over_line(&emit.draft) {
            return Some(emit);
        }
        port.push(stage.sign(&self.hook_url, emit.draft));
        None
    }
}
