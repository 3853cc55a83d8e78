//! What nobody should send, and what it gets.

use std::time::Duration;

use fairway_adapters::contract::Call;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_delivery_gets_its_answer_and_leaves_nothing() {
    let world = World::start("").await;
    let post =
        |path: &str, body: Vec<u8>| Call::new(http::Method::POST, world.url(path)).header("content-type", "application/json").bytes(body);
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    for (what, call, status) in [
        ("unknown channel", post("/hooks/nobody", b"{}".to_vec()), 404),
        ("unsigned", post("/hooks/demo-telegram", br#"{"update_id":1}"#.to_vec()), 401),
        ("wrong token", post("/hooks/demo-telegram", b"{}".to_vec()).header("x-telegram-bot-api-secret-token", "wrong"), 401),
        ("oversized", post("/hooks/demo-telegram", vec![b' '; 5 << 20]), 413),
        ("deeply nested", post("/hooks/demo-telegram", deep.clone().into_bytes()), 401),
        ("not UTF-8", post("/hooks/demo-telegram", vec![0xff, 0xfe, 0x00]), 401),
        ("a method nobody uses", Call::new(http::Method::DELETE, world.url("/hooks/demo-telegram")), 405),
    ] {
        let reply = world.call(&call).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(reply.status.as_u16(), status, "{what}");
    }
    assert!(world.events("fairway.*").await.is_empty());
    let metrics = world.ask("GET", "/metrics", None).await.expect("metrics");
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for label in ["missing", "mismatch", "too_large", "unknown_channel", "bad_request"] {
        assert!(text.contains(&format!("outcome=\"{label}\"")), "{label} is not counted");
    }
    let open = Call::get(world.url("/metrics")).header("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3");
    let open = world.call(&open).await.expect("metrics");
    let kind = |reply: &fairway_adapters::contract::Reply| {
        reply.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().split(';').next().map(str::to_owned)
    };
    assert_eq!([kind(&metrics), kind(&open)], [Some("text/plain".to_owned()), Some("application/openmetrics-text".to_owned())]);
    let open = String::from_utf8_lossy(&open.body);
    assert!(!text.contains("# EOF") && open.ends_with("\n# EOF\n") && open.contains("\n# TYPE fairway_webhooks counter\n"), "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_nobody_understands_is_kept() {
    let world = World::start("").await;
    let twin = (fairway_adapters::provider("telegram").expect("built in").twin)(0);
    let hook = world.url("/hooks/demo-telegram");
    for body in [b"[[[[".to_vec(), vec![0xff, 0xfe], br#"{"update_id":5,"new_thing":{"a":1}}"#.to_vec(), vec![b'['; 600_000]] {
        let draft = fairway_adapters::contract::twin::Draft { method: http::Method::POST, query: String::new(), headers: Vec::new(), body };
        let draft = twin.sign(&hook, draft);
        let mut call = Call::new(http::Method::POST, hook.clone()).bytes(draft.body);
        for (name, value) in draft.headers {
            call.headers.push((http::HeaderName::try_from(name).expect("a name"), value));
        }
        let reply = world.call(&call).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), 200);
    }
    world
        .until("four kept deliveries", 10, async |w| {
            w.events("fairway.webhook.unparsed").await.len() + w.events("fairway.provider.event").await.len() == 4
        })
        .await;
    // What is large lies beside the log, where it goes by its age.
    let raw = std::fs::read_dir(world.folder.path().join("media/raw")).expect("a folder");
    let files: Vec<_> = raw.flat_map(|f| std::fs::read_dir(f.expect("a folder").path()).expect("a folder")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let (ok, text) = world.cli(&["replay", "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]);
    assert!(ok && text.contains("webhooks hold"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_and_idle_connections_disturb_nobody() {
    let world = World::start("").await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.expect("a connection"));
    }
    let mut slow = tokio::net::TcpStream::connect(("127.0.0.1", world.port)).await.expect("a connection");
    slow.write_all(b"POST /hooks/demo-telegram HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.expect("written");
    world.says("telegram", "telegram:5550001", "meanwhile").await;
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(40), slow.read(&mut answer)).await.expect("an answer in time").expect("readable");
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sends_name_the_place_and_the_remedy() {
    let world = World::start("").await;
    let good = || json!({ "to": "telegram:5550001", "parts": [{ "type": "text", "text": "x" }] });
    let with = |key: &str, value: serde_json::Value| {
        let mut body = good();
        body[key] = value;
        body
    };
    for (body, status, pointer) in [
        (json!({ "parts": [{ "type": "text", "text": "x" }] }), 422, "#/to"),
        (json!({ "to": "telegram:5550001" }), 422, "#/parts"),
        (with("channel", json!("demo-telegarm")), 422, "#/channel"),
        (with("to", json!("5550001")), 422, "#/to"),
        (with("priorty", json!("bulk")), 422, "#"),
        (with("parts", json!([{ "type": "text", "text": 7 }])), 422, "#/parts"),
        (with("category", json!("marketing")), 422, "#/priority"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), 422, "#/expires_at"),
        (with("fallback", json!([{ "to": "nowhere:1" }])), 422, "#/fallback/0/to"),
        (with("fallback", json!([{ "to": "telegram:5550002", "after": "soon" }])), 422, "#/fallback/0/after"),
        (with("metadata", json!({ "k": "v".repeat(501) })), 422, "#/metadata/k"),
        (
            json!({ "to": "telegram:5550001", "long_text": "refuse", "parts": [{ "type": "text", "text": "x".repeat(5000) }] }),
            422,
            "#/parts/0/text",
        ),
    ] {
        let (got, answer) = world.post("/v1/messages", &body).await;
        assert_eq!(got, status, "{body}: {answer}");
        let named = answer["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(named.starts_with(pointer), "{body}: {answer}");
        assert!(answer["type"].as_str().is_some_and(|t| t.starts_with("/problems/")));
    }
    let other_site = Call::json(world.url("/v1/messages"), &good()).header("sec-fetch-site", "cross-site");
    assert_eq!(world.call(&other_site).await.expect("an answer").status.as_u16(), 401);
    let proxied = Call::json(world.url("/v1/messages"), &good()).header("x-forwarded-for", "192.0.2.1");
    assert_eq!(world.call(&proxied).await.expect("an answer").status.as_u16(), 401);
    let form = Call::form(world.url("/v1/messages"), &[("to", "telegram:1")]);
    assert_eq!(world.call(&form).await.expect("an answer").status.as_u16(), 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_too_long_is_answered_behind_those_before_it() {
    let world = World::start("").await;
    let line = |text: &str| json!({ "to": "telegram:5550001", "parts": [{ "type": "text", "text": text }] }).to_string();
    let body = format!("{}\n\n{}\n{}\n", line("one"), line("two"), "x".repeat(2 << 20));
    let call = Call::new(http::Method::POST, world.url("/v1/messages/batch"))
        .header("content-type", "application/x-ndjson")
        .bytes(body.into_bytes());
    let reply = world.call(&call).await.expect("an answer");
    let results: Vec<serde_json::Value> =
        String::from_utf8_lossy(&reply.body).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<(u64, bool)> = results.iter().map(|r| (r["index"].as_u64().unwrap_or(99), r["id"].is_string())).collect();
    assert_eq!(told, [(0, true), (1, true), (2, false)], "{results:?}");
    assert_eq!(results[2]["problem"]["status"], 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_of_one_list_opens_no_other() {
    let world = World::start("").await;
    for n in 0..3 {
        let put = json!({ "addresses": [format!("tel:+1555010020{n}")] });
        assert!(world.post("/v1/contacts", &put).await.0 < 300);
        let (status, made) = world.post("/v1/suppressions", &json!({ "pattern": format!("tel:+1555010030{n}") })).await;
        assert!(status < 300, "{made}");
    }
    let mut nexts = Vec::new();
    for list in ["/v1/contacts", "/v1/suppressions"] {
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("{list}?limit=1&after={after}")).await;
            ids.extend(page["data"].as_array().expect("a list").iter().map(|item| item["id"].to_string()));
            let Some(next) = page["next"].as_str().filter(|_| page["has_more"] == true) else { break };
            after = next.to_owned();
        }
        ids.dedup();
        assert_eq!(ids.len(), 3, "{list}: each once, {ids:?}");
        nexts.push(after);
    }
    for (list, cursor) in [("/v1/contacts", &nexts[1]), ("/v1/suppressions", &nexts[0]), ("/v1/reminders", &nexts[0])] {
        let reply = world.ask("GET", &format!("{list}?after={cursor}"), None).await.expect("an answer");
        let problem: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!((reply.status.as_u16(), problem["errors"][0]["pointer"].as_str()), (400, Some("#/after")), "{list}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_told_as_a_problem() {
    let world = World::start("").await;
    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/messages", 405),
        ("GET", "/v1/messages/%ff", 400),
        ("GET", "/v1/messages?chanel=demo-telegram", 422),
        ("GET", "/v1/messages?limit=many", 422),
        ("GET", "/v1/messages?after=forged", 400),
        ("GET", "/v1/dead-letters?after=forged", 400),
        ("GET", "/v1/contacts?after=forged", 400),
        ("GET", "/v1/contacts?after=%00", 400),
        ("GET", "/v1/reminders?after=visit-1", 400),
        ("GET", "/v1/suppressions?after=sup_1", 400),
        ("GET", "/m/med_x", 422),
    ] {
        let reply = world.ask(method, path, None).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), status, "{method} {path}");
        let kind = reply.headers.get("content-type").and_then(|v| v.to_str().ok());
        assert_eq!(kind, Some("application/problem+json"), "{method} {path}");
    }
}
