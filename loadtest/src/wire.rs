//! HTTP/1.1 to a gateway, of one node or of several: connections that are kept, and single requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;

/// After this long an answer does not come any more.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests go.
#[derive(Clone)]
pub struct Wire {
    /// Where its nodes are reached; the first one stands for all of them in URLs.
    nodes: Arc<[(String, u16)]>,
    /// The node that gets the next connection.
    next: Arc<AtomicUsize>,
    key: Option<String>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        write!(f, "{}", self.url(""))
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct Shot {
    /// The method.
    pub method: Method,
    /// The path with its query.
    pub path: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Shot {
    /// A POST of this kind of content.
    pub fn post(path: impl Into<String>, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path: path.into(), headers: vec![("content-type".into(), kind.into())], body: body.into() }
    }
}

/// An open connection.
pub type Connection = SendRequest<Full<Bytes>>;

impl Wire {
    /// To a host.
    pub fn new(host: &str, port: u16) -> Self {
        Self { nodes: [(host.to_owned(), port)].into(), next: Arc::default(), key: None }
    }

    /// To several nodes, as a load balancer leads to them: connections go round, and past a node that takes none.
    pub fn to_all(wires: &[Self]) -> Self {
        Self { nodes: wires.iter().flat_map(|w| w.nodes.iter().cloned()).collect(), next: Arc::default(), key: None }
    }

    /// To our own machine.
    pub fn local(port: u16) -> Self {
        Self::new("127.0.0.1", port)
    }

    /// With an API key of the gateway.
    pub fn with_key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// The URL of a path there.
    pub fn url(&self, path: &str) -> String {
        let (host, port) = &self.nodes[0];
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("http://{host}:{port}{path}")
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(&self) -> Result<Connection, String> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut refused = String::new();
        for n in 0..self.nodes.len() {
            let (host, port) = &self.nodes[(first + n) % self.nodes.len()];
            match tokio::net::TcpStream::connect((host.as_str(), *port)).await {
                Ok(stream) => return Self::open(stream).await,
                Err(e) => refused = e.to_string(),
            }
        }
        Err(refused)
    }

    async fn open(stream: tokio::net::TcpStream) -> Result<Connection, String> {
        let _ = stream.set_nodelay(true);
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends one request on a connection and waits for its answer, [`PATIENCE`] at most.
    ///
    /// # Errors
    /// When there was no whole answer. What the other side did is unknown then.
    pub async fn exchange(&self, connection: &mut Connection, shot: &Shot) -> Result<(u16, Bytes), String> {
        tokio::time::timeout(PATIENCE, self.exchange_now(connection, shot))
            .await
            .map_err(|_| format!("no answer to {} in time", shot.path))?
    }

    async fn exchange_now(&self, connection: &mut Connection, shot: &Shot) -> Result<(u16, Bytes), String> {
        connection.ready().await.map_err(|e| e.to_string())?;
        let mut request = Request::builder().method(shot.method.clone()).uri(&shot.path).header("host", &self.nodes[0].0);
        for (name, value) in &shot.headers {
            request = request.header(name, value);
        }
        if let Some(key) = self.key.as_ref().filter(|_| shot.path.starts_with("/v1/")) {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(Full::new(shot.body.clone())).map_err(|e| e.to_string())?;
        let response = connection.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok((status, body))
    }

    /// Sends one request on a connection of its own.
    ///
    /// # Errors
    /// When there was no whole answer.
    pub async fn send(&self, shot: &Shot) -> Result<(u16, Bytes), String> {
        self.exchange(&mut self.connect().await?, shot).await
    }

    /// Sends what takes long to take, such as a million people while webhooks pour in; its answer may take ten minutes.
    ///
    /// # Errors
    /// When there was no whole answer.
    pub async fn upload(&self, shot: &Shot) -> Result<(u16, Bytes), String> {
        let mut connection = self.connect().await?;
        let answer = tokio::time::timeout(20 * PATIENCE, self.exchange_now(&mut connection, shot)).await;
        answer.map_err(|_| format!("no answer to {} in time", shot.path))?
    }

    /// One GET.
    ///
    /// # Errors
    /// When there was no whole answer.
    pub async fn get(&self, path: &str) -> Result<(u16, Bytes), String> {
        self.send(&Shot { method: Method::GET, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }).await
    }

    /// One GET of JSON; anything but success is an error that shows the answer.
    ///
    /// # Errors
    /// The status and what was said.
    pub async fn json(&self, path: &str) -> Result<serde_json::Value, String> {
        read(path, self.get(path).await?)
    }

    /// One POST of JSON.
    ///
    /// # Errors
    /// The status and what was said.
    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Result<serde_json::Value, String> {
        read(path, self.send(&Shot::post(path, "application/json", body.to_string())).await?)
    }
}

/// Reads an answer.
fn read(path: &str, (status, body): (u16, Bytes)) -> Result<serde_json::Value, String> {
    if !(200..300).contains(&status) {
        return Err(format!("{path} was answered {status}: {}", String::from_utf8_lossy(&body)));
    }
    serde_json::from_slice(&body).map_err(|e| format!("{path} was not answered in JSON: {e}"))
}
