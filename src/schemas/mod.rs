//! The public contract in machine-readable form, generated from our own types: JSON Schema, OpenAPI 3.1, AsyncAPI 3.0.

mod openapi;

use std::collections::BTreeMap;

pub use openapi::openapi;

use fairway_adapters::contract::event::{
    Comment, Consent, ContactUpdated, Created, Deleted, Edited, Erased, Follow, GroupUpdated, LinkClicked, Notice, ProviderEvent, Reaction,
    Received, Signal, Tracked, Unparsed,
};
use fairway_adapters::contract::{Data, SendRequest, Status};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::api;
use crate::config;
use crate::log::Topic;
use crate::telemetry::METRICS;

/// Every event type with its topic and its schema.
const EVENTS: &[(&str, Topic, fn() -> Value)] = &[
    ("fairway.message.received", Topic::Inbound, of::<Data<'static, Received<'static>>>),
    ("fairway.message.edited", Topic::Inbound, of::<Data<'static, Edited<'static>>>),
    ("fairway.message.deleted", Topic::Inbound, of::<Data<'static, Deleted<'static>>>),
    ("fairway.message.reaction", Topic::Inbound, of::<Data<'static, Reaction<'static>>>),
    ("fairway.message.created", Topic::Status, of::<Data<'static, Created<'static>>>),
    ("fairway.message.status", Topic::Status, of::<Data<'static, Status<'static>>>),
    ("fairway.contact.typing", Topic::Signals, of::<Data<'static, Signal<'static>>>),
    ("fairway.contact.read", Topic::Signals, of::<Data<'static, Signal<'static>>>),
    ("fairway.contact.followed", Topic::Inbound, of::<Data<'static, Follow<'static>>>),
    ("fairway.contact.unfollowed", Topic::Inbound, of::<Data<'static, Follow<'static>>>),
    ("fairway.contact.updated", Topic::Inbound, of::<Data<'static, ContactUpdated<'static>>>),
    ("fairway.contact.consent", Topic::Inbound, of::<Data<'static, Consent<'static>>>),
    ("fairway.contact.erased", Topic::Inbound, of::<Data<'static, Erased<'static>>>),
    ("fairway.contact.tracked", Topic::Inbound, of::<Data<'static, Tracked<'static>>>),
    ("fairway.link.clicked", Topic::Inbound, of::<Data<'static, LinkClicked<'static>>>),
    ("fairway.group.updated", Topic::Inbound, of::<Data<'static, GroupUpdated<'static>>>),
    ("fairway.comment.received", Topic::Inbound, of::<Data<'static, Comment<'static>>>),
    ("fairway.provider.event", Topic::Inbound, of::<Data<'static, ProviderEvent<'static>>>),
    ("fairway.channel.notice", Topic::Notices, of::<Data<'static, Notice<'static>>>),
    ("fairway.webhook.unparsed", Topic::Unparsed, of::<Data<'static, Unparsed<'static>>>),
];

fn of<T: JsonSchema>() -> Value {
    let schema: Schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.into()
}

/// The schema of one event's data, or of a send request (`send`).
pub fn event(name: &str) -> Option<Value> {
    if name == "send" {
        return Some(of::<SendRequest>());
    }
    EVENTS.iter().find(|(n, ..)| *n == name).map(|(_, _, schema)| schema())
}

/// Every schema of events, by file name.
pub fn events() -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> = EVENTS.iter().map(|(name, _, schema)| (format!("{name}.json"), schema())).collect();
    all.insert("send.json".into(), of::<SendRequest>());
    all
}

/// The schema of the configuration file.
pub fn configuration() -> Value {
    let channels: Vec<Value> = fairway_adapters::PROVIDERS
        .iter()
        .map(|provider| {
            let mut schema = of::<config::Channel>();
            let own: Value = (provider.schema)().into();
            for list in ["properties", "$defs"] {
                if let (Some(Value::Object(more)), Some(map)) = (own.get(list), schema.as_object_mut())
                    && let Some(into) = map.entry(list).or_insert_with(|| json!({})).as_object_mut()
                {
                    into.extend(more.clone());
                }
            }
            schema["title"] = provider.facts.name.into();
            schema["properties"]["provider"] = json!({ "const": provider.facts.id });
            schema["additionalProperties"] = false.into();
            schema
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fairway configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "server": of::<config::Server>(), "api": of::<config::Api>(), "log": of::<crate::log::config::Config>(),
            "retention": of::<crate::log::config::Retention>(), "store": of::<config::Store>(), "media": of::<config::Media>(),
            "consent": of::<config::consent::Consent>(), "quiet_hours": of::<config::consent::QuietHours>(),
            "caps": of::<config::consent::Caps>(), "sandbox": of::<config::Sandbox>(),
            "limits": { "type": "object", "additionalProperties": of::<config::Limit>() },
            "tenants": { "type": "object", "additionalProperties": of::<config::Tenant>() },
            "apps": { "type": "object", "additionalProperties": { "type": "object", "required": ["provider"] } },
            "channels": { "type": "object", "additionalProperties": { "oneOf": channels } },
        }
    })
}

/// The topics as AsyncAPI 3.0, for a prefix.
pub fn asyncapi(prefix: &str) -> Value {
    let mut channels = serde_json::Map::new();
    let mut operations = serde_json::Map::new();
    let mut messages = serde_json::Map::new();
    for (name, topic, schema) in EVENTS {
        messages.insert((*name).into(), json!({
            "name": name, "title": name, "contentType": "application/json", "payload": schema(),
            "headers": { "type": "object", "required": ["ce_id", "ce_type", "ce_source", "ce_specversion"], "properties": {
                "ce_specversion": { "const": "1.0" }, "ce_type": { "const": name }, "ce_id": { "type": "string" }, "ce_source": { "type": "string" },
                "ce_subject": { "type": "string" }, "ce_time": { "type": "string", "format": "date-time" } } },
            "bindings": { "kafka": { "key": { "type": "string", "description": "the conversation" }, "bindingVersion": "0.5.0" } },
        }));
        let channel =
            channels.entry(topic.name()).or_insert_with(|| json!({ "address": format!("{prefix}.{}", topic.name()), "messages": {} }));
        channel["messages"][*name] = json!({ "$ref": format!("#/components/messages/{name}") });
        operations
            .entry(topic.name())
            .or_insert_with(|| json!({ "action": "send", "channel": { "$ref": format!("#/channels/{}", topic.name()) } }));
    }
    messages.insert(
        "send".into(),
        json!({ "name": "send", "title": "A send request", "contentType": "application/json", "payload": of::<SendRequest>(),
        "headers": { "type": "object", "properties": { "idempotency-key": { "type": "string" } } } }),
    );
    channels.insert(
        "send".into(),
        json!({ "address": format!("{prefix}.send"), "messages": { "send": { "$ref": "#/components/messages/send" } } }),
    );
    operations.insert("send".into(), json!({ "action": "receive", "channel": { "$ref": "#/channels/send" } }));
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Fairway topics", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0" } },
        "defaultContentType": "application/json",
        "channels": channels, "operations": operations, "components": { "messages": messages },
    })
}

/// What `fairway schema NAME` prints.
pub fn named(name: &str) -> Option<Value> {
    Some(match name {
        "config" => configuration(),
        "events" => serde_json::to_value(events()).unwrap_or_default(),
        "openapi" => openapi(),
        "asyncapi" => asyncapi("fairway"),
        "metrics" => serde_json::to_value(METRICS).unwrap_or_default(),
        "problems" => serde_json::to_value(api::problem::KINDS).unwrap_or_default(),
        _ => return None,
    })
}

/// The README's table of what each channel can do, from the facts.
pub fn channel_table() -> String {
    use fairway_adapters::contract::Support;
    let mark = |support: Support| match support {
        Support::Native => "yes",
        Support::Downgraded => "as text",
        Support::None => "-",
    };
    let mut table = String::from(
        "| provider | word | media | choices | carousel | location | templates | reactions | typing | quotes | edits | recalls | receipts up to |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for provider in fairway_adapters::PROVIDERS {
        let (facts, can) = (provider.facts, provider.facts.can);
        let parts = [can.media, can.choices, can.carousel, can.location, can.templates];
        let acts = [can.reactions, can.typing, can.replies, can.edits, can.recalls];
        let cells: Vec<&str> = parts.into_iter().chain(acts).map(mark).collect();
        table.push_str(&format!("| {} | `{}` | {} | {} |\n", facts.name, facts.id, cells.join(" | "), facts.strongest.word()));
    }
    table
}
