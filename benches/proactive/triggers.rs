//! Triggers: tracked events lie in the log, and the watcher decides them. Of the events half begin something, a tenth takes
//! something back, and the rest is nobody's; ten triggers are asked about each.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairway::envelope::{self, Attributes};
use fairway::ids;
use fairway::log::{Durability, Outcome, Topic};
use fairway::proactive::triggers;
use fairway_adapters::contract::event::{Person, Tracked};
use fairway_adapters::contract::{Body, Data, Raw};
use serde_json::json;

use crate::stage::{Stage, files};
use crate::table::{Row, Table};
use crate::{people, process, twin};

/// Lets the watcher decide so many events.
pub async fn run(table: &mut Table, home: &Path, size: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let mut stage = Stage::open(folder.path(), &twin::channels(&["tg".to_owned()], 100_000, 64, "http://127.0.0.1:9")).await;
    for n in 0..10 {
        let trigger = json!({ "name": format!("trigger {n}"), "on": if n == 0 { "cart_left".to_owned() } else { format!("other_{n}") },
            "if": "event.properties.total > 50", "delay": "PT1H", "unless": ["bought"], "channels": ["tg"],
            "parts": [{ "type": "text", "text": "Your cart waits, {{ contact.name }}." }] });
        stage.room.create_trigger(serde_json::from_value(trigger).expect("a trigger")).await.expect("made");
    }
    // The watcher begins where this process began; what it has never read before lies behind that.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut begun = 0;
    for chunk in (0..size).collect::<Vec<_>>().chunks(1000) {
        let records = chunk.iter().map(|n| {
            begun += u64::from(n % 10 < 5);
            record(&stage, *n)
        });
        let outcomes = stage.log.append(records.collect(), Durability::Log).await;
        assert!(outcomes.iter().all(Outcome::is_durable));
    }
    stage.own();
    while !stage.units.owns(0) {
        stage.units.changed(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (cpu, began) = (process::cpu(), Instant::now());
    let watcher = tokio::spawn(triggers::run(Arc::clone(&stage.room)));
    let ends: u64 = stage.log.ends(Topic::Inbound).await.expect("read").values().sum();
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // Its position is written with what it decided.
        let sql = "SELECT CAST(coalesce(sum(next), 0) AS BIGINT) FROM proactive_positions WHERE name = 'watcher' AND part < 65536";
        let rows = stage.proactive.read(sql.into(), Vec::new()).await.expect("read");
        if rows[0].int(0).expect("a number") as u64 >= ends {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (process::cpu() - cpu).as_secs_f64();
    watcher.abort();
    let rows = stage.proactive.read("SELECT count(*) FROM dues".into(), Vec::new()).await.expect("read");
    assert_eq!(rows[0].int(0).expect("a number") as u64, begun);
    let [_, file] = files(folder.path());
    let floor = people::copy(&file, &folder.path().join("floor.db"), &["dues"], 1000);
    let note = format!("{:.0}/s, CPU {cpu:.1} s", size as f64 / seconds);
    let floor = Some(("what they began inserted bare", floor));
    table.add(Row { what: "decide tracked events", size, seconds, units: size, wanted: ">= 20,000/s", floor, note });
    stage.close().await;
}

/// An event as `POST /v1/track` writes it.
fn record(stage: &Stage, n: u64) -> fairway::log::Record {
    let address = format!("telegram:{}", 1_000_000_000 + n / 10);
    let name = match n % 10 {
        0..5 => "cart_left",
        5 => "bought",
        _ => "page_seen",
    };
    let properties = json!({ "total": 60 + n % 7, "items": ["shoes", "socks"], "page": "/cart" });
    let body = Body::Tracked(Tracked {
        from: Some(Person::at(address.as_str())),
        name: name.into(),
        properties: Some(Raw::of(properties.as_object().expect("an object"))),
    });
    let conversation = format!("tg/{address}");
    let now = fairway::clock::now();
    let data = envelope::data(&Data {
        channel: "tg".into(),
        provider: "telegram".into(),
        medium: "telegram".into(),
        conversation: conversation.as_str().into(),
        received_at: now,
        body: &body,
    });
    let attributes = Attributes {
        id: ids::fingerprint(&[b"tracked", &n.to_le_bytes()]),
        kind: body.kind(),
        channel: "tg",
        conversation: &conversation,
        time: now,
        tenant: None,
        traceparent: None,
        correlation: None,
        replaces: None,
    };
    stage.writer.record(Topic::Inbound, &attributes, data)
}
