//! The schedule and the ledger behind it, with so many messages pending: how soon after a start the first due one fires, how late
//! those are that become due at a rate, and what parking one more costs.
//!
//! What fires goes to people who have opted out since, and so ends without a call: row, decision, ledger and published state are
//! measured, the provider is not. Lateness is the time of that state in the log behind the time the message was due.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fairway::clock;
use fairway::consent::Suppression;
use fairway::envelope;
use fairway::ids::MessageId;
use fairway::log::{Durability, Outcome, Position, Reader, Topic};
use fairway::outbound::accepted::Accepted;
use fairway::outbound::unit::Ask;
use fairway::store;
use fairway_adapters::contract::{Priority, Time};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::stage::{self, Stage};
use crate::table::{Row, Table};
use crate::{campaigns, process, twin};

/// Channels, each a limit group of its own.
const CHANNELS: u64 = 8;
/// Seconds for which messages become due.
const FOR: u64 = 10;
/// Rows written together.
const TOGETHER: u64 = 2000;
/// Messages parked to see what one costs.
const PARKED: u64 = 20_000;
/// Messages that were due when the gateway was down.
const OVERDUE: u64 = 800;
/// What has not fired so long after its time is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000;

fn names() -> Vec<String> {
    (0..CHANNELS).map(|n| format!("tg{n}")).collect()
}

/// Measures with so many messages pending.
pub async fn run(table: &mut Table, home: &Path, size: u64, rate: u64) {
    let folder = tempfile::tempdir_in(home).expect("a folder");
    let channels = twin::channels(&names(), 100_000, 64, "http://127.0.0.1:9");
    let stage = Stage::open(folder.path(), &channels).await;
    let opted_out = Suppression::new(fairway::consent::pattern("telegram:9*").expect("a pattern"), "", "manual", clock::now());
    stage.consent.suppress(&[opted_out]).await.expect("written");
    let filler = Filler { stage: &stage, units: names().iter().map(|n| stage.channels.get().by_id[n].unit).collect() };
    let later = clock::now().plus(DAY).0;
    let spread = 30 * DAY as u64 / size.max(1);
    let filling = Instant::now();
    filler.park(0, size, |n| Time(later + (n * spread) as i64), 1).await;
    let filled = filling.elapsed().as_secs_f64();
    // Those that fire: what was due when the gateway was down, and what becomes due once it runs.
    let mut due = filler.park(size, OVERDUE, |_| Time(later - 2 * DAY), 9).await;
    let (steady, wait) = (rate * FOR, 15_000 + size / 500);
    let first = clock::now().0 + (steady / 20 + wait) as i64;
    due.extend(filler.park(size + OVERDUE, steady, |n| Time(first + (n * 1000 / rate) as i64), 9).await);
    stage.close().await;

    let began = Instant::now();
    let mut stage = Stage::open(folder.path(), &channels).await;
    let mut watch = Watch::begin(&stage, due).await;
    stage.own();
    let mut overdue = Vec::new();
    while overdue.is_empty() {
        overdue.extend(watch.next().await);
    }
    let seconds = began.elapsed().as_secs_f64();
    let note = format!("{:.1} us to fill in each", filled / size as f64 * 1e6);
    table.add(Row { what: "restart to the first due message", size, seconds, units: 1, wanted: "< 5 s", floor: None, note });

    // Until the steady ones begin, all that was overdue has gone.
    let quiet = first - clock::now().0;
    if quiet > 1000 {
        let until = tokio::time::Instant::now() + Duration::from_millis(quiet as u64 - 500);
        while tokio::time::timeout_at(until, watch.next()).await.is_ok() {}
    }
    let (cpu, end) = (process::cpu(), Instant::now() + Duration::from_millis(quiet.max(0) as u64 + FOR * 1000) + PATIENCE);
    let (mut late, mut last): (Vec<i64>, i64) = (Vec::new(), first);
    while (late.len() as u64) < steady && Instant::now() < end {
        let Ok(fired) = tokio::time::timeout(Duration::from_secs(1), watch.next()).await else { continue };
        for (due, at) in fired.into_iter().filter(|(due, _)| *due >= first) {
            late.push(at - due);
            last = last.max(at);
        }
    }
    let cpu = (process::cpu() - cpu).as_secs_f64();
    late.sort_unstable();
    let at = |share: f64| late.get((late.len() as f64 * share) as usize).or(late.last()).copied().unwrap_or(-1);
    let missing = steady - late.len() as u64;
    let note = format!(
        "late {} ms at 50 %, {} at 99 %, {} at most; {missing} of {steady} not after {} s; CPU {:.1} us each",
        at(0.5),
        at(0.99),
        at(1.0),
        PATIENCE.as_secs(),
        cpu / late.len().max(1) as f64 * 1e6
    );
    let seconds = (last - first) as f64 / 1000.0;
    let floor = campaigns::append_again(&stage, folder.path(), &[Topic::Status, Topic::Ledger], 512).await;
    let floor = Some(("their records appended", floor));
    let units = (late.len() as u64).max(1);
    table.add(Row { what: "fire at a rate", size, seconds, units, wanted: "20,000/s, p99 < 1 s", floor, note });

    park(table, &stage, size).await;
    stage.close().await;
}

/// Appends messages with a time of their own to their lanes and waits until all of them lie in the schedule.
async fn park(table: &mut Table, stage: &Stage, size: u64) {
    let before = parked(stage).await;
    let at = clock::now().plus(DAY);
    let (cpu, began) = (process::cpu(), Instant::now());
    for n in (0..PARKED).step_by(TOGETHER as usize) {
        let message = |n: u64| {
            let name = &names()[(n % CHANNELS) as usize];
            message(MessageId::random(stage.channels.get().by_id[name].unit), name, n, at, 1).record(false)
        };
        let outcomes = stage.log.append((n..n + TOGETHER).map(message).collect(), Durability::Log).await;
        assert!(outcomes.iter().all(Outcome::is_durable));
    }
    while parked(stage).await < before + PARKED {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let note = format!("CPU {:.1} us each", (process::cpu() - cpu).as_secs_f64() / PARKED as f64 * 1e6);
    table.add(Row { what: "park: lane, ledger, row", size, seconds, units: PARKED, wanted: "flat", floor: None, note });
}

/// How many messages lie in the schedule, as their owners count them.
async fn parked(stage: &Stage) -> u64 {
    let mut all = 0;
    for name in names() {
        let (answer, view) = oneshot::channel();
        let unit = stage.channels.get().by_id[&name].unit;
        assert!(stage.units.ask(unit, Ask::View(name, answer)));
        all += view.await.expect("it runs").parked;
    }
    all
}

/// A message to a person whose number begins with this digit.
fn message(id: MessageId, channel: &str, n: u64, at: Time, digit: u64) -> Accepted {
    let to = format!("telegram:{digit}{:09}", n % 1_000_000_000);
    stage::message(id, channel, to, "Your appointment is tomorrow at ten. We look forward to seeing you.", Some(at))
}

/// Writes rows of the schedule as their owners do.
struct Filler<'s> {
    stage: &'s Stage,
    units: Vec<u32>,
}

impl Filler<'_> {
    /// Parks messages until their times; which they are, with their times, where they are to fire.
    async fn park(&self, begin: u64, count: u64, due: impl Fn(u64) -> Time, digit: u64) -> HashMap<MessageId, i64> {
        let (names, mut fire) = (names(), HashMap::new());
        for some in (0..count).step_by(TOGETHER as usize) {
            let row = |n: u64| {
                let place = (n % CHANNELS) as usize;
                let (channel, at) = (&names[place], due(n));
                let message = message(MessageId::random(self.units[place]), channel, begin + n, at, digit);
                store::Row {
                    id: message.id,
                    channel: channel.clone(),
                    lane: Priority::Normal,
                    due: at,
                    round: 1,
                    attempt: 0,
                    conversation: message.conversation(),
                    position: 0,
                    scheduled: true,
                    reason: "scheduled".into(),
                    body: serde_json::to_vec(&message).expect("plain data"),
                }
            };
            let rows: Vec<store::Row> = (some..(some + TOGETHER).min(count)).map(row).collect();
            if digit == 9 {
                fire.extend(rows.iter().map(|r| (r.id, r.due.0)));
            }
            for unit in &self.units {
                let of_unit = rows.iter().filter(|row| u32::from(row.id.unit) == *unit).cloned().collect();
                self.stage.store.begin_schedule(*unit, 1).await.expect("begun");
                self.stage.store.park(*unit, 1, of_unit, Vec::new()).await.expect("written");
            }
        }
        fire
    }
}

/// Reads the published states of messages whose due times are known.
struct Watch {
    reader: Box<dyn Reader>,
    due: HashMap<MessageId, i64>,
}

#[derive(Deserialize)]
struct Said {
    message_id: MessageId,
}

impl Watch {
    async fn begin(stage: &Stage, due: HashMap<MessageId, i64>) -> Self {
        let mut reader = stage.log.reader();
        for (partition, offset) in stage.log.ends(Topic::Status).await.expect("read") {
            reader.assign(Position { topic: Topic::Status, partition, offset });
        }
        Self { reader, due }
    }

    /// Those that have fired: when they were due, and when they did.
    async fn next(&mut self) -> Vec<(i64, i64)> {
        let records = self.reader.next(4096).await.expect("read");
        let fired = records.iter().filter_map(|record| {
            let said: Said = serde_json::from_str(envelope::read(record)?.data).ok()?;
            Some((self.due.remove(&said.message_id)?, record.time))
        });
        fired.collect()
    }
}
