//! The examples a newcomer copies work as they stand, and mistakes are named.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use super::twin::{DESCRIPTION, described};
use super::*;
use crate::contract::twin::{Act, Draft, Request, Twin as _};
use crate::contract::{Body, Fetched, Part, SendRequest, Settings as Given, State, Time, Verdict};

const NOW: Time = Time(1_795_169_730_000);
const CX: Context<'static> =
    Context { now: NOW, public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/pigeon", login: None, keys: None };

fn bind(settings: Map<String, Value>) -> Result<Channel, SettingsError> {
    <Channel as Adapter>::bind(Given(settings))
}

/// The twin's own settings with some replaced, as JSON pointers say.
fn with(changes: &[(&str, Value)]) -> Map<String, Value> {
    let mut settings = Value::Object(Twin::new(7).settings());
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        match settings.pointer_mut(parent).expect("a place") {
            Value::Array(items) => items[name.parse::<usize>().expect("a number")] = value.clone(),
            fields => fields[name] = value.clone(),
        }
    }
    settings.as_object_mut().map(std::mem::take).unwrap_or_default()
}

fn request(call: &Call) -> Request {
    let url = url::Url::parse(&call.full_url()).expect("a URL");
    Request {
        method: call.method.clone(),
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        headers: call.header_map(),
        body: Bytes::copy_from_slice(call.body_bytes()),
    }
}

fn render(channel: &Channel, message: Value) -> Rendered {
    let asked: SendRequest = serde_json::from_value(message).expect("a request");
    let message = Outbound {
        id: "msg_1",
        to: asked.to.as_deref().expect("to"),
        thread: None,
        parts: &asked.parts,
        template: None,
        category: asked.category,
        reply_to: None,
        handle: None,
        author: None,
        expires_at: None,
        native: &asked.native,
    };
    channel.render(&message, &CX).expect("it renders")
}

/// The events of a delivery that the twin signs.
fn heard(channel: &Channel, twin: &Twin, draft: Draft) -> Vec<(String, Option<State>)> {
    let draft = twin.sign(CX.hook_url, draft);
    let header = |(name, value): &(String, String)| Some((HeaderName::try_from(name.as_str()).ok()?, value.parse().ok()?));
    let headers: HeaderMap = draft.headers.iter().filter_map(header).collect();
    let hook = |body| Webhook { method: &http::Method::POST, url: CX.hook_url, query: "", headers: &headers, body };
    assert!(channel.verify(hook(&draft.body[1..]), &CX).is_err(), "a changed delivery passes");
    let parsed = channel.parse(&channel.verify(hook(&draft.body), &CX).expect("signed"), &CX);
    assert_eq!(parsed.unparsed, None);
    let told = |event: crate::contract::Event<'_>| match event.body {
        Body::Received(received) => match received.message.parts.first() {
            Some(Part::Text(text)) => (text.text.to_string(), None),
            other => (format!("{other:?}"), None),
        },
        Body::Receipt(receipt) => (receipt.provider_message_id.to_string(), Some(receipt.state)),
        other => (other.kind().to_owned(), None),
    };
    parsed.events.into_iter().map(told).collect()
}

/// A message goes out and is delivered, a person writes: all of it through the channel that a text describes.
fn round_trip(description: &str) {
    let mut twin = Twin::new(7);
    let channel = bind(described(description, "fake-pigeon-key-0007", "fake-pigeon-signing-0007")).expect("the example binds");
    assert_eq!((channel.facts.name, channel.facts.schemes, channel.facts.strongest), ("Pigeon Post", &["pigeon"][..], State::Read));
    let rendered = render(&channel, json!({ "to": "pigeon:ana", "parts": [{ "type": "text", "text": "Hello" }] }));
    let answer = twin.answer(&request(&rendered.calls[0]), NOW);
    let Step::Done(Verdict::Accept { provider_id }) = channel.classify(&rendered.calls[0], &answer.reply) else {
        panic!("not accepted: {}", String::from_utf8_lossy(&answer.reply.body));
    };
    let told: Vec<_> = answer.emits.into_iter().flat_map(|emit| heard(&channel, &twin, emit.draft)).collect();
    assert!(told.contains(&(provider_id.clone(), Some(State::Delivered))) && told.contains(&(provider_id, Some(State::Read))), "{told:?}");
    let draft = twin.act("pigeon:ana", &Act::Text("Is my table ready?".into()), NOW).remove(0);
    assert_eq!(heard(&channel, &twin, draft), [("Is my table ready?".to_owned(), None)]);
    let refused = channel.classify(&rendered.calls[0], &twin.throttled(3));
    assert!(matches!(refused, Step::Done(Verdict::Throttle { .. })), "{refused:?}");
}

#[test]
fn the_readmes_example_works() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```toml").skip(1).find(|block| block.contains("provider = \"generic\"")).expect("an example");
    let example = example.split("```").next().unwrap_or_default();
    let lines = example.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 25, "{lines} lines are more than we promise");
    round_trip(example);
}

#[test]
fn the_default_configurations_example_works() {
    let default = include_str!("../../config/fairway.toml");
    let commented = default.lines().skip_while(|line| *line != "# [channels.pigeon]").map_while(|line| line.strip_prefix('#'));
    let example: String = commented.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    assert_eq!(example.trim(), DESCRIPTION.trim(), "config/fairway.toml shows another Pigeon Post than pigeon.toml describes");
    round_trip(&example);
}

#[test]
fn files_are_fetched_and_credentials_stay_with_the_api() {
    let mut twin = Twin::new(7);
    let channel = bind(with(&[("/fetch_headers", json!({ "authorization": "Bearer {{credentials.key}}" }))])).expect("settings");
    let link = |url: &str| channel.fetch(&MediaRef { url: Some(url.into()), ..MediaRef::default() }, &CX).expect("a call");
    let call = link("/files/1.png");
    assert_eq!((call.url.as_str(), call.secret_headers.len()), ("https://api.pigeon.example/v2/files/1.png", 1));
    assert!(matches!(channel.fetched(&call, &twin.answer(&request(&call), NOW).reply, &CX), Fetched::Bytes));
    assert_eq!(link("https://api.pigeon.example/v2/files/1.png").secret_headers.len(), 1);
    for other in ["https://files.example.org/1.png", "https://api.pigeon.example/v2.evil.example/1.png", "https://api.pigeon.example/v20"] {
        assert!(link(other).secret_headers.is_empty(), "{other}");
    }
    let probe = channel.probe(&CX).expect("a probe");
    assert!(twin.counts(&request(&probe)).is_none() && twin.answer(&request(&probe), NOW).reply.status.is_success());
}

#[test]
fn credentials_go_where_they_belong_and_nowhere_else() {
    let send = json!({ "path": "/{{credentials.key}}/send", "body": { "auth": { "key": "{{credentials.key}}" }, "to": "{{to}}", "text": "{{text}}" } });
    let channel = bind(with(&[("/send", send), ("/credentials/key", json!("hunter2/x"))])).expect("settings");
    let message = json!({ "to": "pigeon:ana", "parts": [{ "type": "text", "text": "{{credentials.key}} ***" }] });
    let call = render(&channel, message).calls.remove(0);
    assert_eq!(call.url, "https://api.pigeon.example/v2/{secret}/send");
    assert!(!format!("{call:?} {:?}", call.body).contains("hunter2"));
    let whole = call.assembled(&|_| None).expect("whole");
    assert_eq!(whole.full_url(), "https://api.pigeon.example/v2/hunter2%2Fx/send");
    let body: Value = serde_json::from_slice(whole.body_bytes()).expect("JSON");
    assert_eq!(body, json!({ "auth": { "key": "hunter2/x" }, "to": "ana", "text": "{{credentials.key}} ***" }));
}

#[test]
fn a_login_is_made_and_used() {
    let login = json!({ "path": "/token", "headers": { "authorization": "Basic {{credentials.key:base64}}" }, "form": { "grant_type": "client_credentials" },
        "token": "/access_token", "expires_in": "/expires_in" });
    let settings =
        with(&[("/login", login), ("/send/headers", json!({ "authorization": "Bearer {{login}}" })), ("/credentials/key", json!("a:b"))]);
    let channel = bind(settings).expect("settings");
    let call = channel.login(&CX).expect("a login");
    assert_eq!((call.url.as_str(), call.body_bytes()), ("https://api.pigeon.example/v2/token", &b"grant_type=client_credentials"[..]));
    assert_eq!(call.header_map()["authorization"], "Basic YTpi");
    let (token, good_for) = channel.logged_in(&Reply::json(200, &json!({ "access_token": "fake", "expires_in": 60 }))).expect("a token");
    assert_eq!(good_for, 60_000);
    let cx = Context { login: Some(&token), ..CX };
    assert_eq!(channel.probe(&cx).expect("a probe").header_map()["authorization"], "Bearer fake");
    assert!(channel.logged_in(&Reply::json(401, &json!({ "access_token": "fake" }))).is_none());
    let refused = channel.classify(&call, &Reply::json(401, &json!({})));
    assert!(matches!(refused, Step::Done(Verdict::LogIn(_))), "{refused:?}");
}

#[test]
fn what_the_settings_decide_stands_in_the_facts() {
    let limit = json!({ "max": 70, "unit": "bytes" });
    let settings = with(&[("/scheme", json!("tel")), ("/signature", json!({ "scheme": "none" })), ("/send/text_limit", limit)]);
    let channel = bind(settings.clone()).expect("settings");
    let facts = Adapter::facts(&channel).expect("facts of its own");
    assert_eq!((facts.schemes, facts.mediums, facts.text.max, facts.needs_hook_token), (&["tel"][..], &["sms"][..], 70, true));
    assert!(facts.repeatable && facts.echoes_our_id && facts.paces.len() == 1);
    let again = bind(settings).expect("settings");
    assert!(std::ptr::eq(facts, Adapter::facts(&again).expect("facts")), "reading a file again must not take memory");
    let silent = bind(with(&[
        ("/messages", json!([])),
        ("/receipts", json!([])),
        ("/ignore", json!([])),
        ("/samples", json!([])),
        ("/signature", Value::Null),
    ]));
    assert!(!silent.expect("settings").facts.delivers());
}

#[test]
fn every_mistake_is_named_with_its_key() {
    let table = [
        ("/scheme", json!("Pigeon Post"), "scheme", "lower-case"),
        ("/api_base", json!("api.pigeon.example"), "api_base", "https://HOST"),
        ("/credentials/key", json!(""), "credentials.key", "environment variable"),
        ("/signature", Value::Null, "signature", "hook_token"),
        ("/messages/0/from", json!("sender.id"), "messages[0].from", "no JSON Pointer"),
        ("/messages/0/frm", json!("/x"), "messages[0].frm", "did you mean `from`?"),
        ("/messages/0/when", json!({ "kind": "message" }), "messages[0].when.kind", "such as `/kind`"),
        ("/receipts/0/states", json!({}), "receipts[0].states", "delivered"),
        ("/receipts/0/states/eaten", json!("gone"), "receipts[0].states.eaten", "`delivered`"),
        ("/samples/0", json!("{"), "samples[0]", "'''"),
        ("/samples/0", json!("{\"weather\": 1}"), "samples[0]", "no rule of"),
        ("/samples/0", json!("{\"events\": [{\"kind\": \"message\", \"id\": 1}]}"), "samples[0]", "messages[0].from"),
        ("/send/path", json!("messages"), "send.path", "begin with `/`"),
        ("/send/path", json!("/{{credentials.key}}/{{credentials.key}}"), "send.path", "takes one"),
        ("/send/method", json!("SEND"), "send.method", "POST"),
        ("/send/headers", json!({ "au th": "x" }), "send.headers.au th", "documentation"),
        (
            "/send/headers/authorization",
            json!("Bearer {{credentials.kee}}"),
            "send.headers.authorization",
            "did you mean `credentials.key`?",
        ),
        ("/send/headers/x-text", json!("{{text}}"), "send.headers.x-text", "not known here"),
        ("/send/body/txt", json!("{{txt}}"), "send.body.txt", "did you mean `text`?"),
        ("/send/body/text", json!("{{text"), "send.body", "`text`"),
        ("/send/body/text", json!("Hello"), "send.body", "{{text}}"),
        ("/send/body/to", json!("me"), "send.body", "{{to}}"),
        ("/send/media", json!({ "a": "{{text}}" }), "send.media", "{{media.url}}"),
        ("/send/choices/max", json!(0), "send.choices", "max"),
        ("/send/pace", json!("fast"), "send.pace", "20/s"),
        ("/send/text_limit/max", json!(0), "send.text_limit.max", "how long"),
        ("/send/errors/statuses/often", json!("throttled"), "send.errors.statuses.often", "429"),
        ("/send/errors/codes/x", json!("throtled"), "send.errors.codes.x", "did you mean `throttled`?"),
        ("/edit", json!({ "path": "/messages", "body": { "text": "{{text}}" } }), "edit.path", "{{provider_id}}"),
        ("/edit", json!({ "path": "/messages/{{provider_id}}" }), "edit.body", "{{text}}"),
        ("/edit/body/txt", json!("{{txt}}"), "edit.body.txt", "did you mean `text`?"),
        ("/recall/path", json!("/messages/{{provider_ids}}"), "recall.path", "did you mean `provider_id`?"),
        ("/recall/method", json!("REMOVE"), "recall.method", "DELETE"),
        ("/recall/done", json!({ "gone": "*" }), "recall.done.gone", "429"),
        ("/ack", json!({ "status": 500 }), "ack.status", "200"),
        ("/ack", json!({ "type": "image/png" }), "ack.type", "text/plain"),
        ("/login", json!({ "path": "/t", "token": "/t" }), "login", "form"),
    ];
    for (pointer, value, key, words) in table {
        let error = bind(with(&[(pointer, value.clone())])).err().unwrap_or_else(|| panic!("{pointer} = {value} passes"));
        assert!(error.key == key && error.to_string().contains(words), "{pointer} = {value}: {error}");
    }
}
