//! The embedded log keeps the laws, and some promises of its own.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use bytes::Bytes;

use super::*;
use crate::log::{
    Headers,
    laws::{self, collect, durable, numbers},
};

laws::all!(Folder::of);

struct Folder {
    law: String,
    folder: tempfile::TempDir,
}

impl Folder {
    async fn of(law: &str) -> Self {
        Self { law: law.to_owned(), folder: tempfile::tempdir().expect("a folder") }
    }
}

impl laws::Place for Folder {
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>> {
        Box::pin(async { Arc::new(Embedded::open(self.folder.path(), WEEK).expect("the log")) as Arc<dyn EventLog> })
    }
    fn mine(&self) -> (&str, u32) {
        (&self.law, 7)
    }
}

const WEEK: Keep = Keep { events: 7 * 86_400_000, raw: 7 * 86_400_000 };
const SOON: Duration = Duration::from_secs(10);

fn record(topic: Topic, number: u64, size: usize) -> Record {
    let value = Some(vec![b'x'; size].into());
    Record { topic, partition: 0, key: format!("k/{number}").into(), headers: Headers::of([("ce_id", "e")]), value }
}

/// Files of 64 KiB, memory of 16 KiB.
fn small() -> Vec<Plan> {
    let mut plans = plans();
    for plan in &mut plans {
        plan.segment_bytes = plan.segment_bytes.min(64 << 10);
        plan.memory = 16 << 10;
    }
    plans[2].segment_bytes = u64::MAX;
    plans
}

fn files(folder: &Path, family: &str) -> usize {
    let names = std::fs::read_dir(folder).expect("the folder").map(|e| e.expect("an entry").file_name());
    names.filter(|n| n.to_str().is_some_and(|n| n.starts_with(family) && n.ends_with(".db"))).count()
}

/// What has fallen out of memory comes from the files, across their borders, and the tail from memory again.
#[tokio::test]
async fn readers_cross_from_files_to_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    for i in 0..300 {
        durable(log.append(vec![record(Topic::Inbound, i, 1000), record(Topic::Status, i, 10)], Durability::Log).await);
    }
    assert!(files(folder.path(), "events") > 4);
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Inbound, partition: 0, offset: 0 });
    assert_eq!(numbers(&collect(&mut *reader, "k", 300).await), (0..300).collect::<Vec<_>>());
    durable(log.append(vec![record(Topic::Inbound, 300, 10)], Durability::Log).await);
    assert_eq!(numbers(&collect(&mut *reader, "k", 1).await), [300]);
    log.close(SOON).await;
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Inbound, partition: 0, offset: 0 });
    assert_eq!(numbers(&collect(&mut *reader, "k", 301).await), (0..301).collect::<Vec<_>>());
}

/// The write-ahead log begins from its start again while everybody writes without a pause.
#[tokio::test]
async fn the_write_ahead_log_stays_small_under_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Arc::new(Embedded::open(folder.path(), WEEK).expect("the log"));
    let writers = (0..8).map(|w| {
        let log = log.clone();
        tokio::spawn(async move {
            for i in 0..750 {
                durable(log.append(vec![record(Topic::Inbound, w * 1000 + i, 8000)], Durability::Log).await);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("all is written");
    }
    let size =
        |end| std::fs::metadata(segment::Segment::path(folder.path(), "events", 0).with_extension(end)).expect("the file").len() >> 20;
    assert!(size("db-wal") < 24, "{} MiB of write-ahead log for 46 MiB of records", size("db-wal"));
    assert!(size("db") > 24, "carried over: {} MiB", size("db"));
}

/// Whole files go, the position of a partition that wrote nothing there stays good, and a restart changes nothing of it.
#[tokio::test]
async fn retention_deletes_whole_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    let quiet = durable(log.append(vec![record(Topic::Notices, 0, 10)], Durability::Log).await)[0] + 1;
    for i in 0..300 {
        durable(log.append(vec![record(Topic::Inbound, i, 1000)], Durability::Log).await);
    }
    let before = files(folder.path(), "events");
    let keeper = |log: &Embedded| Keeper { families: log.families.clone(), meta: log.meta.clone(), keep: WEEK, bell: Arc::default() };
    keeper(&log).sweep(committer::now());
    assert_eq!(files(folder.path(), "events"), before, "nothing is old");
    keeper(&log).sweep(committer::now() + 8 * 86_400_000);
    assert_eq!(files(folder.path(), "events"), 1, "all but the one being written");
    log.close(SOON).await;

    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    let begin = log.begins(Topic::Inbound).await.expect("begins")[&0];
    assert!(begin > 0);
    let mut reader = log.reader();
    let start = Position { topic: Topic::Inbound, partition: 0, offset: 5 };
    reader.assign(start);
    assert_eq!(reader.next(1).await.expect_err("past retention"), ReadError::Expired(start, begin));
    reader.release(Topic::Inbound, 0);
    reader.assign(Position { topic: Topic::Notices, partition: 0, offset: quiet });
    durable(log.append(vec![record(Topic::Notices, 1, 10)], Durability::Log).await);
    assert_eq!(numbers(&collect(&mut *reader, "k", 1).await), [1], "nothing was missed there");
}

/// A lane's file goes when all its units have let go of it, not before.
#[tokio::test]
async fn trimming_deletes_whole_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    for i in 0..200 {
        durable(log.append(vec![record(Topic::Ledger, i, 1000), record(Topic::Orders, i, 100)], Durability::Log).await);
    }
    let keeper = Keeper { families: log.families.clone(), meta: log.meta.clone(), keep: WEEK, bell: Arc::default() };
    let before = files(folder.path(), "engine");
    log.trim(Position { topic: Topic::Ledger, partition: 0, offset: u64::MAX });
    keeper.sweep(committer::now());
    assert_eq!(files(folder.path(), "engine"), before, "orders are not settled");
    log.trim(Position { topic: Topic::Orders, partition: 0, offset: u64::MAX });
    keeper.sweep(committer::now());
    assert_eq!(files(folder.path(), "engine"), 1);
}

/// A unit that never lets go keeps its records, not the files of all others.
#[tokio::test]
async fn a_quiet_unit_pins_its_own_records_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    let quiet = Record { partition: 9, ..record(Topic::OutNormal, 0, 100) };
    durable(log.append(vec![quiet], Durability::Log).await);
    for i in 0..200 {
        durable(log.append(vec![record(Topic::Ledger, i, 1000)], Durability::Log).await);
    }
    let first = segment::Segment::path(folder.path(), "engine", 0);
    let before = std::fs::metadata(&first).expect("the file").len();
    log.trim(Position { topic: Topic::Ledger, partition: 0, offset: u64::MAX });
    Keeper { families: log.families.clone(), meta: log.meta.clone(), keep: WEEK, bell: Arc::default() }.sweep(committer::now());
    assert_eq!(files(folder.path(), "engine"), 2);
    let after = std::fs::metadata(&first).expect("the file").len();
    assert!(after <= 40 << 10, "{after} of {before} bytes");
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::OutNormal, partition: 9, offset: 0 });
    assert_eq!(numbers(&collect(&mut *reader, "k", 1).await), [0]);
    log.close(SOON).await;
    let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::OutNormal, partition: 9, offset: 0 });
    assert_eq!(numbers(&collect(&mut *reader, "k", 1).await), [0]);
}

/// What compaction replaced is really gone from the disk.
#[tokio::test]
async fn control_holds_one_record_of_each_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open(folder.path(), WEEK).expect("the log");
    for round in 0..50 {
        durable(log.append((0..3).map(|k| record(Topic::Control, k, round)).collect(), Durability::Log).await);
    }
    log.close(SOON).await;
    let log = Embedded::open(folder.path(), WEEK).expect("the log");
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Control, partition: 0, offset: 0 });
    let read = collect(&mut *reader, "k", 3).await;
    assert!(read.iter().all(|r| r.value.len() == 49));
}

/// A full disk refuses, says so, and recovers by itself when there is room again; what was durable stays.
#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut plans = plans();
    plans[0].pages = Some(40);
    let log = Embedded::open_with(folder.path(), WEEK, plans).expect("the log");
    let mut kept = 0;
    let refused = loop {
        match log.append(vec![record(Topic::Inbound, kept, 10_000)], Durability::Log).await.remove(0) {
            Outcome::Durable(_) => kept += 1,
            other => break other,
        }
    };
    assert!(matches!(&refused, Outcome::NotAppended(why) if why.contains("full")), "{refused:?}");
    assert!(!log.ready() && !log.health().log && kept > 5);
    assert!(log.health().trouble.is_some_and(|t| t.contains("full")));
    // A new file has room: the limit is that of a file here, of the disk in life.
    log.families[0].roll.store(true, Ordering::Relaxed);
    for _ in 0..50 {
        if log.ready() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(log.ready(), "the probe found room");
    durable(log.append(vec![record(Topic::Inbound, kept, 10)], Durability::Log).await);
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Inbound, partition: 0, offset: 0 });
    assert_eq!(numbers(&collect(&mut *reader, "k", kept as usize + 1).await), (0..=kept).collect::<Vec<_>>());
}

#[test]
fn a_folder_has_one_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Embedded::open(folder.path(), WEEK).expect("the log");
    let refused = Embedded::open(folder.path(), WEEK).err().expect("refused");
    assert!(refused.contains(&format!("in use by another process (pid {})", std::process::id())), "{refused}");
    drop(log);
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    Embedded::open(folder.path(), WEEK).expect("the log").close(SOON).await;
    let db = segment::connect(&segment::Segment::path(folder.path(), "events", 0), false).expect("the file");
    db.pragma_update(None, "user_version", segment::FORMAT + 1).expect("written");
    drop(db);
    let refused = Embedded::open(folder.path(), WEEK).err().expect("refused");
    assert!(refused.contains("has format 2") && refused.contains("newer version"), "{refused}");
}

/// The process is killed while it writes: what it was told is durable is there, once and in order.
#[tokio::test]
async fn a_kill_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "log::embedded::tests::writes_until_killed", "--ignored", "--nocapture"])
            .env("FAIRWAY_TEST_FOLDER", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let enough = acknowledged + 300 + 150 * round;
        while acknowledged < enough {
            let line = lines.next().expect("more").expect("a line");
            let told = line.strip_prefix("durable ").and_then(|n| n.parse::<u64>().ok());
            acknowledged = told.map_or(acknowledged, |n| n + 1);
        }
        child.kill().expect("killed");
        child.wait().expect("dead");
        // What was written between the last line read and the kill counts as well.
        let rest = lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("durable ")?.parse::<u64>().ok());
        acknowledged = rest.last().map_or(acknowledged, |n| n + 1);

        let log = Embedded::open_with(folder.path(), WEEK, small()).expect("the log");
        let found = all_numbers(&log).await;
        // One may have been durable when the kill came, and not told any more.
        let there = found.len() as u64;
        assert!((acknowledged..=acknowledged + 1).contains(&there), "{acknowledged} acknowledged, {there} there");
        assert_eq!(found, (0..there).collect::<Vec<_>>());
        log.close(SOON).await;
    }
}

/// The number of every record in partition 0 of `inbound`.
async fn all_numbers(log: &Embedded) -> Vec<u64> {
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Inbound, partition: 0, offset: 0 });
    let end = log.ends(Topic::Inbound).await.expect("ends")[&0];
    let (mut found, mut at) = (Vec::new(), 0);
    while at < end {
        let read = reader.next(1000).await.expect("records");
        found.extend(numbers(&read));
        at = read.last().expect("a record").at.offset + 1;
    }
    found
}

/// The other process of the test above.
#[tokio::test]
#[ignore = "started by a_kill_loses_nothing_acknowledged"]
#[allow(clippy::print_stdout)]
async fn writes_until_killed() {
    let Some(folder) = std::env::var_os("FAIRWAY_TEST_FOLDER").map(PathBuf::from) else { return };
    let log = Embedded::open_with(&folder, WEEK, small()).expect("the log");
    // Numbers go on where the log ends: a record that was durable but not told is told now.
    let next = all_numbers(&log).await.last().map_or(0, |last| last + 1);
    for number in next..u64::MAX {
        durable(log.append(vec![record(Topic::Inbound, number, 700)], Durability::Log).await);
        println!("durable {number}");
    }
}

/// How fast writers are that wait for their own records, and how long they wait at half of that. Run by hand, in release.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn speed() {
    for (writers, rest) in [(1, 0), (64, 0), (256, 0), (1000, 0), (256, 5)] {
        let folder = tempfile::tempdir_in(".").expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let log = Arc::new(Embedded::open(folder.path(), WEEK).expect("the log"));
            let value = Bytes::from(vec![b'x'; 1000]);
            let (begun, cpu) = (std::time::Instant::now(), cpu());
            let tasks: Vec<_> = (0..writers)
                .map(|w| {
                    let (log, value) = (log.clone(), value.clone());
                    tokio::spawn(async move {
                        let (mut count, mut waits) = (0u64, Vec::new());
                        while begun.elapsed() < Duration::from_secs(4) {
                            let record = Record { value: Some(value.clone()), ..record(Topic::Inbound, w, 0) };
                            let asked = std::time::Instant::now();
                            durable(log.append(vec![record], Durability::Log).await);
                            waits.push(asked.elapsed().as_micros() as u32);
                            count += 1;
                            if rest > 0 {
                                tokio::time::sleep(Duration::from_millis(rest)).await;
                            }
                        }
                        (count, waits)
                    })
                })
                .collect();
            let (mut count, mut waits) = (0, Vec::new());
            for task in tasks {
                let (c, w) = task.await.expect("a writer");
                count += c;
                waits.extend(w);
            }
            let (took, cpu) = (begun.elapsed().as_secs_f64(), self::cpu() - cpu);
            waits.sort_unstable();
            let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
            println!(
                "{writers} writers, {rest} ms apart: {:.0} rec/s, {:.2} us CPU, p50 {} us, p99 {} us, max {} us",
                count as f64 / took,
                cpu * 1e6 / count as f64,
                at(0.5),
                at(0.99),
                at(1.0)
            );
            log.close(SOON).await;
        });
    }
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(") ").next().unwrap_or("").split(' ').filter_map(|f| f.parse().ok()).collect();
    (fields.get(10).unwrap_or(&0.0) + fields.get(11).unwrap_or(&0.0)) / 100.0
}
