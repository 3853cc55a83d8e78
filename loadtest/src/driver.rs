//! The client side: connections that send at intended times and measure from them, so that a stalled server cannot hide.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;

/// A request to send.
pub struct Shot {
    /// The path.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What came of a run.
pub struct Outcome {
    /// Numbers of the shots answered with success.
    pub good: Vec<u64>,
    /// Shots sent.
    pub sent: u64,
    /// Shots answered otherwise.
    pub bad: u64,
    /// Microseconds from the intended start to the answer.
    pub latency: Histogram<u64>,
    /// How long it took.
    pub took: Duration,
}

async fn connect(port: u16) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_err(|e| e.to_string())?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, method: Method, shot: &Shot) -> Result<(u16, Bytes), String> {
    sender.ready().await.map_err(|e| e.to_string())?;
    let mut request = Request::builder().method(method).uri(&shot.path).header("host", "127.0.0.1");
    for (name, value) in &shot.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(shot.body.clone())).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    Ok((status, body))
}

/// One GET.
pub async fn get(port: u16, path: &str) -> Result<(u16, Bytes), String> {
    let shot = Shot { path: path.to_owned(), headers: Vec::new(), body: Bytes::new() };
    exchange(&mut connect(port).await?, Method::GET, &shot).await
}

/// One POST.
pub async fn post(port: u16, path: &str, kind: &str, body: impl Into<Bytes>) -> Result<(u16, Bytes), String> {
    let shot = Shot { path: path.to_owned(), headers: vec![("content-type".into(), kind.into())], body: body.into() };
    exchange(&mut connect(port).await?, Method::POST, &shot).await
}

/// Sends shots from several connections for a while; `make` gives the shot of a number.
pub async fn drive(
    port: u16,
    connections: usize,
    rate: u64,
    lasting: Duration,
    make: Arc<dyn Fn(u64) -> Shot + Send + Sync>,
) -> Result<Outcome, String> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (next, make) = (Arc::clone(&next), Arc::clone(&make));
        let mut sender = connect(port).await?;
        tasks.push(tokio::spawn(async move {
            let mut latency = Histogram::<u64>::new(3).map_err(|e| e.to_string())?;
            let (mut good, mut sent, mut bad) = (Vec::new(), 0_u64, 0_u64);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let intended = if rate == 0 { Instant::now() } else { start + Duration::from_secs_f64(number as f64 / rate as f64) };
                if intended.duration_since(start) >= lasting {
                    break;
                }
                tokio::time::sleep_until(intended.into()).await;
                let shot = make(number);
                sent += 1;
                match exchange(&mut sender, Method::POST, &shot).await {
                    Ok((200..=299, _)) => good.push(number),
                    Ok(_) => bad += 1,
                    Err(_) => {
                        bad += 1;
                        sender = connect(port).await?;
                    }
                }
                let _ = latency.record(intended.elapsed().as_micros() as u64);
            }
            Ok::<_, String>((good, sent, bad, latency))
        }));
    }
    let mut outcome =
        Outcome { good: Vec::new(), sent: 0, bad: 0, latency: Histogram::new(3).map_err(|e| e.to_string())?, took: Duration::ZERO };
    for task in tasks {
        let (good, sent, bad, latency) = task.await.map_err(|e| e.to_string())??;
        outcome.good.extend(good);
        outcome.sent += sent;
        outcome.bad += bad;
        outcome.latency.add(latency).map_err(|e| e.to_string())?;
    }
    outcome.took = start.elapsed();
    Ok(outcome)
}

/// One line about a run.
pub fn line(name: &str, outcome: &Outcome, cpu: Duration) -> String {
    let micros = cpu.as_secs_f64() * 1e6 / outcome.sent.max(1) as f64;
    let at = |q: f64| outcome.latency.value_at_quantile(q) as f64 / 1000.0;
    format!(
        "{name:<9} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms   p99.9 {:>7.2} ms   max {:>7.2} ms   {micros:>6.2} us CPU per request",
        outcome.sent as f64 / outcome.took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        outcome.latency.max() as f64 / 1000.0,
    )
}
