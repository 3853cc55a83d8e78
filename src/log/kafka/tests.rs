//! The log on Kafka keeps the laws, and stories of its absence. They need a broker: `tests/kafka.sh start DIR` tells
//! FAIRWAY_TEST_KAFKA. Stories that stop a broker start one of their own.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64},
    },
};

use super::*;
use crate::{
    config::units::{Bytes as Size, Span},
    log::{
        Headers,
        config::{Encoding, KeepRaw, Kind},
        laws::{self, durable, numbers},
    },
};

laws::all!(OnKafka::of);

struct OnKafka {
    law: String,
    unit: u32,
    spool: tempfile::TempDir,
}

impl OnKafka {
    /// All laws share the topics of one prefix: to make 400 partitions for each would take longer than to keep them. They are
    /// made before the first law begins, because a busy broker takes its time for it.
    async fn of(law: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
        let place = Self { law: law.to_owned(), unit: NEXT.fetch_add(1, Ordering::Relaxed), spool: folder() };
        MADE.get_or_init(async || place.opened().await.close(SOON).await).await;
        place
    }

    async fn opened(&self) -> Kafka {
        static PREFIX: OnceLock<String> = OnceLock::new();
        let config = config(&broker(), PREFIX.get_or_init(|| prefix("laws")), self.spool.path());
        // The turn has its own stories; here a machine busy with other tests must not bring it about.
        ready(Kafka::open_with(&config, &retention(), Duration::from_secs(8)).await.expect("the log")).await
    }
}

impl laws::Place for OnKafka {
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>> {
        Box::pin(async move { Arc::new(self.opened().await) as Arc<dyn EventLog> })
    }
    fn mine(&self) -> (&str, u32) {
        (&self.law, self.unit)
    }
}

/// A log whose topics a busy broker did not make in time begins as if Kafka were away.
async fn ready(log: Kafka) -> Kafka {
    until("the topics are there", || log.health().log).await;
    log
}

fn broker() -> String {
    std::env::var("FAIRWAY_TEST_KAFKA")
        .expect("FAIRWAY_TEST_KAFKA=host:port of a Kafka; `tests/kafka.sh start DIR` starts one and tells it")
}

fn prefix(story: &str) -> String {
    format!("test.{story}.{:x}", rand::random::<u64>())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn config(brokers: &str, prefix: &str, spool: &Path) -> Config {
    Config {
        kind: Kind::Kafka,
        path: PathBuf::new(),
        raw: KeepRaw::Unparsed,
        brokers: Some(brokers.to_owned()),
        topic_prefix: prefix.to_owned(),
        partitions: 4,
        replication_factor: 1,
        create_topics: true,
        encoding: Encoding::Binary,
        properties: Default::default(),
        spool: spool.to_owned(),
        spool_max: Size(1 << 30),
    }
}

fn retention() -> Retention {
    let week = Span(Duration::from_secs(7 * 86_400));
    Retention { events: week, raw: week, messages: week, media: week, evidence: week }
}

async fn open(config: &Config) -> Kafka {
    Kafka::open(config, &retention()).await.expect("the log")
}

const SOON: Duration = Duration::from_secs(10);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka.sh");

/// A broker of this story alone. One at a time: they fill the machine.
struct Broker {
    folder: tempfile::TempDir,
    address: String,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Broker {
    async fn start() -> Self {
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let turn = TURN.lock().await;
        let folder = folder();
        let address = Self::script(folder.path(), "start");
        let address = address.trim().strip_prefix("FAIRWAY_TEST_KAFKA=").expect("the address").to_owned();
        Self { folder, address, _turn: turn }
    }

    async fn tell(&self, what: &'static str) {
        let folder = self.folder.path().to_owned();
        tokio::task::spawn_blocking(move || Self::script(&folder, what)).await.expect("the script");
    }

    fn script(folder: &Path, what: &str) -> String {
        let out = Command::new(SCRIPT).arg(what).arg(folder).output().expect("tests/kafka.sh");
        assert!(out.status.success(), "kafka.sh {what}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("kill").arg(self.folder.path()).status();
    }
}

fn event(key: u64, number: u64, partitions: u32) -> Record {
    let id = format!("evt_{key}_{number}");
    let headers = Headers::of([("ce_id", id.as_str()), ("ce_type", "fairway.test"), ("content-type", "application/json")]);
    let value = Some(format!("{{\"number\":{number}}}").into());
    Record {
        topic: Topic::Inbound,
        partition: (key % u64::from(partitions)) as u32,
        key: format!("k{key}/{number}").into(),
        headers,
        value,
    }
}

/// Durable in the log or in the spool: on a busy machine a broker that has just started may be slow enough for a turn.
fn taken(outcomes: Vec<Outcome>) {
    assert!(outcomes.iter().all(Outcome::is_durable), "{outcomes:?}");
}

async fn until(what: &str, test: impl Fn() -> bool) {
    for _ in 0..600 {
        if test() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// People write all the time; each conversation waits for its answer before it says the next thing.
struct Load {
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<(u64, u64, Duration)>>,
}

impl Load {
    fn start(log: &Arc<Kafka>, keys: u64) -> Self {
        let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let tasks = (0..keys)
            .map(|key| {
                let (log, written, stop) = (log.clone(), written.clone(), stop.clone());
                tokio::spawn(async move {
                    let (mut number, mut refused, mut longest) = (0, 0, Duration::ZERO);
                    while !stop.load(Ordering::Relaxed) {
                        let asked = Instant::now();
                        match log.append(vec![event(key, number, 4)], Durability::LogOrSpool).await.remove(0) {
                            Outcome::Durable(_) => {
                                written.fetch_add(1, Ordering::Relaxed);
                                number += 1;
                            }
                            other => {
                                refused += 1;
                                assert!(matches!(other, Outcome::NotAppended(_)), "{other:?}");
                            }
                        }
                        longest = longest.max(asked.elapsed());
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    (number, refused, longest)
                })
            })
            .collect();
        Self { written, stop, tasks }
    }

    /// Stops, and tells how far each conversation came.
    async fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut reached = Vec::new();
        for task in self.tasks {
            let (number, refused, longest) = task.await.expect("a writer");
            assert_eq!(refused, 0, "every event was taken");
            assert!(longest < Duration::from_secs(10), "every answer came in time: {longest:?}");
            reached.push(number);
        }
        reached
    }
}

/// Every event of every conversation stands in the topic once, in order.
async fn balance(log: &Kafka, reached: &[u64]) {
    let ends = log.ends(Topic::Inbound).await.expect("ends");
    let begins = log.begins(Topic::Inbound).await.expect("begins");
    let mut reader = log.reader();
    for (&partition, &offset) in &begins {
        reader.assign(Position { topic: Topic::Inbound, partition, offset });
    }
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut at = begins;
    while at.iter().any(|(p, o)| *o < ends[p]) {
        let read = tokio::time::timeout(SOON, reader.next(1000)).await.expect("in time").expect("records");
        for record in &read {
            at.insert(record.at.partition, record.at.offset + 1);
            let key = std::str::from_utf8(&record.key).expect("a key");
            let key = key[1..key.find('/').expect("a slash")].parse().expect("a number");
            seen.entry(key).or_default().extend(numbers(std::slice::from_ref(record)));
        }
    }
    for (key, reached) in reached.iter().enumerate() {
        let told = seen.remove(&(key as u64)).unwrap_or_default();
        let wrong = told.iter().zip(0..).find(|(told, expected)| **told != *expected);
        assert!(
            wrong.is_none() && told.len() as u64 == *reached,
            "conversation {key}: {reached} written, {} there, first wrong {wrong:?}",
            told.len()
        );
    }
}

/// What befalls the broker while people write: nothing is lost, nothing stands twice, every conversation is in order.
async fn an_outage(strike: &'static str, cure: &'static str, rounds: u32) {
    let broker = Broker::start().await;
    let spool = folder();
    let log = Arc::new(open(&config(&broker.address, &prefix("outage"), spool.path())).await);
    let load = Load::start(&log, 100);
    for _ in 0..rounds {
        let before = load.written.load(Ordering::Relaxed);
        until("people write", || load.written.load(Ordering::Relaxed) > before + 3000).await;
        broker.tell(strike).await;
        until("the spool fills", || log.health().spooled > 2000 && !log.health().log).await;
        assert!(log.ready() && log.health().trouble.is_some());
        broker.tell(cure).await;
        until("the spool is empty", || log.health().spooled == 0 && log.health().log).await;
        assert_eq!(log.sequencer.mode(), Mode::Direct);
    }
    let reached = load.stop().await;
    until("the rest is written", || log.health().spooled == 0 && log.sequencer.waiting() == 0).await;
    balance(&log, &reached).await;
    log.close(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_loses_and_doubles_nothing() {
    an_outage("kill", "start", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_loses_and_doubles_nothing() {
    an_outage("pause", "resume", 2).await;
}

/// The gateway ends while Kafka is away, and starts while it is away: the spool is emptied when it is back, and before
/// anything new goes to Kafka.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_outlives_the_process() {
    let broker = Broker::start().await;
    let (spool, prefix) = (folder(), prefix("restart"));
    let config = config(&broker.address, &prefix, spool.path());
    let log = open(&config).await;
    for number in 0..50 {
        taken(log.append(vec![event(0, number, 4)], Durability::LogOrSpool).await);
    }
    until("they are in Kafka", || log.health().spooled == 0 && log.health().log).await;
    broker.tell("kill").await;
    for number in 50..100 {
        assert_eq!(log.append(vec![event(0, number, 4)], Durability::LogOrSpool).await, [Outcome::Durable(None)]);
    }
    let refused = log.append(vec![Record { topic: Topic::Ledger, ..event(0, 0, 4) }], Durability::Log).await;
    assert!(matches!(refused[..], [Outcome::NotAppended(_)]), "{refused:?}");
    log.close(SOON).await;
    drop(log);

    let log = open(&config).await;
    assert_eq!((log.health().spooled, log.ready(), log.health().log), (50, true, false));
    for number in 100..150 {
        assert_eq!(log.append(vec![event(0, number, 4)], Durability::LogOrSpool).await, [Outcome::Durable(None)]);
    }
    broker.tell("start").await;
    until("the spool is empty", || log.health().spooled == 0 && log.health().log).await;
    for number in 150..200 {
        taken(log.append(vec![event(0, number, 4)], Durability::LogOrSpool).await);
    }
    until("all is in Kafka", || log.health().spooled == 0 && log.health().log).await;
    balance(&log, &[200]).await;
    log.close(SOON).await;
}

/// A drain that was cut short leaves records both in the topic and in the spool: the next start looks for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_drain_had_tried_is_looked_for() {
    let (spool, prefix) = (folder(), prefix("tried"));
    let config = config(&broker(), &prefix, spool.path());
    let log = open(&config).await;
    taken(log.append((0..30).map(|n| event(0, n, 4)).collect(), Durability::LogOrSpool).await);
    until("they are in Kafka", || log.health().spooled == 0 && log.health().log).await;
    log.close(SOON).await;
    drop(log);
    // As a crash would leave it: 60 spooled, 40 tried, 30 of them arrived.
    let path = spool.path().to_owned();
    let lay = move || {
        let spool = Spool::open(&path, 1 << 30).expect("the spool");
        // On a busy machine the first thirty may have come this way too.
        let from = spool.drained();
        for number in 0..60 {
            let (ticket, answer) = Ticket::new(1);
            let reply = crate::log::mailbox::Reply::part(ticket, vec![0], |o| o);
            spool.append(vec![event(0, number, 4)], false, reply);
            durable(answer.blocking_recv().expect("an answer"));
        }
        spool.try_up_to(from + 40).expect("written");
        spool.close();
    };
    tokio::task::spawn_blocking(lay).await.expect("laid");
    let log = open(&config).await;
    until("the spool is empty", || log.health().spooled == 0 && log.health().log).await;
    balance(&log, &[60]).await;
    log.close(SOON).await;
}

/// Without a spool the same outage is refused, honestly, and over when it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_spool_events_are_refused() {
    let broker = Broker::start().await;
    let log = open(&config(&broker.address, &prefix("off"), Path::new("off"))).await;
    durable(log.append(vec![event(0, 0, 4)], Durability::LogOrSpool).await);
    broker.tell("pause").await;
    let asked = Instant::now();
    let under_way = log.append(vec![event(0, 1, 4)], Durability::LogOrSpool).await;
    assert!(matches!(under_way[..], [Outcome::Unknown(_)]) && asked.elapsed() < Duration::from_secs(10), "{under_way:?}");
    let refused = log.append(vec![event(0, 2, 4)], Durability::LogOrSpool).await;
    assert!(matches!(refused[..], [Outcome::NotAppended(_)]) && !log.ready(), "{refused:?}");
    broker.tell("resume").await;
    until("Kafka is written to", || log.ready()).await;
    // The broker may need another moment for its backlog: a refusal is honest, and the next try is as good.
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let again = log.append(vec![event(0, 3, 4)], Durability::LogOrSpool).await;
        match again[..] {
            [Outcome::NotAppended(_)] if Instant::now() < limit => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => break drop(durable(again)),
        }
    }
    log.close(SOON).await;
}

/// Two nodes share the units; what one loses it has heard of before the other gains it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_the_units() {
    let prefix = prefix("tenure");
    let (one, two) = (folder(), folder());
    let first = open(&config(&broker(), &prefix, one.path())).await;
    let mut tenures = first.tenures();
    let mut owned = std::collections::BTreeSet::new();
    while owned.len() < super::super::UNITS as usize {
        match tokio::time::timeout(Duration::from_secs(30), tenures.recv()).await.expect("in time").expect("a tenure") {
            Tenure::Gained(unit) => assert!(owned.insert(unit)),
            Tenure::Lost(unit) => assert!(owned.remove(&unit)),
        }
    }
    first.commit("ledger/5", Positions::from([(5, 77)])).await.expect("the owner may");
    assert_eq!(first.committed("ledger/5").await, Ok(Positions::from([(5, 77)])));

    let second = open(&config(&broker(), &prefix, two.path())).await;
    let mut others = second.tenures();
    let mut theirs = std::collections::BTreeSet::new();
    while theirs.len() < 32 || owned.len() > 32 {
        tokio::select! {
            // The first node's word is taken first: what it loses it must have lost by then.
            biased;
            Some(tenure) = tenures.recv() => match tenure {
                Tenure::Gained(unit) => assert!(owned.insert(unit)),
                Tenure::Lost(unit) => assert!(owned.remove(&unit)),
            },
            Some(tenure) = others.recv() => match tenure {
                Tenure::Gained(unit) => assert!(!owned.contains(&unit) && theirs.insert(unit), "unit {unit} has two owners"),
                Tenure::Lost(unit) => assert!(theirs.remove(&unit)),
            },
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("{} and {} units", owned.len(), theirs.len()),
        }
    }
    assert!(owned.is_disjoint(&theirs));
    let other = *theirs.first().expect("a unit");
    assert!(first.commit(&format!("ledger/{other}"), Positions::from([(other, 1)])).await.is_err(), "a unit that is not ours");
    let all = owned.iter().map(|u| (u, first.commit(&format!("ledger/{u}"), Positions::from([(*u, 100 + u64::from(*u))]))));
    for (unit, committed) in all.collect::<Vec<_>>() {
        assert_eq!(committed.await, Ok(()));
        assert_eq!(second.committed(&format!("ledger/{unit}")).await, Ok(Positions::from([(*unit, 100 + u64::from(*unit))])));
    }
    first.close(SOON).await;
    second.close(SOON).await;
}

/// An owner that does not reach Kafka for the length of its session hears that its units are lost, by its own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_cut_off_loses_its_units() {
    let broker = Broker::start().await;
    let spool = folder();
    let log = open(&config(&broker.address, &prefix("cut"), spool.path())).await;
    let mut tenures = log.tenures();
    let mut owned = 0;
    while owned < super::super::UNITS {
        let tenure = tokio::time::timeout(Duration::from_secs(30), tenures.recv()).await.expect("in time");
        assert!(matches!(tenure, Some(Tenure::Gained(_))));
        owned += 1;
    }
    broker.tell("pause").await;
    let cut = Instant::now();
    while owned > 0 {
        let tenure = tokio::time::timeout(Duration::from_secs(15), tenures.recv()).await.expect("in time");
        assert!(matches!(tenure, Some(Tenure::Lost(_))));
        owned -= 1;
    }
    assert!(cut.elapsed() < Duration::from_secs(12), "{:?}", cut.elapsed());
    let committing = log.commit("ledger/1", Positions::from([(1, 1)])).await;
    assert!(committing.is_err(), "not ours any more");
    broker.tell("resume").await;
    let back = tokio::time::timeout(Duration::from_secs(30), tenures.recv()).await.expect("in time");
    assert!(matches!(back, Some(Tenure::Gained(_))));
    log.close(SOON).await;
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why() {
    let spool = folder();
    let mut wrong = config("127.0.0.1:1", &prefix("wrong"), Path::new("off"));
    let told = |opened: Result<Kafka, String>| opened.err().expect("refused");
    let why = told(Kafka::open(&wrong, &retention()).await);
    assert!(why.contains("`log.brokers`") && why.contains("`log.spool`"), "{why}");
    wrong.brokers = None;
    let why = told(Kafka::open(&wrong, &retention()).await);
    assert!(why.contains("`log.brokers` is missing"), "{why}");
    let mut wrong = config(&broker(), &prefix("missing"), spool.path());
    wrong.create_topics = false;
    let why = told(Kafka::open(&wrong, &retention()).await);
    assert!(why.contains("--create --topic") && why.contains(".out.bulk --partitions 64"), "{why}");
    wrong.properties.insert("no.such.property".into(), "1".into());
    let why = told(Kafka::open(&wrong, &retention()).await);
    assert!(why.contains("`log.properties`") && why.contains("no.such.property"), "{why}");
}

/// How fast 64 and 1,000 writers are. Run by hand, in release.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn speed() {
    let spool = folder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // What is measured is the way to Kafka: no turn, however busy both cores are.
        let config = config(&broker(), &prefix("speed"), spool.path());
        let log = Arc::new(Kafka::open_with(&config, &retention(), Duration::from_secs(60)).await.expect("the log"));
        for writers in [64, 256, 1000] {
            let value = bytes::Bytes::from(vec![b'x'; 1000]);
            let (begun, cpu) = (Instant::now(), cpu());
            let tasks: Vec<_> = (0..writers)
                .map(|w| {
                    let (log, value) = (log.clone(), value.clone());
                    tokio::spawn(async move {
                        let mut count = 0u64;
                        while begun.elapsed() < Duration::from_secs(4) {
                            let record = Record { value: Some(value.clone()), ..event(w, count, 4) };
                            durable(log.append(vec![record], Durability::LogOrSpool).await);
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            let mut count = 0;
            for task in tasks {
                count += task.await.expect("a writer");
            }
            let (took, cpu) = (begun.elapsed().as_secs_f64(), self::cpu() - cpu);
            println!("{writers} writers: {:.0} rec/s, {:.2} us CPU", count as f64 / took, cpu * 1e6 / count as f64);
        }
        log.close(SOON).await;
    });
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(") ").next().unwrap_or("").split(' ').filter_map(|f| f.parse().ok()).collect();
    (fields.get(10).unwrap_or(&0.0) + fields.get(11).unwrap_or(&0.0)) / 100.0
}

/// One reader reads for all units. What a full window pauses goes on as soon as there is room, however many partitions the
/// reader has, and while its neighbours are busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_partition_goes_on_at_once() {
    let spool = folder();
    let log = ready(open(&config(&broker(), &prefix("pause"), spool.path())).await).await;
    let mut reader = log.reader();
    for unit in 0..crate::log::UNITS {
        for topic in [Topic::OutUrgent, Topic::OutNormal, Topic::OutBulk, Topic::Orders, Topic::Ledger] {
            reader.assign(Position { topic, partition: unit, offset: 0 });
        }
    }
    let record = |topic, unit, n: u64| Record {
        topic,
        partition: unit,
        key: "k".into(),
        headers: Headers::default(),
        value: Some(n.to_string().into()),
    };
    taken(log.append((0..400).map(|n| record(Topic::OutNormal, 7, n)).collect(), Durability::Log).await);
    let mut next = 0;
    for round in 1..=3_u64 {
        let full = round * 100;
        while next < full {
            for read in reader.next(64).await.expect("records") {
                if read.at.topic == Topic::OutNormal && read.at.offset == next && next < full {
                    next += 1;
                }
            }
        }
        reader.pause(Topic::OutNormal, 7);
        // The neighbour is read while this one rests.
        for n in 0..20 {
            taken(log.append(vec![record(Topic::Ledger, 7, n)], Durability::Log).await);
            for read in reader.next(64).await.expect("records") {
                assert_eq!(read.at.topic, Topic::Ledger, "it is paused");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        reader.assign(Position { topic: Topic::OutNormal, partition: 7, offset: next });
        let read = tokio::time::timeout(SOON, reader.next(1)).await.expect("it goes on").expect("records");
        assert_eq!((read[0].at.topic, read[0].at.offset), (Topic::OutNormal, next));
        next += 1;
    }
}

/// However readers of events rest, go back, give up waiting and fall behind, each gets every record once and in order; and who has
/// all that there is reads by the tail alone.
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_newest_events_miss_nothing() {
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    const RECORDS: u64 = 12_000;
    let spool = folder();
    let log = Arc::new(ready(open(&config(&broker(), &prefix("tail"), spool.path())).await).await);
    let partitions = log.partitions(Topic::Inbound);
    let writer = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut rng = SmallRng::seed_from_u64(7);
            let mut written = vec![0_u64; partitions as usize];
            while written.iter().sum::<u64>() < RECORDS {
                // Now and then more than a stretch holds comes at once.
                let (count, size) = if rng.random_bool(0.05) { (200, 8_000) } else { (rng.random_range(1..60), 200) };
                let mut records = Vec::new();
                for _ in 0..count {
                    let partition = rng.random_range(0..partitions);
                    let number = &mut written[partition as usize];
                    let value = format!("{number:0size$}");
                    *number += 1;
                    let value = Some(value.into());
                    records.push(Record { topic: Topic::Inbound, partition, key: "k".into(), headers: Headers::default(), value });
                }
                taken(log.append(records, Durability::Log).await);
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..12))).await;
            }
            written
        })
    };
    let readers: Vec<_> = (0..5_u64)
        .map(|seed| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut rng = SmallRng::seed_from_u64(seed);
                let mut reader = reader::KafkaReader::new(log.cluster.clone(), Arc::clone(&log.tail));
                let mut next = vec![0_u64; partitions as usize];
                let start = |reader: &mut reader::KafkaReader, partition: u32, offset: u64| {
                    reader.assign(Position { topic: Topic::Inbound, partition, offset });
                };
                (0..partitions).for_each(|partition| start(&mut reader, partition, 0));
                let mut heard = Instant::now();
                while heard.elapsed() < Duration::from_secs(4) {
                    let partition = rng.random_range(0..partitions);
                    let place = &mut next[partition as usize];
                    match rng.random_range(0..100) {
                        0..2 => tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await,
                        2..4 => {
                            *place -= rng.random_range(0..=(*place).min(600));
                            start(&mut reader, partition, *place);
                        }
                        4..6 => {
                            reader.pause(Topic::Inbound, partition);
                            tokio::time::sleep(Duration::from_millis(rng.random_range(0..50))).await;
                            start(&mut reader, partition, *place);
                        }
                        _ => {}
                    }
                    let patience = Duration::from_millis(if rng.random_bool(0.1) { 1 } else { 500 });
                    let Ok(records) = tokio::time::timeout(patience, reader.next(rng.random_range(1..300))).await else { continue };
                    for record in records.expect("records") {
                        let place = &mut next[record.at.partition as usize];
                        let value: u64 = std::str::from_utf8(&record.value).expect("text").parse().expect("a number");
                        assert_eq!((record.at.offset, value), (*place, *place), "reader {seed}, partition {}", record.at.partition);
                        *place += 1;
                        heard = Instant::now();
                    }
                }
                let goes_alone = reader.goes_alone();
                (next, goes_alone)
            })
        })
        .collect();
    let written = writer.await.expect("the writer");
    for reader in readers {
        let (read, goes_alone) = reader.await.expect("a reader");
        assert_eq!((read, goes_alone), (written.clone(), false));
    }
}
