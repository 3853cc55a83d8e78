//! Links by which people start a conversation, from the flyer to the event.

use serde_json::{Value, json};

use crate::world::World;

/// Where people came from, as the events of a kind tell it: `data.message.referral` or `data.referral`.
async fn payloads(world: &World, kind: &str, place: &str) -> Vec<Value> {
    let events = world.events(kind).await;
    events.iter().filter_map(|event| event["data"].pointer(place)).map(|referral| referral["payload"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flyer_brings_somebody_and_the_event_says_which() {
    let world = World::start("").await;
    let (status, link) = world.post("/v1/channels/demo-telegram/links", &json!({ "referral": "spring-flyer" })).await;
    assert_eq!(status, 200, "{link}");
    let url = link["url"].as_str().expect("a link");
    assert_eq!(
        (url, &link["referral"], &link["text"]),
        ("https://t.me/twin_shop_bot?start=spring-flyer", &json!("spring-flyer"), &json!(null))
    );
    assert_eq!(link["notes"], json!([]));

    // What is printed leads there.
    let of = |kind: &str| link["qr"][kind].as_str().and_then(|qr| qr.split_once("/v1/")).map(|(_, path)| format!("/v1/{path}"));
    let png = world.ask("GET", &of("png").expect("a picture"), None).await.expect("an answer");
    assert_eq!(png.headers.get("content-type").map(|kind| kind.as_bytes()), Some(&b"image/png"[..]));
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png.body)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a frame");
    let bit = |x: usize, y: usize| pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) != 0;
    let (width, height) = (info.width as usize, info.height as usize);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| if bit(x, y) { 255 } else { 0 });
    let (_, text) = image.detect_grids()[0].decode().expect("a code");
    assert_eq!(text, url);
    let svg = world.ask("GET", &of("svg").expect("a drawing"), None).await.expect("an answer");
    assert_eq!(svg.headers.get("content-type").map(|kind| kind.as_bytes()), Some(&b"image/svg+xml"[..]));
    assert!(svg.body.starts_with(b"<svg "));

    let opened = json!({ "person": "telegram:5550001", "open": url });
    assert_eq!(world.post("/sandbox-control/telegram/act", &opened).await.0, 200);
    world.until("the message", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    assert_eq!(payloads(&world, "fairway.message.received", "/message/referral").await, [json!("spring-flyer")]);
    assert_eq!(payloads(&world, "fairway.contact.followed", "/referral").await, [json!("spring-flyer")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_link_has_no_place_for_it_the_words_bring_the_referral() {
    let world = World::start("").await;
    let asked = json!({ "referral": "window-2", "text": "Hi, a table for 2 & more?" });
    let (status, link) = world.post("/v1/channels/demo-whatsapp/links", &asked).await;
    assert_eq!(status, 200, "{link}");
    assert_eq!(link["url"], "https://wa.me/15550001111?text=Hi%2C%20a%20table%20for%202%20%26%20more%3F%20%5Bref%3Awindow-2%5D");
    assert_eq!(link["text"], "Hi, a table for 2 & more? [ref:window-2]");
    assert_eq!(link["notes"].as_array().map(Vec::len), Some(1));
    let opened = json!({ "person": "whatsapp:+15550100200", "open": link["url"] });
    assert_eq!(world.post("/sandbox-control/whatsapp/act", &opened).await.0, 200);
    world.until("the message", 10, async |w| w.events("fairway.message.received").await.len() == 1).await;
    let event = &world.events("fairway.message.received").await[0];
    assert_eq!(event["data"]["message"]["referral"], json!({ "kind": "link", "payload": "window-2" }));
    assert_eq!(event["data"]["message"]["parts"][0]["text"], link["text"], "the words stay as they were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_cannot_be_says_why() {
    let world = World::start("").await;
    let ask = async |channel: &str, body: Value| {
        let (status, problem) = world.post(&format!("/v1/channels/demo-{channel}/links"), &body).await;
        let error = &problem["errors"][0];
        (status, error["pointer"].as_str().unwrap_or_default().to_owned(), error["code"].as_str().unwrap_or_default().to_owned(), problem)
    };
    for referral in ["", "two words", "ü", "a/b", &"x".repeat(65)] {
        let (status, pointer, code, problem) = ask("telegram", json!({ "referral": referral })).await;
        assert_eq!((status, &*pointer, &*code), (422, "#/referral", "referral_invalid"), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("1 to 64 of A-Z a-z 0-9 _ -")), "{problem}");
    }
    let (status, pointer, code, _) = ask("whatsapp", json!({ "text": "x".repeat(1001) })).await;
    assert_eq!((status, &*pointer, &*code), (422, "#/text", "text_too_long"));
    // Short enough in letters, too long for a code once it is escaped.
    let (status, pointer, code, problem) = ask("whatsapp", json!({ "text": "ü".repeat(500) })).await;
    assert_eq!((status, &*pointer, &*code), (422, "#/text", "text_too_long"), "{problem}");
    let (status, _, _, problem) = ask("discord", json!({ "referral": "a" })).await;
    assert_eq!(status, 501, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("Discord has no link")), "{problem}");
    assert_eq!(ask("nobody", json!({})).await.0, 404);
    let (status, pointer, ..) = ask("telegram", json!({ "referal": "a" })).await;
    assert_eq!((status, &*pointer), (422, "#/referal"));

    // No place for either: said, and null.
    let (status, _, _, link) = ask("slack", json!({ "referral": "a", "text": "b" })).await;
    assert_eq!(
        (status, &link["referral"], &link["text"], link["notes"].as_array().map(Vec::len)),
        (200, &json!(null), &json!(null), Some(2))
    );
    // Each channel shows its plain link, or null.
    assert_eq!(world.get("/v1/channels/demo-telegram").await["link"], "https://t.me/twin_shop_bot");
    assert_eq!(world.get("/v1/channels/demo-discord").await["link"], json!(null));
    assert_eq!(world.ask("GET", "/v1/channels/demo-telegram/links/qr.png?scale=99", None).await.expect("an answer").status, 422);
}
