//! A campaign from its audience's upload to the last message in its lane, and its forecast. No unit runs, so that nothing takes
//! out of the lanes what is put in, and the machine does nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fairway::log::{Durability, EventLog, Outcome, Position, Record, Stored, Stretch, Topic};
use fairway::proactive::campaigns::{Campaign, Phase, State, expand::Pacing};
use fairway::store::db::Database;
use serde_json::json;
use tokio::sync::mpsc;

use crate::stage::{Stage, files};
use crate::table::{Row, Table};
use crate::{people, process, twin};

/// Rows of one transaction, as the runner has them.
const TOGETHER: usize = 2000;
/// Where people live.
const ZONES: [&str; 4] = ["Europe/Rome", "America/New_York", "Asia/Tokyo", "Australia/Sydney"];

/// Measures one campaign to so many people.
pub async fn run(table: &mut Table, home: &Path, size: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let stage = Stage::open(folder.path(), &twin::channels(&["tg".to_owned()], 100_000, 64, "http://127.0.0.1:9")).await;
    let [_, file] = files(folder.path());

    let began = Instant::now();
    let audience = upload(&stage, size).await;
    let seconds = began.elapsed().as_secs_f64();
    let floor = people::copy(&file, &folder.path().join("audience.db"), &["audience_people"], TOGETHER);
    let floor = Some(("the same rows inserted bare", floor));
    table.add(Row { what: "upload an audience", size, seconds, units: size, wanted: "", floor, note: String::new() });

    let plan = json!({ "name": "Spring", "audience": audience, "channels": ["tg"], "variants": [{ "name": "a", "weight": 1 }],
        "parts": [{ "type": "text", "text": "Hello {{ contact.name }}, spring has come to {{ contact.city }}." }] });
    let campaign = stage.room.create_campaign(serde_json::from_value(plan).expect("a plan")).await.expect("made");
    process::forget_peak();
    let resting = process::peak_mib();
    let began = Instant::now();
    let forecast = stage.room.forecast(&campaign.id).await.expect("a forecast");
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!((forecast.people, forecast.messages), (size, size), "{forecast:?}");
    let floor = Some(("the same rows read bare", read(&file)));
    let note = format!("memory + {} MiB", process::peak_mib() - resting);
    table.add(Row { what: "forecast a campaign", size, seconds, units: size, wanted: "1 M < 10 s", floor, note });

    let mut campaign = stage.room.launch_campaign(&campaign.id).await.expect("launched");
    let mut pacing = Pacing::unbounded();
    process::forget_peak();
    let resting = process::peak_mib();
    let (cpu, began) = (process::cpu(), Instant::now());
    while campaign.phase == Phase::Freeze {
        campaign = step(&stage, &campaign, &mut pacing).await;
    }
    let frozen = began.elapsed().as_secs_f64();
    let note = format!("memory + {} MiB, CPU {:.1} s", process::peak_mib() - resting, (process::cpu() - cpu).as_secs_f64());
    let floor = people::copy(&file, &folder.path().join("frozen.db"), &["campaign_people"], TOGETHER);
    let floor = Some(("the same rows inserted bare", floor));
    table.add(Row { what: "freeze a campaign", size, seconds: frozen, units: size, wanted: "", floor, note });

    process::forget_peak();
    let resting = process::peak_mib();
    let (cpu, began) = (process::cpu(), Instant::now());
    while campaign.state != State::Running || left(&*stage.proactive, &campaign).await {
        campaign = step(&stage, &campaign, &mut pacing).await;
    }
    pacing.settle().await.expect("durable");
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (process::cpu() - cpu).as_secs_f64();
    let note = format!("{:.0}/s, memory + {} MiB, CPU {cpu:.1} s", size as f64 / seconds, process::peak_mib() - resting);
    let floor = Some(("the same records appended", append_again(&stage, folder.path(), &[Topic::OutBulk], TOGETHER).await));
    table.add(Row { what: "expand: cursor to durable lane record", size, seconds, units: size, wanted: ">= 200,000/s", floor, note });
    stage.close().await;
}

/// The next step of the runner, and the campaign as it is then.
async fn step(stage: &Stage, campaign: &Campaign, pacing: &mut Pacing) -> Campaign {
    stage.room.step(campaign, pacing).await.expect("a step");
    stage.room.campaign(&campaign.id).await.expect("there")
}

/// Whether anybody's turn has not come.
async fn left(db: &dyn Database, campaign: &Campaign) -> bool {
    let sql = "SELECT 1 FROM campaign_people WHERE campaign = ?1 AND state = 'waiting' LIMIT 1";
    !db.read(sql.into(), fairway::values![campaign.id.as_str()]).await.expect("read").is_empty()
}

/// Uploads people; the audience's id.
pub async fn upload(stage: &Stage, size: u64) -> String {
    let (chunks, upload) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut text = String::from("address,name,locale,time_zone,plan,city\n");
        for n in 0..size {
            let zone = ZONES[(n % 4) as usize];
            text.push_str(&format!("telegram:{},Person {n},de-DE,{zone},gold,Berlin\n", 1_000_000_000 + n));
            if text.len() > 60_000 && chunks.blocking_send(Ok(std::mem::take(&mut text).into())).is_err() {
                return;
            }
        }
        let _ = chunks.blocking_send(Ok(text.into()));
    });
    stage.room.upload("bench", upload).await.expect("an audience").id
}

/// Seconds that reading the audience takes, and nothing else.
fn read(file: &Path) -> f64 {
    let began = Instant::now();
    let db = rusqlite::Connection::open(file).expect("a file");
    let sql = "SELECT number, addresses, name, locale, zone, attributes FROM audience_people ORDER BY audience, number";
    let mut rows = db.prepare(sql).expect("a statement");
    let mut rows = rows.query([]).expect("rows");
    let mut bytes = 0;
    while let Some(row) = rows.next().expect("a row") {
        bytes += (1..6).map(|c| row.get_ref(c).expect("a value").as_bytes().map_or(0, <[u8]>::len)).sum::<usize>();
    }
    assert!(bytes > 0);
    began.elapsed().as_secs_f64()
}

/// Seconds that appending the records of these topics to another log takes, so many at a time.
pub async fn append_again(stage: &Stage, folder: &Path, topics: &[Topic], together: usize) -> f64 {
    let text = format!("[log]\npath = \"{}\"\n", folder.join("floor").display());
    let config = fairway::config::Config::parse(&text, Path::new("floor.toml"), &|_| None).expect("a configuration");
    let floor: Arc<dyn EventLog> = fairway::log::open(&config.log, &config.retention).await.expect("a log");
    let mut parts = Vec::new();
    for topic in topics.iter().copied() {
        let ends = stage.log.ends(topic).await.expect("read");
        let begins = stage.log.begins(topic).await.expect("read");
        parts.extend(begins.into_iter().map(|(partition, offset)| (Position { topic, partition, offset }, ends[&partition])));
    }
    let mut stretch = Stretch::new(&*stage.log, parts);
    let mut seconds = 0.0;
    while let Some(records) = stretch.next(together).await.expect("read") {
        let record =
            |r: Stored| Record { topic: r.at.topic, partition: r.at.partition, key: r.key, headers: r.headers, value: Some(r.value) };
        let records = records.into_iter().map(record).collect();
        let began = Instant::now();
        let outcomes = floor.append(records, Durability::Log).await;
        seconds += began.elapsed().as_secs_f64();
        assert!(outcomes.iter().all(Outcome::is_durable));
    }
    floor.close(std::time::Duration::from_secs(10)).await;
    seconds
}
