//! Messages out, to a twin that answers after 20 ms; the books: accepted, reached, twice, in doubt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairway_adapters::conformance::stage::Stage;
use fairway_adapters::contract::Time;
use fairway_adapters::contract::twin::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::Load;
use crate::driver;
use crate::process::Process;

/// How long the twin takes for an answer.
const LATENCY: Duration = Duration::from_millis(20);
/// Who gets more than she may.
const EAGER: u64 = 9_999_999;

/// Runs it.
pub async fn run(load: Load) -> Result<(), String> {
    let provider = fairway_adapters::provider(&load.provider).ok_or_else(|| format!("there is no provider `{}`", load.provider))?;
    let mut stage = Stage::new((provider.twin)(1), 1);
    stage.enforce = load.rate > 0;
    if load.rate > 0 {
        stage.pace = (u32::try_from(load.rate).unwrap_or(u32::MAX), 1000);
        stage.set_pair_pace((load.eager > 0).then_some((1, 6000, 1)));
    }
    let settings = stage.twin().settings();
    let stage = Arc::new(Mutex::new(stage));
    let twin_port = host(Arc::clone(&stage)).await?;
    let rate = if load.rate > 0 { load.rate } else { 1_000_000 };
    let mut channel = format!("[channels.load]\nprovider = \"{}\"\napi_base = \"http://127.0.0.1:{twin_port}\"\n", provider.facts.id);
    for (key, value) in settings.into_iter().filter(|(k, _)| k != "api_base") {
        channel.push_str(&format!("{key} = {value}\n"));
    }
    channel.push_str(&format!(
        "[channels.load.throttle]\nrate = \"{rate}/s\"\nper_recipient = \"{}\"\nconcurrency = {}\n",
        if load.eager > 0 { "1/6s" } else { "1000/s" },
        load.connections.max(64)
    ));

    let gateway = Process::gateway(&load, &channel).await?;
    let scheme = provider.facts.schemes[0];
    let before = gateway.usage();
    let started = Instant::now();
    if load.eager > 0 {
        // She stands at the head of the queue.
        let lines: String = (0..load.eager).map(|_| line(scheme, EAGER)).collect();
        driver::post(gateway.port, "/v1/messages/batch", "application/x-ndjson", lines).await?;
    }
    let mut accepted = 0_u64;
    for first in (0..load.messages).step_by(2000) {
        let lines: String = (first..(first + 2000).min(load.messages)).map(|i| line(scheme, i)).collect();
        let (status, body) = driver::post(gateway.port, "/v1/messages/batch", "application/x-ndjson", lines).await?;
        if status != 200 {
            return Err(format!("the batch was answered {status}: {}", String::from_utf8_lossy(&body)));
        }
        accepted += String::from_utf8_lossy(&body).lines().filter(|l| l.contains("\"id\":\"msg_")).count() as u64;
    }
    let accept = started.elapsed();
    println!("accept   {:>8.0}/s   {accepted} of {} accepted", accepted as f64 / accept.as_secs_f64(), load.messages);
    let limit = Instant::now() + Duration::from_secs(120 + 2 * load.messages / rate.max(1));
    let is_eager = |text: &str| text == format!("m{EAGER}");
    let status = loop {
        let (_, body) = driver::get(gateway.port, "/v1/status").await?;
        let status: Value = serde_json::from_slice(&body).unwrap_or_default();
        let ended: u64 = ["sent", "delivered", "read", "failed", "in_doubt", "expired", "cancelled"]
            .iter()
            .filter_map(|s| status["balance"][s].as_u64())
            .sum();
        let hers = stage.lock().expect("no request panics").accepted().iter().filter(|(_, a)| is_eager(&a.text)).count() as u64;
        if ended >= accepted + hers || Instant::now() > limit {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let took = started.elapsed();
    let usage = gateway.usage();
    let cpu = usage.cpu - before.cpu;
    let (books, reached, times) = {
        let stage = stage.lock().expect("no request panics");
        let mut reached: HashMap<String, u32> = HashMap::new();
        for (_, message) in stage.accepted().iter().filter(|(_, a)| !is_eager(&a.text)) {
            *reached.entry(message.text.clone()).or_default() += 1;
        }
        // Until the last of those who wait for the account alone: hers go on long after.
        let last = stage.accepted().iter().rposition(|(_, a)| !is_eager(&a.text)).map_or(0, |i| i + 1);
        let times: Vec<Time> = stage.accepted()[..last].iter().map(|(at, _)| *at).collect();
        (stage.books().clone(), reached, times)
    };
    let twice = reached.values().filter(|n| **n > 1).count();
    println!(
        "gateway  {:>8.0}/s   {:>6.2} us CPU per message, everything included   {:.1} MiB",
        accepted as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / accepted.max(1) as f64,
        usage.memory as f64 / 1048576.0
    );
    if let (true, Some(first), Some(last)) = (load.rate > 0, times.first(), times.last()) {
        let seconds = (last.since(*first) as f64 / 1000.0).max(0.001);
        println!(
            "throttle limit {rate}/s   fullest sliding second {}   refused {}   {:.1} % of the limit used over {seconds:.1} s",
            books.peak,
            books.throttled,
            100.0 * (times.len() - 1) as f64 / seconds / rate as f64
        );
    }
    let floor = floor(load.connections).await?;
    println!("floor                  {floor:>6.2} us CPU per call of a bare hyper client");
    println!(
        "books: accepted {accepted}, reached the twin {}, twice {twice}, refused by it {}; balance {}",
        reached.len(),
        books.refused,
        status["balance"]
    );
    if twice > 0 || (reached.len() as u64) < accepted { Err("the books do not balance".into()) } else { Ok(()) }
}

fn line(scheme: &str, number: u64) -> String {
    let person = match scheme {
        "whatsapp" | "tel" => format!("{scheme}:+1555{number:07}"),
        _ => format!("{scheme}:{}", 1000 + number),
    };
    json!({ "to": person, "channel": "load", "parts": [{ "type": "text", "text": format!("m{number}") }] }).to_string() + "\n"
}

/// CPU of our own process per bare call to a bare server, in microseconds.
async fn floor(connections: usize) -> Result<f64, String> {
    let server = Process::floor().await?;
    let own = || {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<u64> = text.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        Duration::from_millis((fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0)) * 10)
    };
    let before = own();
    let make = Arc::new(|number: u64| driver::Shot {
        path: "/messages".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from(
            json!({ "to": format!("+1555{number:07}"), "type": "text", "text": { "body": format!("m{number}") } }).to_string(),
        ),
    });
    let outcome = driver::drive(server.port, connections, 0, Duration::from_secs(3), make).await?;
    Ok((own() - before).as_secs_f64() * 1e6 / outcome.sent.max(1) as f64)
}

/// Hosts the twin.
async fn host(stage: Arc<Mutex<Stage>>) -> Result<u16, String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let stage = Arc::clone(&stage);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let stage = Arc::clone(&stage);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let now =
                            Time(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64));
                        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
                        let request = Request { method: head.method, path, query, headers: head.headers, body };
                        let outcome = stage.lock().expect("no request panics").serve(&request, now);
                        tokio::time::sleep(LATENCY).await;
                        let reply = outcome.reply.unwrap_or_default();
                        let mut response = hyper::Response::new(Full::new(reply.body));
                        (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers);
                        Ok::<_, hyper::Error>(response)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(port)
}
