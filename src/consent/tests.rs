//! The room on a store and a log of its own.

use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::event::ConsentState;
use fairway_adapters::contract::{Category, Mark, Time};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::channels::Channels;
use crate::config::Config;
use crate::people::Put;
use crate::store::laws::{Stage, laws};

laws! {
    what_was_said_holds_after_a_restart_and_for_other_nodes
    caps_count_a_person_across_addresses_and_give_back
    a_lower_campaign_waits_for_what_a_higher_one_claims
    what_counts_within_caps_goes_with_its_person
    words_are_heard_answered_once_and_heard_again_after_a_crash
    blocks_and_dead_addresses_hold_until_the_person_comes_back
    what_was_said_before_a_start_is_heard_before_marketing_leaves
}

struct Place {
    _folder: tempfile::TempDir,
    stage: Stage,
    log: Arc<dyn EventLog>,
    config: Config,
}

impl Place {
    async fn new(stage: Stage, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("[log]\npath = \"{}\"\n{more}", folder.path().join("log").display());
        let config = Config::parse(&text, std::path::Path::new("test.toml"), &|_| None).expect("valid");
        let log = crate::log::open(&config.log, &config.retention).await.expect("a log");
        Self { _folder: folder, stage, log, config }
    }

    async fn open(&self) -> (Arc<Consent>, mpsc::UnboundedReceiver<Owed>) {
        let db = self.stage.open().await;
        let people = People::open(Arc::clone(&db)).await.expect("tables");
        let (owed, answers) = mpsc::unbounded_channel();
        let parts = Parts {
            db,
            people,
            channels: Live::new(Channels::bind(&self.config).expect("channels")),
            log: Arc::clone(&self.log),
            writer: Writer::new(&*self.log, self.config.log.encoding, "http://gw"),
            owed,
            secret: b"a secret of the tests".to_vec(),
        };
        (Consent::open(parts, &self.config).await.expect("opens"), answers)
    }
}

fn ask<'a>(address: &'a str, category: Category) -> Ask<'a> {
    Ask { address, channel: "c", category, program: None }
}

fn word(address: &str, state: ConsentState, at: i64) -> Word {
    Word {
        event: format!("evt_{at}"),
        address: address.into(),
        channel: "c".into(),
        scope: "all".into(),
        state,
        at: Time(at),
        how: "test".into(),
        evidence: json!({ "at": at }),
    }
}

async fn what_was_said_holds_after_a_restart_and_for_other_nodes(stage: Stage) {
    let place = Place::new(stage, "").await;
    let (here, _answers) = place.open().await;
    let (other, _answers) = place.open().await;
    tokio::spawn(Arc::clone(&other).watch());
    let ana = ask("tel:+15550100200", Category::Transactional);
    here.say(&[word(ana.address, ConsentState::OptedOut, 10), word(ana.address, ConsentState::OptedOut, 10)]).await.expect("written");
    here.suppress(&[Suppression::new("@example.org".into(), "", "manual", Time(10))]).await.expect("written");
    assert!(!here.may(&ana).is_yes());
    let (again, _answers) = place.open().await;
    for may in [again.may(&ana), again.may(&ask("mailto:bo@example.org", Category::Service))] {
        assert!(!may.is_yes());
    }
    assert_eq!(here.words(&[ana.address.into()]).await.expect("read").len(), 1, "the same word, told twice");
    while other.may(&ana).is_yes() || other.may(&ask("mailto:bo@example.org", Category::Service)).is_yes() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // An older word changes nothing, a newer one does; the row says since when.
    here.say(&[word(ana.address, ConsentState::OptedIn, 5)]).await.expect("written");
    assert!(!here.may(&ana).is_yes());
    here.say(&[word(ana.address, ConsentState::OptedIn, 20), word(ana.address, ConsentState::OptedIn, 30)]).await.expect("written");
    assert!(here.may(&ana).is_yes());
    let known = here.known(&[ana.address.into()]).await.expect("read");
    assert_eq!((known[0].since, known[0].event.as_str()), (Time(20), "evt_20"));
    here.erase(&["ana".into()], &[ana.address.into()]).await.expect("erased");
    here.say(&[word(ana.address, ConsentState::OptedOut, 40)]).await.expect("written");
    here.erase(&["ana".into()], &[ana.address.into()]).await.expect("erased twice");
    assert!(here.words(&[ana.address.into()]).await.expect("read").is_empty());
    let (again, _answers) = place.open().await;
    assert!(!again.may(&ana).is_yes(), "who was erased still wants nothing");
}

async fn caps_count_a_person_across_addresses_and_give_back(stage: Stage) {
    let place = Place::new(stage, "[caps]\nmarketing = [\"2/1h\", \"3/24h\"]\n[quiet_hours]\nmarketing = \"off\"\n").await;
    let (consent, _answers) = place.open().await;
    let put = Put { id: Some("ana".into()), addresses: vec!["telegram:1".into(), "viber:1".into()], ..Put::default() };
    consent.people.put(vec![put]).await.expect("written");
    let candidate = |message: &str, address: &str, category| Candidate {
        message: message.into(),
        address: address.into(),
        channel: "c".into(),
        category,
        standing: Standing::default(),
    };
    let ad = |message: &str, address: &str| candidate(message, address, Category::Marketing);
    let now = Time(1_000_000_000);
    let go = Verdict::Go(Time(i64::MAX));
    let batch = [
        ad("a", "telegram:1"),
        ad("b", "viber:1"),
        ad("c", "telegram:1"),
        candidate("d", "telegram:1", Category::Service),
        ad("e", "telegram:2"),
    ];
    let verdicts = consent.hold(&batch, now).await.expect("asked");
    assert_eq!([&verdicts[0], &verdicts[1], &verdicts[3], &verdicts[4]], [&go; 4]);
    let Verdict::Hold(until, why) = &verdicts[2] else { panic!("{verdicts:?}") };
    assert_eq!((*until, why.contains("2/1h")), (now.plus(3_600_001), true), "{why}");
    // A forecast tells the same, and counts nothing.
    let asked: Vec<String> = ["telegram:1", "viber:1", "telegram:2", "telegram:3"].map(str::to_owned).into();
    for _ in 0..2 {
        let capped = consent.capped(&asked, 0, now).await.expect("asked");
        assert_eq!(capped, [Some((*until, "the cap of 2/1h on marketing".to_owned())), capped[0].clone(), None, None]);
    }
    // Asking again for the same message counts it once; what did not go counts no more.
    assert_eq!(consent.hold(&batch[..1], now.plus(1)).await.expect("asked"), std::slice::from_ref(&go));
    consent.give_back("b", &Standing::default()).await.expect("given back");
    assert_eq!(consent.hold(&batch[2..3], now.plus(2)).await.expect("asked"), std::slice::from_ref(&go));
    // The second cap takes over when the first has room again.
    let later = now.plus(3_700_000);
    assert_eq!(consent.hold(&[ad("f", "viber:1")], later).await.expect("asked"), [go]);
    let full = consent.hold(&[ad("g", "viber:1")], later).await.expect("asked");
    assert!(matches!(&full[0], Verdict::Hold(until, why) if *until > later.plus(80_000_000) && why.contains("3/24h")), "{full:?}");
}

async fn a_lower_campaign_waits_for_what_a_higher_one_claims(stage: Stage) {
    let place = Place::new(stage, "[caps]\nmarketing = \"1/24h\"\n[quiet_hours]\nmarketing = \"off\"\n").await;
    let (consent, _answers) = place.open().await;
    let put = Put { id: Some("ana".into()), addresses: vec!["telegram:1".into(), "viber:1".into()], ..Put::default() };
    consent.people.put(vec![put]).await.expect("written");
    let ad = |message: &str, address: &str, campaign: &str, priority: u16| {
        let mark =
            Mark { campaign: Some(campaign.into()), person: Some(7), priority: (priority > 0).then_some(priority), ..Mark::default() };
        let standing = Standing::of(Some(&mark));
        Candidate { message: message.into(), address: address.into(), channel: "c".into(), category: Category::Marketing, standing }
    };
    let (hour, now, go) = (3_600_000, Time(1_000_000_000_000), Verdict::Go(Time(i64::MAX)));
    let claim = |at| Claim { number: 7, address: "viber:1".into(), at };
    let asked = async |ad: Candidate, at: Time| consent.hold(&[ad], at).await.expect("asked").remove(0);
    // The higher one's turn is in two hours; she is one person, whatever address they take.
    consent.claim("cmp_high", 9, &[claim(now.plus(2 * hour))]).await.expect("claimed");
    let Verdict::Hold(until, why) = asked(ad("low", "telegram:1", "cmp_low", 3), now).await else { panic!("it waits") };
    assert_eq!(until, now.plus(2 * hour + 1000), "it is asked again when the turn has come");
    assert_eq!(why, "the cap of 1/24h on marketing, whose rest is kept for the campaign cmp_high of priority 9");
    for (priority, capped) in [(0, true), (8, true), (9, false), (10, false)] {
        let found = consent.capped(&["telegram:1".into()], priority, now).await.expect("asked");
        assert_eq!(found[0].is_some(), capped, "{priority}");
    }
    assert_eq!(asked(ad("else", "telegram:2", "cmp_low", 3), now).await, go, "a claim is of one person");
    // Its turn comes: the claim has become a use, and the lower one waits for its end.
    let later = now.plus(2 * hour);
    assert_eq!(asked(ad("high", "viber:1", "cmp_high", 9), later).await, go);
    let Verdict::Hold(until, why) = asked(ad("low", "telegram:1", "cmp_low", 3), later.plus(60_000)).await else { panic!("it waits") };
    assert_eq!((until, why.as_str()), (later.plus(24 * hour + 1), "the cap of 1/24h on marketing"));
    // The higher one asks first when both have waited, however late the claim's own time comes.
    consent.claim("cmp_next", 5, &[claim(later.plus(hour))]).await.expect("claimed");
    let Verdict::Hold(moved, _) = asked(ad("next", "viber:1", "cmp_next", 5), later.plus(hour)).await else { panic!("it waits") };
    assert!(matches!(asked(ad("low", "telegram:1", "cmp_low", 3), moved).await, Verdict::Hold(_, why) if why.contains("cmp_next")));
    assert_eq!(asked(ad("next", "viber:1", "cmp_next", 5), moved).await, go);
    // What is given back, released or has lapsed keeps nothing free.
    let days = |n: i64| moved.plus(n * 24 * hour);
    for (campaign, day) in [("cmp_a", 10), ("cmp_b", 20), ("cmp_c", 30)] {
        consent.claim(campaign, 9, &[claim(days(day))]).await.expect("claimed");
    }
    let held = async |n: i64, message: &str| matches!(asked(ad(message, "telegram:1", "cmp_low", 3), days(n)).await, Verdict::Hold(..));
    assert!(held(10, "a").await && held(20, "b").await && held(30, "c").await);
    consent.give_back("never-counted", &ad("x", "viber:1", "cmp_a", 9).standing).await.expect("given back");
    consent.release("cmp_b").await.expect("released");
    assert!(!held(10, "a").await && !held(20, "b").await);
    assert!(held(30, "c").await && !held(32, "c").await, "a day after its time it has lapsed");
}

async fn what_counts_within_caps_goes_with_its_person(stage: Stage) {
    let place = Place::new(stage, "[caps]\nmarketing = \"1/24h\"\n[quiet_hours]\nmarketing = \"off\"\n").await;
    let (consent, _answers) = place.open().await;
    let put = Put { id: Some("ana@example.org".into()), addresses: vec!["telegram:1".into()], ..Put::default() };
    consent.people.put(vec![put]).await.expect("written");
    let now = Time(1_000_000_000_000);
    // Known as a contact and, of before that, by the address alone; and somebody else.
    for (campaign, address, number) in [("cmp_1", "telegram:1", 1), ("cmp_2", "telegram:2", 2), ("cmp_3", "telegram:3", 3)] {
        consent.claim(campaign, 9, &[Claim { number, address: address.into(), at: now }]).await.expect("claimed");
        let mut ad = ask_for(campaign, address);
        assert_eq!(consent.hold(std::slice::from_ref(&ad), now).await.expect("asked"), [Verdict::Go(Time(i64::MAX))]);
        ad.message = format!("{campaign} again");
        assert!(matches!(consent.hold(&[ad], now).await.expect("asked")[0], Verdict::Hold(..)));
    }
    consent.erase(&["ana@example.org".into()], &["telegram:1".into(), "telegram:2".into()]).await.expect("erased");
    let db = place.stage.open().await;
    for table in ["cap_uses", "cap_people", "cap_claims"] {
        let rows = db.read(format!("SELECT person FROM {table}").into(), Vec::new()).await.expect("read");
        let people: Vec<_> = rows.iter().map(|row| row.text(0).expect("a person")).collect();
        assert_eq!(people, ["telegram:3"], "{table}");
    }
}

/// Marketing that has no claim.
fn ask_for(message: &str, address: &str) -> Candidate {
    let (message, address) = (message.into(), address.into());
    Candidate { message, address, channel: "c".into(), category: Category::Marketing, standing: Standing { priority: 9, place: None } }
}

const CHANNEL: &str = "[channels.c]\nprovider = \"telegram\"\nbot_token = \"123456:a-token-of-the-tests\"\n\
    [channels.c.opt_out]\nconfirmation = \"You get nothing more.\"\nwelcome = \"Welcome back.\"\nhelp = \"ACME\"\n";

impl Place {
    /// Something that happened on the channel; its key is the same whenever it is told again.
    async fn happens(&self, key: u8, kind: &str, body: serde_json::Value) {
        let now = clock::now();
        let mut data =
            json!({ "channel": "c", "provider": "telegram", "medium": "telegram", "conversation": "c/telegram:1", "received_at": now });
        data.as_object_mut().expect("an object").extend(body.as_object().cloned().expect("an object"));
        let attributes = crate::envelope::Attributes {
            id: crate::ids::fingerprint(&[&[key]]),
            kind,
            channel: "c",
            conversation: "c/telegram:1",
            time: now,
            tenant: None,
            traceparent: None,
            correlation: None,
            replaces: None,
        };
        let topic = if kind.ends_with("status") { crate::log::Topic::Status } else { crate::log::Topic::Inbound };
        let writer = Writer::new(&*self.log, self.config.log.encoding, "http://gw");
        let record = writer.record(topic, &attributes, data.to_string().into_bytes().into());
        assert!(self.log.append(vec![record], crate::log::Durability::Log).await[0].is_durable());
    }

    async fn says(&self, key: u8, text: &str) {
        let message = json!({ "id": format!("m{key}"), "parts": [{ "type": "text", "text": text }] });
        self.happens(key, "fairway.message.received", json!({ "from": { "address": "telegram:1" }, "message": message })).await;
        // Words of one millisecond have no order.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The next answer owed, taken for sent.
async fn sent(answers: &mut mpsc::UnboundedReceiver<Owed>) -> (String, String, bool) {
    let owed = answers.recv().await.expect("the room is open");
    let _ = owed.done.send(());
    (owed.text, owed.act, owed.passes)
}

async fn words_are_heard_answered_once_and_heard_again_after_a_crash(stage: Stage) {
    let place = Place::new(stage, CHANNEL).await;
    let (consent, mut answers) = place.open().await;
    let running = tokio::spawn(Arc::clone(&consent).listen());
    let ana = ask("telegram:1", Category::Transactional);
    place.says(1, "yes").await;
    place.says(2, "Stop.").await;
    place.says(3, "STOP").await;
    place.says(4, "help").await;
    let (text, first, passes) = sent(&mut answers).await;
    assert_eq!((text.as_str(), passes), ("You get nothing more.", true));
    assert!(!consent.may(&ana).is_yes());
    // The second STOP is the same answer, named the same: sending it again sends nothing.
    assert_eq!(sent(&mut answers).await, ("You get nothing more.".into(), first.clone(), true));
    assert_eq!(sent(&mut answers).await.0, "ACME");
    // A yes is an answer to anybody but who has opted out.
    place.says(5, "Yes").await;
    assert_eq!(sent(&mut answers).await.0, "Welcome back.");
    until(|| consent.may(&ana).is_yes()).await;
    let words = consent.words(&["telegram:1".into()]).await.expect("read");
    let states: Vec<_> = words.iter().map(|w| (w.state, w.evidence["text"].as_str().unwrap_or_default())).collect();
    assert_eq!(states, [(ConsentState::OptedOut, "Stop."), (ConsentState::OptedOut, "STOP"), (ConsentState::OptedIn, "Yes")]);
    running.abort();
    drop(consent);

    // A node that has lost its position hears all of it again, and changes nothing.
    place.log.commit("consent", Default::default()).await.expect("committed");
    let (again, mut answers) = place.open().await;
    let (texts, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(owed) = answers.recv().await {
            let _ = owed.done.send(());
            let _ = texts.send(owed.text);
        }
    });
    tokio::spawn(Arc::clone(&again).listen());
    place.says(6, "please stop texting me").await;
    until_some(async || again.reviews(Time(i64::MAX), 10).await.expect("read").len() == 1).await;
    assert_eq!(again.words(&["telegram:1".into()]).await.expect("read"), words);
    assert!(again.may(&ana).is_yes());
    // What is owed again is named as before; no STOP is confirmed that does not hold any more.
    while let Ok(text) = told.try_recv() {
        assert_eq!(text, "ACME");
    }
}

async fn what_was_said_before_a_start_is_heard_before_marketing_leaves(stage: Stage) {
    let place = Place::new(stage, CHANNEL).await;
    let bo = ask("telegram:2", Category::Marketing);
    for n in 0..50 {
        place.says(n, if n == 49 { "STOP" } else { "hello" }).await;
    }
    let (here, mut answers) = place.open().await;
    let (other, _answers) = place.open().await;
    tokio::spawn(async move {
        while let Some(owed) = answers.recv().await {
            let _ = owed.done.send(());
        }
    });
    tokio::spawn(Arc::clone(&other).watch());
    let ana = ask("telegram:1", Category::Marketing);
    assert!(!here.is_up_to_date() && here.may(&ana).is_yes() && here.may(&bo).is_yes(), "nobody has listened yet");
    tokio::spawn(Arc::clone(&here).listen());
    here.up_to_date().await;
    assert!(!here.may(&ana).is_yes(), "a node that is up to date has heard it");
    if here.db.is_shared() {
        other.up_to_date().await;
        assert!(!other.may(&ana).is_yes(), "and so has every other");
    }
    assert!(here.may(&bo).is_yes());
}

async fn until_some(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn blocks_and_dead_addresses_hold_until_the_person_comes_back(stage: Stage) {
    let place = Place::new(stage, CHANNEL).await;
    let (consent, _answers) = place.open().await;
    tokio::spawn(Arc::clone(&consent).listen());
    let may = || consent.may(&ask("telegram:1", Category::Authentication)).is_yes();
    let from = json!({ "from": { "address": "telegram:1" } });
    let refused =
        |code: &str| json!({ "message_id": "msg_1", "state": "failed", "error": { "class": "opted_out", "code": code, "title": "x" } });
    place.happens(1, "fairway.contact.unfollowed", from.clone()).await;
    until(|| !may()).await;
    place.happens(2, "fairway.contact.followed", from.clone()).await;
    until(may).await;
    place.happens(3, "fairway.contact.updated", json!({ "change": "address_gone", "previous": "telegram:1" })).await;
    until(|| !may()).await;
    place.says(4, "I am here").await;
    until(may).await;
    place.happens(5, "fairway.message.status", refused("blocked_by_user")).await;
    until(|| !may()).await;
    place.says(6, "hello again").await;
    until(may).await;
    // What the person told the provider is their word: only their word lifts it.
    place.happens(7, "fairway.message.status", refused("stopped")).await;
    until(|| !may()).await;
    // Their word follows them to another address.
    place
        .happens(8, "fairway.contact.updated", json!({ "change": "address_replaced", "previous": "telegram:1", "current": "telegram:2" }))
        .await;
    until(|| !consent.may(&ask("telegram:2", Category::Authentication)).is_yes()).await;
    place.happens(9, "fairway.contact.consent", json!({ "from": { "address": "telegram:2" }, "state": "opted_in", "scope": "all" })).await;
    until(|| consent.may(&ask("telegram:2", Category::Marketing)).is_yes()).await;
    assert!(!may(), "the old address stays as it was");
}
