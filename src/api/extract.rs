//! What handlers take from a request. Whatever cannot be read is a problem that names the place, as every other error is.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderMap, header, request};
use serde::de::{DeserializeOwned, Deserializer};

use super::problem::{self, Problem};

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(&problem::MEDIA_TYPE, "send `Content-Type: application/json`"));
        }
        let Raw(bytes) = Raw::from_request(request, state).await?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|e| Problem::new(&problem::MALFORMED, format!("the body is not JSON: {e}")))?;
        parse(value).map(Self)
    }
}

/// A body as it is.
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Problem::new(&problem::MEDIA_TYPE, "bodies are taken as they are, without `Content-Encoding`"));
        }
        Bytes::from_request(request, state).await.map(Self).map_err(|e| match e {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                Problem::new(&problem::TOO_LARGE, "a body has at most 2 MiB here")
            }
            _ => Problem::new(&problem::MALFORMED, "the body broke off"),
        })
    }
}

/// The parameters behind the `?`. Names that are unknown are refused where the type says so.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        located(serde_urlencoded::Deserializer::new(pairs)).map(Self)
    }
}

/// The parts of the path that are names.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::new(&problem::MALFORMED, "a part of the path is no percent-encoded UTF-8")),
        }
    }
}

/// Whether the body is said to be JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.strip_prefix("application/").is_some_and(|k| k == "json" || k.ends_with("+json"))
}

/// Reads a value; the error names the field as a JSON pointer.
pub fn parse<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    located(value)
}

fn located<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, Problem> {
    serde_path_to_error::deserialize(from).map_err(|e| {
        let mut pointer = String::from("#");
        for segment in e.path().iter() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => pointer.push_str(&format!("/{key}")),
                _ => {}
            }
        }
        Problem::new(&problem::INVALID, e.inner().to_string()).at(pointer, "field_invalid")
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body as HttpBody;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        limit: Option<u8>,
    }

    async fn asked(query: &str) -> Result<Option<u8>, Problem> {
        let request = Request::builder().uri(format!("/v1/things?{query}")).body(()).expect("a request");
        Query::<Asked>::from_request_parts(&mut request.into_parts().0, &()).await.map(|Query(asked)| asked.limit)
    }

    #[tokio::test]
    async fn a_parameter_that_cannot_be_read_is_named() {
        assert_eq!(asked("limit=5").await.expect("fine"), Some(5));
        assert_eq!(asked("").await.expect("fine"), None);
        for (query, words) in
            [("limit=many", "invalid digit"), ("limit=", "empty"), ("limti=5", "unknown field `limti`"), ("limit=1&limit=2", "duplicate")]
        {
            let problem = asked(query).await.expect_err(query);
            assert_eq!(problem.status, 422, "{query}");
            assert!(problem.errors[0].detail.contains(words), "{query}: {problem:?}");
        }
        assert_eq!(asked("limit=many").await.expect_err("no number").errors[0].pointer, "#/limit");
    }

    async fn read(headers: &[(&str, &str)], body: impl Into<HttpBody>) -> Result<Option<u8>, u16> {
        let request = headers.iter().fold(Request::post("/v1/things"), |r, (name, value)| r.header(*name, *value));
        let request = request.body(body.into()).expect("a request");
        Body::<Asked>::from_request(request, &()).await.map(|Body(asked)| asked.limit).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn each_body_that_cannot_be_read_gets_its_status() {
        let json = ("content-type", "application/json");
        assert_eq!(read(&[("content-type", "Application/JSON; charset=utf-8")], r#"{"limit": 5}"#).await, Ok(Some(5)));
        assert_eq!(read(&[("content-type", "application/merge-patch+json")], "{}").await, Ok(None));
        assert_eq!(read(&[], "{}").await, Err(415));
        assert_eq!(read(&[("content-type", "text/plain")], "{}").await, Err(415));
        assert_eq!(read(&[json, ("content-encoding", "gzip")], "{}").await, Err(415));
        assert_eq!(read(&[json], "{").await, Err(400));
        assert_eq!(read(&[json], "[".repeat(100_000)).await, Err(400));
        assert_eq!(read(&[json], " ".repeat(3 << 20)).await, Err(413));
        assert_eq!(read(&[json], r#"{"limit": "x"}"#).await, Err(422));
        let cut = HttpBody::from_stream(futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]));
        assert_eq!(read(&[json], cut).await, Err(400));
    }
}
