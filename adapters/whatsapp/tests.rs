use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::*;
use crate::contract::twin::{Request, Twin as _};
use crate::contract::*;

const CX: Context<'static> =
    Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/w", login: None, keys: None };

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"900100","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550001111","phone_number_id":"700200"},"contacts":[{"profile":{"name":"Mia"},"wa_id":"15557772222","user_id":"US.4401"}],"messages":[{"from":"15557772222","from_user_id":"US.4401","id":"wamid.TEST1","timestamp":"1790000000","type":"text","text":{"body":"hi"}}]},"field":"messages"}]}]}"#;

fn bound(settings: Value) -> Channel {
    let Value::Object(map) = settings else { panic!("settings are an object") };
    <Channel as Adapter>::bind(crate::contract::Settings(map)).expect("settings")
}

fn plain(secret: Value) -> Channel {
    bound(json!({ "phone_number_id": "700200", "access_token": "t", "app_secret": secret, "verify_token": "tok-1" }))
}

fn passes(channel: &Channel, body: &str, tag: Option<&str>) -> bool {
    let mut headers = HeaderMap::new();
    if let Some(tag) = tag {
        headers.insert("X-Hub-Signature-256", HeaderValue::from_str(tag).expect("a value"));
    }
    let hook = Webhook { method: &Method::POST, url: CX.hook_url, query: "", headers: &headers, body: body.as_bytes() };
    channel.verify(hook, &CX).is_ok()
}

#[test]
fn the_published_signatures_hold() {
    let channel = plain(json!("example-app-secret"));
    assert_eq!(BODY.len(), 437);
    assert!(passes(&channel, BODY, Some("sha256=317463cff89455de4810dbec51ad37572da89b1e959ddb6251576ed419d50b50")));
    let escaped = r#"{"t":"\u00e4\u00f6\u00e5"}"#;
    let tag = "sha256=aad1a77628fbc7fae205d6947c4fc6ebacfa8e900f8221a12163206a2c46a2f0";
    assert!(passes(&channel, escaped, Some(tag)));
    for bad in [Some("sha256=51b0f738e1c88ef7cd1dd974c35c2a726ef06cef3cc2bbbbcb420810369aaaa2"), Some("sha256="), Some("sha1=aa"), Some(""), None] {
        assert!(!passes(&channel, escaped, bad), "{bad:?}");
    }
    assert!(!passes(&channel, "{\"t\":\"äöå\"}", Some(tag)));
}

#[test]
fn every_secret_is_accepted_and_none_means_nothing_is() {
    let tag = Some("sha256=317463cff89455de4810dbec51ad37572da89b1e959ddb6251576ed419d50b50");
    assert!(passes(&plain(json!(["new-secret", "example-app-secret"])), BODY, tag));
    assert!(!passes(&plain(json!(["new-secret"])), BODY, tag));
    let without = bound(json!({ "phone_number_id": "700200", "access_token": "t" }));
    let key = crypto::sha256_keys(&Secrets::one("")).remove(0);
    assert!(!passes(&without, BODY, Some(&hub::signature(&key, BODY.as_bytes()))));
}

#[test]
fn the_handshake_gives_the_challenge_back() {
    let channel = plain(json!("s"));
    let headers = HeaderMap::new();
    let ask = |query: &str| {
        let url = format!("{}?{query}", CX.hook_url);
        let hook = Webhook { method: &Method::GET, url: &url, query, headers: &headers, body: b"" };
        match channel.verify(hook, &CX) {
            Ok(verified) => {
                let ack = channel.parse(&verified, &CX).ack;
                (ack.status.as_u16(), String::from_utf8_lossy(&ack.body).into_owned())
            }
            Err(error) => (error.status().as_u16(), String::new()),
        }
    };
    assert_eq!(ask("hub.mode=subscribe&hub.challenge=90210&hub.verify_token=tok-1"), (200, "90210".into()));
    assert_eq!(ask("hub.mode=subscribe&hub.challenge=90210&hub.verify_token=tok-2"), (403, String::new()));
    assert_eq!(ask("hub.mode=unsubscribe&hub.challenge=90210&hub.verify_token=tok-1"), (403, String::new()));
    assert_eq!(ask("hub.challenge=90210"), (403, String::new()));
}

fn played() -> (super::Twin, Channel) {
    let twin = super::Twin::new(3);
    let mut settings = twin.settings();
    settings.insert("api_base".into(), "http://twin.test/".into());
    settings.insert("portfolio_id".into(), "pf-1".into());
    (twin, bound(Value::Object(settings)))
}

fn request(call: &Call) -> Request {
    let url = call.full_url();
    let path = url.strip_prefix("http://twin.test").expect("everything goes to `api_base`");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: call.method.clone(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: call.header_map(),
        body: bytes::Bytes::copy_from_slice(call.body_bytes()),
    }
}

#[test]
fn a_picture_is_fetched_in_two_steps() {
    let (mut twin, channel) = played();
    let media = MediaRef { id: "990000000000003".into(), ..MediaRef::default() };
    let first = channel.fetch(&media, &CX).expect("a call");
    let reply = twin.answer(&request(&first), Time(0)).reply;
    let Fetched::Call(second) = channel.fetched(&first, &reply, &CX) else { panic!("no second step") };
    let reply = twin.answer(&request(&second), Time(0)).reply;
    assert!(matches!(channel.fetched(&second, &reply, &CX), Fetched::Bytes));
    assert!(reply.body.starts_with(b"\x89PNG"));
    assert!(matches!(channel.fetched(&second, &Reply::json(404, &json!({})), &CX), Fetched::Later));
    let gone = Reply::json(400, &json!({ "error": { "code": 100, "message": "Unsupported get request" } }));
    assert!(matches!(channel.fetched(&first, &gone, &CX), Fetched::Gone(_)));
}

#[test]
fn the_token_goes_to_meta_alone() {
    let channel = plain(json!("s"));
    let call = |url: &str| channel.fetch(&MediaRef { url: Some(url.into()), ..MediaRef::default() }, &CX).expect("a call");
    assert_eq!(call("https://lookaside.fbsbx.com/x?mid=1").secret_headers.len(), 1);
    for other in ["https://evilfbsbx.com/x", "https://fbsbx.com.evil.example/x", "http://lookaside.fbsbx.com/x"] {
        assert!(call(other).secret_headers.is_empty(), "{other}");
    }
}

#[test]
fn a_file_of_ours_is_uploaded_before_its_message() {
    let (_, channel) = played();
    let native = serde_json::Map::new();
    let media = Media { id: Some("med_1".into()), mime_type: Some("image/png".into()), ..Media::default() };
    let parts = [Part::Image(MediaPart { media, caption: Some("look".into()) })];
    let message = Outbound {
        id: "msg_1",
        to: "whatsapp:+15550100200",
        thread: None,
        parts: &parts,
        template: None,
        category: Category::Service,
        reply_to: None,
        author: None,
        expires_at: None,
        native: &native,
    };
    let upload = channel.render(&message, &CX).expect("rendered").calls.remove(0);
    assert!(upload.url.ends_with("/media"));
    let Step::Call(send) = channel.classify(&upload, &Reply::json(200, &json!({ "id": "555" }))) else { panic!("no second step") };
    let body: Value = serde_json::from_slice(send.body_bytes()).expect("JSON");
    assert_eq!((&body["image"]["id"], &body["image"]["caption"]), (&json!("555"), &json!("look")));
    assert!(matches!(channel.classify(&send, &Reply::json(200, &json!({ "messages": [{ "id": "wamid.1" }] }))), Step::Done(Verdict::Accept { .. })));
    // Nothing has been sent yet: whatever happens to an upload, it can be repeated.
    for reply in [Reply::json(500, &json!({})), Reply::json(200, &json!({})), Reply::json(500, &json!({ "error": { "code": 131000 } }))] {
        assert!(matches!(channel.classify(&upload, &reply), Step::Done(Verdict::Retry(_))), "{reply:?}");
    }
}

#[test]
fn signals_probe_and_setup_are_what_the_twin_knows() {
    let (mut twin, channel) = played();
    let typing = channel.signal(Signalled::Typing { to: "whatsapp:+1", last: Some("wamid.1") }, &CX).expect("a call");
    let read = channel.signal(Signalled::Read { to: "whatsapp:+1", message_id: "wamid.1" }, &CX).expect("a call");
    assert!(channel.signal(Signalled::Typing { to: "whatsapp:+1", last: None }, &CX).is_none());
    let Setup::Calls(setup) = channel.setup(&CX) else { panic!("it can be registered") };
    for call in [typing, read, channel.probe(&CX).expect("a call")].iter().chain(&setup) {
        assert_eq!(twin.answer(&request(call), Time(0)).reply.status, 200, "{call:?}");
    }
    assert_eq!((channel.account(), channel.limit_group()), (Some("990000000000001"), Some("pf-1")));
    assert!(matches!(plain(json!("s")).setup(&CX), Setup::ByHand(_)));
}

#[test]
fn the_throughput_decides_the_pace() {
    let pace = |more: Value| {
        let mut settings = json!({ "phone_number_id": "1", "access_token": "t" });
        settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        bound(settings).paces().map(|paces| (paces[0].count, paces[1].burst))
    };
    assert_eq!(pace(json!({})), Some((80, 45)));
    assert_eq!(pace(json!({ "coexistence": true })), Some((20, 45)));
    assert_eq!(pace(json!({ "throughput_mps": 1000 })), Some((1000, 45)));
}
