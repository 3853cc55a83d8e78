//! A channel as the room sees it, and which pages may use it.

use std::{collections::HashMap, sync::Arc};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fairway_adapters::contract::Time;
use fairway_adapters::webchat::{
    FACTS, Settings,
    pass::{Keys, Session, Visitor, purpose},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::RwLock;

use super::Room;
use super::reply::No;
use crate::channels::{Channel, Live};

/// A channel of this room.
pub struct Site {
    /// The channel.
    pub channel: Arc<Channel>,
    /// Its settings.
    pub settings: Settings,
    /// What it signs with.
    pub keys: Keys,
}

impl Site {
    /// The visitor a session token names.
    pub fn visitor(&self, token: &str, now: Time) -> Result<Session, No> {
        let session = self.keys.open::<Session>(purpose::SESSION, token).filter(|s| s.channel == *self.channel.id).ok_or(No::Session)?;
        if session.expires_at <= now {
            return Err(if session.visitor.external_id.is_some() { No::IdentityExpired } else { No::SessionExpired });
        }
        Ok(session)
    }

    /// A token for a visitor.
    pub fn token(&self, visitor: &Visitor, expires_at: Time) -> String {
        let session = Session { channel: self.channel.id.to_string(), visitor: visitor.clone(), expires_at };
        self.keys.seal(purpose::SESSION, &session)
    }
}

/// The channels of this room, read once for each reload of the configuration.
pub struct Sites {
    channels: Live,
    own_origin: String,
    known: RwLock<HashMap<String, Arc<Site>>>,
}

impl Sites {
    pub(super) fn new(channels: Live, public_url: &str) -> Self {
        let own_origin = url::Url::parse(public_url).map(|u| u.origin().ascii_serialization()).unwrap_or_default();
        Self { channels, own_origin, known: RwLock::default() }
    }

    /// The channel of that name, when it is one of ours.
    pub fn get(&self, name: &str) -> Result<Arc<Site>, No> {
        let channels = self.channels.get();
        let channel = channels.by_id.get(name).filter(|c| c.facts().id == FACTS.id).ok_or(No::NotFound)?;
        if let Some(site) = self.known.read().get(name).filter(|s| Arc::ptr_eq(&s.channel, channel)) {
            return Ok(Arc::clone(site));
        }
        let settings: Settings = channel.settings.parse().map_err(|_| No::NotFound)?;
        let site = Arc::new(Site { keys: Keys::new(&settings.secret), settings, channel: Arc::clone(channel) });
        self.known.write().insert(name.to_owned(), Arc::clone(&site));
        Ok(site)
    }

    /// Whether a page of that origin may use the channel. A list stops other sites' pages, not their servers: what a
    /// visitor may see is decided by his token alone.
    fn allows(&self, site: &Site, origin: &str) -> bool {
        if origin == self.own_origin || site.settings.origins.iter().any(|o| o == origin) {
            return true;
        }
        site.settings.origins.is_empty()
            && url::Url::parse(origin).is_ok_and(|u| match u.host() {
                Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            })
    }
}

/// Lets in pages that may use the channel, and answers their browsers' questions beforehand.
pub async fn admit(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let name = request.uri().path().split('/').nth(2).unwrap_or_default();
    let site = match room.sites.get(name) {
        Ok(site) => site,
        Err(no) => return no.into_response(),
    };
    // Without one it is no page of another site: browsers leave it out only where page and address are of one origin.
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else { return next.run(request).await };
    if !origin.to_str().is_ok_and(|o| room.sites.allows(&site, o)) {
        return No::Origin.into_response();
    }
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    permit(response.headers_mut(), origin);
    response
}

fn permit(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
