//! A campaign at full size: people in forty time zones, of whom some want nothing, some have had enough, some sleep, some have
//! blocked us and some have no number; pauses, edits and kills; and in the end every single person is accounted for.
//!
//! `FAIRWAY_PEOPLE=100000 cargo test --release --test stories campaign::whole -- --nocapture` prints its balance.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fairway_adapters::contract::twin::Act;
use fairway_adapters::contract::{Call, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{act, count, report};
use crate::world::World;
use crate::world_twin::{Hosted, host};

const ZONES: [&str; 40] = [
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Marquesas",
    "America/Anchorage",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Denver",
    "America/Mexico_City",
    "America/Chicago",
    "America/Bogota",
    "America/New_York",
    "America/Caracas",
    "America/Halifax",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "Atlantic/South_Georgia",
    "Atlantic/Azores",
    "Atlantic/Reykjavik",
    "Europe/London",
    "Africa/Lagos",
    "Europe/Rome",
    "Europe/Athens",
    "Africa/Nairobi",
    "Europe/Istanbul",
    "Asia/Tehran",
    "Asia/Dubai",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Dhaka",
    "Asia/Yangon",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Australia/Perth",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Pacific/Auckland",
];

/// What people are like: by their number, so that everybody of a kind lives everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// Has both channels.
    Plain,
    /// Is reached by mail alone, which the campaign has not.
    Elsewhere,
    /// Has a number, and no WhatsApp.
    Number,
    /// Wants no marketing.
    Unwilling,
    /// Has a number that begins as nobody's does who is written to.
    Suppressed,
    /// Has had two of two.
    Full,
    /// Is not there on WhatsApp.
    Blocked,
    /// Is not there on WhatsApp, and has told the carrier to stop.
    Gone,
}

fn kind(n: usize) -> Kind {
    match (n / ZONES.len()) % 25 {
        1 => Kind::Elsewhere,
        2 => Kind::Number,
        3 => Kind::Unwilling,
        4 => Kind::Suppressed,
        5 => Kind::Full,
        6 | 7 => Kind::Blocked,
        8 => Kind::Gone,
        _ => Kind::Plain,
    }
}

fn number(n: usize) -> String {
    format!("+155{}{n:07}", if kind(n) == Kind::Suppressed { 7 } else { 6 })
}

/// Who has this number.
fn of_number(to: &str) -> usize {
    to.trim_start_matches('+')[4..].parse().expect("one of ours")
}

/// Hours of the day in which people are written to, in minutes. They begin and end at a minute that comes nowhere before a quarter of an
/// hour is over (clocks differ by quarters), so that nobody falls asleep or wakes up while the story runs.
struct Hours(i64, i64);

impl Hours {
    fn new(now: Time) -> Self {
        let minute = (now.0 / 60_000 - 1).rem_euclid(15);
        Self(8 * 60 + minute, 20 * 60 + minute)
    }

    fn setting(&self) -> String {
        let clock = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
        format!("[quiet_hours]\nmarketing = [\"{}\", \"{}\"]\ntables = false\n", clock(self.0), clock(self.1))
    }

    fn is_open(&self, n: usize, at: Time) -> bool {
        let zone = TimeZone::get(ZONES[n % ZONES.len()]).expect("a zone");
        let local = jiff::Timestamp::from_millisecond(at.0).expect("a time").to_zoned(zone);
        (self.0..self.1).contains(&(i64::from(local.hour()) * 60 + i64::from(local.minute())))
    }
}

/// People by file.
async fn import(world: &World, people: usize) {
    let mut csv = String::from("id,name,whatsapp,tel,email,time_zone\n");
    for n in 0..people {
        let (number, zone) = (number(n), ZONES[n % ZONES.len()]);
        match kind(n) {
            Kind::Elsewhere => writeln!(csv, "c-{n},Name{n},,,p{n}@example.org,{zone}"),
            Kind::Number => writeln!(csv, "c-{n},Name{n},,{number},,{zone}"),
            _ => writeln!(csv, "c-{n},Name{n},{number},{number},,{zone}"),
        }
        .expect("memory");
    }
    let call = Call::new(http::Method::POST, world.url("/v1/contacts/import")).header("content-type", "text/csv").bytes(csv);
    let reply = world.call(&call).await.expect("an answer");
    let job: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    world.until("all are there", 60, async |w| w.get(&path).await["state"] == "done").await;
    let done = world.get(&path).await;
    assert_eq!((&done["good"], &done["bad"]), (&json!(people), &json!(0)), "{done:#}");
}

/// What people have said before, and who has had enough.
async fn history(world: &World, people: usize, awake: impl Fn(usize) -> bool, whatsapp: &Hosted, twilio: &Hosted) {
    let of = |wanted: Kind| (0..people).filter(move |n| kind(*n) == wanted);
    let words: Vec<Value> = of(Kind::Unwilling)
        .flat_map(|n| {
            ["whatsapp", "tel"]
                .map(|scheme| json!({ "address": format!("{scheme}:{}", number(n)), "scope": "marketing", "state": "opted_out" }))
        })
        .collect();
    for some in words.chunks(1000) {
        let (status, said) = world.post("/v1/consents", &json!({ "consents": some })).await;
        assert_eq!(status, 201, "{said}");
    }
    for pattern in ["whatsapp:+1557*", "tel:+1557*"] {
        assert_eq!(world.post("/v1/suppressions", &json!({ "pattern": pattern })).await.0, 201);
    }
    for n in (0..people).filter(|n| matches!(kind(*n), Kind::Blocked | Kind::Gone)) {
        whatsapp.act(&format!("whatsapp:{}", number(n)), &Act::Block);
    }
    // The carrier keeps it to itself: nobody hears it but who sends there. Webhooks go nowhere yet.
    for n in of(Kind::Gone) {
        twilio.act(&format!("tel:{}", number(n)), &Act::Text("STOP".into()));
    }
    let ad = |n: usize| {
        json!({ "to": format!("whatsapp:{}", number(n)), "channel": "wa", "priority": "bulk", "category": "marketing",
            "parts": [{ "type": "text", "text": "ad" }] })
    };
    let ads: Vec<Value> = of(Kind::Full).filter(|n| awake(*n)).flat_map(|n| [ad(n), ad(n)]).collect();
    let lines: String = ads.iter().map(|ad| format!("{ad}\n")).collect();
    let call = Call::new(http::Method::POST, world.url("/v1/messages/batch")).header("content-type", "application/x-ndjson").bytes(lines);
    let reply = world.call_within(&call, Duration::from_secs(120)).await.expect("an answer");
    assert!(reply.status.is_success(), "{}", reply.status);
    world.until("they have had theirs", 120, async |_| whatsapp.count() == ads.len()).await;
}

/// Messages of the campaign that a twin took: when, to whom, in which words.
fn taken(twin: &Hosted) -> Vec<(Time, usize, String)> {
    let stage = twin.stage.lock();
    let campaign = stage.accepted().iter().filter(|(_, a)| a.text.starts_with('v'));
    campaign.map(|(at, a)| (*at, of_number(&a.to), a.text.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the balance of the run is its result")]
async fn a_campaign_through_a_day_of_everything_ends_as_it_was_forecast() {
    let people: usize = std::env::var("FAIRWAY_PEOPLE").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    assert!(people >= 1000, "FAIRWAY_PEOPLE: fewer than a thousand are no forty zones of every kind");
    let began = Instant::now();
    let rate = (people / 200).clamp(80, 600);
    let hours = Hours::new(fairway::clock::now());
    let launched_at = fairway::clock::now();
    let (whatsapp, twilio) = (host("whatsapp").await, host("twilio").await);
    let throttle = |name: &str, rate: usize| {
        format!("[channels.{name}.throttle]\nrate = \"{rate}/s\"\nper_recipient = \"1000/s\"\nconcurrency = 64\n")
    };
    let channels = whatsapp.channel("wa", &throttle("wa", rate)) + &twilio.channel("sms", &throttle("sms", rate));
    let mut world = World::start(&format!("{channels}{}[caps]\nmarketing = \"2/24h\"\n", hours.setting())).await;
    import(&world, people).await;
    history(&world, people, |n| hours.is_open(n, launched_at), &whatsapp, &twilio).await;
    whatsapp.delivers_to(world.url("/hooks/wa"));
    twilio.delivers_to(world.url("/hooks/sms"));
    let ads = whatsapp.count();
    println!("{people} people, prepared after {:?}", began.elapsed());

    // What has to come, by what people are like.
    let by = |holds: &dyn Fn(usize, Kind) -> bool| (0..people).filter(|n| holds(*n, kind(*n))).count() as u64;
    let open = |n: usize| hours.is_open(n, launched_at);
    let barred = |k: Kind| matches!(k, Kind::Unwilling | Kind::Suppressed);
    let elsewhere = by(&|_, k| k == Kind::Elsewhere);
    let suppressed = by(&|_, k| barred(k));
    let asleep = by(&|n, k| !barred(k) && k != Kind::Elsewhere && !open(n));
    let full = by(&|n, k| k == Kind::Full && open(n));
    let gone = by(&|n, k| k == Kind::Gone && open(n));

    let filter = json!({ "name": "all", "filter": { "attribute": "nothing", "exists": false } });
    let (status, audience) = world.post("/v1/audiences", &filter).await;
    assert_eq!(status, 201, "{audience}");
    let plan = |words: &str| {
        json!({ "name": "Season", "audience": audience["id"], "channels": ["wa", "sms"], "order": "listed", "fallback": {},
            "parts": [{ "type": "text", "text": format!("{words} {{{{ contact.name }}}}") }],
            "canary": { "share": 0.02, "wait": "PT2S", "stop_if": { "failed": 0.5, "opted_out": 0.5 } } })
    };
    let (status, made) = world.post("/v1/campaigns", &plan("v1")).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id").to_owned();
    let asked = Instant::now();
    let call = Call::new(http::Method::POST, world.url(&format!("/v1/campaigns/{id}/forecast")));
    let reply = world.call_within(&call, Duration::from_secs(120)).await.expect("an answer");
    let forecast: Value = serde_json::from_slice(&reply.body).expect("JSON");
    println!("forecast after {:?}: {forecast}", asked.elapsed());
    let said = ["people", "unreachable", "suppressed", "quiet", "capped"].map(|name| forecast[name].as_u64().expect("a number"));
    assert_eq!(said, [people as u64, elsewhere, suppressed, asleep, full], "{forecast:#}");
    let expected = forecast["messages"].as_u64().expect("a number") - asleep - full;

    act(&world, &id, "launch").await;
    let launched = Instant::now();
    let progress = || whatsapp.count() - ads + twilio.count();
    let share = |n: u64| (expected * n / 16) as usize;
    let path = format!("/v1/campaigns/{id}");
    let wait = 60 + 2 * people as u64 / rate as u64;
    world.until("the canary has gone and is watched", wait, async |w| w.get(&path).await["phase"] == "watch").await;
    let sung = report(&world, &id).await;
    assert_eq!(count(&sung, "accepted"), (people as f64 * 0.02).ceil() as u64, "the canary's share and no more: {sung}");
    world.until("everybody's turn has come", wait, async |w| w.get(&path).await["phase"] == "full").await;
    world.until("a part has left", wait, async |_| progress() > share(3)).await;

    // A pause is felt within a second, and holds over the first kill.
    act(&world, &id, "pause").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at_pause = progress();
    world.kill();
    world.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(progress(), at_pause, "nothing leaves a second after a pause");
    let call = Call::new(http::Method::PUT, world.url(&path)).header("content-type", "application/json").bytes(plan("v2").to_string());
    let reply = world.call(&call).await.expect("an answer");
    assert_eq!(reply.status.as_u16(), 200, "{}", String::from_utf8_lossy(&reply.body));
    act(&world, &id, "resume").await;
    world.until("it goes on", wait, async |_| progress() > share(5)).await;

    // In the middle of it, people who have theirs answer, and people who have not want no more.
    let reached: BTreeSet<usize> = taken(&whatsapp).into_iter().chain(taken(&twilio)).map(|(_, n, _)| n).collect();
    let plain = |n: &usize| kind(*n) == Kind::Plain && open(*n);
    for n in reached.iter().copied().filter(plain).take(50) {
        whatsapp.act(&format!("whatsapp:{}", number(n)), &Act::Text("thank you".into()));
    }
    let stopping: Vec<usize> = (0..people).rev().filter(|n| plain(n) && !reached.contains(n)).take(20).collect();
    assert_eq!(stopping.len(), 20, "enough are left to say STOP");
    for n in &stopping {
        whatsapp.act(&format!("whatsapp:{}", number(*n)), &Act::Text("STOP".into()));
    }
    // The provider is too busy now and then.
    whatsapp.stage.lock().mood.throttle = 3.0 / share(1) as f64;
    for kill in 6..10 {
        world.until("it goes on after a kill", wait, async |_| progress() > share(kill)).await;
        whatsapp.stage.lock().mood.throttle = 0.0;
        world.kill();
        world.restart().await;
    }
    let still = |report: &Value| count(report, "to_go") == 0 && count(report, "waiting") <= asleep + full;
    world.until("everybody who is awake has theirs", 2 * wait, async |w| still(&report(w, &id).await)).await;
    world
        .until("receipts and steps have come", 60, async |w| {
            let (before, told) = (progress(), report(w, &id).await["counts"].clone());
            tokio::time::sleep(Duration::from_secs(3)).await;
            progress() == before && report(w, &id).await["counts"] == told
        })
        .await;
    let end = report(&world, &id).await;
    println!("after {:?}, {:?} of them since the launch: {end}", began.elapsed(), launched.elapsed());

    // Reality is what was forecast.
    let near = |real: u64, said: u64, what: &str| {
        assert!(real.abs_diff(said) as f64 <= 0.05 * said as f64 + 1.0, "{what}: {real} and not {said}: {end}");
    };
    let n = |name: &str| count(&end, name);
    assert_eq!((n("people"), n("unreachable")), (people as u64, elsewhere), "{end:#}");
    near(n("waiting"), asleep + full, "who waits for their day");
    near(n("held_back"), suppressed + 20, "who wants nothing");
    near(n("sent") + n("delivered") + n("read") + n("failed") + n("in_doubt"), expected, "who was written to");
    // Who was being told that they are not there when a kill came is in doubt: has not failed, and gets nothing on the second channel.
    let in_doubt = n("in_doubt");
    let near_but_doubt = |real: u64, said: u64, what: &str| near(real.max(said.min(real + in_doubt)), said, what);
    near_but_doubt(n("failed"), gone, "whom neither channel reaches");
    let (by_wa, by_sms) = (taken(&whatsapp), taken(&twilio));
    let expected_sms = by(&|n, k| open(n) && matches!(k, Kind::Number | Kind::Blocked));
    near_but_doubt(by_sms.len() as u64, expected_sms, "whom the second channel reached");

    // Nobody was written to who did not want it, who slept, who has had enough, or who has it already.
    let mut times: HashMap<(usize, bool), usize> = HashMap::new();
    for (at, person, _) in by_wa.iter().chain(&by_sms) {
        let kind = kind(*person);
        assert!(!barred(kind) && !matches!(kind, Kind::Elsewhere | Kind::Full), "{person} is {kind:?}");
        assert!(hours.is_open(*person, *at), "{person} in {} slept at {at}", ZONES[person % ZONES.len()]);
    }
    for person in &stopping {
        let proof = world.get(&format!("/v1/consents?address=whatsapp:%2B{}", &number(*person)[1..])).await;
        let word = &proof["words"][0];
        assert_eq!((&word["state"], &word["evidence"]["text"]), (&json!("opted_out"), &json!("STOP")), "{proof:#}");
        let said = word["at"].as_str().and_then(Time::parse).expect("when it was said");
        let late = by_wa.iter().chain(&by_sms).find(|(at, n, _)| n == person && at.since(said) > 1000);
        assert_eq!(late, None, "{person} had said STOP for more than a second, at {said}");
    }
    for ((_, person, _), second) in by_wa.iter().map(|t| (t, false)).chain(by_sms.iter().map(|t| (t, true))) {
        *times.entry((*person, second)).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let chased: Vec<_> = by_sms.iter().filter(|(_, n, _)| !matches!(kind(*n), Kind::Number | Kind::Blocked | Kind::Gone)).collect();
    assert!(chased.is_empty(), "{chased:?} were reached by the first channel");
    // A chain that began in the old words ends in them.
    let first = by_wa.iter().chain(by_sms.iter().filter(|(_, n, _)| kind(*n) == Kind::Number));
    let old = first.filter(|(.., text)| text.starts_with("v1")).count();
    assert!(old <= at_pause, "{old} got the old words, {at_pause} had them at the pause");

    // A STOP has its evidence, and each of them can be asked about.
    let why = async |n: usize| world.get(&format!("/v1/why?campaign={id}&recipient=whatsapp:%2B{}", &number(n)[1..])).await;
    let silent = stopping.iter().find(|n| by_wa.iter().all(|(_, got, _)| got != *n)).expect("one of them was in time");
    let told = why(*silent).await;
    assert_eq!(told["rule"], "opted_out", "{told:#}");
    assert!(told["because"].as_str().is_some_and(|b| b.contains("\"STOP\", said at")), "{told:#}");
    let somebody = |wanted: Kind, awake: bool| (0..people).find(|n| kind(*n) == wanted && open(*n) == awake).expect("there are some");
    for (wanted, awake, rule) in
        [(Kind::Plain, false, "quiet_hours"), (Kind::Full, true, "cap"), (Kind::Suppressed, true, "suppressed_prefix")]
    {
        let told = why(somebody(wanted, awake)).await;
        assert_eq!(told["rule"], rule, "{told:#}");
        assert_eq!(told["until"].is_string(), told["state"] == "held", "{told:#}");
    }

    // Who waits is let go, and the books close.
    act(&world, &id, "cancel").await;
    world.until("nobody waits", wait, async |w| count(&report(w, &id).await, "waiting") == 0).await;
    let closed = report(&world, &id).await;
    near(count(&closed, "cancelled"), asleep + full, "who was let go");
    println!("closed after {:?}", began.elapsed());
}
