//! A place in the events: a vector of log positions as opaque, URL-safe text.
//!
//! `1` (version), then for each partition: topic, partition, offset in LEB128; then eight bytes of a keyed hash, so that a
//! cursor from elsewhere is told apart from one of ours.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::ids;
use crate::log::Topic;

const VERSION: u8 = 1;
const TAG: usize = 8;

/// For each topic and partition, the offset of the next record.
pub type Vector = BTreeMap<(Topic, u32), u64>;

/// Writes a cursor.
pub fn write(vector: &Vector, key: &[u8]) -> String {
    let mut out = vec![VERSION];
    for ((topic, partition), offset) in vector {
        out.push(*topic as u8);
        leb(&mut out, u64::from(*partition));
        leb(&mut out, *offset);
    }
    out.extend_from_slice(&tag(&out, key));
    BASE64_URL_SAFE_NO_PAD.encode(out)
}

/// Reads a cursor; `None` when it is not one of ours.
pub fn read(text: &str, key: &[u8]) -> Option<Vector> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (body, tagged) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
    if tagged != tag(body, key) {
        return None;
    }
    let (version, mut rest) = body.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut vector = Vector::new();
    while let Some((topic, after)) = rest.split_first() {
        let topic = *Topic::ALL.get(usize::from(*topic))?;
        let (partition, after) = unleb(after)?;
        let (offset, after) = unleb(after)?;
        vector.insert((topic, u32::try_from(partition).ok()?), offset);
        rest = after;
    }
    Some(vector)
}

fn tag(body: &[u8], key: &[u8]) -> [u8; TAG] {
    ids::fingerprint(&[b"cursor", key, body]).to_be_bytes()[..TAG].try_into().expect("16 bytes hold 8")
}

fn leb(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

fn unleb(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(i as u32 * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_and_a_strange_one_is_refused() {
        let vector = Vector::from([((Topic::Inbound, 0), 5), ((Topic::Status, 11), u64::MAX / 2)]);
        let text = write(&vector, b"k");
        assert_eq!(read(&text, b"k"), Some(vector));
        assert_eq!(read(&text, b"other"), None);
        for strange in ["", "AA", "not base64!", &text[1..]] {
            assert_eq!(read(strange, b"k"), None);
        }
    }
}
