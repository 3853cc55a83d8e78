//! Who is erased stands in no table any more, whatever they were part of, and every report still adds up.

use std::path::Path;

use serde_json::{Value, json};

use super::{act, count, put, report, upload, world};
use crate::world::{World, database_of};

/// Rows of the store in which a text stands, by table.
async fn rows_with(world: &World, text: &str) -> Vec<String> {
    match database_of(world) {
        None => ["fairway.db", "fairway.proactive.db"].iter().flat_map(|file| in_file(&world.folder.path().join(file), text)).collect(),
        Some(url) => in_database(&url, text).await,
    }
}

fn in_file(file: &Path, text: &str) -> Vec<String> {
    let open = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store's file");
    let mut tables = open.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").expect("tables");
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).expect("tables").map(|name| name.expect("a name")).collect();
    let mut found = Vec::new();
    for name in names {
        let mut all = open.prepare(&format!("SELECT * FROM \"{name}\"")).expect("a table");
        let columns = all.column_count();
        let mut rows = all.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values: Vec<String> = (0..columns)
                .map(|n| match row.get_ref(n).expect("a value") {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                        String::from_utf8_lossy(bytes).into_owned()
                    }
                    _ => String::new(),
                })
                .collect();
            if values.iter().any(|value| value.contains(text)) {
                found.push(format!("{name}: {values:?}"));
            }
        }
    }
    found
}

async fn in_database(url: &str, text: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a server");
    tokio::spawn(connection);
    let tables = client.query("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", &[]).await.expect("tables");
    let mut found = Vec::new();
    for table in tables {
        let name: String = table.get(0);
        let sql = format!("SELECT t::text FROM \"{name}\" t");
        let rows: Vec<String> = client.query(&sql, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect();
        found.extend(rows.into_iter().filter(|row| row.contains(text)).map(|row| format!("{name}: {row}")));
    }
    found
}

fn of_table(rows: Vec<String>, table: &str) -> Vec<String> {
    rows.into_iter().filter(|row| row.starts_with(&format!("{table}: "))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_in_no_list_campaign_reminder_or_journey_any_more() {
    let (world, tg, vb) = world("2000/s").await;
    let contact = json!({ "id": "c-1", "addresses": ["telegram:4711471", "viber:unmistakable="], "name": "Filippa Unmistakable" });
    assert_eq!(world.post("/v1/contacts", &contact).await.0, 201);
    let list = "address,name,city\nviber:somebody=,Somebody,Rome\nviber:unmistakable= telegram:4711471,Filippa Unmistakable,Trieste\n";
    let audience = upload(&world, "all", list.into()).await;
    let (_, filter) = world.post("/v1/audiences", &json!({ "filter": { "has_address": "telegram" } })).await;
    let words = json!([{ "type": "text", "text": "hi {{ contact.name }}" }]);
    let campaign = async |audience: &Value, more: Value| {
        let mut plan =
            json!({ "name": "n", "audience": audience["id"], "channels": ["tg", "vb"], "parts": words, "category": "transactional" });
        plan.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let (status, made) = world.post("/v1/campaigns", &plan).await;
        assert_eq!(status, 201, "{made}");
        let id = made["id"].as_str().expect("an id").to_owned();
        act(&world, &id, "launch").await;
        id
    };
    let tomorrow = fairway::clock::now().plus(86_400_000).to_string();
    // Its chains have rows of their own, and its links lead to what tells who somebody is.
    let linked = "hi {{ contact.name }} {{ ('https://shop.example/?for=' ~ contact.name) | link }}";
    let sent = campaign(&audience, json!({ "fallback": {}, "parts": [{ "type": "text", "text": linked }] })).await;
    let filtered = campaign(&filter, json!({})).await;
    let later = campaign(&audience, json!({ "schedule": { "at": tomorrow } })).await;
    let reminder = json!({ "anchor": { "id": "visit-1", "at": tomorrow }, "offsets": ["-PT1H"], "channels": ["tg"], "parts": words,
        "to": { "address": "telegram:4711471", "name": "Filippa Unmistakable" } });
    assert_eq!(world.post("/v1/reminders", &reminder).await.0, 201);
    let steps = json!([{ "type": "wait", "name": "a day", "for": "P1D" }, { "type": "send", "name": "hello", "parts": words }]);
    let (_, journey) = world.post("/v1/journeys", &json!({ "name": "n", "channels": ["tg"], "steps": steps })).await;
    let journey = format!("/v1/journeys/{}", journey["id"].as_str().expect("an id"));
    assert_eq!(world.post(&format!("{journey}/enter"), &json!({ "to": { "contact": "c-1" } })).await.0, 202);
    for id in [&sent, &filtered] {
        world.until("it is over", 30, async |w| w.get(&format!("/v1/campaigns/{id}")).await["state"] == "completed").await;
    }
    world.until("the later one is frozen", 10, async |w| w.get(&format!("/v1/campaigns/{later}")).await["phase"] == "full").await;
    assert_eq!((tg.accepted().len(), vb.accepted().len()), (1, 2));
    // Neither of these channels brings one.
    put(&world, "fairway.db", "INSERT INTO handles (conversation, sealed, at) VALUES ('tg/telegram:4711471', 'x', 0)").await;
    for (table, text) in [("campaign_steps", "unmistakable="), ("links", "Unmistakable"), ("handles", "4711471")] {
        world.until(table, 10, async |w| !of_table(rows_with(w, text).await, table).is_empty()).await;
    }
    for text in ["4711471", "unmistakable=", "Unmistakable"] {
        assert!(rows_with(&world, text).await.len() >= 4, "{text} stands in several tables, so that looking finds it");
    }

    let reply = world.ask("DELETE", "/v1/contacts/c-1", None).await.expect("an answer");
    let job: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    world.until("she is forgotten", 30, async |w| w.get(&path).await["state"] == "done").await;
    let receipt = world.get(&path).await;
    assert_eq!(receipt["result"]["lists"], 2, "an upload, and the list of the filter's campaign: {receipt}");
    for text in ["4711471", "unmistakable=", "Unmistakable"] {
        let found = rows_with(&world, text).await;
        assert!(found.is_empty(), "{text} still stands in {found:#?}");
    }
    assert_eq!(world.get(&format!("/v1/audiences/{}", audience["id"].as_str().expect("an id"))).await["people"], 2);
    for (id, people) in [(&sent, 2), (&filtered, 1), (&later, 2)] {
        assert_eq!(count(&report(&world, id).await, "people"), people);
    }
    assert_eq!(world.get(&format!("{journey}/report")).await["steps"][0]["counts"]["cancelled"], 1);
    assert_eq!(world.ask("GET", "/v1/reminders/visit-1", None).await.expect("an answer").status.as_u16(), 404);
    let csv = format!("/v1/campaigns/{sent}/recipients");
    assert!(world.get(&csv).await.to_string().contains("erased:"), "her place is kept, and says nothing");
}
