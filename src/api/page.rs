//! The one shape of every list.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use super::problem::{self, Problem};
use crate::seal::Seal;

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

/// The cursor of a place in a list: sealed, so that it tells nobody whom or what it stands at, and opens for this list alone.
pub fn cursor(seal: &Seal, list: &str, place: &str) -> String {
    seal.seal(&format!("cursor {list}"), place)
}

/// The place that a cursor of this list stands for; `None` where it is no cursor of this list.
pub fn opened(seal: &Seal, list: &str, cursor: &str) -> Option<String> {
    seal.open(&format!("cursor {list}"), cursor)
}

/// The place that `after` of a query stands for.
///
/// # Errors
/// When it is no cursor of this list.
pub fn place(seal: &Seal, list: &str, after: Option<&str>) -> Result<Option<String>, Problem> {
    let read = |text| opened(seal, list, text).ok_or_else(foreign);
    after.filter(|text| !text.is_empty()).map(read).transpose()
}

fn foreign() -> Problem {
    let detail = "`after` is no cursor of this list: take `next` of an earlier page as it is, or leave it out for the first page";
    Problem::new(&problem::CURSOR, detail).at("#/after", "cursor_invalid")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_own_list_alone() {
        let seal = Seal::new(b"a secret of the tests");
        let next = cursor(&seal, "recipients cmp_1", "17");
        assert_eq!(place(&seal, "recipients cmp_1", Some(&next)).expect("it is ours").as_deref(), Some("17"));
        assert_eq!(place(&seal, "recipients cmp_1", None).expect("the first page"), None);
        let cut = &next[1..];
        assert_eq!(place(&seal, "recipients cmp_1", Some("")).expect("the first page"), None);
        let strange = ["17", "msg_1", "%00", "\0", "AAAA", cut];
        let others = [("contacts", next.as_str()), ("recipients cmp_2", next.as_str())];
        for (list, text) in strange.map(|text| ("recipients cmp_1", text)).into_iter().chain(others) {
            let refused = place(&seal, list, Some(text)).expect_err("it is not ours");
            assert_eq!((refused.status, refused.errors[0].code.as_str()), (400, "cursor_invalid"), "{list} {text}");
        }
    }
}
