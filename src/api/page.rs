//! The one shape of every list.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Where the next page begins: `after` of the next request. Events have it on the last page too, for who polls.
    pub next: Option<String>,
    /// Whether more is there now.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// A list that is short enough to be one page.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next: None, has_more: false }
    }
}

/// A page with its `Link` header.
pub fn page<T: Serialize>(uri: &http::Uri, data: Vec<T>, next: Option<String>, has_more: bool) -> Response {
    let mut headers = HeaderMap::new();
    if let Some(next) = &next {
        let kept = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(k, _)| k != "after");
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("after", next).finish();
        if let Ok(link) = HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", uri.path())) {
            headers.insert(header::LINK, link);
        }
    }
    (headers, Json(Page { data, next, has_more })).into_response()
}
