//! A calendar that moves: `FAIRWAY_APPOINTMENTS=10000` makes it as large as a hospital's.

use std::collections::BTreeSet;
use std::time::Instant;

use fairway_adapters::contract::Time;
use serde_json::{Value, json};

use super::world;
use crate::world::World;

const HOUR: i64 = 3_600_000;
/// Requests under way at a time.
const TOGETHER: usize = 16;

fn put(n: usize, at: Time, version: u32) -> Value {
    json!({ "anchor": { "id": format!("visit-{n:05}"), "at": at.to_string(), "zone": "Europe/Rome", "version": version }, "offsets": ["-PT1H"],
        "to": { "address": format!("telegram:{}", 5_000_000 + n) }, "channels": ["tg"],
        "parts": [{ "type": "text", "text": "{{ anchor.version }} {{ contact.address }}" }] })
}

/// Does something for each of these appointments, several at a time.
async fn each(numbers: std::ops::Range<usize>, act: impl AsyncFn(usize)) {
    let (numbers, act) = (&numbers, &act);
    let lane = |lane: usize| async move {
        for n in numbers.clone().skip(lane).step_by(TOGETHER) {
            act(n).await;
        }
    };
    futures_util::future::join_all((0..TOGETHER).map(lane)).await;
}

/// The steps of all appointments: number, version, state.
async fn steps(world: &World) -> Vec<(usize, i64, String)> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/reminders?limit=200&after={after}")).await;
        for reminder in page["data"].as_array().expect("a list") {
            let id = reminder["anchor"]["id"].as_str().expect("an id");
            let n = id.trim_start_matches("visit-").parse().expect("a number");
            for step in reminder["steps"].as_array().expect("a list") {
                all.push((n, step["version"].as_i64().expect("a version"), step["state"].as_str().expect("a state").to_owned()));
            }
        }
        match page["next"].as_str() {
            Some(next) if page["has_more"] == true => after = next.to_owned(),
            _ => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "figures for who runs it by hand")]
async fn appointments_moved_an_hour_before_their_reminders_move_every_reminder() {
    let count: usize = std::env::var("FAIRWAY_APPOINTMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let (world, tg, _vb) = world("5000/s").await;
    let now = fairway::clock::now();
    let posted = async |world: &World, n: usize, at: Time, version: u32| {
        let (status, body) = world.post("/v1/reminders", &put(n, at, version)).await;
        assert_eq!(status, 201, "{body}");
    };
    // Of each ten: one is cancelled, one moves to tomorrow, the others move so that their time has all but come.
    let moved = async |world: &World, n: usize| match n % 10 {
        0 => {
            let reply = world.ask("DELETE", &format!("/v1/reminders/visit-{n:05}"), None).await.expect("an answer");
            assert_eq!(reply.status.as_u16(), 200);
        }
        1 => posted(world, n, now.plus(26 * HOUR), 2).await,
        _ => posted(world, n, fairway::clock::now().plus(HOUR + 2000), 2).await,
    };
    // Reminded in an hour, all of them.
    let began = Instant::now();
    each(0..count, async |n| posted(&world, n, now.plus(2 * HOUR), 1).await).await;
    eprintln!("{count} put in {:?}", began.elapsed());
    let began = Instant::now();
    each(0..count, async |n| moved(&world, n).await).await;
    eprintln!("{count} moved or cancelled in {:?}", began.elapsed());
    let reminded: BTreeSet<String> = (0..count).filter(|n| n % 10 > 1).map(|n| format!("2 telegram:{}", 5_000_000 + n)).collect();
    world.until("all who are due are reminded", 60, async |_| tg.accepted().len() >= reminded.len()).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let got = tg.accepted();
    assert_eq!(got.len(), reminded.len(), "nobody is reminded twice, and nobody of an old time");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), reminded);
    for (n, version, state) in steps(&world).await {
        let expected = match (n % 10, version) {
            (_, 1) => "cancelled",
            (1, 2) => "waiting",
            (0, _) => panic!("{n} was cancelled and not moved"),
            _ => "sent",
        };
        assert_eq!(state, expected, "{n} in version {version}");
    }
}
