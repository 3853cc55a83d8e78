//! What the laws cannot know of this protocol: numbers, windows, repeats, late answers, habits of providers.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::pdu::{
    self, ALERT, DELIVER_SM, ENQUIRE_LINK, GENERIC_NACK, Pdu, RECEIPTED_ID, RESPONSE, STATE, SUBMIT_SM, Sm, UNBIND, USER_REFERENCE,
};
use super::session::Smpp;
use super::{Channel, words};
use crate::contract::session::{Endpoint, Told, Wish};
use crate::contract::{Adapter, Call, Session, Time};

const NOW: Time = Time(1_795_169_730_000);

/// A session with one line, and a clock.
struct Desk {
    session: Smpp,
    now: Time,
}

fn anywhere() -> Endpoint {
    Endpoint { host: "smpp.example.net".into(), port: 2775, tls: None }
}

/// A wish in few words: what was written by command, status and number, the rest by name.
fn short(wish: &Wish) -> String {
    match wish {
        Wish::Write(line, bytes) => {
            let unit = Pdu::read(bytes).expect("whole units are written");
            format!("{line}:{:x}/{:x}#{}", unit.command, unit.status, unit.sequence)
        }
        Wish::Settle(call, reply) => format!("settle {call} {}", reply.status.as_u16()),
        Wish::Lose(call, _) => format!("lose {call}"),
        Wish::Deliver(delivery) => {
            let headers: Vec<String> =
                delivery.headers.iter().map(|(name, value)| format!("{}={value}", name.trim_start_matches("x-fairway-"))).collect();
            format!("deliver {} {}", delivery.number, headers.join(" ")).trim().to_owned()
        }
        Wish::Remember(number, _) => format!("remember {number}"),
        Wish::Up(line) => format!("up {line}"),
        Wish::Refused(line, reason) => format!("refused {line} {}", reason.code),
        Wish::Close(line, wait) => format!("close {line} {wait}"),
        Wish::Lead(line, _) => format!("lead {line}"),
    }
}

impl Desk {
    fn new(more: Value) -> Self {
        let mut settings = json!({ "hosts": ["smpp.example.net"], "system_id": "fakeesme", "password": "fakepw1", "window": 3 });
        let all = settings.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        let channel = Channel::bind(crate::contract::Settings(all.clone())).expect("good settings");
        Self { session: Smpp::new(Arc::clone(&channel.bound), &[]), now: NOW }
    }

    fn tell(&mut self, told: Told<'_>) -> Vec<String> {
        self.session.tell(told, self.now).iter().map(short).collect()
    }

    fn open(&mut self, line: usize) -> Vec<String> {
        self.tell(Told::Opened(line, &anywhere()))
    }

    fn hear(&mut self, command: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<String> {
        self.tell(Told::Bytes(0, &pdu::write(command, status, sequence, body)))
    }

    fn bound(more: Value) -> Self {
        let mut desk = Self::new(more);
        desk.bind();
        desk
    }

    fn bind(&mut self) {
        assert_eq!(self.open(0), ["0:9/0#1"]);
        assert_eq!(self.hear(0x8000_0009, 0, 1, b"SMSC\0"), ["up 0"]);
    }

    fn later(&mut self, seconds: i64) -> Vec<String> {
        self.now = self.now.plus(seconds * 1000);
        self.tell(Told::Tick)
    }

    fn call(&mut self, number: u64, to: &str, text: &str) -> Vec<String> {
        let destination = pdu::Address { ton: 1, npi: 1, digits: to.into() };
        let sm =
            Sm { destination, short: text.as_bytes().into(), tlvs: vec![(USER_REFERENCE, vec![0, number as u8].into())], ..Sm::default() };
        let call =
            Call::new(Method::POST, "session:submit_sm").bytes(pdu::write(SUBMIT_SM, 0, 0, &sm.write())).then(format!("msg_{number}"));
        self.tell(Told::Call(number, &call))
    }
}

fn from(digits: &str, words: &str, esm_class: u8) -> Sm<'static> {
    Sm {
        source: pdu::Address { ton: 1, npi: 1, digits: digits.into() },
        esm_class,
        short: words.as_bytes().to_vec().into(),
        ..Sm::default()
    }
}

/// The sheet's octets.
#[test]
fn it_binds_as_the_sheet_says() {
    let mut desk = Desk::new(json!({}));
    let Wish::Write(0, bind) = desk.session.tell(Told::Opened(0, &anywhere()), NOW).remove(0) else { panic!("a bind") };
    let wanted = "0000002600000009000000000000000166616b6565736d650066616b65707731000034000000";
    assert_eq!(crate::kit::crypto::hex(&bind), wanted);
    let version = "0000001a800000090000000000000001534d5343000210000134";
    let octets: Vec<u8> = (0..version.len() / 2).map(|n| u8::from_str_radix(&version[2 * n..2 * n + 2], 16).expect("hex")).collect();
    assert_eq!(desk.tell(Told::Bytes(0, &octets)), ["up 0"]);
}

#[test]
fn the_window_is_kept_and_answers_find_their_calls() {
    let mut desk = Desk::bound(json!({}));
    assert_eq!(desk.session.room(), 3);
    for number in 1..=3 {
        assert_eq!(desk.call(number, "14155550123", "Hello"), [format!("0:4/0#{}", number + 1)]);
    }
    assert_eq!(desk.session.room(), 0);
    assert_eq!(desk.call(9, "14155550123", "Hello"), ["settle 9 422"], "nothing is written beyond it");
    // Out of order, and one of them refused.
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0, 4, b"c\0"), ["settle 3 200"]);
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0x58, 2, b""), ["settle 1 422"]);
    assert_eq!(desk.hear(GENERIC_NACK, 3, 3, b""), ["settle 2 422"]);
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0, 4, b"c\0"), Vec::<String>::new(), "twice is once");
    assert_eq!(desk.session.room(), 3);
}

#[test]
fn it_asks_whether_somebody_is_there_and_answers_the_same() {
    let mut desk = Desk::bound(json!({}));
    assert_eq!(desk.hear(ENQUIRE_LINK, 0, 77, b""), ["0:80000015/0#77"]);
    assert_eq!(desk.later(29), Vec::<String>::new());
    assert_eq!(desk.later(1), ["0:15/0#2"]);
    assert_eq!(desk.hear(ENQUIRE_LINK | RESPONSE, 0, 2, b""), Vec::<String>::new());
    assert_eq!((desk.later(30), desk.later(30)), (vec!["0:15/0#3".to_owned()], vec!["0:15/0#4".to_owned()]));
    assert_eq!(desk.later(30), ["close 0 1000"], "two questions without an answer are enough");
}

#[test]
fn a_refused_bind_says_why_and_waits() {
    for (status, code, wait) in [
        (0x0e, "password_invalid", 300_000),
        (0x0d, "bind_failed", 300_000),
        (0x05, "already_bound", 30_000),
        (0x08, "system_error", 1_000),
    ] {
        let mut desk = Desk::new(json!({}));
        desk.open(0);
        assert_eq!(desk.hear(0x8000_0009, status, 1, b""), [format!("refused 0 {code}"), format!("close 0 {wait}")]);
    }
    let mut desk = Desk::new(json!({}));
    desk.open(0);
    assert_eq!(desk.later(30), ["close 0 1000"], "no answer is none for ever");
}

#[test]
fn an_answer_that_comes_too_late_is_a_receipt() {
    let mut desk = Desk::bound(json!({}));
    desk.call(1, "14155550123", "Hello");
    assert_eq!(desk.later(30), ["0:15/0#3", "lose 1"]);
    assert_eq!(desk.session.room(), 3);
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0, 2, b"1f3a\0"), ["deliver 1 message=msg_1"]);
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0, 2, b"1f3a\0"), Vec::<String>::new());
}

#[test]
fn a_receipt_finds_the_message_whose_answer_was_lost() {
    let echo = |reference: u8| {
        let mut sm = from("14155550123", "id:77 stat:DELIVRD", 4);
        sm.tlvs.push((USER_REFERENCE, vec![0, reference].into()));
        sm
    };
    let quote = |from_: &str, words: &str| from(from_, &format!("id:78 stat:DELIVRD text:{words}"), 4);
    let cases = [
        (echo(1), "message=msg_1"),
        (echo(2), ""),
        (quote("14155550123", "Hello Ann, "), "message=msg_1"),
        (quote("14155550123", "Good night"), ""),
        (quote("14155550124", "Hello Ann, "), ""),
        (quote("14155550123", ""), ""),
    ];
    for (receipt, found) in cases {
        let mut desk = Desk::bound(json!({}));
        desk.call(1, "14155550123", "Hello Ann, how are you?");
        assert_eq!(desk.tell(Told::Closed(0)), ["lose 1"]);
        desk.bind();
        let said = desk.hear(DELIVER_SM, 0, 5, &receipt.write());
        assert_eq!(said, [format!("deliver 1 {found}").trim()]);
    }
    // The id of an answer that came is another message's.
    let mut desk = Desk::bound(json!({}));
    desk.call(1, "14155550123", "Hello Ann, how are you?");
    desk.call(2, "14155550123", "Hello Ann, how are you?");
    desk.hear(SUBMIT_SM | RESPONSE, 0, 2, b"78\0");
    desk.tell(Told::Closed(0));
    desk.bind();
    assert_eq!(desk.hear(DELIVER_SM, 0, 5, &quote("14155550123", "Hello Ann, ").write()), ["deliver 1 answered=78"]);
}

#[test]
fn the_base_of_ids_is_found_out() {
    let mut desk = Desk::bound(json!({}));
    for (number, id) in [(1, &b"1f3a\0"[..]), (2, b"1f3b\0")] {
        desk.call(number, "14155550123", "Hello");
        desk.hear(SUBMIT_SM | RESPONSE, 0, number as u32 + 1, id);
    }
    let receipt = |id: &str| from("14155550123", &format!("id:{id} stat:DELIVRD"), 4).write();
    assert_eq!(desk.hear(DELIVER_SM, 0, 5, &receipt("0000007994")), ["deliver 1 answered=1f3a"]);
    assert_eq!(desk.hear(DELIVER_SM, 0, 6, &receipt("9999")), ["deliver 2 answered=270f"], "what was found out holds for others");
    let tagged = Sm { tlvs: vec![(RECEIPTED_ID, b"001F3B\0"[..].into()), (STATE, vec![2].into())], ..from("14155550123", "", 4) };
    assert_eq!(desk.hear(DELIVER_SM, 0, 7, &tagged.write()), ["deliver 3 answered=1f3b"]);
}

#[test]
fn a_repeated_delivery_has_its_first_time_and_a_repeated_text_its_own() {
    let mut desk = Desk::bound(json!({}));
    let yes = from("14155550123", "Yes", 0).write();
    let first = NOW.0;
    assert_eq!(desk.hear(DELIVER_SM, 0, 5, &yes), [format!("deliver 1 first={first}")]);
    assert_eq!(desk.tell(Told::Taken(1, true)), ["0:80000005/0#5"]);
    desk.later(1);
    assert_eq!(desk.hear(DELIVER_SM, 0, 6, &yes), [format!("deliver 2 first={}", first + 1000)], "said twice on one connection");
    // The connection breaks before the second is answered: it comes again.
    desk.tell(Told::Closed(0));
    assert_eq!(desk.tell(Told::Taken(2, true)), Vec::<String>::new());
    desk.later(60);
    desk.bind();
    assert_eq!(desk.hear(DELIVER_SM, 0, 1, &yes), [format!("deliver 3 first={}", first + 1000)]);
    desk.later(600);
    assert_eq!(desk.hear(DELIVER_SM, 0, 2, &yes), [format!("deliver 4 first={}", first + 661_000)]);
}

#[test]
fn what_cannot_be_stored_is_asked_for_again() {
    let mut desk = Desk::bound(json!({}));
    desk.hear(DELIVER_SM, 0, 5, &from("14155550123", "Hello", 0).write());
    assert_eq!(desk.tell(Told::Taken(1, false)), ["0:80000005/64#5"]);
    // What cannot be read is kept as it is, and acknowledged.
    assert_eq!(desk.hear(DELIVER_SM, 0, 6, b"\0\x01"), [format!("deliver 2 first={}", NOW.0)]);
    assert_eq!(desk.tell(Told::Taken(2, true)), ["0:80000005/0#6"]);
    assert_eq!(desk.hear(ALERT, 0, 7, b"\x01\x01123\0\x01\x01456\0"), [format!("deliver 3 first={}", NOW.0)]);
    assert_eq!(desk.tell(Told::Taken(3, true)), Vec::<String>::new(), "an alert has no answer");
    assert_eq!(desk.hear(0x00010200, 0, 8, b""), ["0:80000000/3#8"]);
}

fn part(number: u8, total: u8) -> Vec<u8> {
    let short = [&[5, 0, 3, 42, total, number][..], format!("part {number} ").as_bytes()].concat();
    Sm { short: short.into(), ..from("14155550123", "", words::HEADED) }.write()
}

#[test]
fn parts_are_acknowledged_when_they_are_remembered_and_told_when_they_are_whole() {
    let mut desk = Desk::bound(json!({}));
    assert_eq!(desk.hear(DELIVER_SM, 0, 5, &part(3, 3)), ["remember 1"]);
    assert_eq!(desk.hear(DELIVER_SM, 0, 6, &part(1, 3)), ["remember 2"]);
    assert_eq!(desk.tell(Told::Remembered(1)), ["0:80000005/0#5"]);
    assert_eq!(desk.hear(DELIVER_SM, 0, 7, &part(3, 3)), ["remember 3"], "a repeated part waits like the first");
    assert_eq!(desk.tell(Told::Remembered(3)), ["0:80000005/0#6", "0:80000005/0#7"]);
    let told = desk.session.tell(Told::Bytes(0, &pdu::write(DELIVER_SM, 0, 8, &part(2, 3))), NOW);
    let [Wish::Deliver(delivery)] = &told[..] else { panic!("{told:?}") };
    let (units, rest) = Pdu::all(&delivery.body);
    let numbers: Vec<u8> = units.iter().filter_map(|u| Some(words::part_of(&Sm::read(u.command, u.body)?)?.number)).collect();
    assert_eq!((numbers, rest), (vec![1, 2, 3], false));
    assert_eq!(desk.tell(Told::Taken(1, true)), ["remember 4", "0:80000005/0#8"]);
    assert_eq!(desk.hear(DELIVER_SM, 0, 9, &part(2, 3)), ["0:80000005/0#9"], "it is in the log already");
}

#[test]
fn parts_that_stay_alone_are_told_after_a_while() {
    let mut desk = Desk::bound(json!({ "reassembly_s": 60, "enquire_link_s": 3000 }));
    desk.hear(DELIVER_SM, 0, 5, &part(1, 3));
    assert_eq!(desk.tell(Told::Remembered(1)), ["0:80000005/0#5"]);
    assert_eq!(desk.later(59), Vec::<String>::new());
    assert_eq!(desk.later(1), [format!("deliver 1 first={}", NOW.0)]);
    assert_eq!(desk.tell(Told::Taken(1, false)), Vec::<String>::new());
    assert_eq!(
        desk.later(5),
        [format!("deliver 2 first={}", NOW.0)],
        "nobody else has them any more: it is tried again, under the same name"
    );
    assert_eq!(desk.tell(Told::Taken(2, true)), ["remember 2"]);
    assert_eq!(desk.later(600), Vec::<String>::new());
}

#[test]
fn it_says_goodbye_when_nothing_is_open_any_more() {
    let mut desk = Desk::bound(json!({}));
    desk.call(1, "14155550123", "Hello");
    assert_eq!(desk.tell(Told::Stop), Vec::<String>::new());
    assert_eq!(desk.session.room(), 0);
    assert_eq!(desk.hear(SUBMIT_SM | RESPONSE, 0, 2, b"1\0"), ["settle 1 200", "0:6/0#3"]);
    assert_eq!(desk.hear(UNBIND | RESPONSE, 0, 3, b""), ["close 0 1000"]);
    let mut theirs = Desk::bound(json!({}));
    theirs.call(1, "14155550123", "Hello");
    assert_eq!(theirs.hear(UNBIND, 0, 9, b""), ["0:80000006/0#9", "lose 1", "close 0 1000"]);
}

#[test]
fn two_lines_have_two_jobs() {
    let mut desk = Desk::new(json!({ "bind_mode": "tx_rx", "hosts": ["a.example", "b.example"] }));
    let lines = desk.session.lines();
    assert_eq!(lines.iter().map(|places| places[0].host.as_str()).collect::<Vec<_>>(), ["a.example", "b.example"]);
    assert_eq!((desk.open(0), desk.open(1)), (vec!["0:2/0#1".to_owned()], vec!["1:1/0#1".to_owned()]));
    desk.tell(Told::Bytes(1, &pdu::write(0x8000_0001, 0, 1, b"SMSC\0")));
    assert_eq!(desk.session.room(), 0, "the one that receives carries nothing");
    desk.tell(Told::Bytes(0, &pdu::write(0x8000_0002, 0, 1, b"SMSC\0")));
    assert_eq!(desk.session.room(), 3);
}
