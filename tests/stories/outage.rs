//! Kafka goes away under inbound load and comes back: nothing is lost, nothing doubled, the order kept, and every webhook
//! answered all the while. How long it is away, in seconds, is in `FAIRWAY_OUTAGE` (8 unless said; the README names the
//! long run). The broker is one of the story's own, because it is stopped.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fairway::transport::Transport;
use fairway_adapters::contract::Call;
use fairway_adapters::contract::twin::{Act, Twin};
use parking_lot::Mutex;
use serde_json::Value;

use crate::world::{World, topic_prefix};

/// People who write at the same time.
const PEOPLE: u32 = 20;
/// Between two messages of one of them: together 200 a second.
const EVERY: Duration = Duration::from_millis(100);

fn outage() -> Duration {
    Duration::from_secs(std::env::var("FAIRWAY_OUTAGE").ok().and_then(|n| n.parse().ok()).unwrap_or(8))
}

/// A broker of our own, by `tests/kafka.sh`.
struct Broker {
    folder: tempfile::TempDir,
}

impl Broker {
    fn run(&self, what: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka.sh");
        let output = Command::new(script).arg(what).arg(self.folder.path()).output().expect("bash");
        assert!(output.status.success(), "kafka.sh {what}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn start() -> (Self, String) {
        let broker = Self { folder: tempfile::tempdir().expect("a folder") };
        let said = broker.run("start");
        let address = said.strip_prefix("FAIRWAY_TEST_KAFKA=").expect("its address").to_owned();
        (broker, address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("kill");
    }
}

/// One webhook: the person's words, when it was sent, how long the answer took, and what it was.
struct Sent {
    words: String,
    at: Instant,
    took: Duration,
    answer: Result<u16, String>,
}

/// One person: writes, waits for the answer, writes again, until told to stop.
async fn writes(person: u32, twin: Arc<Mutex<Box<dyn Twin>>>, transport: Transport, hook: String, stop: Arc<AtomicBool>) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut beat = tokio::time::interval(EVERY);
    while !stop.load(Ordering::Relaxed) {
        beat.tick().await;
        let words = format!("p{person} n{}", sent.len());
        let draft = {
            let mut twin = twin.lock();
            let draft = twin.act(&format!("telegram:{}", 1000 + person), &Act::Text(words.clone()), fairway::clock::now()).remove(0);
            twin.sign(&hook, draft)
        };
        let mut call = Call::new(draft.method, hook.clone()).bytes(draft.body);
        call.headers = draft.headers.into_iter().map(|(n, v)| (http::HeaderName::try_from(n).expect("a name"), v)).collect();
        let at = Instant::now();
        let answer = transport.call(&call, None, Duration::from_secs(30)).await;
        sent.push(Sent { words, at, took: at.elapsed(), answer: answer.map(|r| r.status.as_u16()).map_err(|e| e.to_string()) });
    }
    sent
}

/// The words on the topic for each conversation, in the order of its partition.
fn on_the_topic(address: &str, world: &World) -> BTreeMap<String, Vec<String>> {
    let topic = format!("{}.inbound", topic_prefix(world.folder.path()));
    let output = Command::new("kcat").args(["-b", address, "-t", &topic, "-C", "-e", "-q", "-f", "%k\t%s\n"]).output().expect("kcat");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (key, value) = line.split_once('\t').expect("a key and a value");
        let data: Value = serde_json::from_str(value).expect("JSON");
        let words = data["message"]["parts"][0]["text"].as_str().expect("words").to_owned();
        all.entry(key.to_owned()).or_default().push(words);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_goes_away_under_load_and_nothing_is_lost_or_doubled() {
    let (broker, address) = Broker::start();
    let world = World::start_on(&address).await;
    let twin: Box<dyn Twin> = (fairway_adapters::provider("telegram").expect("built in").twin)(0);
    let (twin, stop) = (Arc::new(Mutex::new(twin)), Arc::new(AtomicBool::new(false)));
    let people: Vec<_> = (0..PEOPLE)
        .map(|person| {
            let transport = Transport::new(true, Arc::new(|_| None));
            tokio::spawn(writes(person, Arc::clone(&twin), transport, world.url("/hooks/demo-telegram"), Arc::clone(&stop)))
        })
        .collect();
    // Once in order, once as by a cut of power.
    let mut away = Vec::new();
    for how in ["stop", "kill"] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        tokio::task::block_in_place(|| broker.run(how));
        let since = Instant::now();
        tokio::time::sleep(outage()).await;
        away.push((since, Instant::now()));
        let spooled = world.get("/v1/status").await["log"]["spooled"].as_u64().unwrap_or(0);
        assert!(spooled > 0, "after `{how}` the spool is what answers");
        assert_eq!(world.ask("GET", "/readyz", None).await.expect("an answer").status.as_u16(), 200, "webhooks are still welcome");
        tokio::task::block_in_place(|| broker.run("start"));
        world.until("the spool is emptied", 60, async |w| w.get("/v1/status").await["log"]["spooled"] == 0).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let sent: Vec<Vec<Sent>> = futures_util::future::join_all(people).await.into_iter().map(|p| p.expect("it ends")).collect();
    world.until("the spool is emptied", 60, async |w| w.get("/v1/status").await["log"]["spooled"] == 0).await;

    let all = || sent.iter().flatten();
    let slowest = all().map(|s| s.took).max().expect("some were sent");
    for one in all() {
        assert_eq!(one.answer, Ok(200), "{} after {:?}", one.words, one.took);
    }
    assert!(slowest < Duration::from_secs(10), "an answer took {slowest:?}");
    for (from, to) in away {
        let answered = all().filter(|s| s.at >= from && s.at < to).count();
        // Half of the rate, because the machine may be busy; a gateway that waits for Kafka answers none.
        let least = (to - from).as_millis() / EVERY.as_millis() * u128::from(PEOPLE) / 2;
        assert!(answered as u128 >= least, "while Kafka was away only {answered} of at least {least} were answered");
    }
    let topic = on_the_topic(&address, &world);
    for (person, sent) in sent.iter().enumerate() {
        let there = topic.get(&format!("demo-telegram/telegram:{}", 1000 + person)).cloned().unwrap_or_default();
        let mut times: HashMap<&str, u32> = HashMap::new();
        there.iter().for_each(|words| *times.entry(words).or_default() += 1);
        let lost: Vec<&str> = sent.iter().map(|s| s.words.as_str()).filter(|w| !times.contains_key(w)).collect();
        let doubled: Vec<(&&str, &u32)> = times.iter().filter(|(_, n)| **n > 1).collect();
        assert!(lost.is_empty() && doubled.is_empty(), "person {person}: lost {lost:?}, doubled {doubled:?}");
        let wanted: Vec<&str> = sent.iter().map(|s| s.words.as_str()).collect();
        assert_eq!(there, wanted, "person {person}: the order");
    }
}
