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
use serde_json::{Map, Value, json};

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

/// Applies something to every object.
fn walk(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(map);
            map.values_mut().for_each(|v| walk(v, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| walk(v, change)),
        _ => {}
    }
}

/// Moves the definitions of a schema to where those of a whole document stand. Different things of one name are told apart by whose
/// they are.
fn hoist(schema: &mut Value, owner: &str, place: &str, document: &mut Map<String, Value>) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("$schema");
    let own = match object.remove("$defs") {
        Some(Value::Object(own)) => own,
        _ => Map::new(),
    };
    let mut names: BTreeMap<String, String> = own.keys().map(|name| (name.clone(), name.clone())).collect();
    let moved = |names: &BTreeMap<String, String>, value: &Value| {
        let mut value = value.clone();
        walk(&mut value, &mut |map| {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|text| names.get(text.strip_prefix("#/$defs/")?));
            if let Some(name) = name {
                map.insert("$ref".into(), format!("{place}{name}").into());
            }
        });
        value
    };
    // A new name changes whatever refers to it, so that this too may differ from what is there.
    while let Some(clash) = own.iter().find_map(|(name, value)| {
        let there = document.get(&names[name])?;
        (*there != moved(&names, value)).then(|| name.clone())
    }) {
        let taken = names[&clash].clone();
        names.insert(clash, format!("{owner}{taken}"));
    }
    document.extend(own.iter().map(|(name, value)| (names[name].clone(), moved(&names, value))));
    *schema = moved(&names, schema);
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
    let mut definitions = Map::new();
    let mut hoisted = |owner: &str, mut schema: Value| {
        hoist(&mut schema, owner, "#/$defs/", &mut definitions);
        schema
    };
    let mut channels = Vec::new();
    for provider in fairway_adapters::PROVIDERS {
        let (mut schema, own) =
            (hoisted("Channel", of::<config::Channel>()), hoisted(&pascal(provider.facts.id), (provider.schema)().into()));
        if let (Some(Value::Object(more)), Some(into)) = (own.get("properties"), schema["properties"].as_object_mut()) {
            into.extend(more.clone());
        }
        schema["title"] = provider.facts.name.into();
        schema["properties"]["provider"] = json!({ "const": provider.facts.id });
        schema["additionalProperties"] = false.into();
        channels.push(schema);
    }
    let sections = [
        ("server", of::<config::Server>()),
        ("api", of::<config::Api>()),
        ("log", of::<crate::log::config::Config>()),
        ("retention", of::<crate::log::config::Retention>()),
        ("store", of::<config::Store>()),
        ("media", of::<config::Media>()),
        ("consent", of::<config::consent::Consent>()),
        ("quiet_hours", of::<config::consent::QuietHours>()),
        ("caps", of::<config::consent::Caps>()),
        ("sandbox", of::<config::Sandbox>()),
    ];
    let mut properties: Map<String, Value> =
        sections.into_iter().map(|(name, schema)| (name.to_owned(), hoisted(&pascal(name), schema))).collect();
    let (limit, tenant) = (hoisted("Limit", of::<config::Limit>()), hoisted("Tenant", of::<config::Tenant>()));
    properties.insert("limits".into(), json!({ "type": "object", "additionalProperties": limit }));
    properties.insert("tenants".into(), json!({ "type": "object", "additionalProperties": tenant }));
    properties.insert("apps".into(), json!({ "type": "object", "additionalProperties": { "type": "object", "required": ["provider"] } }));
    properties.insert("channels".into(), json!({ "type": "object", "additionalProperties": { "oneOf": channels } }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fairway configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": definitions,
    })
}

/// `QuietHours` for `quiet_hours`.
fn pascal(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// What each topic carries.
fn topic_text(topic: Topic) -> &'static str {
    match topic {
        Topic::Inbound => "What people did: messages, reactions, edits, consent, follows, clicks. The key is the conversation.",
        Topic::Signals => "Typing and reading: worth nothing a moment later.",
        Topic::Status => "What goes to people, with its content, and what became of it.",
        Topic::Notices => "News about accounts: templates, quality, tokens, limits. The key is the channel.",
        Topic::Unparsed => "Verified deliveries that were not wholly understood, kept raw to be replayed.",
        Topic::Send => "Send requests by other programs; a refused one is answered by a `failed` status on `status`.",
        _ => "The engine's own.",
    }
}

/// The topics as AsyncAPI 3.0, for a prefix.
pub fn asyncapi(prefix: &str) -> Value {
    let (mut channels, mut operations, mut messages, mut schemas) = (Map::new(), Map::new(), Map::new(), Map::new());
    let send = (Topic::Send, "send", of::<SendRequest>());
    for (topic, name, mut payload) in EVENTS.iter().map(|(name, topic, schema)| (*topic, *name, schema())).chain([send]) {
        hoist(&mut payload, &pascal(&name.replace('.', "_")), "#/components/schemas/", &mut schemas);
        let message = if topic == Topic::Send {
            json!({ "name": name, "title": "A send request", "contentType": "application/json", "payload": payload,
                "headers": { "type": "object", "properties": { "idempotency-key": { "type": "string",
                    "description": "Makes repeating this request harmless; the `correlationid` of its refusal." } } } })
        } else {
            json!({ "name": name, "title": name, "contentType": "application/json", "payload": payload,
                "headers": { "type": "object", "required": ["ce_id", "ce_type", "ce_source", "ce_specversion"], "properties": {
                    "ce_specversion": { "const": "1.0" }, "ce_type": { "const": name }, "ce_id": { "type": "string" }, "ce_source": { "type": "string" },
                    "ce_subject": { "type": "string" }, "ce_time": { "type": "string", "format": "date-time" } } },
                "bindings": { "kafka": { "key": { "type": "string", "description": "the conversation" }, "bindingVersion": "0.5.0" } } })
        };
        messages.insert(name.into(), message);
        let (address, text) = (format!("{prefix}.{}", topic.name()), topic_text(topic));
        let channel = channels.entry(topic.name()).or_insert_with(|| {
            json!({ "address": address, "description": text, "servers": [{ "$ref": "#/servers/kafka" }], "messages": {},
                "bindings": { "kafka": { "topic": address, "bindingVersion": "0.5.0" } } })
        });
        channel["messages"][name] = json!({ "$ref": format!("#/components/messages/{name}") });
        operations.entry(topic.name()).or_insert_with(|| {
            let action = if topic == Topic::Send { "receive" } else { "send" };
            json!({ "action": action, "description": text, "channel": { "$ref": format!("#/channels/{}", topic.name()) } })
        });
    }
    json!({
        "asyncapi": "3.0.0",
        "info": { "title": "Fairway topics", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0" },
            "description": "Events as CloudEvents 1.0 in binary mode, and send requests. `send` and `receive` are the gateway's." },
        "defaultContentType": "application/json",
        "servers": { "kafka": { "host": "{broker}", "protocol": "kafka", "description": "A broker of `log.brokers`.",
            "variables": { "broker": { "default": "127.0.0.1:9092" } } } },
        "channels": channels, "operations": operations, "components": { "messages": messages, "schemas": schemas },
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a document refers to, and nothing is.
    fn dangling(mut document: Value) -> Vec<String> {
        let whole = document.clone();
        let mut missing = Vec::new();
        walk(&mut document, &mut |map| {
            if let Some(Value::String(to)) = map.get("$ref")
                && to.strip_prefix('#').is_none_or(|pointer| whole.pointer(pointer).is_none())
            {
                missing.push(to.clone());
            }
        });
        missing
    }

    #[test]
    fn every_reference_leads_somewhere() {
        for name in ["config", "openapi", "asyncapi"] {
            assert_eq!(dangling(named(name).expect(name)), Vec::<String>::new(), "{name}");
        }
        for (name, schema) in events() {
            assert_eq!(dangling(schema), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn different_things_of_one_name_are_told_apart() {
        let mut document = Map::new();
        let schema = |kind: &str| json!({ "$defs": { "Kind": { "type": kind }, "List": { "items": { "$ref": "#/$defs/Kind" } } }, "$ref": "#/$defs/List" });
        let mut schemas = [("First", schema("string")), ("Second", schema("number")), ("Third", schema("string"))];
        for (owner, schema) in &mut schemas {
            hoist(schema, owner, "#/all/", &mut document);
        }
        let to = schemas.map(|(_, schema)| schema["$ref"].clone());
        assert_eq!(to, ["#/all/List", "#/all/SecondList", "#/all/List"]);
        assert_eq!(document["SecondList"]["items"]["$ref"], "#/all/SecondKind");
        assert_eq!(document["SecondKind"]["type"], "number");
    }
}
