//! The twin's end of a connection: a message centre as bytes.

use std::collections::BTreeMap;

use http::{HeaderMap, Method};

use super::pdu::{
    self, BIND_RECEIVER, BIND_TRANSCEIVER, BIND_TRANSMITTER, DELIVER_SM, ENQUIRE_LINK, Frame, GENERIC_NACK, Pdu, RESPONSE, Reader,
    SUBMIT_SM, UNBIND, VERSION,
};
use crate::contract::Reply;
use crate::contract::twin::{Draft, Line, Request, Said};

/// One connection of ours to it.
pub(super) struct Smsc {
    system_id: &'static str,
    password: &'static str,
    buffer: Vec<u8>,
    /// Whether it may deliver, and whether it takes messages.
    bound: Option<(bool, bool)>,
    sequence: u32,
    pending: BTreeMap<u32, Draft>,
}

impl Smsc {
    pub fn new(system_id: &'static str, password: &'static str) -> Self {
        Self { system_id, password, buffer: Vec::new(), bound: None, sequence: 0, pending: BTreeMap::new() }
    }

    fn take(&mut self, unit: &Pdu<'_>) -> Vec<Said> {
        let answer = |status: u32, body: &[u8]| vec![Said::Write(pdu::write(unit.command | RESPONSE, status, unit.sequence, body))];
        match unit.command {
            BIND_RECEIVER | BIND_TRANSMITTER | BIND_TRANSCEIVER if self.bound.is_some() => answer(0x05, b""),
            BIND_RECEIVER | BIND_TRANSMITTER | BIND_TRANSCEIVER => self.bind(unit),
            ENQUIRE_LINK => answer(0, b""),
            UNBIND => {
                self.bound = None;
                let mut said = answer(0, b"");
                said.push(Said::Close);
                said
            }
            SUBMIT_SM if self.bound.is_some_and(|(_, sends)| sends) => {
                vec![Said::Ask(
                    u64::from(unit.sequence),
                    Request {
                        method: Method::POST,
                        path: "submit_sm".into(),
                        query: String::new(),
                        headers: HeaderMap::new(),
                        body: unit.whole.to_vec().into(),
                    },
                )]
            }
            SUBMIT_SM => answer(0x04, b""),
            command if command == DELIVER_SM | RESPONSE => {
                if unit.status == 0 {
                    self.pending.remove(&unit.sequence);
                }
                Vec::new()
            }
            command if command & RESPONSE != 0 => Vec::new(),
            _ => vec![Said::Write(pdu::write(GENERIC_NACK, 0x03, unit.sequence, b""))],
        }
    }

    /// Strict, as message centres are: all fields, the right version, the right password.
    fn bind(&mut self, unit: &Pdu<'_>) -> Vec<Said> {
        let mut reader = Reader(unit.body);
        let fields = (|| {
            let (id, password, kind) = (reader.text()?, reader.text()?, reader.text()?);
            let version = reader.octet()?;
            reader.address().map(|_| (id, password, kind, version))
        })();
        let status = match &fields {
            None => 0x02,
            Some((id, ..)) if id != self.system_id => 0x0f,
            Some((_, password, ..)) if password != self.password => 0x0e,
            Some((_, _, kind, _)) if kind.len() > 12 => 0x53,
            Some((.., version)) if !(0x33..=0x50).contains(version) => 0x0d,
            Some(_) => 0,
        };
        if status != 0 {
            return vec![Said::Write(pdu::write(unit.command | RESPONSE, status, unit.sequence, b"")), Said::Close];
        }
        self.bound = Some((unit.command != BIND_TRANSMITTER, unit.command != BIND_RECEIVER));
        let mut body = b"SMSC\0".to_vec();
        body.extend(VERSION.to_be_bytes());
        body.extend([0, 1, 0x34]);
        vec![Said::Write(pdu::write(unit.command | RESPONSE, 0, unit.sequence, &body))]
    }
}

impl Line for Smsc {
    fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.buffer.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            match pdu::frame(&self.buffer) {
                Frame::Whole(length) => {
                    let rest = self.buffer.split_off(length);
                    let whole = std::mem::replace(&mut self.buffer, rest);
                    said.extend(Pdu::read(&whole).map(|unit| self.take(&unit)).unwrap_or_default());
                }
                Frame::More => return said,
                Frame::Broken => {
                    self.buffer.clear();
                    said.push(Said::Close);
                    return said;
                }
            }
        }
    }

    fn answered(&mut self, number: u64, reply: &Reply) -> Vec<u8> {
        pdu::numbered(&reply.body, number as u32)
    }

    fn deliver(&mut self, draft: &Draft) -> Option<Vec<u8>> {
        self.bound.filter(|(receives, _)| *receives)?;
        self.sequence = pdu::next(self.sequence);
        self.pending.insert(self.sequence, draft.clone());
        Some(pdu::numbered(&draft.body, self.sequence))
    }

    fn unacknowledged(&self) -> Vec<Draft> {
        self.pending.values().cloned().collect()
    }
}
