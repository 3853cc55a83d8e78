//! How a text is written in an SMS: GSM-7 or UCS-2, in how many parts, and the look-alikes that save a message from UCS-2.
//!
//! Sources: 3GPP TS 23.038 (alphabet, packing) and TS 23.040 (concatenation), read 2026-11-20.

use std::borrow::Cow;

/// The basic table in order of its values; ESC (0x1B) stands as U+001B.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table: two septets each, ESC first.
const EXTENSION: [(char, u8); 10] = [
    ('\u{0c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];

const ESC: u8 = 0x1b;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// 7 bits a character, 160 to a message.
    Gsm7,
    /// UTF-16, 70 units to a message.
    Ucs2,
}

/// A text's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// How it is written.
    pub alphabet: Alphabet,
    /// Septets or UTF-16 units of each part; at least one part.
    pub sizes: Vec<usize>,
}

impl Parts {
    /// How many messages are charged.
    pub fn count(&self) -> u32 {
        self.sizes.len() as u32
    }

    /// Septets or units in all.
    pub fn units(&self) -> usize {
        self.sizes.iter().sum()
    }
}

/// Cuts a text as the network does, with the 8-bit reference: 160 or 153 septets, 70 or 67 units. Neither an escape
/// pair nor a surrogate pair is torn.
pub fn parts(text: &str) -> Parts {
    let gsm = text.chars().all(|c| septets(c).is_some());
    let (alphabet, single, many) = if gsm { (Alphabet::Gsm7, 160, 153) } else { (Alphabet::Ucs2, 70, 67) };
    let size = |c: char| if gsm { septets(c).unwrap_or_default().1 } else { c.len_utf16() };
    let total: usize = text.chars().map(size).sum();
    if total <= single {
        return Parts { alphabet, sizes: vec![total] };
    }
    let mut sizes = vec![0];
    for c in text.chars() {
        match sizes.last_mut() {
            Some(last) if *last + size(c) <= many => *last += size(c),
            _ => sizes.push(size(c)),
        }
    }
    Parts { alphabet, sizes }
}

/// A character's value and how many septets it takes; `None` when it is not in the alphabet.
fn septets(c: char) -> Option<(u8, usize)> {
    if c != '\u{1b}'
        && let Some(at) = position(c)
    {
        return Some((at, 1));
    }
    EXTENSION.iter().find(|(e, _)| *e == c).map(|(_, value)| (*value, 2))
}

fn position(c: char) -> Option<u8> {
    match c {
        // Where the table is ASCII, which is nearly always.
        'A'..='Z' | 'a'..='z' | '0'..='9' | ' '..='#' | '%'..='?' => Some(c as u8),
        _ => BASIC.iter().position(|b| *b == c).map(|at| at as u8),
    }
}

/// The text as septets, one to an octet; `None` when it needs UCS-2.
pub fn encode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        let (value, size) = septets(c)?;
        if size == 2 {
            out.push(ESC);
        }
        out.push(value);
    }
    Some(out)
}

/// Septets as text. An unknown escape is read as the basic character.
pub fn decode(septets: &[u8]) -> String {
    let mut out = String::with_capacity(septets.len());
    let mut escaped = false;
    for septet in septets {
        let value = septet & 0x7f;
        if value == ESC && !escaped {
            escaped = true;
            continue;
        }
        let extended = EXTENSION.iter().find(|(_, v)| escaped && *v == value).map(|(c, _)| *c);
        out.push(extended.unwrap_or(if value == ESC { ' ' } else { BASIC[usize::from(value)] }));
        escaped = false;
    }
    out
}

/// Septets packed into octets, least significant bits first, after `fill` bits that end a header.
pub fn pack(septets: &[u8], fill: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(septets.len() * 7 / 8 + 2);
    let (mut held, mut bits) = (0_u32, fill);
    for septet in septets {
        held |= u32::from(septet & 0x7f) << bits;
        bits += 7;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
    out
}

/// `count` septets out of packed octets, after `fill` bits.
pub fn unpack(octets: &[u8], count: usize, fill: u32) -> Vec<u8> {
    let bit = |at: usize| octets.get(at / 8).map_or(0, |octet| octet >> (at % 8) & 1);
    (0..count).map(|n| (0..7).map(|b| bit(fill as usize + n * 7 + b) << b).sum()).collect()
}

/// The text with look-alikes in place of what GSM-7 lacks, if then all of it is GSM-7; else the text as it was, because
/// a text that becomes UCS-2 anyway should keep its quotes.
pub fn smart(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| septets(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if septets(c).is_some() => out.push(c),
            '‘' | '’' | '‚' | '‛' | '`' | '′' => out.push('\''),
            '“' | '”' | '„' | '‟' | '«' | '»' | '″' => out.push('"'),
            '–' | '—' | '‐' | '‑' | '‒' | '―' | '−' => out.push('-'),
            '…' => out.push_str("..."),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\t' => out.push(' '),
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {}
            '•' => out.push('*'),
            '·' => out.push('.'),
            '⁄' => out.push('/'),
            // Greek capitals that look Latin are not in the table of their own.
            'Α' | 'Β' | 'Ε' | 'Ζ' | 'Η' | 'Ι' | 'Κ' | 'Μ' | 'Ν' | 'Ο' | 'Ρ' | 'Τ' | 'Υ' | 'Χ' => out.push(latin(c)),
            _ => return Cow::Borrowed(text),
        }
    }
    Cow::Owned(out)
}

fn latin(c: char) -> char {
    let pairs = ["ΑA", "ΒB", "ΕE", "ΖZ", "ΗH", "ΙI", "ΚK", "ΜM", "ΝN", "ΟO", "ΡP", "ΤT", "ΥY", "ΧX"];
    pairs.iter().find(|pair| pair.starts_with(c)).and_then(|pair| pair.chars().nth(1)).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::crypto::hex;

    #[test]
    fn texts_are_written_as_the_standard_says() {
        let vectors = [
            ("Hello", "48656c6c6f", "c8329bfd06"),
            ("hellohello", "68656c6c6f68656c6c6f", "e8329bfd4697d9ec37"),
            ("[1€] @£", "1b3c311b651b3e200001", "1b5e6c53def8408000"),
            ("Ça va? Déjà", "09612076613f2044056a7f", "8930c81efe818805f51f"),
        ];
        for (text, unpacked, packed) in vectors {
            let septets = encode(text).expect("GSM-7");
            assert_eq!((hex(&septets).as_str(), hex(&pack(&septets, 0)).as_str()), (unpacked, packed), "{text}");
            assert_eq!(decode(&unpack(&pack(&septets, 0), septets.len(), 0)), text);
        }
        assert_eq!(hex(&pack(&encode("Hello").expect("GSM-7"), 1)), "906536fb0d");
        assert_eq!(encode("Привет"), None);
    }

    #[test]
    fn texts_are_cut_as_the_network_cuts_them() {
        let (a, zh, euro, smile) = (|n| "a".repeat(n), |n| "ж".repeat(n), |n| "€".repeat(n), |n| "😀".repeat(n));
        let vectors: Vec<(String, Alphabet, Vec<usize>)> = vec![
            (a(160), Alphabet::Gsm7, vec![160]),
            (a(161), Alphabet::Gsm7, vec![153, 8]),
            (a(158) + "€", Alphabet::Gsm7, vec![160]),
            (a(159) + "€", Alphabet::Gsm7, vec![153, 8]),
            (a(152) + "€" + &a(7), Alphabet::Gsm7, vec![152, 9]),
            (a(306), Alphabet::Gsm7, vec![153, 153]),
            (a(307), Alphabet::Gsm7, vec![153, 153, 1]),
            (euro(80), Alphabet::Gsm7, vec![160]),
            (euro(81), Alphabet::Gsm7, vec![152, 10]),
            (zh(70), Alphabet::Ucs2, vec![70]),
            (zh(71), Alphabet::Ucs2, vec![67, 4]),
            (zh(134), Alphabet::Ucs2, vec![67, 67]),
            (zh(135), Alphabet::Ucs2, vec![67, 67, 1]),
            (zh(66) + "😀" + &zh(3), Alphabet::Ucs2, vec![66, 5]),
            (smile(35), Alphabet::Ucs2, vec![70]),
            (smile(36), Alphabet::Ucs2, vec![66, 6]),
            (a(100) + "ç", Alphabet::Ucs2, vec![67, 34]),
            (a(100) + "Ç", Alphabet::Gsm7, vec![101]),
            ("it’s".into(), Alphabet::Ucs2, vec![4]),
            (smart("it’s").into_owned(), Alphabet::Gsm7, vec![4]),
            (String::new(), Alphabet::Gsm7, vec![0]),
        ];
        for (text, alphabet, sizes) in vectors {
            assert_eq!(parts(&text), Parts { alphabet, sizes }, "{text}");
        }
    }

    #[test]
    fn smart_is_all_or_nothing() {
        assert_eq!(smart("“Hi” – it’s\u{a0}5…"), "\"Hi\" - it's 5...");
        assert_eq!(smart("“Привет”"), "“Привет”");
        assert!(matches!(smart("plain"), Cow::Borrowed(_)));
        assert_eq!(smart("ΑΒΓ"), "ABΓ");
    }
}
