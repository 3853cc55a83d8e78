//! A message centre, played from the sheet: it checks every field of a message and sends receipts whose words have the id
//! in another base than its answers, as many do.

use std::collections::HashSet;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::pdu::{self, Address, DELIVER_SM, PAYLOAD, Pdu, RECEIPTED_ID, RESPONSE, SAR_TOTAL, STATE, SUBMIT_SM, Sm};
use super::smsc::Smsc;
use crate::contract::twin::{Accepted, Act, Answer, Draft, Emit, Line, Request};
use crate::contract::{Reply, Time};
use crate::kit::{entry, gsm};

const SYSTEM_ID: &str = "fakeesme";
const PASSWORD: &str = "fakepw1";
const NUMBER: &str = "14155550199";

/// A message centre.
pub struct Twin {
    next: u32,
    reference: u8,
    stopped: HashSet<String>,
}

impl crate::contract::twin::Twin for Twin {
    fn new(seed: u64) -> Self {
        Self { next: 0x1000 + (seed as u32 & 0xfff) * 7, reference: 0, stopped: HashSet::new() }
    }

    fn settings(&self) -> Map<String, Value> {
        let settings = json!({ "hosts": ["smsc.twin.example:2775"], "system_id": SYSTEM_ID, "password": PASSWORD, "sender": NUMBER });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn answer(&mut self, request: &Request, now: Time) -> Answer {
        let unit = Pdu::read(&request.body).filter(|unit| unit.whole.len() == request.body.len());
        let Some(unit) = unit.filter(|unit| request.path == "submit_sm" && unit.command == SUBMIT_SM) else { return refused(0x03).into() };
        let Some(sm) = Sm::read(SUBMIT_SM, unit.body).filter(|sm| sm.write() == unit.body) else { return refused(0x02).into() };
        match self.fault(&sm) {
            0 => self.accept(&sm, now),
            status => refused(status).into(),
        }
    }

    fn sign(&self, _url: &str, draft: Draft) -> Draft {
        draft // The connection is the proof.
    }

    fn act(&mut self, person: &str, act: &Act, _now: Time) -> Vec<Draft> {
        let from = person.split_once(':').map_or(person, |(_, id)| id).trim_start_matches('+').to_owned();
        let words = match act {
            Act::Text(words) | Act::Image(words) | Act::Pick { title: words, .. } => words.clone(),
            Act::Block => "STOP".into(),
            Act::Read => return Vec::new(),
        };
        if words.trim().eq_ignore_ascii_case("stop") {
            self.stopped.insert(from.clone());
        }
        self.messages(&from, &words).iter().map(draft).collect()
    }

    fn open(&mut self, person: &str, link: &str, now: Time) -> Vec<Draft> {
        let text = entry::opened(link, &format!("sms:+{NUMBER}")).and_then(|mut found| found.remove("body"));
        text.map(|text| self.act(person, &Act::Text(text), now)).unwrap_or_default()
    }

    fn counts(&self, request: &Request) -> Option<String> {
        let unit = Pdu::read(&request.body).filter(|unit| unit.command == SUBMIT_SM)?;
        Sm::read(SUBMIT_SM, unit.body).map(|sm| sm.destination.digits)
    }

    fn throttled(&self, _retry_after_secs: u64) -> Reply {
        refused(0x58)
    }

    fn broken(&self) -> Reply {
        refused(0x08)
    }

    fn pace(&self) -> (u32, u64) {
        (10, 1000)
    }

    fn line(&self) -> Option<Box<dyn Line>> {
        Some(Box::new(Smsc::new(SYSTEM_ID, PASSWORD)))
    }
}

impl Twin {
    /// What is wrong with a message, as a status; 0 when nothing is.
    fn fault(&self, sm: &Sm<'_>) -> u32 {
        let digits = |address: &Address| address.digits.bytes().all(|b| b.is_ascii_digit());
        let good_time = |time: &str| time.is_empty() || time.len() == 16 && time.ends_with(['+', '-', 'R']);
        let to = &sm.destination;
        let septets = if sm.coding == 0 { 160 } else { 140 };
        match () {
            () if sm.service_type.len() > 5 => 0x15,
            () if sm.source.ton > 6 => 0x48,
            () if to.ton > 6 => 0x50,
            () if sm.source.digits.len() > 20 || sm.source.ton == 5 && sm.source.digits.len() > 11 => 0x0a,
            () if sm.source.ton == 1 && !digits(&sm.source) => 0x0a,
            () if !(3..=15).contains(&to.digits.len()) || !digits(to) => 0x0b,
            () if self.stopped.contains(&to.digits) => 0x0b,
            () if sm.esm_class & 0x3c != 0 => 0x43,
            () if !good_time(&sm.schedule) => 0x61,
            () if !good_time(&sm.validity) => 0x62,
            () if sm.registered > 0x1f => 0x07,
            () if !matches!(sm.coding, 0 | 1 | 3 | 8) => 0x104,
            () if sm.coding == 8 && !sm.content().len().is_multiple_of(2) => 0x01,
            () if sm.tlv(PAYLOAD).is_some() && !sm.short.is_empty() => 0xc4,
            () if sm.content().is_empty() => 0x01,
            () if sm.tlv(PAYLOAD).is_none() && !fits(sm, septets) => 0x01,
            () => 0,
        }
    }

    fn accept(&mut self, sm: &Sm<'_>, _now: Time) -> Answer {
        self.next += 1;
        let id = format!("{:x}", self.next);
        let text = readable(sm);
        let receipt = match sm.registered & 3 {
            1 => vec![Emit { after_ms: 40, url: None, draft: draft(&self.receipt(sm, &id, &text)) }],
            _ => Vec::new(), // None is asked for, or of failures alone.
        };
        let mut body = id.clone().into_bytes();
        body.push(0);
        let reply = Reply { status: StatusCode::OK, body: pdu::write(SUBMIT_SM | RESPONSE, 0, 0, &body).into(), ..Reply::default() };
        let accepted = Accepted { provider_id: id, to: sm.destination.digits.clone(), our_id: None, text };
        Answer { reply, accepted: vec![accepted], emits: receipt }
    }

    fn receipt(&self, sm: &Sm<'_>, id: &str, text: &str) -> Sm<'static> {
        let begin: String = text.chars().filter(char::is_ascii).take(20).collect();
        let words =
            format!("id:{:010} sub:001 dlvrd:001 submit date:2611201015 done date:2611201016 stat:DELIVRD err:000 text:{begin}", self.next);
        let mut tagged = id.as_bytes().to_vec();
        tagged.push(0);
        Sm {
            source: sm.destination.clone(),
            destination: sm.source.clone(),
            esm_class: 0x04,
            short: words.into_bytes().into(),
            tlvs: vec![(RECEIPTED_ID, tagged.into()), (STATE, vec![2].into())],
            ..Sm::default()
        }
    }

    /// What a person's words are on the wire.
    fn messages(&mut self, from: &str, words: &str) -> Vec<Sm<'static>> {
        let address = |digits: &str| Address { ton: 1, npi: 1, digits: digits.to_owned() };
        let plain = Sm { source: address(from), destination: address(NUMBER), ..Sm::default() };
        let (coding, octets, many) = match gsm::encode(words) {
            Some(septets) => (0, septets, 153),
            None => (8, words.encode_utf16().flat_map(u16::to_be_bytes).collect(), 134),
        };
        if octets.len() <= if coding == 0 { 160 } else { 140 } {
            return vec![Sm { coding, short: octets.into(), ..plain }];
        }
        self.reference = self.reference.wrapping_add(1);
        let total = octets.len().div_ceil(many);
        let part = |(number, octets): (usize, &[u8])| {
            let header = [5, 0, 3, self.reference, total as u8, number as u8 + 1];
            Sm { coding, esm_class: 0x40, short: [&header, octets].concat().into(), ..plain.clone() }
        };
        octets.chunks(many).enumerate().map(part).collect()
    }
}

/// Whether a message fits into 140 octets of the air, its header included.
fn fits(sm: &Sm<'_>, most: usize) -> bool {
    let header = if sm.esm_class & 0x40 != 0 { sm.short.first().map_or(0, |length| usize::from(*length) + 1) } else { 0 };
    let parts = header > 0 || sm.tlv(SAR_TOTAL).is_some();
    let words = sm.short.len().saturating_sub(header);
    match (sm.coding, parts) {
        (0, true) => words <= (140 - header.max(6)) * 8 / 7,
        (_, true) => words + header.max(6) <= 140,
        _ => words <= most,
    }
}

/// The words as the books have them.
fn readable(sm: &Sm<'_>) -> String {
    let header = if sm.esm_class & 0x40 != 0 { sm.content().first().map_or(0, |length| usize::from(*length) + 1) } else { 0 };
    let octets = &sm.content()[header.min(sm.content().len())..];
    match sm.coding {
        0 => gsm::decode(octets),
        8 => String::from_utf16_lossy(&octets.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect::<Vec<_>>()),
        _ => octets.iter().map(|o| char::from(*o)).collect(),
    }
}

fn draft(sm: &Sm<'_>) -> Draft {
    Draft { method: Method::POST, query: String::new(), headers: Vec::new(), body: pdu::write(DELIVER_SM, 0, 0, &sm.write()) }
}

fn refused(status: u32) -> Reply {
    Reply { status: StatusCode::UNPROCESSABLE_ENTITY, body: pdu::write(SUBMIT_SM | RESPONSE, status, 0, b"").into(), ..Reply::default() }
}
