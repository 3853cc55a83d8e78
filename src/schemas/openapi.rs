//! The HTTP API as OpenAPI 3.1, in a form that generators of clients understand.
//!
//! What the annotations beside the handlers cannot say is put in here: the content of send requests, which is described
//! by the adapters' own types; a name for every kind of part, because generators ignore what stands beside a `$ref`;
//! that every operation may answer with a problem; and what we POST to webhooks.

use fairway_adapters::contract::{Downgrade, Reason, SendRequest};
use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use super::of;
use crate::api;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Fairway", description = "Channel gateway and proactive-outbound engine. Errors are RFC 9457 problems."),
    paths(
        api::messages::send,
        api::messages::batch,
        api::messages::preview,
        api::messages::list,
        api::messages::show,
        api::messages::cancel,
        api::revisions::edit,
        api::revisions::recall,
        api::why::why,
        api::events::events,
        api::channels::list,
        api::channels::show,
        api::channels::pause,
        api::channels::resume,
        api::channels::throttle,
        api::channels::setup,
        api::channels::probe,
        api::links::make,
        api::links::svg,
        api::links::png,
        api::contacts::list,
        api::contacts::create,
        api::contacts::show,
        api::contacts::change,
        api::contacts::erase,
        api::contacts::merge,
        api::contacts::import,
        api::contacts::export_all,
        api::consents::show,
        api::consents::record,
        api::consents::review,
        api::preferences::link,
        api::consents::list,
        api::consents::suppress,
        api::consents::unsuppress,
        api::jobs::show,
        api::jobs::bad_rows,
        api::devices::register,
        api::channels::typing,
        api::channels::read,
        api::letters::list,
        api::letters::show,
        api::letters::retry,
        api::letters::drop_letter,
        api::letters::settle,
        api::keys::list,
        api::keys::create,
        api::keys::revoke,
        api::media::show,
        api::media::upload,
        api::media::link,
        api::templates::list,
        api::templates::put,
        api::templates::show,
        api::templates::remove,
        api::templates::lint,
        api::audiences::list,
        api::audiences::upload,
        api::audiences::show,
        api::audiences::count,
        api::audiences::remove,
        api::campaigns::list,
        api::campaigns::create,
        api::campaigns::show,
        api::campaigns::edit,
        api::campaigns::remove,
        api::campaigns::forecast,
        api::campaigns::test,
        api::campaigns::launch,
        api::campaigns::pause,
        api::campaigns::resume,
        api::campaigns::cancel,
        api::campaigns::report,
        api::campaigns::recipients,
        api::reminders::put,
        api::reminders::list,
        api::reminders::show,
        api::reminders::remove,
        api::triggers::list,
        api::triggers::create,
        api::triggers::show,
        api::triggers::edit,
        api::triggers::remove,
        api::triggers::messages,
        api::triggers::track,
        api::journeys::list,
        api::journeys::create,
        api::journeys::show,
        api::journeys::edit,
        api::journeys::remove,
        api::journeys::enter,
        api::journeys::people,
        api::journeys::report,
        api::webhooks::list,
        api::webhooks::create,
        api::webhooks::remove,
        api::webhooks::test,
        api::webhooks::replay,
        api::operations::replay,
        api::operations::status,
    ),
    components(schemas(api::problem::Problem, api::events::CloudEvent))
)]
struct Described;

/// The HTTP API as OpenAPI 3.1.
pub fn openapi() -> Value {
    let mut document = serde_json::to_value(Described::openapi()).unwrap_or_default();
    for (name, schema) in [("SendRequest", of::<SendRequest>()), ("Reason", of::<Reason>()), ("Downgrade", of::<Downgrade>())] {
        adopt(&mut document, name, schema);
    }
    let schemas = &mut document["components"]["schemas"];
    schemas["PreviewRequest"] = preview(&schemas["SendRequest"]);
    name_variants(schemas, "Part");
    for (place, name) in [
        ("/paths/~1v1~1messages/post/requestBody/content/application~1json/schema", "SendRequest"),
        ("/paths/~1v1~1messages~1preview/post/requestBody/content/application~1json/schema", "PreviewRequest"),
        ("/components/schemas/Accepted/properties/downgrades/items", "Downgrade"),
        ("/components/schemas/Message/properties/request", "SendRequest"),
        ("/components/schemas/Message/properties/error", "Reason"),
    ] {
        *document.pointer_mut(place).expect("the annotations name this place") = reference(name);
    }
    name_pages(&mut document["components"]["schemas"]);
    walk(&mut document, &mut relocate);
    walk(&mut document, &mut open);
    walk(&mut document, &mut enumerate);
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        item.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(complete);
        if let Some(post) = item.get_mut("post") {
            take_key(post);
        }
    }
    document["components"]["securitySchemes"] = json!({ "key": { "type": "http", "scheme": "bearer",
        "description": format!("An API key (`fw_...`) with scopes: {}", api::auth::SCOPES.join(", ")) } });
    document["security"] = json!([{ "key": [] }]);
    document["webhooks"] = json!({ "event": { "post": webhook() } });
    document
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every POST honours an idempotency key.
fn take_key(post: &mut Value) {
    let parameters = post["parameters"].as_array().cloned().unwrap_or_default();
    if parameters.iter().any(|p| p["name"] == "Idempotency-Key") {
        return;
    }
    let key = json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "Makes repeating this request harmless for 24 h" });
    post["parameters"] = parameters.into_iter().chain([key]).collect();
}

/// Takes in a schema of the adapters with its definitions.
fn adopt(document: &mut Value, name: &str, mut schema: Value) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("$schema");
    let definitions = object.remove("$defs");
    let schemas = &mut document["components"]["schemas"];
    for (name, definition) in definitions.as_ref().and_then(Value::as_object).into_iter().flatten() {
        schemas[name] = definition.clone();
    }
    schemas[name] = schema;
}

/// A preview takes a send request and names channels.
fn preview(send: &Value) -> Value {
    let mut preview = send.clone();
    preview["title"] = "PreviewRequest".into();
    preview["description"] = "A send request, and the channels to preview it for.".into();
    preview["properties"]["channels"] = json!({ "type": "array", "items": { "type": "string" },
        "description": "Channels; all that reach the address when absent." });
    preview["properties"]["addresses"] = json!({ "type": "object", "additionalProperties": { "type": "string" },
        "description": "An address for each channel that the request's own does not fit." });
    preview
}

/// Gives every variant of a union tagged by `type` a schema of its own (`text` becomes `TextPart`), fields, tag and all.
fn name_variants(schemas: &mut Value, union: &str) {
    let Some(variants) = schemas[union]["oneOf"].as_array().cloned() else { return };
    let (mut named, mut inner) = (Vec::new(), Vec::new());
    for mut variant in variants {
        let word = variant["properties"]["type"]["const"].as_str().unwrap_or_default().to_owned();
        let name = word[..1].to_uppercase() + &word[1..] + union;
        if let Some(target) = variant.as_object_mut().and_then(|v| v.remove("$ref")) {
            let target = target.as_str().and_then(|t| t.rsplit('/').next()).unwrap_or_default().to_owned();
            variant = joined(&schemas[&target], variant);
            inner.push(target);
        }
        named.push((word, name, variant));
    }
    let mapping: Map<String, Value> = named.iter().map(|(word, name, _)| (word.clone(), reference(name)["$ref"].clone())).collect();
    schemas[union]["oneOf"] = named.iter().map(|(_, name, _)| reference(name)).collect();
    schemas[union]["discriminator"] = json!({ "propertyName": "type", "mapping": mapping });
    if let Some(schemas) = schemas.as_object_mut() {
        schemas.extend(named.into_iter().map(|(_, name, variant)| (name, variant)));
        let text = Value::Object(schemas.clone()).to_string();
        schemas.retain(|name, _| !inner.contains(name) || text.contains(&format!("/{name}\"")));
    }
}

/// A tagged variant with the fields of what it refers to.
fn joined(target: &Value, mut variant: Value) -> Value {
    for (field, schema) in target["properties"].as_object().into_iter().flatten() {
        variant["properties"][field] = schema.clone();
    }
    if let (Some(all), Some(more)) = (variant["required"].as_array_mut(), target["required"].as_array()) {
        all.extend(more.iter().cloned());
    }
    variant
}

/// The page of a list holds the items by name (`Page_Message` with a copy of a message becomes `MessagePage`).
fn name_pages(schemas: &mut Value) {
    let Some(map) = schemas.as_object_mut() else { return };
    *map = std::mem::take(map)
        .into_iter()
        .map(|(name, mut schema)| match name.strip_prefix("Page_") {
            Some(item) => {
                schema["properties"]["data"]["items"] = reference(item);
                (format!("{item}Page"), schema)
            }
            None => (name, schema),
        })
        .collect();
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

/// References of JSON Schema become references of OpenAPI, and those to pages follow their new names.
fn relocate(map: &mut Map<String, Value>) {
    let Some(Value::String(text)) = map.get_mut("$ref") else { return };
    if let Some(name) = text.strip_prefix("#/$defs/") {
        *text = format!("#/components/schemas/{name}");
    } else if let Some(item) = text.strip_prefix("#/components/schemas/Page_") {
        *text = format!("#/components/schemas/{item}Page");
    }
}

/// An object of which nothing is said holds anything: generators would take it for an empty one.
fn open(map: &mut Map<String, Value>) {
    let bare = map.get("type") == Some(&Value::from("object"));
    if bare && !["properties", "additionalProperties", "allOf"].iter().any(|k| map.contains_key(*k)) {
        map.insert("additionalProperties".into(), true.into());
    }
}

/// A choice of words that are each described becomes one `enum`: generators take each word for a type of its own.
fn enumerate(map: &mut Map<String, Value>) {
    let Some(variants) = map.get("oneOf").and_then(Value::as_array) else { return };
    let (mut words, mut text) = (Vec::new(), map.get("description").and_then(Value::as_str).unwrap_or_default().to_owned());
    for variant in variants {
        if let Some(word) = variant["const"].as_str() {
            text.push_str(&format!("\n- `{word}`: {}", variant["description"].as_str().unwrap_or_default()));
            words.push(variant["const"].clone());
        } else if let Some(some) = variant["enum"].as_array() {
            words.extend(some.iter().cloned());
        } else {
            return;
        }
    }
    map.remove("oneOf");
    map.extend([("type".into(), "string".into()), ("enum".into(), words.into()), ("description".into(), text.into())]);
}

/// Every answer is described, as the specification demands; errors are problems, also those that are not listed.
fn complete(operation: &mut Value) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    responses
        .entry("default")
        .or_insert_with(|| json!({ "description": "A problem", "content": { "application/json": { "schema": reference("Problem") } } }));
    for (status, response) in responses {
        let code = status.parse::<u16>().ok().and_then(|s| StatusCode::from_u16(s).ok());
        let words = code.and_then(|c| c.canonical_reason()).unwrap_or("A problem");
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = words.into();
        }
        let failed = code.is_none_or(|c| !c.is_success());
        if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut).filter(|_| failed)
            && let Some(problem) = content.remove("application/json")
        {
            content.insert("application/problem+json".into(), problem);
        }
    }
}

/// What we POST to the endpoints of `/v1/webhooks` (Standard Webhooks).
fn webhook() -> Value {
    let header = |name: &str, text: &str| json!({ "name": name, "in": "header", "required": true, "description": text, "schema": { "type": "string" } });
    json!({
        "summary": "An event, signed by Standard Webhooks.", "operationId": "receiveEvent", "tags": ["webhooks"],
        "parameters": [
            header("webhook-id", "The event's id: the same on every attempt."),
            header("webhook-timestamp", "Unix seconds of the attempt."),
            header("webhook-signature", "`v1,` and a signature; several, separated by spaces, while secrets are changed."),
        ],
        "requestBody": { "required": true, "content": { "application/cloudevents+json": { "schema": reference("CloudEvent") } } },
        "responses": {
            "2XX": { "description": "It is taken; anything else is tried again." },
            "410": { "description": "The endpoint is gone and is switched off." },
        },
    })
}
