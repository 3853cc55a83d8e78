//! The hot functions beside their floors: verify, parse, claim, render, lane, ledger, append. Whole paths beside theirs are measured
//! by `fairway-loadtest inbound` and `outbound`.
#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group};
use fairway::ingress::claims::{Claim, Claims};
use fairway::log::{Durability, EventLog, Headers, Record, Topic};
use fairway::outbound::lane::{Counted, Entry, Lanes, Limits, Next};
use fairway::outbound::ledger;
use fairway::outbound::limit::Limit;
use fairway_adapters::contract::{Outbound, Part, Priority, Settings, Time, Webhook};

mod support;
mod table;

use support::{HOOK, context, delivery, person};

fn inbound(c: &mut Criterion) {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"benchmark");
    for provider in fairway_adapters::PROVIDERS.iter().filter(|p| p.facts.delivers()).map(|p| p.facts.id) {
        let Some((adapter, draft, headers)) = delivery(provider) else { continue };
        let hook = Webhook { method: &draft.method, url: HOOK, query: &draft.query, headers: &headers, body: &draft.body };
        // Whose proof needs published keys has none at hand here.
        let Ok(verified) = adapter.verify(hook, &context()) else { continue };
        let mut group = c.benchmark_group(format!("inbound/{provider}/{} bytes", draft.body.len()));
        group.bench_function("floor: HMAC-SHA256 of the body", |b| {
            b.iter(|| aws_lc_rs::hmac::sign(black_box(&key), black_box(&draft.body)))
        });
        group.bench_function("floor: JSON read as values", |b| {
            b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&draft.body)).is_ok());
        });
        group.bench_function("verify", |b| b.iter(|| adapter.verify(black_box(hook), &context()).is_ok()));
        group.bench_function("parse", |b| b.iter(|| black_box(adapter.parse(black_box(&verified), &context()).events.len())));
        group.finish();
    }
}

fn claims(c: &mut Criterion) {
    let claims = Claims::new(2_000_000, None);
    let mut id = 0_u128;
    c.bench_function("claim and settle", |b| {
        b.iter(|| {
            id = id.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            if matches!(claims.claim(id), Claim::Won) {
                claims.settle(id, true);
            }
        });
    });
}

fn outbound(c: &mut Criterion) {
    for provider in fairway_adapters::PROVIDERS {
        let twin = (provider.twin)(1);
        let adapter = (provider.bind)(Settings(twin.settings())).expect("its own settings fit");
        let to = person(provider);
        let parts = [Part::text("Your table is ready.")];
        let native = serde_json::Map::new();
        let message = Outbound {
            id: "msg_bench",
            to: &to,
            thread: None,
            parts: &parts,
            template: None,
            category: Default::default(),
            reply_to: None,
            handle: None,
            author: None,
            expires_at: None,
            native: &native,
        };
        c.bench_function(&format!("render/{}", provider.facts.id), |b| b.iter(|| adapter.render(black_box(&message), &context()).is_ok()));
    }
    c.bench_function("lane: push, next, gate, remove", |b| {
        let mut lanes = Lanes::default();
        let sender = vec![Limit::new(u32::MAX, 1_000_000, 1)];
        lanes.limits(&"c".into(), Limits { sender, concurrency: 1000, ..Limits::default() }, 0);
        let mut number = 0;
        b.iter(|| {
            number += 1;
            let entry = Entry {
                number,
                channel: "c".into(),
                conversation: format!("c{}", number % 1000).into(),
                lane: Priority::Normal,
                counted: Counted { conversation: number % 1000, cost: 1, ..Counted::default() },
                share: Default::default(),
            };
            lanes.push(entry.clone());
            if let Next::Arm(_) = lanes.next(number as i64) {
                lanes.gate(&entry, number as i64);
                lanes.remove(&entry, true);
            }
        });
    });
    c.bench_function("ledger: encode and decode", |b| {
        let what = ledger::Call { id: fairway::ids::MessageId::derived(1, &[b"x"]), attempt: 1, call: 0 };
        let entry = ledger::Entry::Sending {
            what,
            at: Time(1),
            rendering: 2,
            channel: 3,
            counted: Counted { conversation: 4, cost: 1, ..Counted::default() },
        };
        b.iter(|| ledger::Entry::decode(&black_box(&entry).encode(5)));
    });
}

fn append(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("[log]\npath = \"{}\"\n", folder.path().join("log").display());
    let config = fairway::config::Config::parse(&text, std::path::Path::new("bench.toml"), &|_| None).expect("valid");
    let log: Arc<dyn EventLog> = runtime.block_on(fairway::log::open(&config.log, &config.retention)).expect("it opens");
    let record = || Record {
        topic: Topic::Inbound,
        partition: 0,
        key: "k".into(),
        headers: Headers::of([("ce_id", "x")]),
        value: Some(vec![b'x'; 1024].into()),
    };
    let mut group = c.benchmark_group("append, 1 KB, durable");
    group.sample_size(20);
    for writers in [1_usize, 64, 256] {
        group.bench_function(format!("{writers} at once"), |b| {
            b.iter(|| {
                let pending: Vec<_> = (0..writers).map(|_| log.append(vec![record()], Durability::Log)).collect();
                runtime.block_on(async {
                    for one in pending {
                        black_box(one.await);
                    }
                });
            });
        });
    }
    group.bench_function("floor: write 1 KB and fsync", |b| {
        use std::io::Write;
        let mut file = std::fs::File::create(folder.path().join("floor")).expect("a file");
        b.iter(|| {
            file.write_all(&[b'x'; 1024]).expect("written");
            file.sync_data().expect("synced");
        });
    });
    group.finish();
}

/// Bare hyper on both sides of a loopback connection: the floor under every webhook in and every call out.
fn hyper_alone(c: &mut Criterion) {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::TokioIo;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(http::Response::new(Full::<bytes::Bytes>::default()))
            });
            let _ = stream.set_nodelay(true);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let mut sender = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender
    });
    let body = bytes::Bytes::from(vec![b'x'; 1024]);
    c.bench_function("floor: bare hyper, 1 KB in and an answer out", |b| {
        b.iter(|| {
            let request = http::Request::post("/hook").header("host", "localhost").body(Full::new(body.clone())).expect("a request");
            runtime.block_on(async {
                sender.ready().await.expect("open");
                let answer = sender.send_request(request).await.expect("an answer");
                black_box(answer.into_body().collect().await.expect("a body"));
            });
        });
    });
}

criterion_group!(benches, inbound, claims, outbound, append, hyper_alone);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    table::print();
}
