//! The HTTP API as OpenAPI 3.1, in a form that generators of clients understand.
//!
//! What the annotations beside the handlers cannot say is put in here: the content of send requests, which is described
//! by the adapters' own types; a name for every kind of part, because generators ignore what stands beside a `$ref`;
//! that every operation may answer with a problem; and what we POST to webhooks.

use std::collections::BTreeSet;

use fairway_adapters::contract::event::ConsentState;
use fairway_adapters::contract::{Category, Downgrade, Priority, Reason, SendRequest, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;

use super::{hoist, of, walk};
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
        api::conversations::show,
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

/// What the operations are sorted by.
const TAGS: [(&str, &str); 16] = [
    ("messages", "Sending, and what became of what was sent."),
    ("events", "What people did and what became of messages, without Kafka."),
    ("channels", "Configured accounts of providers: how they stand, limits, pauses, links that start a conversation."),
    ("contacts", "People with their addresses and devices; import, export, erasure."),
    ("consent", "Who may be written to, with the proof; who is not written to."),
    ("media", "Files that people sent, and files that are to be sent."),
    ("templates", "Words by locale and channel."),
    ("audiences", "Lists of people, uploaded or as a saved filter."),
    ("campaigns", "One message to many people."),
    ("reminders", "Messages on an appointment that may move."),
    ("triggers", "Messages that follow what people do."),
    ("journeys", "Steps that each person goes through on their own clock."),
    ("webhooks", "Events delivered to a URL of yours, signed by Standard Webhooks."),
    ("dead letters", "What failed, and what is in doubt."),
    ("keys", "API keys."),
    ("operations", "Replay and status."),
];

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
    let words = words();
    walk(&mut document, &mut |map| spell_out(map, &words));
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(post) = item.get_mut("post") {
            take_key(post);
        }
        item.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(complete);
    }
    document["components"]["securitySchemes"] = json!({ "key": { "type": "http", "scheme": "bearer",
        "description": format!("An API key (`fw_...`) with scopes: {}", api::auth::SCOPES.join(", ")) } });
    let text = document["paths"].to_string();
    let mut problems = problems();
    problems.retain(|name, _| text.contains(&format!("/responses/{name}\"")));
    document["components"]["responses"] = problems.into();
    document["servers"] = json!([{ "url": "/", "description": "The gateway that serves this document" }]);
    document["tags"] = TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect();
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
    let key = json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        "description": "Makes repeating this request harmless for 24 h" });
    post["parameters"] = parameters.into_iter().chain([key]).collect();
}

/// Takes in a schema of the adapters with its definitions.
fn adopt(document: &mut Value, name: &str, mut schema: Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    hoist(&mut schema, name, "#/components/schemas/", schemas);
    schemas.insert(name.to_owned(), schema);
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

/// References to pages follow their new names.
fn relocate(map: &mut Map<String, Value>) {
    let Some(Value::String(text)) = map.get_mut("$ref") else { return };
    if let Some(item) = text.strip_prefix("#/components/schemas/Page_") {
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

/// Every answer is described, as the specification demands. Errors are problems; those that any request may meet stand in one place
/// and are named by every operation: what a key, a limit or a store that is away says, and what cannot be read.
fn complete(operation: &mut Value) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let has = |place: &str| parameters.iter().any(|p| p["in"] == place);
    let mut common = vec![401, 403, 429, 503];
    if operation.get("requestBody").is_some() {
        common.extend([400, 413, 415, 422]);
    }
    if has("path") || parameters.iter().any(|p| p["name"] == "after") {
        common.push(400);
    }
    if has("query") {
        common.push(422);
    }
    if parameters.iter().any(|p| p["name"] == "Idempotency-Key") {
        common.extend([400, 409, 422]);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for status in common {
        responses.entry(status.to_string()).or_insert_with(|| json!({}));
    }
    responses.entry("default").or_insert_with(|| json!({}));
    for (status, response) in responses.iter_mut() {
        let code = status.parse::<u16>().ok().and_then(|s| StatusCode::from_u16(s).ok());
        let described = response["description"].as_str().is_some_and(|d| !d.is_empty());
        if code.is_none_or(|c| c.is_client_error() || c.is_server_error()) {
            let shared = answer_name(code);
            *response = match described {
                false => json!({ "$ref": format!("#/components/responses/{shared}") }),
                true => problem(code, response["description"].clone()),
            };
        } else if !described {
            response["description"] = code.and_then(|c| c.canonical_reason()).unwrap_or_default().into();
        }
    }
    responses.sort_keys();
}

/// The problems by status, as operations name them.
fn problems() -> Map<String, Value> {
    let statuses: BTreeSet<u16> = api::problem::KINDS.iter().map(|k| k.status).collect();
    let shared = statuses.into_iter().map(|status| {
        let titles: Vec<&str> = api::problem::KINDS.iter().filter(|k| k.status == status).map(|k| k.title).collect();
        let code = StatusCode::from_u16(status).ok();
        (answer_name(code), problem(code, titles.join("; ").into()))
    });
    shared.chain([(answer_name(None), problem(None, "Any other problem".into()))]).collect()
}

/// `NotFound` for 404.
fn answer_name(code: Option<StatusCode>) -> String {
    code.and_then(|c| c.canonical_reason()).unwrap_or("Problem").replace(' ', "")
}

/// A problem as an answer, with the headers that its status has.
fn problem(code: Option<StatusCode>, description: Value) -> Value {
    let mut answer = json!({ "description": description, "content": { "application/problem+json": { "schema": reference("Problem") } } });
    let header = match code {
        Some(StatusCode::UNAUTHORIZED) => Some(("WWW-Authenticate", "Which credentials are taken", "string")),
        Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => Some(("Retry-After", "Seconds to wait", "integer")),
        _ => None,
    };
    if let Some((name, text, kind)) = header {
        answer["headers"] = json!({ name: { "description": text, "required": true, "schema": { "type": kind } } });
    }
    answer
}

/// The words that requests choose from, by what the annotations call them as a `format`: the adapters' types know no OpenAPI.
fn words() -> [(&'static str, Vec<Value>); 5] {
    let of_schema = |mut schema: Value| {
        walk(&mut schema, &mut enumerate);
        schema["enum"].as_array().cloned().unwrap_or_default()
    };
    [
        ("category", of_schema(of::<Category>())),
        ("priority", of_schema(of::<Priority>())),
        ("state", of_schema(of::<State>())),
        ("consent-state", of_schema(of::<ConsentState>())),
        ("settlement", vec!["sent".into(), "retry".into(), "drop".into()]),
    ]
}

/// Lists the words where an annotation names their kind. What we answer with stays open: new words are no breaking change.
fn spell_out(map: &mut Map<String, Value>, words: &[(&str, Vec<Value>)]) {
    let Some((_, list)) = map.get("format").and_then(Value::as_str).and_then(|f| words.iter().find(|(name, _)| *name == f)) else { return };
    let nullable = map.get("type").is_some_and(Value::is_array);
    let list = list.iter().cloned().chain(nullable.then_some(Value::Null));
    map.insert("enum".into(), list.collect());
    map.shift_remove("format");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_names_its_tag_and_what_any_request_may_meet() {
        let document = openapi();
        let known: Vec<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let tag = operation["tags"][0].as_str().unwrap_or_default();
                assert!(known.contains(&tag), "{method} {path}: the tag `{tag}` is not described");
                for status in ["401", "403", "429", "503", "default"] {
                    assert!(operation["responses"].get(status).is_some(), "{method} {path} does not name {status}");
                }
                for status in operation.get("requestBody").map_or(&[][..], |_| &["400", "413", "415", "422"]) {
                    assert!(operation["responses"].get(*status).is_some(), "{method} {path} does not name {status}");
                }
            }
        }
        let header = |name: &str, header: &str| document["components"]["responses"][name]["headers"].get(header).is_some();
        assert!(header("Unauthorized", "WWW-Authenticate") && header("TooManyRequests", "Retry-After"));
        assert!(header("ServiceUnavailable", "Retry-After"));
    }

    #[test]
    fn what_a_request_chooses_from_is_listed() {
        let schemas = &openapi()["components"]["schemas"];
        assert_eq!(schemas["Settlement"]["properties"]["outcome"]["enum"], json!(["sent", "retry", "drop"]));
        assert_eq!(schemas["Pause"]["properties"]["lane"]["enum"], json!(["urgent", "normal", "bulk", null]));
    }
}
