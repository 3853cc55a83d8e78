//! Files of visitors: taken, kept under their hash, served by a signed reference.

use std::{sync::Arc, time::Duration};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use fairway_adapters::webchat::pass::{FileRef, purpose};
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Room;
use super::limits::What;
use super::reply::No;
use super::site::{Site, bearer};
use crate::clock;

/// How long an upload may take.
const WITHIN: Duration = Duration::from_secs(120);
/// Types a browser may show in place; everything else is offered for saving.
const SHOWN: [&str; 15] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "audio/mpeg",
    "audio/ogg",
    "audio/webm",
    "audio/wav",
    "audio/mp4",
    "audio/aac",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
];

impl Room {
    /// The address of a file.
    pub fn file_url(&self, site: &Site, reference: &str) -> String {
        format!("{}/webchat/{}/file/{reference}", self.public_url, site.channel.id)
    }
}

/// What a file is called.
#[derive(Deserialize)]
pub struct Named {
    #[serde(default)]
    name: String,
}

/// Takes a file: the body is its bytes, `name` its name.
pub async fn upload(
    State(room): State<Arc<Room>>,
    Path(channel): Path<String>,
    Query(named): Query<Named>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, No> {
    if method != Method::POST {
        return Err(No::Method("POST"));
    }
    let site = room.sites.get(&channel)?;
    let session = site.visitor(bearer(&headers).ok_or(No::Session)?, clock::now())?;
    room.limits.check(What::Upload, &session.visitor.session)?;
    // Read only now: who has no session makes us hold nothing.
    let most = usize::try_from(site.settings.max_upload().min(room.max_file)).unwrap_or(usize::MAX);
    let body = tokio::time::timeout(WITHIN, axum::body::to_bytes(body, most)).await.map_err(|_| No::Away)?.map_err(|_| No::TooLarge)?;
    if body.is_empty() {
        return Err(No::Invalid("the file is empty"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mime: String = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let typed = mime.len() <= 100 && mime.split_once('/').is_some_and(|(a, b)| [a, b].iter().all(|p| !p.is_empty() && is_token(p)));
    let size = body.len() as u64;
    let blobs = room.blobs.clone();
    let kept = tokio::task::spawn_blocking(move || blobs.put(&body)).await;
    let id = match kept {
        Ok(Ok(id)) => id,
        Ok(Err(e)) => {
            tracing::error!(error = %e, "a visitor's file could not be kept");
            return Err(No::Away);
        }
        Err(_) => return Err(No::Away),
    };
    let mime = if typed { mime } else { "application/octet-stream".to_owned() };
    let file = FileRef { id, name: file_name(&named.name), mime, size };
    let reference = site.keys.seal(purpose::FILE, &file);
    let url = room.file_url(&site, &reference);
    Ok(Json(json!({ "file": reference, "url": url, "filename": file.name, "mime_type": file.mime, "size": file.size })))
}

fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// A name without folders and control characters.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && *c != '"').take(120).collect();
    if clean.trim().is_empty() { "file".to_owned() } else { clean }
}

/// Serves a file to whoever was given its reference.
pub async fn file(State(room): State<Arc<Room>>, Path((channel, reference)): Path<(String, String)>) -> Result<Response, No> {
    let site = room.sites.get(&channel)?;
    let file: FileRef = site.keys.open(purpose::FILE, &reference).ok_or(No::NotFound)?;
    let blobs = room.blobs.clone();
    let id = file.id.clone();
    let bytes = tokio::task::spawn_blocking(move || blobs.get(&id)).await;
    let Ok(Ok(bytes)) = bytes else { return Err(No::NotFound) };
    let shown = SHOWN.contains(&file.mime.as_str());
    let name = utf8_percent_encode(&file.name, NON_ALPHANUMERIC);
    let disposition = format!("{}; filename*=UTF-8''{name}", if shown { "inline" } else { "attachment" });
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    let mime = if shown { file.mime.as_str() } else { "application/octet-stream" };
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, mime);
    set(header::CONTENT_DISPOSITION, &disposition);
    set(header::CACHE_CONTROL, "private, max-age=31536000, immutable");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Even if a browser were talked into showing it: nothing in it may run, and other sites' pages may embed it.
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(http::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_lead_nowhere() {
        for (given, kept) in
            [("../../etc/passwd", "passwd"), ("C:\\a\\b.png", "b.png"), ("a\"\r\nb", "ab"), ("", "file"), ("été 漢.txt", "été 漢.txt")]
        {
            assert_eq!(file_name(given), kept);
        }
    }
}
