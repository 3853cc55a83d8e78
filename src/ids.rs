//! Ids. They are derived, so that repeating an act gives the same id; random only where nothing tells two acts apart.
//!
//! A message id is `msg_`, two characters for its unit, and 26 for 128 bits, all in Crockford's base 32, lower case:
//! from the id alone everybody knows who owns the message.

use std::{cell::RefCell, fmt, str::FromStr};

use aws_lc_rs::digest;
use rand::{RngCore, SeedableRng, rngs::SmallRng};

use crate::clock;

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 128 bits that name something.
pub type Fingerprint = u128;

/// The fingerprint of an act: a hash over its parts, each with its length, so that no two lists of parts collide.
pub fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut buffer = [0_u8; 256];
    let total: usize = parts.iter().map(|p| p.len() + 4).sum();
    // One call over one buffer: the incremental interface costs twice as much on the short inputs we have.
    if total <= buffer.len() {
        let mut at = 0;
        for part in parts {
            buffer[at..at + 4].copy_from_slice(&(part.len() as u32).to_le_bytes());
            buffer[at + 4..at + 4 + part.len()].copy_from_slice(part);
            at += 4 + part.len();
        }
        return first_half(digest::digest(&digest::SHA256, &buffer[..at]).as_ref());
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u32).to_le_bytes());
        context.update(part);
    }
    first_half(context.finish().as_ref())
}

fn first_half(hash: &[u8]) -> Fingerprint {
    u128::from_be_bytes(hash[..16].try_into().expect("SHA-256 has 32 bytes"))
}

/// A random fingerprint from a generator seeded once per thread: no system call per id.
pub fn random() -> Fingerprint {
    thread_local!(static GENERATOR: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng()));
    GENERATOR.with_borrow_mut(|g| u128::from(g.next_u64()) << 64 | u128::from(g.next_u64()))
}

/// 256 bits nobody can guess, as 52 characters: for what opens doors. Names take [`random`], which is faster.
pub fn secret() -> String {
    let mut bytes = [0_u8; 32];
    // Without random numbers from the system no secret may be made at all.
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    let half = |at: usize| text("", u128::from_be_bytes(bytes[at..at + 16].try_into().expect("16 of 32")));
    half(0) + &half(16)
}

/// Writes a prefix and 26 characters.
pub fn text(prefix: &str, value: Fingerprint) -> String {
    let mut out = String::with_capacity(prefix.len() + 26);
    out.push_str(prefix);
    push_digits(&mut out, value);
    out
}

fn push_digits(out: &mut String, value: u128) {
    for i in (0..26).rev() {
        out.push(char::from(DIGITS[(value >> (i * 5)) as usize & 31]));
    }
}

/// What no digit is.
const NONE: u8 = 0xff;

/// The value of each byte as a digit.
const VALUES: [u8; 256] = {
    let (mut values, mut digit) = ([NONE; 256], 0);
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

fn digits(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    let mut value = 0_u128;
    for b in text.bytes() {
        let digit = VALUES[usize::from(b)];
        if digit == NONE || value >> 123 != 0 {
            return None;
        }
        value = value << 5 | u128::from(digit);
    }
    Some(value)
}

/// The fingerprint in an id with a prefix of our kind (`evt_...`); `None` for another text.
pub fn read_fingerprint(text: &str) -> Option<Fingerprint> {
    digits(text.split_once('_')?.1)
}

/// A message's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The unit that owns it.
    pub unit: u8,
    /// What names it within the unit.
    pub hash: Fingerprint,
}

impl MessageId {
    /// An id derived from an act.
    pub fn derived(unit: u32, act: &[&[u8]]) -> Self {
        Self { unit: unit as u8, hash: fingerprint(act) }
    }

    /// The id of one of many messages that an act makes, told apart by number. They stand side by side in the order of their numbers,
    /// so that whoever keeps an index of ids writes it in order, and not all over the place.
    pub fn numbered(unit: u32, act: &[&[u8]], number: u64) -> Self {
        const BITS: u32 = 48;
        let place = u128::from(number) & ((1 << BITS) - 1);
        Self { unit: unit as u8, hash: fingerprint(act) >> BITS << BITS | place }
    }

    /// An id for an act that nothing tells from another: 48 bits of the time in milliseconds, then chance, as in a
    /// [ULID](https://github.com/ulid/spec). What is accepted together stands together in every index of ids.
    pub fn random(unit: u32) -> Self {
        Self { unit: unit as u8, hash: (clock::now().0 as u128) << 80 | random() >> 48 }
    }

    /// The 17 bytes the ledger keeps.
    pub fn bytes(self) -> [u8; 17] {
        let mut out = [0; 17];
        out[0] = self.unit;
        out[1..].copy_from_slice(&self.hash.to_be_bytes());
        out
    }

    /// From the ledger's 17 bytes.
    pub fn from_bytes(bytes: &[u8; 17]) -> Self {
        Self { unit: bytes[0], hash: u128::from_be_bytes(bytes[1..].try_into().expect("17 - 1 = 16")) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::with_capacity(32);
        out.push_str("msg_");
        out.push(char::from(DIGITS[usize::from(self.unit >> 5)]));
        out.push(char::from(DIGITS[usize::from(self.unit & 31)]));
        push_digits(&mut out, self.hash);
        f.write_str(&out)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("msg_").filter(|r| r.len() == 28 && r.is_ascii()).ok_or(())?;
        let digit = |at: usize| DIGITS.iter().position(|d| *d == rest.as_bytes()[at]).ok_or(());
        let unit = digit(0)? << 5 | digit(1)?;
        Ok(Self { unit: u8::try_from(unit).map_err(|_| ())?, hash: digits(&rest[2..]).ok_or(())? })
    }
}

impl serde::Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("expected a message id: msg_ and 28 characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_together_stands_together() {
        let numbered = |n| MessageId::numbered(3, &[b"campaign", b"c"], n);
        let ids: Vec<MessageId> = (0..300).map(numbered).collect();
        assert!(ids.windows(2).all(|w| w[0] < w[1] && w[0].to_string() < w[1].to_string()));
        assert_eq!(numbered(7), ids[7], "repeating the act gives the same id");
        assert_ne!(MessageId::numbered(3, &[b"campaign", b"d"], 7), ids[7]);
        let before = MessageId::random(3);
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(before < MessageId::random(3) && before.to_string() < MessageId::random(3).to_string());
    }

    #[test]
    fn ids_survive_writing() {
        for unit in [0, 7, 31, 32, 63] {
            let id = MessageId::derived(unit, &[b"key", b"line"]);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(MessageId::from_bytes(&id.bytes()), id);
            assert_eq!(id, MessageId::derived(unit, &[b"key", b"line"]));
            assert_ne!(id, MessageId::derived(unit, &[b"keyl", b"ine"]));
        }
        assert!("msg_zz00000000000000000000000000".parse::<MessageId>().is_err());
        assert!(fingerprint(&[&[1; 300]]) != fingerprint(&[&[1; 299]]));
    }
}
