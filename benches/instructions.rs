//! Hot functions, one at a time and a given number of times, for `benches/instructions.sh` to count their instructions under
//! callgrind. One thread, no clock, no socket: the count is the same on a busy machine.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

mod support;

use std::hint::black_box;

use fairway::ingress::claims::{Claim, Claims};
use fairway::outbound::lane::{Counted, Entry, Lanes, Limits, Next};
use fairway::outbound::ledger;
use fairway::outbound::limit::Limit;
use fairway_adapters::contract::{Outbound, Part, Priority, Settings, Time, Webhook};
use support::{HOOK, context, delivery, person};

/// What can be counted. `NAME TIMES` runs one, nothing or anything else lists them.
const CASES: &[(&str, fn(u32))] = &[
    ("floor: HMAC-SHA256 of a delivery", hmac),
    ("floor: JSON of a delivery as values", json),
    ("verify whatsapp", |times| verify("whatsapp", times)),
    ("verify telegram", |times| verify("telegram", times)),
    ("parse whatsapp", |times| parse("whatsapp", times)),
    ("parse telegram", |times| parse("telegram", times)),
    ("parse twilio", |times| parse("twilio", times)),
    ("render whatsapp", |times| render("whatsapp", times)),
    ("render telegram", |times| render("telegram", times)),
    ("claim and settle", claim),
    ("lane: push, next, gate, remove", lane),
    ("ledger: encode and decode", encode),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let case = arguments.first().and_then(|name| CASES.iter().find(|(known, _)| known == name));
    match (case, arguments.get(1).and_then(|times| times.parse().ok())) {
        (Some((_, run)), Some(times)) => run(times),
        _ => CASES.iter().for_each(|(name, _)| println!("{name}")),
    }
}

fn hmac(times: u32) {
    let (_, draft, _) = delivery("whatsapp").expect("people write there");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"benchmark");
    for _ in 0..times {
        black_box(aws_lc_rs::hmac::sign(&key, black_box(&draft.body)));
    }
}

fn json(times: u32) {
    let (_, draft, _) = delivery("whatsapp").expect("people write there");
    for _ in 0..times {
        black_box(serde_json::from_slice::<serde_json::Value>(black_box(&draft.body)).is_ok());
    }
}

fn verify(provider: &str, times: u32) {
    let (adapter, draft, headers) = delivery(provider).expect("people write there");
    let hook = Webhook { method: &draft.method, url: HOOK, query: "", headers: &headers, body: &draft.body };
    for _ in 0..times {
        assert!(adapter.verify(black_box(hook), &context()).is_ok());
    }
}

fn parse(provider: &str, times: u32) {
    let (adapter, draft, headers) = delivery(provider).expect("people write there");
    let hook = Webhook { method: &draft.method, url: HOOK, query: "", headers: &headers, body: &draft.body };
    let verified = adapter.verify(hook, &context()).expect("signed");
    for _ in 0..times {
        assert_eq!(black_box(adapter.parse(black_box(&verified), &context()).events.len()), 1);
    }
}

fn render(provider: &str, times: u32) {
    let provider = fairway_adapters::provider(provider).expect("built in");
    let adapter = (provider.bind)(Settings((provider.twin)(1).settings())).expect("its own settings fit");
    let (to, parts, native) = (person(provider), [Part::text("Your table is ready.")], serde_json::Map::new());
    let message = Outbound {
        id: "msg_bench",
        to: &to,
        thread: None,
        parts: &parts,
        template: None,
        category: Default::default(),
        reply_to: None,
        handle: None,
        author: None,
        expires_at: None,
        native: &native,
    };
    for _ in 0..times {
        assert!(adapter.render(black_box(&message), &context()).is_ok());
    }
}

fn claim(times: u32) {
    let claims = Claims::new(100_000, None);
    let mut id = 0_u128;
    for _ in 0..times {
        id = id.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        if matches!(claims.claim(id), Claim::Won) {
            claims.settle(id, true);
        }
    }
}

fn lane(times: u32) {
    let mut lanes = Lanes::default();
    let sender = vec![Limit::new(u32::MAX, 1_000_000, 1)];
    lanes.limits(&"c".into(), Limits { sender, concurrency: 1000, ..Limits::default() }, 0);
    for number in 1..=u64::from(times) {
        let key = number % 1000;
        let conversation = format!("c{key}").into();
        let entry = Entry {
            number,
            channel: "c".into(),
            conversation,
            lane: Priority::Normal,
            share: Default::default(),
            counted: Counted { conversation: key, cost: 1, ..Counted::default() },
        };
        lanes.push(entry.clone());
        if let Next::Arm(_) = lanes.next(number as i64) {
            lanes.gate(&entry, number as i64);
            lanes.remove(&entry, true);
        }
    }
}

fn encode(times: u32) {
    let what = ledger::Call { id: fairway::ids::MessageId::derived(1, &[b"x"]), attempt: 1, call: 0 };
    let entry = ledger::Entry::Sending {
        what,
        at: Time(1),
        rendering: 2,
        channel: 3,
        counted: Counted { conversation: 4, cost: 1, ..Counted::default() },
    };
    for _ in 0..times {
        black_box(ledger::Entry::decode(&black_box(&entry).encode(5)));
    }
}
