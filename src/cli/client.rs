//! A small client of our own API.

use std::time::Duration;

use fairway_adapters::contract::{Call, Reply};
use http::Method;
use serde_json::Value;

use super::Remote;
use crate::transport::{self, Transport};

/// A gateway to talk to.
pub struct Client {
    transport: Transport,
    base: String,
    key: Option<String>,
}

impl Client {
    /// A client of that gateway.
    pub fn new(remote: &Remote) -> Self {
        let transport = Transport::new(true, std::sync::Arc::new(|_| None));
        Self { transport, base: remote.url.trim_end_matches('/').to_owned(), key: remote.key.clone() }
    }

    /// A request; the answer's JSON, or a problem in words.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let reply = self.raw(method, path, body, None).await?;
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        if reply.status.is_success() {
            return Ok(value);
        }
        let title = value["title"].as_str().unwrap_or("the gateway refused");
        let mut text = format!("{title}: {}", value["detail"].as_str().unwrap_or(reply.status.as_str()));
        for error in value["errors"].as_array().into_iter().flatten() {
            text.push_str(&format!("\n  at {}", error["pointer"].as_str().unwrap_or("#")));
            if error["detail"] != value["detail"] {
                text.push_str(&format!(": {}", error["detail"].as_str().unwrap_or_default()));
            }
        }
        Err(text)
    }

    /// A request with its raw answer.
    pub async fn raw(&self, method: &str, path: &str, body: Option<&Value>, within: Option<Duration>) -> Result<Reply, String> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
        let mut call = Call::new(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            call = call.header("content-type", "application/json").bytes(serde_json::to_vec(body).map_err(|e| e.to_string())?);
        }
        if let Some(key) = &self.key {
            call = call.bearer(key);
        }
        self.transport.call(&call, None, within.unwrap_or(Duration::from_secs(40))).await.map_err(|e| match e {
            transport::Error::NotSent(e) => {
                format!("no gateway answers at {}: {e}; start it with `fairway`, or name another with --url", self.base)
            }
            other => other.to_string(),
        })
    }
}
