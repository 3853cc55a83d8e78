//! The page for people: our own chat beside the events it makes, replies to copy, providers to make sick. Files without
//! a build, embedded, under a content policy that lets nothing else run. It knows nothing the API does not say.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, StatusCode, header};

/// Nothing but our own files runs; pictures may come from where people's messages say.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
                      img-src 'self' data: blob: https: http:; media-src 'self' blob: https: http:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const FILES: [(&str, &str, &str); 6] = [
    ("console.css", "text/css; charset=utf-8", include_str!("page/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("page/console.js")),
    ("api.js", "text/javascript; charset=utf-8", include_str!("page/api.js")),
    ("events.js", "text/javascript; charset=utf-8", include_str!("page/events.js")),
    ("providers.js", "text/javascript; charset=utf-8", include_str!("page/providers.js")),
    ("preview.js", "text/javascript; charset=utf-8", include_str!("page/preview.js")),
];

/// The routes of the page.
pub fn router() -> Router {
    Router::new().route("/", get(page)).route("/console/{file}", get(file)).route("/favicon.ico", get(no_icon))
}

async fn page() -> Response {
    serve("text/html; charset=utf-8", include_str!("page/index.html"))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => serve(kind, text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn no_icon() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn serve(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_only_files_that_are_there_and_nothing_inline() {
        let page = include_str!("page/index.html");
        for word in ["style=", "<style", "onclick=", "javascript:", "<script>"] {
            assert!(!page.contains(word), "the content policy stops `{word}`");
        }
        let named = page.split("/console/").skip(1).filter_map(|rest| rest.split('"').next());
        for name in named {
            assert!(FILES.iter().any(|(known, ..)| *known == name), "{name} is not served");
        }
    }
}
