//! Protocol data units: framing, the body that messages share, and the tags behind it (SMPP 3.4 sections 3 to 5).

use std::borrow::Cow;

pub(super) const BIND_RECEIVER: u32 = 0x01;
pub(super) const BIND_TRANSMITTER: u32 = 0x02;
pub(super) const SUBMIT_SM: u32 = 0x04;
pub(super) const DELIVER_SM: u32 = 0x05;
pub(super) const UNBIND: u32 = 0x06;
pub(super) const BIND_TRANSCEIVER: u32 = 0x09;
pub(super) const OUTBIND: u32 = 0x0b;
pub(super) const ENQUIRE_LINK: u32 = 0x15;
pub(super) const ALERT: u32 = 0x102;
pub(super) const DATA_SM: u32 = 0x103;
/// A response has the id of its request with this bit.
pub(super) const RESPONSE: u32 = 0x8000_0000;
pub(super) const GENERIC_NACK: u32 = RESPONSE;

pub(super) const RECEIPTED_ID: u16 = 0x001e;
pub(super) const USER_REFERENCE: u16 = 0x0204;
pub(super) const SAR_REFERENCE: u16 = 0x020c;
pub(super) const SAR_TOTAL: u16 = 0x020e;
pub(super) const SAR_NUMBER: u16 = 0x020f;
pub(super) const NETWORK_ERROR: u16 = 0x0423;
pub(super) const PAYLOAD: u16 = 0x0424;
pub(super) const STATE: u16 = 0x0427;
pub(super) const VERSION: u16 = 0x0210;

/// Octets of a header.
pub(super) const HEADER: usize = 16;
/// The longest unit that is taken: a payload of 64 KiB with what surrounds it. Longer ones are nonsense, and a stream
/// cannot be read on behind one.
pub(super) const LONGEST: usize = (64 << 10) + 1024;
/// The largest sequence number of a request.
const LAST_SEQUENCE: u32 = 0x7fff_ffff;

/// One unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdu<'a> {
    pub command: u32,
    pub status: u32,
    pub sequence: u32,
    pub body: &'a [u8],
    /// The unit as it came, header and all.
    pub whole: &'a [u8],
}

/// What a buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole unit of so many octets.
    Whole(usize),
    /// A part of one.
    More,
    /// A length that no unit has.
    Broken,
}

pub(super) fn frame(buffer: &[u8]) -> Frame {
    let Some(length) = buffer.first_chunk::<4>().map(|b| u32::from_be_bytes(*b) as usize) else { return Frame::More };
    match length {
        HEADER..=LONGEST if buffer.len() >= length => Frame::Whole(length),
        HEADER..=LONGEST => Frame::More,
        _ => Frame::Broken,
    }
}

impl<'a> Pdu<'a> {
    /// The unit at the beginning.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let Frame::Whole(length) = frame(bytes) else { return None };
        let whole = &bytes[..length];
        let number = |at: usize| whole[at..at + 4].iter().fold(0, |n, octet| n << 8 | u32::from(*octet));
        Some(Self { command: number(4), status: number(8), sequence: number(12), body: &whole[HEADER..], whole })
    }

    /// Units one behind the other, and whether something behind them was none.
    pub fn all(mut bytes: &'a [u8]) -> (Vec<Self>, bool) {
        let mut units = Vec::new();
        while let Some(unit) = Self::read(bytes) {
            bytes = &bytes[unit.whole.len()..];
            units.push(unit);
        }
        (units, !bytes.is_empty())
    }
}

/// A unit as octets.
pub(super) fn write(command: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    for number in [(HEADER + body.len()) as u32, command, status, sequence] {
        out.extend(number.to_be_bytes());
    }
    out.extend_from_slice(body);
    out
}

/// The unit under another sequence number.
pub(super) fn numbered(unit: &[u8], sequence: u32) -> Vec<u8> {
    let mut out = unit.to_vec();
    if let Some(slot) = out.get_mut(12..HEADER) {
        slot.copy_from_slice(&sequence.to_be_bytes());
    }
    out
}

/// The sequence number after this one.
pub(super) fn next(sequence: u32) -> u32 {
    if sequence >= LAST_SEQUENCE { 1 } else { sequence + 1 }
}

/// An address with its kinds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Address {
    pub ton: u8,
    pub npi: u8,
    pub digits: String,
}

/// What a message is, in `submit_sm`, `deliver_sm` and `data_sm` alike.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Sm<'a> {
    pub service_type: String,
    pub source: Address,
    pub destination: Address,
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule: String,
    pub validity: String,
    pub registered: u8,
    pub replace: u8,
    pub coding: u8,
    pub default_id: u8,
    pub short: Cow<'a, [u8]>,
    pub tlvs: Vec<(u16, Cow<'a, [u8]>)>,
}

impl<'a> Sm<'a> {
    /// Reads a body. What stands behind a broken tag is left out.
    pub fn read(command: u32, body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let mut sm = Self { service_type: reader.text()?, source: reader.address()?, destination: reader.address()?, ..Self::default() };
        sm.esm_class = reader.octet()?;
        if command & !RESPONSE == DATA_SM {
            (sm.registered, sm.coding) = (reader.octet()?, reader.octet()?);
        } else {
            (sm.protocol_id, sm.priority) = (reader.octet()?, reader.octet()?);
            (sm.schedule, sm.validity) = (reader.text()?, reader.text()?);
            (sm.registered, sm.replace) = (reader.octet()?, reader.octet()?);
            (sm.coding, sm.default_id) = (reader.octet()?, reader.octet()?);
            let length = usize::from(reader.octet()?);
            sm.short = reader.take(length)?.into();
        }
        while let Some((tag, value)) = reader.tlv() {
            sm.tlvs.push((tag, value.into()));
        }
        Some(sm)
    }

    /// The body of `submit_sm` and `deliver_sm`.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.short.len());
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        };
        text(&mut out, &self.service_type);
        for address in [&self.source, &self.destination] {
            out.extend([address.ton, address.npi]);
            text(&mut out, &address.digits);
        }
        out.extend([self.esm_class, self.protocol_id, self.priority]);
        text(&mut out, &self.schedule);
        text(&mut out, &self.validity);
        out.extend([self.registered, self.replace, self.coding, self.default_id, self.short.len() as u8]);
        out.extend_from_slice(&self.short);
        for (tag, value) in &self.tlvs {
            out.extend(tag.to_be_bytes());
            out.extend((value.len() as u16).to_be_bytes());
            out.extend_from_slice(value);
        }
        out
    }

    pub fn tlv(&self, tag: u16) -> Option<&[u8]> {
        self.tlvs.iter().find(|(t, _)| *t == tag).map(|(_, value)| &**value)
    }

    /// A tag's value as a number.
    pub fn number(&self, tag: u16) -> Option<u32> {
        let value = self.tlv(tag).filter(|value| (1..=4).contains(&value.len()))?;
        Some(value.iter().fold(0, |n, octet| n << 8 | u32::from(*octet)))
    }

    /// A tag's value as text, without the NUL that ends it.
    pub fn word(&self, tag: u16) -> Option<String> {
        let value = self.tlv(tag)?;
        let end = value.iter().position(|octet| *octet == 0).unwrap_or(value.len());
        Some(String::from_utf8_lossy(&value[..end]).trim().to_owned()).filter(|word| !word.is_empty())
    }

    /// What the message says, wherever it stands.
    pub fn content(&self) -> &[u8] {
        match self.tlv(PAYLOAD) {
            Some(payload) if self.short.is_empty() => payload,
            _ => &self.short,
        }
    }
}

/// The body of a bind, response or alert, front to back.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    pub fn octet(&mut self) -> Option<u8> {
        self.take(1).map(|one| one[0])
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2).map(|two| u16::from(two[0]) << 8 | u16::from(two[1]))
    }

    /// Text that ends in NUL. Other alphabets than ASCII are none, but nothing is lost over one.
    pub fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|octet| *octet == 0)?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(text)
    }

    pub fn address(&mut self) -> Option<Address> {
        Some(Address { ton: self.octet()?, npi: self.octet()?, digits: self.text()? })
    }

    pub fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let (tag, length) = (self.number()?, self.number()?);
        Some((tag, self.take(usize::from(length))?))
    }
}

/// The message id of a response, when it names one.
pub(super) fn message_id(response: &Pdu<'_>) -> Option<String> {
    Reader(response.body).text().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn octets(hex: &str) -> Vec<u8> {
        let digits: String = hex.split_whitespace().collect();
        (0..digits.len() / 2).map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).expect("hex")).collect()
    }

    const RECEIPT: &str = "00 00 00 ad 00 00 00 05 00 00 00 00 00 00 00 4d 00 01 01 31 34 31 35 35 35 35 30 31 32 33 00 01 01 31 34 31 35 35 35 35 30 31 39 39 00 04 00 00 00 00 00 00 00 00 68
        69 64 3a 30 30 30 30 30 30 37 39 39 34 20 73 75 62 3a 30 30 31 20 64 6c 76 72 64 3a 30 30 31 20 73 75 62 6d 69 74 20 64 61 74 65 3a 32 36 31 31 30 32 30 39 31 35 20
        64 6f 6e 65 20 64 61 74 65 3a 32 36 31 31 30 32 30 39 31 36 20 73 74 61 74 3a 44 45 4c 49 56 52 44 20 65 72 72 3a 30 30 30 20 74 65 78 74 3a 48 69
        00 1e 00 05 31 66 33 61 00 04 27 00 01 02";

    #[test]
    fn a_receipt_is_read_and_written_as_the_sheet_has_it() {
        let whole = octets(RECEIPT);
        let unit = Pdu::read(&whole).expect("a unit");
        assert_eq!((unit.command, unit.status, unit.sequence), (DELIVER_SM, 0, 77));
        let sm = Sm::read(unit.command, unit.body).expect("a message");
        assert_eq!((sm.source.digits.as_str(), sm.destination.digits.as_str(), sm.esm_class), ("14155550123", "14155550199", 4));
        assert_eq!((sm.word(RECEIPTED_ID).as_deref(), sm.number(STATE)), (Some("1f3a"), Some(2)));
        assert!(sm.content().starts_with(b"id:0000007994 sub:001"));
        assert_eq!(write(unit.command, 0, 77, &sm.write()), whole);
        assert_eq!(Pdu::read(&numbered(&whole, 78)).map(|u| u.sequence), Some(78));
    }

    #[test]
    fn lengths_that_no_unit_has_are_told_from_units_that_are_not_whole_yet() {
        assert_eq!(frame(&octets("00 00 00 0f 00 00 00 15")), Frame::Broken);
        assert_eq!(frame(&octets("7f ff ff ff 00 00 00 15")), Frame::Broken);
        assert_eq!(frame(&octets("00 00 00")), Frame::More);
        assert_eq!(frame(&octets("00 00 00 10 00 00 00 15 00 00 00 00 00 00 00")), Frame::More);
        assert_eq!(frame(&octets("00 00 00 10 00 00 00 15 00 00 00 00 00 00 00 03 00")), Frame::Whole(16));
        assert_eq!((next(1), next(LAST_SEQUENCE)), (2, 1));
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..80), command in any::<u32>(), framed in any::<bool>()) {
            if framed && octets.len() >= HEADER {
                let length = (octets.len() as u32).to_be_bytes();
                octets[..4].copy_from_slice(&length);
            }
            let (units, rest) = Pdu::all(&octets);
            prop_assert!(units.iter().map(|u| u.whole.len()).sum::<usize>() <= octets.len());
            prop_assert_eq!(rest, units.iter().map(|u| u.whole.len()).sum::<usize>() < octets.len());
            for unit in &units {
                let _ = (Sm::read(unit.command, unit.body), message_id(unit));
            }
            let _ = Sm::read(command, &octets);
        }

        #[test]
        fn what_is_written_is_read(short in proptest::collection::vec(any::<u8>(), 0..255), coding in any::<u8>(), digits in "[0-9]{0,20}", value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let address = Address { ton: 1, npi: 1, digits };
            let sm = Sm { source: address.clone(), destination: address, coding, short: short.into(), tlvs: vec![(PAYLOAD, value.into())], ..Sm::default() };
            let written = sm.write();
            prop_assert_eq!(Sm::read(SUBMIT_SM, &written), Some(sm));
        }
    }
}
