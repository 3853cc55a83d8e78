//! What the laws cannot know of the gateway: its first words, its heartbeats, what is resumed and what begins anew.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::session_desk::{Desk, LED, NOW, PACE, channel};
use super::{Channel, Twin, endpoint, gateway};
use crate::contract::session::Told;
use crate::contract::twin::{Draft, Twin as _};
use crate::contract::{Adapter, Body, Context, Session, Verified, Webhook};

#[test]
fn it_begins_as_documented() {
    let mut desk = Desk::new(json!({}), b"");
    assert_eq!(endpoint::url(&desk.places[0]), "wss://gateway.discord.gg/?v=10&encoding=json");
    desk.hello(0);
    let intents = 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 24 | 1 << 25;
    let properties = json!({ "os": std::env::consts::OS, "browser": "fairway", "device": "fairway" });
    let identify =
        json!({ "op": 2, "d": { "token": "twin-fake-bot-token-1", "intents": intents, "shard": [0, 1], "properties": properties } });
    assert_eq!(desk.said(), [identify]);
    let ready = desk.event(1, "READY", json!({ "session_id": "one", "resume_gateway_url": LED }));
    assert_eq!(ready, ["remember 2", "lead 0 gateway-us-east1-b.discord.gg", "up 0"]);
    assert_eq!(desk.session.room(), 0, "nothing goes out this way");
}

#[test]
fn heartbeats_name_what_is_remembered_and_want_an_answer() {
    let mut desk = Desk::ready(json!({}));
    let first = desk.session.wake().expect("a heartbeat").since(desk.now);
    assert!((1..=PACE).contains(&first), "{first}");
    let beat = |seq: u64| json!({ "op": 1, "d": seq });
    desk.later(first);
    assert_eq!(desk.said(), [beat(1)]);
    desk.say(json!({ "op": 11 }));
    assert_eq!(desk.message(2), ["deliver 1"]);
    desk.say(json!({ "op": 1, "d": null }));
    assert_eq!(desk.said(), [beat(1)], "not before it is durable");
    assert_eq!(desk.tell(Told::Taken(1, true)), Vec::<String>::new());
    assert_eq!(desk.later(1_000), ["remember 3"]);
    desk.say(json!({ "op": 1, "d": null }));
    assert_eq!(desk.said(), [beat(1)], "not before it is remembered");
    desk.tell(Told::Remembered(3));
    desk.say(json!({ "op": 11 }));
    desk.later(PACE - 1_000);
    assert_eq!(desk.said(), [beat(2)]);
    let gone = desk.later(PACE);
    assert_eq!(gone, ["refused 0 no_heartbeat", "lead 0 gateway-us-east1-b.discord.gg", "close 0 1000"]);
    assert_eq!(desk.said(), [json!({ "goodbye": 4200 })], "a goodbye that leaves the session");
    assert_eq!(desk.resumes(), 2);
    // Whoever asks all the time is not answered all the time.
    (0..500).for_each(|_| drop(desk.say(json!({ "op": 1, "d": null }))));
    assert!(desk.said().len() < 60);
}

#[test]
fn what_is_not_durable_comes_again() {
    let mut desk = Desk::ready(json!({}));
    for seq in 2..=5 {
        desk.message(seq);
    }
    for number in [1, 3, 4] {
        desk.tell(Told::Taken(number, true));
    }
    assert_eq!(desk.tell(Told::Taken(2, false)), ["refused 0 not_stored", "lead 0 gateway-us-east1-b.discord.gg", "close 0 5000"]);
    let remembered = desk.later(1_000);
    assert_eq!(remembered, ["remember 3"]);
    desk.tell(Told::Remembered(3));
    desk.said();
    assert_eq!(desk.resumes(), 2, "the third is missing");
    assert_eq!((desk.message(3), desk.message(4), desk.message(5)), (vec!["deliver 5".to_owned()], vec![], vec![]));
    desk.tell(Told::Taken(5, true));
    assert_eq!(desk.event(6, "RESUMED", json!({})), ["up 0"]);
    assert_eq!(desk.later(1_000), ["remember 4"]);
    desk.tell(Told::Remembered(4));
    desk.tell(Told::Closed(0));
    assert_eq!(desk.resumes(), 6);
}

#[test]
fn a_crash_resumes_from_what_was_remembered() {
    let mut desk = Desk::ready(json!({}));
    desk.message(2);
    desk.tell(Told::Taken(1, true));
    desk.later(1_000);
    desk.message(3);
    desk.tell(Told::Taken(2, true)); // Durable, and not remembered: it comes again, and is known by its id.
    let mut desk = desk.crash(json!({}));
    assert_eq!(desk.places[0].host, "gateway-us-east1-b.discord.gg");
    desk.hello(0);
    let resume = json!({ "op": 6, "d": { "token": "twin-fake-bot-token-1", "session_id": "one", "seq": 2 } });
    assert_eq!(desk.said(), [resume]);
    assert_eq!((desk.message(3), desk.event(4, "RESUMED", json!({}))), (vec!["deliver 1".to_owned()], vec!["up 0".to_owned()]));
    // One that listens to other things, or has other shards, is another.
    for more in
        [json!({ "gateway_intents": ["direct_messages"] }), json!({ "gateway_shards": 2 }), json!({ "gateway_url": "wss://g.example.org" })]
    {
        let mut other = Desk { now: desk.now.plus(6_000), ..Desk::new(more, &desk.memory) };
        other.hello(0);
        assert_eq!(other.said()[0]["op"], 2);
    }
    assert_eq!(Desk::new(json!({}), b"{\"no\":").places[0].host, "gateway.discord.gg");
}

#[test]
fn it_comes_back_when_it_is_told_to_and_begins_anew_when_it_must() {
    let mut desk = Desk::ready(json!({}));
    assert_eq!(desk.say(json!({ "op": 7, "d": null })), ["lead 0 gateway-us-east1-b.discord.gg", "close 0 1000"]);
    desk.said();
    assert_eq!(desk.resumes(), 1);
    let words = desk.say(json!({ "op": 9, "d": true }));
    assert_eq!(words[0], "lead 0 gateway-us-east1-b.discord.gg", "{words:?}");
    desk.said();
    assert_eq!(desk.resumes(), 1);
    let words = desk.say(json!({ "op": 9, "d": false }));
    assert_eq!(words[..2], ["remember 3", "lead 0 gateway.discord.gg"], "{words:?}");
    let wait: u64 = words[2].trim_start_matches("close 0 ").parse().expect("a number");
    assert!((1_000..=5_000).contains(&wait));
    desk.said();
    desk.hello(0);
    assert_eq!(desk.said(), Vec::<Value>::new(), "two sessions do not begin within five seconds");
    let wait = desk.session.wake().expect("a time").since(desk.now);
    assert!((1..=5_500).contains(&wait), "{wait}");
    desk.later(5_500);
    assert_eq!(desk.said()[0]["op"], 2);
    for code in [4007, 4009] {
        let mut desk = Desk::ready(json!({}));
        let words = desk.goodbye(code);
        assert_eq!(words[..3], ["refused 0 gateway_closed".to_owned(), "remember 3".to_owned(), "lead 0 gateway.discord.gg".to_owned()]);
    }
}

#[test]
fn codes_that_only_a_person_mends_say_so_and_wait() {
    for (code, ours) in [
        (4004, "token_invalid"),
        (4010, "shard_invalid"),
        (4011, "sharding_required"),
        (4012, "version_invalid"),
        (4013, "intents_invalid"),
        (4014, "intents_disallowed"),
    ] {
        let mut desk = Desk::new(json!({}), b"");
        desk.hello(0);
        assert_eq!(desk.goodbye(code), [format!("refused 0 {ours}"), "lead 0 gateway.discord.gg".into(), "close 0 900000".into()]);
    }
    for code in [1000, 1001, 4000, 4001, 4002, 4003, 4005, 4008] {
        let mut desk = Desk::ready(json!({}));
        let wait = if code == 4008 { 60_000 } else { 1_000 };
        let words = desk.goodbye(code);
        assert_eq!(
            words,
            ["refused 0 gateway_closed".to_owned(), "lead 0 gateway-us-east1-b.discord.gg".into(), format!("close 0 {wait}")]
        );
        desk.said();
        assert_eq!(desk.resumes(), 1);
    }
    let mut desk = Desk::new(json!({}), b"");
    let place = desk.places[0].clone();
    desk.session.tell(Told::Opened(0, &place), desk.now);
    let refused = desk.tell(Told::Bytes(0, b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(refused, ["refused 0 gateway_refused", "lead 0 gateway.discord.gg", "close 0 60000"]);
}

#[test]
fn nobody_is_waited_for_for_ever() {
    let mut desk = Desk::new(json!({}), b"");
    desk.open(0);
    assert_eq!(desk.later(20_000), ["refused 0 no_hello", "lead 0 gateway.discord.gg", "close 0 1000"]);
    assert_eq!(desk.session.wake(), None);
}

#[test]
fn shards_begin_one_after_the_other() {
    let mut desk = Desk::new(json!({ "gateway_shards": 3 }), b"");
    (0..3).for_each(|line| desk.hello(line));
    let shards = |said: Vec<Value>| -> Vec<Value> {
        said.into_iter().filter(|said| said["op"] == 2).map(|said| said["d"]["shard"].clone()).collect()
    };
    assert_eq!(shards(desk.said()), [json!([0, 3])]);
    desk.later(5_400);
    assert_eq!(shards(desk.said()), Vec::<Value>::new());
    desk.later(100);
    assert_eq!(shards(desk.said()), [json!([1, 3])]);
    desk.later(5_500);
    assert_eq!(shards(desk.said()), [json!([2, 3])]);
}

#[test]
fn it_follows_no_stranger() {
    let mut desk = Desk::new(json!({}), b"");
    desk.hello(0);
    let words = desk.event(1, "READY", json!({ "session_id": "one", "resume_gateway_url": "wss://discord.gg.example.org" }));
    assert_eq!(words[1], "lead 0 gateway.discord.gg");
}

#[test]
fn what_nobody_needs_is_counted_and_not_kept() {
    let mut desk = Desk::ready(json!({}));
    let before = desk.now.plus(-3_600_000).to_string();
    let after = desk.now.plus(60_000).to_string();
    for (seq, kind, data) in [
        (2, "PRESENCE_UPDATE", json!({ "user": { "id": "5" } })),
        (3, "GUILD_CREATE", json!({ "id": "300", "joined_at": before })),
        (4, "GUILD_CREATE", json!({ "id": "301", "unavailable": true })),
        (5, "GUILD_DELETE", json!({ "id": "300", "unavailable": true })),
        (6, "VOICE_STATE_UPDATE", json!({})),
    ] {
        assert_eq!(desk.event(seq, kind, data), Vec::<String>::new(), "{kind}");
    }
    for (seq, kind, data) in [
        (7, "GUILD_CREATE", json!({ "id": "302", "joined_at": after })),
        (8, "GUILD_DELETE", json!({ "id": "302" })),
        (9, "TYPING_START", json!({ "user_id": "5", "channel_id": "8", "timestamp": 1 })),
        (10, "SOMETHING_NEW", json!({})),
    ] {
        assert_eq!(desk.event(seq, kind, data).len(), 1, "{kind}");
    }
    (1..=4).for_each(|number| drop(desk.tell(Told::Taken(number, true))));
    desk.later(1_000);
    desk.tell(Told::Remembered(u64::MAX));
    desk.tell(Told::Closed(0));
    desk.said();
    assert_eq!(desk.resumes(), 10);
}

#[test]
fn it_leaves_when_all_is_stored_and_its_session_stays() {
    let mut desk = Desk::ready(json!({}));
    desk.message(2);
    assert_eq!(desk.tell(Told::Stop), Vec::<String>::new());
    assert_eq!(desk.message(3), Vec::<String>::new(), "that is for those who come after us");
    assert_eq!(desk.tell(Told::Taken(1, true)), ["remember 3"]);
    assert_eq!(desk.said(), Vec::<Value>::new());
    desk.tell(Told::Remembered(3));
    assert_eq!(desk.said(), [json!({ "goodbye": 4200 })]);
    assert_eq!(desk.read(0), ["lead 0 gateway-us-east1-b.discord.gg", "close 0 1000"]);
    let mut next = desk.crash(json!({}));
    assert_eq!(next.resumes(), 2);
    // Who does not answer the goodbye is not waited for long; nor is a log that takes nothing.
    let mut desk = Desk::ready(json!({}));
    desk.message(2);
    desk.tell(Told::Stop);
    desk.later(4_000);
    assert_eq!(desk.said(), [json!({ "goodbye": 4200 })]);
    assert_eq!(desk.later(1_000).last().map(String::as_str), Some("close 0 1000"));
}

#[test]
fn what_comes_is_an_event_and_only_a_connection_or_a_signature_proves_it() {
    let mut desk = Desk::ready(json!({}));
    desk.message(2);
    let channel = channel(json!({}));
    let headers = http::HeaderMap::new();
    let hook = Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body: desk.delivered[0].1.as_bytes() };
    let cx = Context { now: NOW, public_url: "", hook_url: "", login: None, keys: None };
    let parsed = channel.parse(&Verified::from_our_own_session(hook), &cx);
    assert!(matches!(&parsed.events[..], [event] if matches!(event.body, Body::Received(_)) && event.peer == "discord:800"), "{parsed:?}");
    assert!(channel.verify(hook, &cx).is_err());
    // Nor does a signature prove what it does not cover.
    let twin = Twin::new(1);
    let draft =
        twin.sign("", Draft { method: http::Method::POST, query: String::new(), headers: Vec::new(), body: b"{\"type\":1}".to_vec() });
    let mut headers = http::HeaderMap::new();
    for (name, value) in &draft.headers {
        headers.insert(http::HeaderName::try_from(name.as_str()).expect("a name"), value.parse().expect("a value"));
    }
    let signed = |headers: &http::HeaderMap| channel.verify(Webhook { headers, body: &draft.body, ..hook }, &cx).is_ok();
    assert!(signed(&headers));
    headers.insert(gateway::SINCE, "1".parse().expect("a value"));
    assert!(!signed(&headers));
}

/// Sessions count their events from 1; a reaction that was taken back and given again is another.
#[test]
fn the_second_event_of_two_sessions_is_not_the_same() {
    let channel = channel(json!({}));
    let reacts = |desk: &mut Desk| {
        desk.event(2, "MESSAGE_REACTION_ADD", json!({ "user_id": "5", "channel_id": "8", "message_id": "7", "emoji": { "name": "x" } }));
        let mut headers = http::HeaderMap::new();
        for (name, value) in &desk.headers {
            headers.insert(*name, value.parse().expect("a value"));
        }
        let body = &desk.delivered.last().expect("it is delivered").1;
        let hook = Webhook { method: &http::Method::POST, url: "", query: "", headers: &headers, body: body.as_bytes() };
        let cx = Context { now: NOW, public_url: "", hook_url: "", login: None, keys: None };
        let parsed = channel.parse(&Verified::from_our_own_session(hook), &cx);
        parsed.events[0].key.clone().map(|key| key.into_owned())
    };
    let mut desk = Desk::ready(json!({}));
    let first = reacts(&mut desk);
    let mut again = desk.crash(json!({}));
    assert_eq!(again.resumes(), 1);
    assert_eq!(reacts(&mut again), first);
    again.now = again.now.plus(6_000);
    again.say(json!({ "op": 9, "d": false }));
    again.said();
    again.begin("two");
    assert_ne!(reacts(&mut again), first);
}

#[test]
fn settings_say_what_to_write() {
    for (more, key) in [
        (json!({ "gateway_intents": [] }), "gateway_intents"),
        (json!({ "gateway_intents": ["messages"] }), "gateway_intents[0]"),
        (json!({ "gateway_shards": 0 }), "gateway_shards"),
        (json!({ "gateway_url": "ws://gateway.discord.gg" }), "gateway_url"),
    ] {
        let mut settings = Twin::new(1).settings();
        settings.insert("gateway".into(), true.into());
        settings.extend(more.as_object().cloned().unwrap_or_default());
        let Err(error) = Channel::bind(crate::contract::Settings(settings)) else { panic!("{more} passed") };
        assert_eq!(error.key, key, "{error}");
    }
}

#[test]
fn what_a_person_has_to_switch_on_is_said() {
    assert!(channel(json!({})).setup_besides().is_some_and(|words| words.contains("Message Content Intent")));
    assert_eq!(channel(json!({ "gateway_intents": ["direct_messages"] })).setup_besides(), None);
    assert_eq!(channel(json!({ "gateway": false })).setup_besides(), None);
}

/// What a far side gone mad might say.
fn payload() -> impl Strategy<Value = Value> {
    let data = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!([[]])),
        Just(json!({ "session_id": "x", "resume_gateway_url": "x", "heartbeat_interval": -5 })),
        any::<i64>().prop_map(|n| json!({ "heartbeat_interval": n, "session_id": n.to_string(), "joined_at": n })),
    ];
    let kind = prop_oneof![
        Just(json!(null)),
        Just(json!("READY")),
        Just(json!("RESUMED")),
        Just(json!("GUILD_CREATE")),
        Just(json!("MESSAGE_CREATE"))
    ];
    let seq = prop_oneof![Just(json!(null)), any::<u64>().prop_map(Value::from), (0_u64..5).prop_map(Value::from)];
    (0_u8..13, data, kind, seq).prop_map(|(op, d, t, s)| json!({ "op": op, "d": d, "t": t, "s": s }))
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(steps in proptest::collection::vec((payload(), 0_i64..60_000, any::<bool>()), 1..40)) {
        let mut desk = Desk::new(json!({}), b"");
        desk.hello(0);
        for (payload, millis, durable) in steps {
            if desk.ends[0].is_none() {
                desk.open(0);
            }
            desk.say(payload);
            if let Some((number, _)) = desk.delivered.pop() {
                desk.tell(Told::Taken(number, durable));
            }
            desk.later(millis);
            prop_assert!(desk.session.wake().is_none_or(|at| at > desk.now), "it wants to be woken in the past");
        }
    }

    #[test]
    fn no_memory_makes_it_panic(memory in proptest::collection::vec(any::<u8>(), 0..60)) {
        let desk = Desk::new(json!({}), &memory);
        prop_assert_eq!(desk.session.lines().len(), 1);
    }
}
