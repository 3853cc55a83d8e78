//! How words stand in a message: alphabets by `data_coding`, the header in front of them, and cutting what is too long.
//!
//! Sources: SMPP 3.4 section 5.2.19, 3GPP TS 23.038 and TS 23.040, read 2026-11-20.

use super::pdu::{SAR_NUMBER, SAR_REFERENCE, SAR_TOTAL, Sm};
use super::{Alphabet, Long};
use crate::kit::gsm;

/// `esm_class`: the words have a header.
pub(super) const HEADED: u8 = 0x40;
/// `data_coding` of UTF-16.
pub(super) const UCS2: u8 = 8;

/// One of several messages that are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Concat {
    /// What they have in common.
    pub reference: u16,
    /// How it was said: references of one way are not those of another.
    pub way: u8,
    /// How many there are.
    pub total: u8,
    /// Which one this is, from 1.
    pub number: u8,
}

/// What stands in front of the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Udh {
    /// Octets, with the one that counts them.
    pub octets: usize,
    pub concat: Option<Concat>,
    /// Ports: destination and source.
    pub ports: Option<(u16, u16)>,
    /// A national table is in force, which is not decoded.
    pub national: bool,
}

impl Udh {
    /// Reads the header. One that is longer than the message is none.
    pub fn read(content: &[u8]) -> Self {
        let octets = content.first().map_or(0, |length| usize::from(*length) + 1);
        let mut udh = Self { octets, ..Self::default() };
        let Some(mut rest) = content.get(1..octets) else { return Self::default() };
        while let [id, length, tail @ ..] = rest {
            let Some(value) = tail.get(..usize::from(*length)) else { break };
            match (id, value) {
                (0x00, [reference, total, number]) => udh.concat = concat(u16::from(*reference), 8, *total, *number),
                (0x08, [high, low, total, number]) => udh.concat = concat(u16::from_be_bytes([*high, *low]), 16, *total, *number),
                (0x05, [d1, d2, s1, s2]) => udh.ports = Some((u16::from_be_bytes([*d1, *d2]), u16::from_be_bytes([*s1, *s2]))),
                (0x24 | 0x25, _) => udh.national = true,
                _ => {}
            }
            rest = &tail[value.len()..];
        }
        udh
    }

    /// The header of a message, which has one only where `esm_class` says so.
    pub fn of(sm: &Sm<'_>) -> Self {
        if sm.esm_class & HEADED == 0 { Self::default() } else { Self::read(sm.content()) }
    }
}

fn concat(reference: u16, way: u8, total: u8, number: u8) -> Option<Concat> {
    (total > 1 && (1..=total).contains(&number)).then_some(Concat { reference, way, total, number })
}

/// Which part of which message this is, by its header or by its tags.
pub(super) fn part_of(sm: &Sm<'_>) -> Option<Concat> {
    Udh::of(sm).concat.or_else(|| {
        let octet = |tag| sm.number(tag).and_then(|n| u8::try_from(n).ok());
        concat(sm.number(SAR_REFERENCE)? as u16, 0, octet(SAR_TOTAL)?, octet(SAR_NUMBER)?)
    })
}

/// The words of a message; `None` when it holds octets that are no words.
pub(super) fn decode(sm: &Sm<'_>, default: Alphabet, packed: bool) -> Option<String> {
    let header = Udh::of(sm).octets;
    let octets = &sm.content()[header.min(sm.content().len())..];
    match sm.coding {
        0 | 0x10 => Some(match default {
            Alphabet::Gsm7 => septets(octets, header, packed),
            // A wrong octet is read as Latin-1 rather than lost.
            Alphabet::Latin1 | Alphabet::Ascii => latin1(octets),
        }),
        // Some say ASCII and write GSM 03.38 (node-smpp does): controls that no text has tell.
        1 if octets.iter().any(|o| *o < 0x20 && !matches!(o, b'\n' | b'\r' | b'\t')) => Some(gsm::decode(octets)),
        1 | 3 => Some(latin1(octets)),
        6 => Some(octets.iter().map(|o| cyrillic(*o)).collect()),
        7 => Some(octets.iter().map(|o| hebrew(*o)).collect()),
        UCS2 | 0x18 | 0xe0..=0xef => Some(utf16(octets)),
        0xc0..=0xdf => Some(septets(octets, header, packed)),
        0xf0..=0xff if sm.coding & 4 == 0 => Some(septets(octets, header, packed)),
        _ => None,
    }
}

fn septets(octets: &[u8], header: usize, packed: bool) -> String {
    if packed {
        let fill = (7 - header * 8 % 7) % 7;
        let count = (octets.len() * 8).saturating_sub(fill) / 7;
        let mut septets = gsm::unpack(octets, count, fill as u32);
        // Seven bits that end an octet stand for nothing.
        if count.is_multiple_of(8) && septets.last() == Some(&0) {
            septets.pop();
        }
        return gsm::decode(&septets);
    }
    // One septet to an octet has no high bits: with them it is Latin-1, whatever the provider says.
    if octets.iter().any(|octet| *octet > 0x7f) { latin1(octets) } else { gsm::decode(octets) }
}

fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// High octets first, unless a mark says otherwise; the mark is no letter.
fn utf16(octets: &[u8]) -> String {
    let (octets, unit): (&[u8], fn([u8; 2]) -> u16) = match octets {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => (octets, u16::from_be_bytes),
    };
    let units: Vec<u16> = octets.chunks_exact(2).map(|two| unit([two[0], two[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// ISO-8859-5.
fn cyrillic(octet: u8) -> char {
    match octet {
        0xad => '\u{ad}',
        0xf0 => '№',
        0xfd => '§',
        0xa1..=0xff => char::from_u32(0x0401 + u32::from(octet) - 0xa1).unwrap_or('?'),
        other => char::from(other),
    }
}

/// ISO-8859-8, as far as it is letters.
fn hebrew(octet: u8) -> char {
    match octet {
        0xe0..=0xfa => char::from_u32(0x05d0 + u32::from(octet) - 0xe0).unwrap_or('?'),
        other => char::from(other),
    }
}

/// A text as the contents of one message or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// `data_coding`.
    pub coding: u8,
    /// The words of each part, without a header.
    pub parts: Vec<Vec<u8>>,
    /// How many messages are charged.
    pub charged: u32,
}

/// Cuts a text for this way of sending long ones. Neither an escape pair nor a surrogate pair is torn.
pub(super) fn cut(text: &str, default: Alphabet, long: Long, packed: bool) -> Cut {
    let (seven, wide) = if long == Long::Udh16 { (152, 66) } else { (153, 67) };
    let plain = match default {
        Alphabet::Gsm7 => true,
        Alphabet::Latin1 => text.chars().all(|c| u32::from(c) < 256),
        Alphabet::Ascii => text.is_ascii(),
    };
    // Whatever the connection's alphabet is, the phone gets GSM-7: a part holds what 140 octets of that hold.
    let parts = match gsm::encode(text).filter(|_| plain) {
        Some(_) => pieces(text, 160, seven, |c| gsm::encode(c.encode_utf8(&mut [0; 4])).map_or(1, |septets| septets.len())),
        None => pieces(text, 70, wide, char::len_utf16),
    };
    let seven_bits = plain && gsm::encode(text).is_some();
    let fill = if parts.len() > 1 && long == Long::Udh8 { 1 } else { 0 };
    let encode = |piece: &str| match (seven_bits, default) {
        (false, _) => piece.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        (true, Alphabet::Gsm7) => {
            let septets = gsm::encode(piece).unwrap_or_default();
            if packed { gsm::pack(&septets, fill) } else { septets }
        }
        (true, _) => piece.chars().map(|c| u32::from(c) as u8).collect(),
    };
    let charged = parts.len() as u32;
    let parts = if long == Long::Payload && parts.len() > 1 { vec![encode(text)] } else { parts.iter().map(|p| encode(p)).collect() };
    Cut { coding: if seven_bits { 0 } else { UCS2 }, parts, charged }
}

fn pieces(text: &str, single: usize, many: usize, size: impl Fn(char) -> usize) -> Vec<String> {
    if text.chars().map(&size).sum::<usize>() <= single {
        return vec![text.to_owned()];
    }
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        if used + size(c) > many {
            pieces.push(String::new());
            used = 0;
        }
        used += size(c);
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::crypto::hex;

    fn read(coding: u8, esm_class: u8, short: &[u8], packed: bool) -> Option<String> {
        decode(&Sm { coding, esm_class, short: short.into(), ..Sm::default() }, Alphabet::Gsm7, packed)
    }

    #[test]
    fn words_are_read_in_every_alphabet() {
        assert_eq!(read(0, 0, b"Hi \x02 5 \x1be", false).as_deref(), Some("Hi $ 5 €"));
        assert_eq!(read(0, 0, b"caf\xe9", false).as_deref(), Some("café"));
        assert_eq!((read(1, 0, b"a@b", false).as_deref(), read(1, 0, b"a\x00b \x1b(", false).as_deref()), (Some("a@b"), Some("a@b {")));
        assert_eq!(read(3, 0, b"caf\xe9", false).as_deref(), Some("café"));
        assert_eq!(read(8, 0, &[0x04, 0x1f, 0x04, 0x40, 0xd8, 0x3d, 0xde, 0x00], false).as_deref(), Some("Пр😀"));
        assert_eq!(read(6, 0, &[0xbf, 0xe0, 0xd8], false).as_deref(), Some("При"));
        assert_eq!(read(7, 0, &[0xf9, 0xec], false).as_deref(), Some("של"));
        assert_eq!(read(0xf1, 0, b"Hi", false).as_deref(), Some("Hi"));
        assert_eq!((read(4, 0, b"\x01\x02", false), read(0xf5, 0, b"\x01", false)), (None, None));
        assert_eq!(read(0, 0, &gsm::pack(b"Hello", 0), true).as_deref(), Some("Hello"));
        // Seven octets hold eight septets; the eighth is nothing here.
        assert_eq!(read(0, 0, &gsm::pack(b"1234567", 0), true).as_deref(), Some("1234567"));
        let headed = [&[0x05, 0, 3, 0x2a, 2, 1][..], &gsm::pack(b"Hello", 1)].concat();
        assert_eq!(read(0, HEADED, &headed, true).as_deref(), Some("Hello"));
        assert_eq!(read(8, 0, &[0x04], false).as_deref(), Some(""), "half a unit is none");
    }

    #[test]
    fn parts_are_known_by_header_and_by_tags() {
        let headed = |short: &[u8]| part_of(&Sm { esm_class: HEADED, short: short.into(), ..Sm::default() });
        let found = |reference, way| Some(Concat { reference, way, total: 2, number: 1 });
        assert_eq!(headed(&[5, 0, 3, 0x2a, 2, 1, b'x']), found(0x2a, 8));
        assert_eq!(headed(&[6, 8, 4, 1, 0x2a, 2, 1]), found(0x12a, 16));
        assert_eq!(headed(&[11, 5, 4, 0x0b, 0x84, 0x23, 0xf0, 0, 3, 0x2a, 2, 1]), found(0x2a, 8), "ports stand before it");
        let tags = vec![(SAR_REFERENCE, vec![0, 0x2a].into()), (SAR_TOTAL, vec![2].into()), (SAR_NUMBER, vec![1].into())];
        assert_eq!(part_of(&Sm { tlvs: tags, ..Sm::default() }), found(0x2a, 0));
        for wrong in [&[5, 0, 3, 0x2a, 2, 3][..], &[5, 0, 3, 0x2a, 0, 0], &[5, 0, 3, 0x2a, 2, 0], &[200, 0, 3], &[5, 0, 9, 1], &[]] {
            assert_eq!(headed(wrong), None, "{wrong:?}");
        }
        assert_eq!(part_of(&Sm { short: [5, 0, 3, 0x2a, 2, 1][..].into(), ..Sm::default() }), None, "nothing says that it has a header");
    }

    #[test]
    fn texts_are_cut_as_the_kit_counts_them() {
        for text in ["a".repeat(160), "a".repeat(161), "a".repeat(152) + "€" + &"a".repeat(7), "ж".repeat(71), "ж".repeat(66) + "😀жжж"]
        {
            let made = cut(&text, Alphabet::Gsm7, Long::Udh8, false);
            let unit = if made.coding == UCS2 { 2 } else { 1 };
            assert_eq!(made.parts.iter().map(|p| p.len() / unit).collect::<Vec<_>>(), gsm::parts(&text).sizes, "{text}");
            assert_eq!(cut(&text, Alphabet::Gsm7, Long::Payload, false).parts.len(), 1);
        }
        let wide = cut(&"a".repeat(161), Alphabet::Gsm7, Long::Udh16, false);
        assert_eq!(wide.parts.iter().map(Vec::len).collect::<Vec<_>>(), [152, 9]);
        assert_eq!(hex(&cut("Hello", Alphabet::Gsm7, Long::Udh8, true).parts[0]), "c8329bfd06");
        assert_eq!(cut("é", Alphabet::Latin1, Long::Udh8, false), Cut { coding: 0, parts: vec![vec![0xe9]], charged: 1 });
        assert_eq!(cut("€", Alphabet::Latin1, Long::Udh8, false).coding, UCS2);
        assert_eq!(cut("é", Alphabet::Ascii, Long::Udh8, false).coding, UCS2);
        assert_eq!(cut("ж", Alphabet::Gsm7, Long::Udh8, false).parts, [vec![0x04, 0x36]]);
    }
}
