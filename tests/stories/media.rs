//! Media out of and into the gateway.

use fairway_adapters::contract::Call;
use http::Method;
use serde_json::{Value, json};

use crate::world::World;

fn path(url: &str) -> String {
    url.splitn(4, '/').nth(3).map(|p| format!("/{p}")).expect("a path")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_a_person_sent_can_be_read() {
    let world = World::start("").await;
    let (status, _) = world.post("/sandbox-control/telegram/act", &json!({ "person": "telegram:5550001", "image": "our boat" })).await;
    assert_eq!(status, 200);
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let event = &world.events("fairway.message.received").await[0];
    let part = event["data"]["message"]["parts"].as_array().into_iter().flatten().find(|p| p["type"] == "image").expect("an image");
    let url = path(part["media"]["url"].as_str().unwrap_or_else(|| panic!("no URL: {part:#}")));
    world
        .until("it is fetched", 15, async |w| {
            let reply = w.ask("GET", &url, None).await.expect("an answer");
            assert!(matches!(reply.status.as_u16(), 200 | 503), "{}", reply.status);
            assert!(reply.status.is_success() || reply.headers.contains_key("retry-after"));
            reply.status.is_success()
        })
        .await;
    let reply = world.ask("GET", &url, None).await.expect("an answer");
    let header = |name: &str| reply.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    assert!(header("content-type").starts_with("image/") && header("content-disposition").starts_with("inline"), "{:?}", reply.headers);
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(!reply.body.is_empty() && header("content-length") == reply.body.len().to_string());
    let known = Call::new(Method::GET, world.url(&url)).header("if-none-match", header("etag"));
    assert_eq!(world.call(&known).await.expect("an answer").status.as_u16(), 304);
    let head = world.ask("HEAD", &url, None).await.expect("an answer");
    assert!(head.status.is_success() && head.body.is_empty());

    // A public link opens it without a key, for a time; another signature opens nothing.
    let (status, link) = world.post(&format!("{url}/link?seconds=2"), &json!({})).await;
    assert_eq!(status, 201, "{link}");
    let public = path(link["url"].as_str().expect("a link"));
    assert_eq!(world.ask("GET", &public, None).await.expect("an answer").body, reply.body);
    let forged = world.ask("GET", &format!("{public}x"), None).await.expect("an answer");
    assert_eq!(forged.status.as_u16(), 404);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(world.ask("GET", &public, None).await.expect("an answer").status.as_u16(), 410);
    let missing = world.ask("GET", "/v1/media/med_00000000000000000000000000", None).await.expect("an answer");
    assert_eq!(missing.status.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_can_be_sent() {
    let world = World::start("").await;
    let upload = Call::new(Method::POST, world.url("/v1/media?filename=price%20list.html"))
        .header("content-type", "text/html")
        .header("fairway-upload", "1")
        .bytes("<script>alert(1)</script>");
    let first = world.call(&upload).await.expect("an answer");
    assert_eq!(first.status.as_u16(), 201, "{}", String::from_utf8_lossy(&first.body));
    assert_eq!(world.call(&upload).await.expect("an answer").body, first.body, "the same file is the same object");
    let made: Value = serde_json::from_slice(&first.body).expect("JSON");
    assert_eq!(made["size"], 25);
    let reply = world.ask("GET", &path(made["url"].as_str().expect("a URL")), None).await.expect("an answer");
    assert_eq!(&reply.body[..], b"<script>alert(1)</script>");
    assert_eq!(reply.headers["content-disposition"], "attachment; filename*=UTF-8''price%20list%2Ehtml");

    let part = json!({ "type": "file", "media": { "id": made["id"], "filename": "prices.html", "mime_type": "text/html" } });
    let (status, accepted) = world.post("/v1/messages", &json!({ "to": "telegram:5550001", "parts": [part] })).await;
    assert_eq!(status, 202, "{accepted}");
    world.reaches(accepted["id"].as_str().expect("an id"), &["sent", "delivered"], 10).await;
    // Through a provider that fetches it itself.
    let part = json!({ "type": "image", "media": { "id": made["id"], "mime_type": "image/png" } });
    let (status, accepted) =
        world.post("/v1/messages", &json!({ "to": "whatsapp:+14155550001", "channel": "demo-whatsapp", "parts": [part] })).await;
    assert_eq!(status, 202, "{accepted}");
    world.reaches(accepted["id"].as_str().expect("an id"), &["sent", "delivered", "read"], 10).await;
}

/// Two bodies of one length and one type are told from each other by what was read, whatever was said of them before.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_with_a_key_is_carried_out_once_and_for_one_body() {
    let world = World::start("").await;
    let upload = |path: &str, kind: &str, body: &str| {
        let call = Call::new(Method::POST, world.url(path)).header("content-type", kind).header("fairway-upload", "1");
        call.header("idempotency-key", "k1").bytes(body.to_owned())
    };
    for (path, kind, one, other, status) in [
        ("/v1/media", "text/plain", "one file", "two file", 201),
        ("/v1/audiences?name=all", "text/csv", "address\ntelegram:71\n", "address\ntelegram:72\n", 201),
        ("/v1/contacts/import", "text/csv", "address\ntelegram:71\n", "address\ntelegram:72\n", 202),
    ] {
        let first = world.call(&upload(path, kind, one)).await.expect("an answer");
        assert_eq!(first.status.as_u16(), status, "{path}: {}", String::from_utf8_lossy(&first.body));
        for _ in 0..2 {
            let refused = world.call(&upload(path, kind, other)).await.expect("an answer");
            let problem: Value = serde_json::from_slice(&refused.body).expect("JSON");
            assert_eq!((refused.status.as_u16(), &problem["type"]), (422, &json!("/problems/idempotency-key-reused")), "{path}");
            let again = world.call(&upload(path, kind, one)).await.expect("an answer");
            assert_eq!((again.status.as_u16(), &again.body), (status, &first.body), "{path}");
            assert_eq!(again.headers.get("idempotency-replayed").map(|v| v.as_bytes()), Some(&b"true"[..]), "{path}");
        }
    }
    assert_eq!(world.get("/v1/audiences").await["data"].as_array().map(Vec::len), Some(1));
    world.until("the first file's person is there", 10, async |w| contact(w, 71).await.len() == 1).await;
    assert_eq!(contact(&world, 72).await.len(), 0, "nothing was made of the other");
}

async fn contact(world: &World, number: u32) -> Vec<Value> {
    world.get(&format!("/v1/contacts?address=telegram:{number}")).await["data"].as_array().expect("a list").clone()
}

/// What reads differently today is appended beside the old event, once. Here the gateway has moved, and with it its links.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_corrects_what_reads_differently_now() {
    let mut world = World::start("").await;
    world.kill();
    world.rewrite("[log]\n", "[log]\nraw = \"all\"\n");
    world.restart().await;
    let (status, _) = world.post("/sandbox-control/telegram/act", &json!({ "person": "telegram:5550001", "image": "our boat" })).await;
    assert_eq!(status, 200);
    world.until("the event", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let old = world.events("fairway.message.received").await.remove(0);
    let replay = json!({ "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "write": true });
    assert_eq!(world.post("/v1/replay", &replay).await.1["corrected"], 0, "nothing has changed yet");
    world.kill();
    world.rewrite("public_url = \"http://127.0.0.1:", "public_url = \"http://localhost:");
    world.restart().await;
    for corrected in [1, 0] {
        let (status, found) = world.post("/v1/replay", &replay).await;
        assert_eq!((status, &found["corrected"], &found["fresh"]), (200, &json!(corrected), &json!(0)), "{found}");
    }
    world.until("the correction", 10, async |w| w.events("fairway.message.received").await.len() == 2).await;
    let new = world.events("fairway.message.received").await.remove(1);
    assert_eq!(new["replaces"], old["id"], "{new:#}");
    assert_ne!(new["id"], old["id"]);
    let id = |event: &Value| event.to_string().split("/v1/media/").nth(1).map(|rest| rest[..30].to_owned());
    assert_eq!(id(&new), id(&old), "the picture is the same one");
}
