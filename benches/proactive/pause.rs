//! A pause as the provider sees it: a campaign runs, most of its people wait, and somebody holds it.

use std::path::Path;
use std::time::{Duration, Instant};

use fairway::clock;
use fairway::store::db::Statement;
use fairway::values;
use serde_json::json;

use crate::stage::Stage;
use crate::table::{Row, Table};
use crate::{campaigns, twin};

/// Messages a second that the channel lets through.
const RATE: u64 = 2000;
/// How long it runs before it is paused, and how long the twin is watched afterwards.
const WATCHED: Duration = Duration::from_secs(3);

/// Pauses a campaign to so many people.
pub async fn run(table: &mut Table, home: &Path, size: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let hosted = twin::Hosted::serve(Duration::ZERO).await;
    let mut stage = Stage::open(folder.path(), &hosted.channel("tg", RATE)).await;
    stage.own();
    stage.room.run();
    let audience = campaigns::upload(&stage, size).await;
    let plan = json!({ "name": "Spring", "audience": audience, "channels": ["tg"], "category": "transactional",
        "parts": [{ "type": "text", "text": "Hello {{ contact.name }}" }] });
    let campaign = stage.room.create_campaign(serde_json::from_value(plan).expect("a plan")).await.expect("made");
    stage.room.launch_campaign(&campaign.id).await.expect("launched");
    while hosted.taken.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(WATCHED).await;

    let (before, asked) = (hosted.taken.lock().len(), clock::steady());
    stage.room.pause_campaign(&campaign.id).await.expect("paused");
    let answered = (clock::steady() - asked) as f64 / 1e3;
    tokio::time::sleep(WATCHED).await;
    let taken = hosted.taken.lock().clone();
    assert!((taken.len() as u64) < size, "it was over before it was paused: make it larger");
    let last = taken.iter().max().copied().unwrap_or(asked);
    let seconds = (last - asked).max(0) as f64 / 1e6;
    let note = format!(
        "answered after {answered:.1} ms; {before} taken before ({:.0}/s), {} after it was asked for",
        before as f64 / WATCHED.as_secs_f64(),
        taken.len() - before
    );
    let floor = Some(("one write to the store", write(&stage, &campaign.id).await));
    table.add(Row { what: "pause, as the provider sees it", size, seconds, units: 1, wanted: "< 1 s", floor, note });
    stage.close().await;
}

/// Seconds of one commit.
async fn write(stage: &Stage, id: &str) -> f64 {
    let began = Instant::now();
    let statement = Statement::once("UPDATE campaigns SET reason = reason WHERE id = ?1", values![id]);
    stage.proactive.write(vec![statement]).await.expect("written");
    began.elapsed().as_secs_f64()
}
