//! `/v1/devices`: push addresses of apps and browsers.

use axum::Json;
use axum::extract::State as Extract;
use fairway_adapters::contract::event::{Change, ContactUpdated};
use fairway_adapters::contract::{self, Body as Event, Data, Raw};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::auth::Caller;
use super::extract::Body;
use super::problem::{self, Problem};
use super::{Api, channels::named};
use crate::clock;
use crate::envelope::{self, Attributes};
use crate::ids;
use crate::log::{Durability, Record, Topic};
use crate::orders::{Handle, Order};

/// A device or browser to register.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// The push channel it belongs to.
    channel: String,
    /// Whose it is: an id of your own.
    contact: Option<String>,
    /// The token its push service gave it; this or `subscription`.
    token: Option<String>,
    /// The browser's subscription, as `PushSubscription.toJSON()` gives it; this or `token`.
    #[schema(value_type = Option<Object>)]
    subscription: Option<serde_json::Value>,
    /// `production`, `sandbox`, or a name of your own; comes back in the event.
    environment: Option<String>,
    /// The app's version; comes back in the event.
    app_version: Option<String>,
}

/// A registered device.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MadeDevice {
    /// Where to send: `to` of a message.
    address: String,
    /// Its channel.
    channel: String,
}

/// Registers a device. Registering it again changes nothing but whose it is.
#[utoipa::path(post, path = "/v1/devices", operation_id = "registerDevice", tag = "contacts", request_body = NewDevice,
    responses((status = 201, body = MadeDevice), (status = 404, body = Problem), (status = 422, body = Problem), (status = 501, body = Problem)))]
pub async fn register(
    Extract(api): Extract<Api>,
    caller: Caller,
    Body(new): Body<NewDevice>,
) -> Result<(StatusCode, Json<MadeDevice>), Problem> {
    caller.may("contacts:write")?;
    let channel = named(&api, &caller, &new.channel)?;
    let device = contract::Device { token: new.token.as_deref(), subscription: new.subscription.as_ref() };
    let registered = match channel.adapter.register(&device) {
        None => return Err(Problem::new(&problem::NOT_SUPPORTED, format!("{} knows no devices", channel.facts().name))),
        Some(Err(e)) => return Err(Problem::new(&problem::INVALID, e.problem.clone()).at(&e.pointer, e.code)),
        Some(Ok(registered)) => registered,
    };
    let now = clock::now();
    let conversation = format!("{}/{}", channel.id, registered.address);
    let mut records = vec![added(&api, &channel, &registered.address, &conversation, &new)];
    if let Some(value) = &registered.handle {
        let handle = Handle { sealed: api.seal.seal(&conversation, value), until: None, uses: None, at: now };
        let order = Order::Handle { channel: channel.id.to_string(), peer: registered.address.clone(), handle };
        records.push(order.record(channel.unit, ids::random()));
    }
    let outcomes = api.log.append(records, Durability::Log).await;
    if !outcomes.iter().all(crate::log::Outcome::is_durable) {
        return Err(Problem::new(&problem::UNAVAILABLE, "the log cannot take it now; try again"));
    }
    Ok((StatusCode::CREATED, Json(MadeDevice { address: registered.address, channel: channel.id.to_string() })))
}

/// The event that tells of it, the same for the same registration.
fn added(api: &Api, channel: &crate::channels::Channel, address: &str, conversation: &str, new: &NewDevice) -> Record {
    let told = [("contact", &new.contact), ("environment", &new.environment), ("app_version", &new.app_version)];
    let mut extra = contract::Extra::default();
    told.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).for_each(|(name, value)| extra.push(name, Raw::of(value)));
    let body = Event::ContactUpdated(ContactUpdated {
        change: Change::AddressAdded,
        previous: None,
        current: Some(address.into()),
        reason: Some("registered".into()),
        extra,
    });
    let now = clock::now();
    let data = envelope::data(&Data {
        channel: (&*channel.id).into(),
        provider: channel.facts().id.into(),
        medium: channel.facts().mediums[0].into(),
        conversation: conversation.into(),
        received_at: now,
        body: &body,
    });
    let told = [&new.contact, &new.environment, &new.app_version].map(|t| t.as_deref().unwrap_or_default().as_bytes());
    let attributes = Attributes {
        id: ids::fingerprint(&[b"device", conversation.as_bytes(), told[0], told[1], told[2]]),
        kind: body.kind(),
        channel: &channel.id,
        conversation,
        time: now,
        tenant: channel.tenant.as_deref(),
        traceparent: None,
        correlation: None,
        replaces: None,
    };
    api.writer.record(Topic::Inbound, &attributes, data)
}
