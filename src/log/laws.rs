//! What every log promises, as functions over the trait. An implementation runs them all with one line:
//! `crate::log::laws::all!(Place::new)`.
//!
//! Several laws may share one log, and other writers may be about: each law knows its own records by their keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::*;

/// Where a law finds its log.
pub trait Place: Send + Sync {
    /// Opens the log; the same records are there each time.
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>>;

    /// A word that no other law's records carry, and a partition of the unit topics for this law.
    fn mine(&self) -> (&str, u32);
}

macro_rules! laws {
    ($($law:ident)*) => {
        /// Runs every law; the argument makes a place from a law's name and number.
        macro_rules! all {
            ($place:path) => {
                crate::log::laws::each! { $place; $($law)* }
            };
        }
    };
}

macro_rules! each {
    ($place:path; $($law:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                let place = $place(stringify!($law)).await;
                crate::log::laws::$law(&place).await;
            }
        )*
    };
}

laws! {
    what_was_appended_is_read
    order_is_kept_in_each_partition
    what_is_durable_survives_a_restart
    a_reader_misses_nothing_while_others_append
    a_reader_starts_anywhere
    a_paused_partition_is_silent
    cancelling_a_read_loses_nothing
    positions_are_remembered
    what_was_let_go_is_not_in_the_way
    control_keeps_the_newest_of_each_key
    ends_begins_and_times_are_told
    dropping_the_future_takes_nothing_back
    a_hundred_writers_are_all_heard
    big_values_fit
    every_partition_can_be_read_at_once
    an_append_may_span_topics
    a_partition_that_is_not_there_is_refused
    a_closed_log_takes_nothing
}
pub(crate) use {all, each};

/// Each record of an append is answered, offsets grow, and all parts come back as they were.
pub async fn what_was_appended_is_read(place: &dyn Place) {
    let log = place.open().await;
    let (mine, _) = place.mine();
    let mut reader = at_ends(&*log, Topic::Inbound).await;
    let records: Vec<Record> = (0..5).map(|i| event(mine, i)).collect();
    let offsets = durable(log.append(records.clone(), Durability::LogOrSpool).await);
    let read = collect(&mut *reader, mine, 5).await;
    let by_key: BTreeMap<_, _> = read.iter().map(|r| (r.key.clone(), r)).collect();
    for (record, offset) in records.iter().zip(offsets) {
        let found = by_key[&record.key];
        assert_eq!((found.at.topic, found.at.partition, found.at.offset), (record.topic, record.partition, offset));
        assert_eq!((&found.headers, Some(&found.value)), (&record.headers, record.value.as_ref()));
        assert!((found.time - now()).abs() < 60_000, "the time is that of the append");
    }
    log.close(SOON).await;
}

/// Appends made one after the other by one task keep their order, though none was waited for.
pub async fn order_is_kept_in_each_partition(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let mut reader = at_ends(&*log, Topic::Orders).await;
    let appends: Vec<_> = (0..50).map(|i| log.append((0..7).map(|j| order(mine, unit, i * 7 + j)).collect(), Durability::Log)).collect();
    let mut last = None;
    for append in appends {
        for offset in durable(append.await) {
            assert!(last < Some(offset));
            last = Some(offset);
        }
    }
    assert_eq!(numbers(&collect(&mut *reader, mine, 350).await), (0..350).collect::<Vec<_>>());
    log.close(SOON).await;
}

/// Closed and opened again, the records are there, once and in order, and new ones stand behind them.
pub async fn what_is_durable_survives_a_restart(place: &dyn Place) {
    let (mine, unit) = place.mine();
    let log = place.open().await;
    let start = log.ends(Topic::Ledger).await.expect("the ends");
    let before = durable(log.append((0..100).map(|i| ledger(mine, unit, i)).collect(), Durability::Log).await);
    log.close(SOON).await;
    let log = place.open().await;
    let after = durable(log.append((100..110).map(|i| ledger(mine, unit, i)).collect(), Durability::Log).await);
    assert!(before.last() < after.first());
    let mut reader = from(&*log, Topic::Ledger, &start);
    assert_eq!(numbers(&collect(&mut *reader, mine, 110).await), (0..110).collect::<Vec<_>>());
    log.close(SOON).await;
}

/// A reader that started before, during or after some appends sees every record behind its start once, in order.
pub async fn a_reader_misses_nothing_while_others_append(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let start = log.ends(Topic::OutBulk).await.expect("the ends");
    let writer = {
        let (log, mine) = (log.clone(), mine.to_owned());
        tokio::spawn(async move {
            for i in 0..200 {
                let batch = (0..5).map(|j| lane(&mine, unit, i * 5 + j)).collect();
                durable(log.append(batch, Durability::Log).await);
            }
        })
    };
    let readers: Vec<_> = (0..4)
        .map(|i| {
            let (log, mine, start) = (log.clone(), mine.to_owned(), start.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(i * 20)).await;
                let mut reader = from(&*log, Topic::OutBulk, &start);
                let read = collect(&mut *reader, &mine, 1000).await;
                assert!(read.windows(2).all(|w| w[0].at.offset < w[1].at.offset));
                assert_eq!(numbers(&read), (0..1000).collect::<Vec<_>>());
            })
        })
        .collect();
    writer.await.expect("the writer");
    for reader in readers {
        reader.await.expect("a reader");
    }
    log.close(SOON).await;
}

/// From any offset, that of a record or of a gap, a reader sees what stands there and behind.
pub async fn a_reader_starts_anywhere(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let mixed = (0..60).flat_map(|i| [lane(mine, unit, i), order(mine, unit, i)]).collect();
    let offsets = durable(log.append(mixed, Durability::Log).await);
    let mut reader = log.reader();
    for (number, offset) in offsets.iter().step_by(2).enumerate().step_by(7) {
        reader.assign(Position { topic: Topic::OutBulk, partition: unit, offset: *offset });
        let read = collect(&mut *reader, mine, 60 - number).await;
        assert_eq!(read[0].at.offset, *offset);
        assert_eq!(numbers(&read), (number as u64..60).collect::<Vec<_>>());
        if number > 0 {
            let behind_the_one_before = offsets[(number - 1) * 2] + 1;
            reader.assign(Position { topic: Topic::OutBulk, partition: unit, offset: behind_the_one_before });
            assert_eq!(one(&mut *reader, mine).await.at.offset, *offset);
        }
    }
    log.close(SOON).await;
}

/// Nothing comes of a partition that is paused or released, until it is assigned again, and then from there.
pub async fn a_paused_partition_is_silent(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let (one, other) = (unit, (unit + 32) % UNITS);
    let mut reader = at_ends(&*log, Topic::Orders).await;
    durable(log.append(vec![order(mine, one, 0), order(mine, other, 0)], Durability::Log).await);
    let first = collect(&mut *reader, mine, 2).await;
    reader.pause(Topic::Orders, one);
    durable(log.append(vec![order(mine, one, 1), order(mine, other, 1)], Durability::Log).await);
    assert_eq!(collect(&mut *reader, mine, 1).await[0].at.partition, other);
    nothing_comes(&mut *reader, mine).await;
    let paused_at = first.iter().find(|r| r.at.partition == one).expect("its first record").at;
    reader.assign(Position { offset: paused_at.offset + 1, ..paused_at });
    assert_eq!(numbers(&collect(&mut *reader, mine, 1).await), [1]);
    reader.release(Topic::Orders, other);
    durable(log.append(vec![order(mine, other, 2), order(mine, one, 2)], Durability::Log).await);
    assert_eq!(collect(&mut *reader, mine, 1).await[0].at.partition, one);
    nothing_comes(&mut *reader, mine).await;
    log.close(SOON).await;
}

/// A read that was given up leaves its records for the next one.
pub async fn cancelling_a_read_loses_nothing(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let start = log.ends(Topic::OutNormal).await.expect("the ends");
    let writer = {
        let (log, mine) = (log.clone(), mine.to_owned());
        tokio::spawn(async move {
            for i in 0..100 {
                let record = Record { topic: Topic::OutNormal, ..lane(&mine, unit, i) };
                durable(log.append(vec![record], Durability::Log).await);
            }
        })
    };
    let mut reader = from(&*log, Topic::OutNormal, &start);
    let mut read = Vec::new();
    let all = async {
        while read.len() < 100 {
            // Sometimes less than a look-up takes, sometimes more.
            let patience = Duration::from_micros(50 + 400 * (read.len() as u64 % 5));
            if let Ok(more) = tokio::time::timeout(patience, reader.next(7)).await {
                read.extend(more.expect("records").into_iter().filter(|r| r.key.starts_with(mine.as_bytes())));
            }
        }
    };
    tokio::time::timeout(LATE, all).await.expect("all of them");
    assert_eq!(numbers(&read), (0..100).collect::<Vec<_>>());
    writer.await.expect("the writer");
    log.close(SOON).await;
}

/// What was committed under a name is told again, also after a restart; the newest counts; other names are not touched.
pub async fn positions_are_remembered(place: &dyn Place) {
    let (mine, unit) = place.mine();
    let log = place.open().await;
    let (checkpoint, consumer) = (format!("ledger/{unit}"), format!("{mine}-consumer"));
    assert_eq!(log.committed(&consumer).await, Ok(Positions::new()));
    let offset = durable(log.append(vec![ledger(mine, unit, 0)], Durability::Log).await)[0];
    log.commit(&checkpoint, Positions::from([(unit, offset)])).await.expect("durable");
    log.commit(&checkpoint, Positions::from([(unit, offset + 1)])).await.expect("durable");
    let many: Positions = (0..UNITS).map(|u| (u, u64::from(u) * 1_000_003)).collect();
    log.commit(&consumer, Positions::from([(99, 1)])).await.expect("durable");
    log.commit(&consumer, many.clone()).await.expect("durable");
    assert_eq!(log.committed(&consumer).await, Ok(many.clone()));
    log.close(SOON).await;
    let log = place.open().await;
    assert_eq!(log.committed(&checkpoint).await, Ok(Positions::from([(unit, offset + 1)])));
    assert_eq!(log.committed(&consumer).await, Ok(many));
    assert_eq!(log.committed(&format!("{mine}-nobody")).await, Ok(Positions::new()));
    log.close(SOON).await;
}

/// Letting go changes nothing for those behind it; whoever reads below it may be told so, and where the oldest stands.
pub async fn what_was_let_go_is_not_in_the_way(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let offsets = durable(log.append((0..20).map(|i| ledger(mine, unit, i)).collect(), Durability::Log).await);
    let before = Position { topic: Topic::Ledger, partition: unit, offset: offsets[10] };
    log.trim(before);
    log.trim(before);
    log.trim(Position { offset: offsets[5], ..before });
    let mut reader = log.reader();
    reader.assign(before);
    assert_eq!(numbers(&collect(&mut *reader, mine, 10).await), (10..20).collect::<Vec<_>>());
    eventually("the beginning is told", || async { log.begins(Topic::Ledger).await.expect("begins")[&unit] <= offsets[10] }).await;
    reader.assign(Position { offset: offsets[0], ..before });
    match tokio::time::timeout(LATE, reader.next(1)).await.expect("an answer") {
        Ok(records) => assert_eq!(records[0].at.offset, offsets[0]),
        Err(ReadError::Expired(at, oldest)) => {
            assert_eq!((at.offset, oldest), (offsets[0], offsets[10]));
            reader.assign(Position { offset: oldest, ..before });
            assert_eq!(numbers(&collect(&mut *reader, mine, 10).await), (10..20).collect::<Vec<_>>());
        }
        Err(other) => panic!("{other}"),
    }
    // More than there is: what comes later is not let go of.
    log.trim(Position { offset: offsets[19] + 1_000_000, ..before });
    let next = durable(log.append(vec![ledger(mine, unit, 20)], Durability::Log).await)[0];
    reader.assign(Position { offset: next, ..before });
    assert_eq!(numbers(&collect(&mut *reader, mine, 1).await), [20]);
    log.close(SOON).await;
}

/// Read from its beginning, `control` tells the newest value of each key, and no position in it is ever past retention.
pub async fn control_keeps_the_newest_of_each_key(place: &dyn Place) {
    let (mine, _) = place.mine();
    let log = place.open().await;
    let setting = |key: u64, value: Option<u64>| Record {
        topic: Topic::Control,
        partition: 0,
        key: Bytes::from(format!("{mine}/{key}")),
        headers: Headers::default(),
        value: value.map(|v| Bytes::from(v.to_string())),
    };
    for round in 0..5 {
        durable(log.append((0..4).map(|k| setting(k, Some(round * 10 + k))).collect(), Durability::Log).await);
    }
    durable(log.append(vec![setting(3, None), setting(4, Some(7))], Durability::Log).await);
    log.close(SOON).await;
    let log = place.open().await;
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Control, partition: 0, offset: 0 });
    let mut newest = BTreeMap::new();
    while !newest.contains_key(format!("{mine}/4").as_bytes()) {
        let read = tokio::time::timeout(LATE, reader.next(100)).await.expect("in time").expect("records");
        newest.extend(read.into_iter().filter(|r| r.key.starts_with(mine.as_bytes())).map(|r| (r.key.to_vec(), r.value)));
    }
    let told = |key: u64| newest.get(format!("{mine}/{key}").as_bytes()).cloned().unwrap_or_default();
    assert_eq!((0..5).map(told).collect::<Vec<_>>(), ["40", "41", "42", "", "7"]);
    log.close(SOON).await;
}

/// Ends stand right behind the last record, begins at or below the first, and a time finds the first record not older.
pub async fn ends_begins_and_times_are_told(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    for topic in [Topic::Inbound, Topic::Orders, Topic::Control] {
        let partitions: BTreeSet<u32> = (0..log.partitions(topic)).collect();
        for positions in [log.ends(topic).await, log.begins(topic).await, log.since(topic, 0).await] {
            assert_eq!(positions.expect("positions").into_keys().collect::<BTreeSet<_>>(), partitions, "every partition is named");
        }
    }
    let mut marks = Vec::new();
    for i in 0..3 {
        let offsets = durable(log.append(vec![order(mine, unit, i * 2), order(mine, unit, i * 2 + 1)], Durability::Log).await);
        marks.push((offsets[0], offsets[1]));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let (ends, begins) = (log.ends(Topic::Orders).await.expect("ends"), log.begins(Topic::Orders).await.expect("begins"));
    assert_eq!(ends[&unit], marks[2].1 + 1);
    assert!(begins[&unit] <= marks[0].0);
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Orders, partition: unit, offset: marks[0].0 });
    let times: Vec<i64> = collect(&mut *reader, mine, 6).await.iter().map(|r| r.time).collect();
    assert!(times.is_sorted());
    assert_eq!(log.since(Topic::Orders, times[2]).await.expect("since")[&unit], marks[1].0);
    assert_eq!(log.since(Topic::Orders, times[1] + 1).await.expect("since")[&unit], marks[1].0);
    assert_eq!(log.since(Topic::Orders, times[5] + 600_000).await.expect("since")[&unit], ends[&unit]);
    log.close(SOON).await;
}

/// The work begins when `append` is called; nobody has to wait for it.
pub async fn dropping_the_future_takes_nothing_back(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let mut reader = at_ends(&*log, Topic::OutUrgent).await;
    for i in 0..20 {
        drop(log.append(vec![Record { topic: Topic::OutUrgent, ..lane(mine, unit, i) }], Durability::Log));
    }
    assert_eq!(numbers(&collect(&mut *reader, mine, 20).await), (0..20).collect::<Vec<_>>());
    log.close(SOON).await;
}

/// A hundred tasks write at once: each is answered, each keeps its order, nothing is lost or doubled.
pub async fn a_hundred_writers_are_all_heard(place: &dyn Place) {
    let log = place.open().await;
    let (mine, _) = place.mine();
    let mut reader = at_ends(&*log, Topic::Signals).await;
    let writers: Vec<_> = (0..100u64)
        .map(|writer| {
            let (log, mine) = (log.clone(), mine.to_owned());
            tokio::spawn(async move {
                for i in 0..20 {
                    let partition = (writer % u64::from(log.partitions(Topic::Signals))) as u32;
                    let record = Record { topic: Topic::Signals, partition, ..event(&format!("{mine}/{writer}"), i) };
                    durable(log.append(vec![record], Durability::LogOrSpool).await);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer");
    }
    let read = collect(&mut *reader, mine, 2000).await;
    for writer in 0..100 {
        let key = format!("{mine}/{writer}/");
        let of: Vec<_> = read.iter().filter(|r| r.key.starts_with(key.as_bytes())).cloned().collect();
        assert_eq!(numbers(&of), (0..20).collect::<Vec<_>>());
    }
    log.close(SOON).await;
}

/// A value of 1 MiB is taken, alone and among others, and comes back whole.
pub async fn big_values_fit(place: &dyn Place) {
    let log = place.open().await;
    let (mine, _) = place.mine();
    let mut reader = at_ends(&*log, Topic::Unparsed).await;
    let big = |i: u64| Record {
        topic: Topic::Unparsed,
        value: Some((0..1 << 20).map(|b: u32| (b.wrapping_mul(2_654_435_761) >> 13) as u8 ^ i as u8).collect()),
        partition: 0,
        ..event(mine, i)
    };
    let small = Record { topic: Topic::Unparsed, partition: 0, ..event(mine, 2) };
    let empty = Record { value: Some(Bytes::new()), topic: Topic::Unparsed, partition: 0, ..event(mine, 3) };
    let records = vec![big(0), big(1), small, empty];
    durable(log.append(records.clone(), Durability::LogOrSpool).await);
    let read = collect(&mut *reader, mine, 4).await;
    assert!(records.iter().zip(&read).all(|(r, s)| r.value.as_ref() == Some(&s.value) && r.key == s.key));
    log.close(SOON).await;
}

/// One append to all units of a topic, one reader of all of them.
pub async fn every_partition_can_be_read_at_once(place: &dyn Place) {
    let log = place.open().await;
    let (mine, _) = place.mine();
    assert_eq!(log.partitions(Topic::Webchat), UNITS);
    let mut reader = at_ends(&*log, Topic::Webchat).await;
    for round in 0..3 {
        let records = (0..UNITS).map(|u| Record { topic: Topic::Webchat, ..lane(mine, u, round) }).collect();
        durable(log.append(records, Durability::Log).await);
    }
    let read = collect(&mut *reader, mine, 3 * UNITS as usize).await;
    for unit in 0..UNITS {
        let of: Vec<_> = read.iter().filter(|r| r.at.partition == unit).cloned().collect();
        assert_eq!(numbers(&of), [0, 1, 2]);
    }
    log.close(SOON).await;
}

/// The answers stand in the order of the records, whatever their topics.
pub async fn an_append_may_span_topics(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let setting = Record { topic: Topic::Control, partition: 0, ..event(mine, 2) };
    let records = vec![event(mine, 0), ledger(mine, unit, 1), setting, order(mine, unit, 3), event(mine, 4)];
    let offsets = durable(log.append(records.clone(), Durability::Log).await);
    for (record, offset) in records.iter().zip(offsets) {
        let mut reader = log.reader();
        reader.assign(Position { topic: record.topic, partition: record.partition, offset });
        let read = one(&mut *reader, mine).await;
        assert_eq!((read.at.offset, &read.key), (offset, &record.key));
    }
    assert_eq!(log.append(Vec::new(), Durability::Log).await, []);
    log.close(SOON).await;
}

/// A wrong partition is the caller's mistake: it is refused, and the records beside it are not.
pub async fn a_partition_that_is_not_there_is_refused(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    let wrong = Record { partition: log.partitions(Topic::Inbound), ..event(mine, 0) };
    let outcomes = log.append(vec![wrong, order(mine, unit, 1), order(mine, UNITS, 2)], Durability::Log).await;
    assert!(matches!(outcomes[..], [Outcome::NotAppended(_), Outcome::Durable(_), Outcome::NotAppended(_)]), "{outcomes:?}");
    log.close(SOON).await;
}

/// Closing answers everything that is under way; afterwards nothing is taken.
pub async fn a_closed_log_takes_nothing(place: &dyn Place) {
    let log = place.open().await;
    let (mine, unit) = place.mine();
    assert!(log.ready() && log.health().log);
    let start = log.ends(Topic::Orders).await.expect("ends");
    let under_way: Vec<_> = (0..30).map(|i| log.append(vec![order(mine, unit, i)], Durability::Log)).collect();
    log.close(SOON).await;
    let mut durably = Vec::new();
    for (i, append) in under_way.into_iter().enumerate() {
        match &append.await[0] {
            Outcome::Durable(_) => durably.push(i as u64),
            Outcome::NotAppended(_) => {}
            Outcome::Unknown(why) => panic!("an orderly close knows: {why}"),
        }
    }
    let late = log.append(vec![order(mine, unit, 99)], Durability::Log).await;
    assert!(matches!(late[..], [Outcome::NotAppended(_)]), "{late:?}");
    assert!(!log.ready());
    drop(log);
    let log = place.open().await;
    let mut reader = from(&*log, Topic::Orders, &start);
    assert_eq!(numbers(&collect(&mut *reader, mine, durably.len()).await), durably);
    nothing_comes(&mut *reader, mine).await;
    log.close(SOON).await;
}

const SOON: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(30);

fn record(topic: Topic, partition: u32, mine: &str, number: u64) -> Record {
    let id = format!("evt_{mine}_{number}");
    let headers = Headers::of([("ce_id", id.as_str()), ("ce_type", "fairway.test"), ("content-type", "application/json")]);
    Record { topic, partition, key: format!("{mine}/{number}").into(), headers, value: Some(number.to_string().into()) }
}

/// Events of a law stand in partition 0.
fn event(mine: &str, number: u64) -> Record {
    record(Topic::Inbound, 0, mine, number)
}

fn order(mine: &str, unit: u32, number: u64) -> Record {
    record(Topic::Orders, unit, mine, number)
}

fn ledger(mine: &str, unit: u32, number: u64) -> Record {
    record(Topic::Ledger, unit, mine, number)
}

fn lane(mine: &str, unit: u32, number: u64) -> Record {
    record(Topic::OutBulk, unit, mine, number)
}

/// The offsets of an append that must have succeeded.
pub fn durable(outcomes: Vec<Outcome>) -> Vec<u64> {
    let offset = |o| match o {
        Outcome::Durable(Some(offset)) => offset,
        other => panic!("not durable: {other:?}"),
    };
    outcomes.into_iter().map(offset).collect()
}

fn from(log: &dyn EventLog, topic: Topic, positions: &Positions) -> Box<dyn Reader> {
    let mut reader = log.reader();
    for (&partition, &offset) in positions {
        reader.assign(Position { topic, partition, offset });
    }
    reader
}

async fn at_ends(log: &dyn EventLog, topic: Topic) -> Box<dyn Reader> {
    from(log, topic, &log.ends(topic).await.expect("the ends"))
}

/// Reads until so many records of this law are there.
pub async fn collect(reader: &mut dyn Reader, mine: &str, count: usize) -> Vec<Stored> {
    let mut read: Vec<Stored> = Vec::new();
    let all = async {
        while read.len() < count {
            let more = reader.next(64).await.expect("records");
            assert!(!more.is_empty() && more.len() <= 64);
            read.extend(more.into_iter().filter(|r| r.key.starts_with(mine.as_bytes())));
        }
    };
    if tokio::time::timeout(LATE, all).await.is_err() {
        panic!("{} of {count} records came", read.len());
    }
    assert_eq!(read.len(), count, "more came than were written");
    read
}

/// The next record of this law.
async fn one(reader: &mut dyn Reader, mine: &str) -> Stored {
    let next = async {
        loop {
            let mut read = reader.next(1).await.expect("a record");
            assert_eq!(read.len(), 1);
            if read[0].key.starts_with(mine.as_bytes()) {
                return read.remove(0);
            }
        }
    };
    tokio::time::timeout(LATE, next).await.expect("a record in time")
}

async fn nothing_comes(reader: &mut dyn Reader, mine: &str) {
    let wait = async {
        loop {
            let more = reader.next(64).await.expect("records");
            assert!(more.iter().all(|r| !r.key.starts_with(mine.as_bytes())), "nothing was to come");
        }
    };
    let _: Result<(), _> = tokio::time::timeout(Duration::from_millis(200), wait).await;
}

async fn eventually<F: Future<Output = bool>>(what: &str, test: impl Fn() -> F) {
    for _ in 0..200 {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// The numbers behind the last slash of the keys.
pub fn numbers(records: &[Stored]) -> Vec<u64> {
    let number = |r: &Stored| std::str::from_utf8(&r.key).ok()?.rsplit('/').next()?.parse().ok();
    records.iter().map(|r| number(r).expect("a number")).collect()
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
