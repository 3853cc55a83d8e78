//! The HTTP API. Errors are problems, lists are pages, ids and times are text; what a build does not do is refused by name.

pub mod audiences;
pub mod auth;
pub mod campaigns;
pub mod channels;
pub mod consents;
pub mod contacts;
pub mod conversations;
pub mod devices;
pub mod events;
pub mod extract;
pub mod idempotency;
pub mod jobs;
pub mod journeys;
pub mod keys;
pub mod letters;
pub mod links;
pub mod media;
pub mod messages;
pub mod operations;
pub mod page;
pub mod preferences;
pub mod problem;
mod qr;
pub mod reminders;
pub mod revisions;
pub mod templates;
pub mod triggers;
pub mod webhooks;
pub mod why;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use tokio::sync::watch;

use crate::channels::Live;
use crate::config::Config;
use crate::delivery::feed::Feed;
use crate::log::EventLog;
use crate::outbound::accept::Acceptor;
use crate::outbound::owner::Units;
use crate::store::Store;
use crate::telemetry;
use problem::Problem;

/// What the API needs of the rest.
pub struct Shared {
    /// The configuration it was started with.
    pub config: Config,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Writes events.
    pub writer: crate::envelope::Writer,
    /// People.
    pub people: crate::people::People,
    /// Long work about people.
    pub jobs: crate::people::jobs::Jobs,
    /// Who may be written to, and when.
    pub consent: Arc<crate::consent::Consent>,
    /// Seals what lets us answer.
    pub seal: Arc<crate::seal::Seal>,
    /// The channels in force.
    pub channels: Live,
    /// The way in for sends.
    pub acceptor: Acceptor,
    /// The units of this node.
    pub units: Units,
    /// Events.
    pub feed: Arc<Feed>,
    /// API keys.
    pub keys: Arc<auth::Keys>,
    /// Keys of POSTs that are under way.
    pub busy: idempotency::Busy,
    /// Turns true when the process is to stop.
    pub stopping: watch::Receiver<bool>,
    /// The client, for calls beside the lanes.
    pub transport: crate::transport::Transport,
    /// Parses kept webhooks again.
    pub replayer: Arc<dyn operations::Replayer>,
    /// Events delivered to URLs.
    pub webhooks: Arc<crate::delivery::webhooks::Webhooks>,
    /// Media: bytes and links.
    pub media: media::Room,
    /// Templates, audiences, campaigns.
    pub proactive: Arc<crate::proactive::Room>,
}

/// The API's state.
pub type Api = Arc<Shared>;

/// The routes under `/v1` and what machines ask for.
pub fn router(api: Api) -> Router {
    let guarded = Router::new()
        .route("/v1/messages", post(messages::send).get(messages::list))
        .route("/v1/messages/batch", post(messages::batch))
        .route("/v1/messages/preview", post(messages::preview))
        .route("/v1/messages/{id}", get(messages::show).patch(revisions::edit).delete(revisions::recall))
        .route("/v1/messages/{id}/cancel", post(messages::cancel))
        .route("/v1/conversations/{*id}", get(conversations::show))
        .route("/v1/events", get(events::events))
        .route("/v1/channels", get(channels::list))
        .route("/v1/channels/{name}", get(channels::show))
        .route("/v1/channels/{name}/pause", post(channels::pause))
        .route("/v1/channels/{name}/resume", post(channels::resume))
        .route("/v1/channels/{name}/throttle", put(channels::throttle))
        .route("/v1/channels/{name}/setup", post(channels::setup))
        .route("/v1/channels/{name}/probe", post(channels::probe))
        .route("/v1/channels/{name}/links", post(links::make))
        .route("/v1/channels/{name}/links/qr.svg", get(links::svg))
        .route("/v1/channels/{name}/links/qr.png", get(links::png))
        .route("/v1/contacts", get(contacts::list).post(contacts::create))
        .route("/v1/contacts/import", post(contacts::import).layer(DefaultBodyLimit::disable()))
        .route("/v1/contacts/export", get(contacts::export_all))
        .route("/v1/contacts/{id}", get(contacts::show).patch(contacts::change).delete(contacts::erase))
        .route("/v1/contacts/{id}/merge", post(contacts::merge))
        .route("/v1/consents", get(consents::show).post(consents::record))
        .route("/v1/consents/review", get(consents::review))
        .route("/v1/consents/link", post(preferences::link))
        .route("/v1/suppressions", get(consents::list).post(consents::suppress))
        .route("/v1/suppressions/{id}", delete(consents::unsuppress))
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/bad-rows", get(jobs::bad_rows))
        .route("/v1/devices", post(devices::register))
        .route("/v1/typing", post(channels::typing))
        .route("/v1/read", post(channels::read))
        .route("/v1/dead-letters", get(letters::list))
        .route("/v1/dead-letters/{id}", get(letters::show).delete(letters::drop_letter))
        .route("/v1/dead-letters/{id}/retry", post(letters::retry))
        .route("/v1/dead-letters/{id}/settle", post(letters::settle))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::revoke))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/v1/webhooks/{id}", delete(webhooks::remove))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/webhooks/{id}/replay", post(webhooks::replay))
        .route("/v1/media", post(media::upload))
        .route("/v1/media/{id}", get(media::show))
        .route("/v1/media/{id}/link", post(media::link))
        .route("/v1/templates", get(templates::list).post(templates::put))
        .route("/v1/templates/{name}", get(templates::show).delete(templates::remove))
        .route("/v1/templates/{name}/lint", post(templates::lint))
        .route("/v1/audiences", get(audiences::list).post(audiences::upload))
        .route("/v1/audiences/{id}", get(audiences::show).delete(audiences::remove))
        .route("/v1/audiences/{id}/count", get(audiences::count))
        .route("/v1/campaigns", get(campaigns::list).post(campaigns::create))
        .route("/v1/campaigns/{id}", get(campaigns::show).put(campaigns::edit).delete(campaigns::remove))
        .route("/v1/campaigns/{id}/forecast", post(campaigns::forecast))
        .route("/v1/campaigns/{id}/test", post(campaigns::test))
        .route("/v1/campaigns/{id}/launch", post(campaigns::launch))
        .route("/v1/campaigns/{id}/pause", post(campaigns::pause))
        .route("/v1/campaigns/{id}/resume", post(campaigns::resume))
        .route("/v1/campaigns/{id}/cancel", post(campaigns::cancel))
        .route("/v1/campaigns/{id}/report", get(campaigns::report))
        .route("/v1/campaigns/{id}/recipients", get(campaigns::recipients))
        .route("/v1/reminders", get(reminders::list).post(reminders::put))
        .route("/v1/reminders/{anchor}", get(reminders::show).delete(reminders::remove))
        .route("/v1/triggers", get(triggers::list).post(triggers::create))
        .route("/v1/triggers/{id}", get(triggers::show).put(triggers::edit).delete(triggers::remove))
        .route("/v1/triggers/{id}/messages", get(triggers::messages))
        .route("/v1/track", post(triggers::track))
        .route("/v1/journeys", get(journeys::list).post(journeys::create))
        .route("/v1/journeys/{id}", get(journeys::show).put(journeys::edit).delete(journeys::remove))
        .route("/v1/journeys/{id}/enter", post(journeys::enter))
        .route("/v1/journeys/{id}/people", get(journeys::people))
        .route("/v1/journeys/{id}/report", get(journeys::report))
        .route("/v1/replay", post(operations::replay))
        .route("/v1/status", get(operations::status))
        .route("/v1/why", get(why::why))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), idempotency::once))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), auth::guard))
        .layer(middleware::map_response(count));
    Router::new()
        .merge(guarded)
        .merge(public())
        .route("/livez", get(operations::livez))
        .route("/healthz", get(operations::livez))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/openapi.json", get(operations::openapi))
        .route("/asyncapi.json", get(operations::asyncapi))
        .route("/schemas/{name}/{version}", get(operations::schema))
        .route("/problems/{name}", get(operations::problem))
        .with_state(api)
}

/// Answers what no route takes: an address that is not there, and a method that an address does not have (`Allow` names those it has).
pub fn end<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .method_not_allowed_fallback(|| async { Problem::new(&problem::METHOD, "`Allow` names the methods of this address") })
        .fallback(|| async { Problem::new(&problem::NOT_FOUND, "there is nothing at this address; /openapi.json lists the API") })
}

/// Counts answers of the API by status.
async fn count(response: Response) -> Response {
    telemetry::counter(&telemetry::names::API_REQUESTS, &[response.status().as_str()]).increment(1);
    response
}

/// What people reach by links that lie in messages: on the public address, wherever the API is.
pub fn links(api: Api) -> Router {
    public().with_state(api)
}

fn public() -> Router<Api> {
    Router::new()
        .route("/p/{token}", get(preferences::show).post(preferences::choose))
        .route("/m/{id}", get(media::public))
        .route("/l/{code}", get(campaigns::follow_link))
}

#[cfg(test)]
mod tests {
    use http::{Request, header};
    use tower::Service;

    use super::*;

    #[tokio::test]
    async fn what_no_route_takes_is_a_problem_too() {
        let mut router: Router = end(Router::new().route("/here", get(|| async {}).post(|| async {})));
        for (method, path, status, allow) in
            [("GET", "/there", 404, None), ("PUT", "/here", 405, Some("GET,HEAD,POST")), ("GET", "/here/", 404, None)]
        {
            let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).expect("a request");
            let answer = router.call(request).await.expect("infallible");
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json", "{method} {path}");
            assert_eq!(answer.headers().get(header::ALLOW).and_then(|v| v.to_str().ok()), allow, "{method} {path}");
        }
    }
}
