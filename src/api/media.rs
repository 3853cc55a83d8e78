//! `/v1/media`: what people sent, what is to be sent, and public links to it.

use std::time::Duration;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fairway_adapters::contract::Time;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::Api;
use super::auth::Caller;
use super::extract::{Path, Query};
use super::problem::{self, Problem};
use crate::media::links::{DAY, Shut};
use crate::store::Media;
use crate::{clock, ids};

/// How long an event may be ahead of its media row.
const AHEAD: Duration = Duration::from_secs(5);
const CHUNK: usize = 64 << 10;

/// An uploaded file.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Uploaded {
    /// `med_...`: what `media.id` of a part takes.
    id: String,
    /// Where to read it, with a key.
    url: String,
    /// Bytes.
    size: u64,
    /// SHA-256 in hex.
    sha256: String,
}

/// About a file to upload.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// The name the receiver sees.
    filename: Option<String>,
}

/// For how long.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LinkQuery {
    /// Seconds the link is good for; a day when absent, a week at most.
    seconds: Option<i64>,
}

/// A public link.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Link {
    /// Opens without a key.
    url: String,
    /// Until then.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Time,
}

/// The signature of a public link.
#[derive(Deserialize)]
pub struct Signed {
    exp: i64,
    sig: String,
}

/// Reads a media object.
#[utoipa::path(get, path = "/v1/media/{id}", operation_id = "getMedia", tag = "media",
    params(("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "An `ETag` of an earlier answer")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The bytes"),
        (status = 304, description = "It is what `If-None-Match` names"), (status = 404, body = Problem),
        (status = 410, body = Problem, description = "It could not be fetched"),
        (status = 503, body = Problem, description = "It is still being fetched")))]
pub async fn show(Extract(api): Extract<Api>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    caller.may("messages:read")?;
    let media = find(&api, &id).await?;
    if !media.channel.is_empty() {
        caller.may_use(&media.channel)?;
    }
    serve(&api, media, &headers).await
}

/// Reads a media object by a public link.
pub async fn public(
    Extract(api): Extract<Api>,
    Path(id): Path<String>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match api.media.links.check(&id, signed.exp, &signed.sig, clock::now()) {
        Ok(()) => {}
        Err(Shut::Forged) => return Err(Problem::new(&problem::NOT_FOUND, "this link is not one of ours")),
        Err(Shut::Over) => return Err(Problem::new(&problem::GONE, "this link has expired")),
    }
    let media = find(&api, &id).await?;
    serve(&api, media, &headers).await
}

/// Makes a public link that expires.
#[utoipa::path(post, path = "/v1/media/{id}/link", operation_id = "linkMedia", tag = "media", params(("id" = String, Path), LinkQuery),
    responses((status = 201, body = Link), (status = 404, body = Problem)))]
pub async fn link(
    Extract(api): Extract<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LinkQuery>,
) -> Result<(StatusCode, Json<Link>), Problem> {
    caller.may("messages:read")?;
    let media = find(&api, &id).await?;
    if !media.channel.is_empty() {
        caller.may_use(&media.channel)?;
    }
    let long = query.seconds.map_or(DAY, |s| s.clamp(1, 7 * 86_400) * 1000);
    let expires_at = Time((clock::now().0 + long).div_euclid(1000) * 1000);
    Ok((StatusCode::CREATED, Json(Link { url: api.media.links.until(&media.id, expires_at), expires_at })))
}

/// Keeps a file that is to be sent: the bytes are the body, their type its content type.
#[utoipa::path(post, path = "/v1/media", operation_id = "uploadMedia", tag = "media", params(UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Uploaded), (status = 413, body = Problem)))]
pub async fn upload(
    Extract(api): Extract<Api>,
    caller: Caller,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, Json<Uploaded>), Problem> {
    caller.may("messages:write")?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let mime_type = content_type.unwrap_or("application/octet-stream").to_owned();
    let limit = usize::try_from(api.config.media.max_size.0).unwrap_or(usize::MAX);
    let too_large = |_| Problem::new(&problem::TOO_LARGE, format!("at most {limit} bytes (media.max_size); or the body broke off"));
    let body = axum::body::to_bytes(request.into_body(), limit).await.map_err(too_large)?;
    if body.is_empty() {
        return Err(Problem::new(&problem::INVALID, "the body is empty; send the file's bytes").at("#", "body_empty"));
    }
    let (blobs, size) = (api.media.blobs.clone(), body.len() as u64);
    let name = query.filename.clone().unwrap_or_default();
    let kind = mime_type.clone();
    let kept = tokio::task::spawn_blocking(move || {
        let blob = blobs.put(&body)?;
        // The same file again is the same object: a repeated upload leaves nothing behind.
        let id = ids::text("med_", ids::fingerprint(&[b"upload", blob.as_bytes(), kind.as_bytes(), name.as_bytes()]));
        blobs.name(&id, &blob).map(|()| (id, blob))
    });
    let (id, blob) = match kept.await {
        Ok(Ok(kept)) => kept,
        Ok(Err(e)) => return Err(not_kept(&e)),
        Err(e) => return Err(not_kept(&e)),
    };
    let now = clock::now();
    let media = Media {
        id: id.clone(),
        channel: String::new(),
        state: "ready".into(),
        source: None,
        blob: Some(blob.clone()),
        mime_type: Some(mime_type),
        filename: query.filename,
        size,
        tries: 0,
        due: now,
        reason: None,
        created_at: now,
        person: None,
    };
    api.store.put_media(media).await?;
    let url = format!("{}/v1/media/{id}", api.config.server.public_url);
    Ok((StatusCode::CREATED, Json(Uploaded { id, url, size, sha256: blob })))
}

fn not_kept(e: &dyn std::fmt::Display) -> Problem {
    tracing::error!(error = %e, "an upload cannot be kept");
    Problem::new(&problem::UNAVAILABLE, "the file cannot be kept now; try again")
}

/// The row of a media object. An event may be read a moment before its row is written.
async fn find(api: &Api, id: &str) -> Result<Media, Problem> {
    let missing = || Problem::new(&problem::NOT_FOUND, "there is no media object with this id");
    if !id.starts_with("med_") || ids::read_fingerprint(id).is_none() {
        return Err(missing());
    }
    let until = tokio::time::Instant::now() + AHEAD;
    loop {
        match api.store.media(id).await? {
            Some(media) => return Ok(media),
            None if tokio::time::Instant::now() >= until => return Err(missing()),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(api: &Api, media: Media, asked: &HeaderMap) -> Result<Response, Problem> {
    let blob = match (media.state.as_str(), &media.blob) {
        ("ready", Some(blob)) => blob.clone(),
        ("pending", _) => {
            let wait = media.due.since(clock::now()).div_euclid(1000).clamp(1, 3600) as u64;
            return Err(Problem::new(&problem::UNAVAILABLE, "it is still being fetched from the provider").retry_after(wait));
        }
        _ => return Err(Problem::new(&problem::GONE, media.reason.unwrap_or_else(|| "it could not be fetched".into()))),
    };
    let etag = format!("\"{blob}\"");
    if asked.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v == "*" || v.contains(&etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let gone = |_| Problem::new(&problem::GONE, "its bytes are not there any more");
    let path = api.media.blobs.path(&blob).map_err(gone)?;
    let file = tokio::fs::File::open(path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let mut response = Response::new(HttpBody::from_stream(chunks(file)));
    let mime = media.mime_type.as_deref().unwrap_or("application/octet-stream");
    let inline = is_harmless(mime);
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/octet-stream");
    set(header::CONTENT_TYPE, mime);
    set(header::CONTENT_LENGTH, &length.to_string());
    set(header::ETAG, &etag);
    set(header::CACHE_CONTROL, "private, max-age=86400, immutable");
    // The type is the sender's word: nothing is run, nothing is guessed.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    set(header::CONTENT_DISPOSITION, &disposition(inline, media.filename.as_deref()));
    Ok(response)
}

fn chunks(file: tokio::fs::File) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    futures_util::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
        match file.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.freeze()), Some(file))),
            Err(e) => Some((Err(e), None)),
        }
    })
}

/// What a browser may show within a page: pictures, sound and film, but no picture that can hold a script.
fn is_harmless(mime: &str) -> bool {
    let mime = mime.to_ascii_lowercase();
    ["image/", "audio/", "video/"].iter().any(|p| mime.starts_with(p)) && !mime.starts_with("image/svg")
}

fn disposition(inline: bool, filename: Option<&str>) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    match filename {
        Some(name) => {
            let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
            format!("{kind}; filename*=UTF-8''{name}")
        }
        None => kind.to_owned(),
    }
}

/// What the API needs of the media room.
pub struct Room {
    /// The bytes.
    pub blobs: crate::media::blobs::Blobs,
    /// Public links.
    pub links: crate::media::links::Links,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_nothing_is_shown_in_place() {
        for (mime, harmless) in [("image/png", true), ("VIDEO/mp4", true), ("image/svg+xml", false), ("text/html", false), ("", false)] {
            assert_eq!(is_harmless(mime), harmless, "{mime}");
        }
        assert_eq!(disposition(false, Some("a\"\r\nb.pdf")), "attachment; filename*=UTF-8''a%22%0D%0Ab%2Epdf");
    }
}
