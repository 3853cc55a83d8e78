//! The ledger: what was decided about each message, written by the owner of its unit alone.
//!
//! A record is binary, little-endian, at most 128 bytes unless a provider's id is longer, and begins with the format's
//! version, its kind, and the tenure it was written in. It names (message, attempt, call). Nothing of a message's content stands in it.
//!
//! ```text
//!   owner ─ sending ─ outcome ─ sending ─ outcome ... parked | settled     checkpoint every second while something moves
//! ```
//!
//! A `sending` is confirmed once it is durable and no newer `owner` stands before it. Only confirmed calls leave, within
//! [`LEAVE_WITHIN`] of their append; otherwise `released` is written. Who takes a unit over reads up to his own `owner`
//! record and takes every `sending` without an outcome as in doubt. What an earlier owner, stalled or cut off, writes behind a newer
//! `owner` record is void: its calls did not leave, and what it says about earlier ones would contradict what was decided since.

use bytes::Bytes;
use fairway_adapters::contract::{State, Time};

use super::lane::Counted;
use crate::ids::MessageId;
use crate::log::{Headers, Record, Topic};

/// Version of the format; the first byte of every record. Earlier ones are read: version 1 did not name the tenure, version 2 neither
/// group, template nor country.
pub const VERSION: u8 = 3;
/// A confirmed call leaves within this of its append, in milliseconds.
pub const LEAVE_WITHIN: i64 = 1000;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A tenure begins. The newest rules.
    Owner {
        /// Names the tenure.
        tenure: u64,
        /// When.
        at: Time,
    },
    /// A call is about to leave.
    Sending {
        /// Which call of which attempt of which message.
        what: Call,
        /// When.
        at: Time,
        /// Hash of the rendering: another one on resuming is in doubt.
        rendering: u64,
        /// The channel's number in the unit's registry of names (hash), so that limits are refilled without the message.
        channel: u32,
        /// What limits count it under, so that a new owner charges it.
        counted: Counted,
    },
    /// What came of it.
    Outcome {
        /// Which.
        what: Call,
        /// When.
        at: Time,
        /// What.
        outcome: Outcome,
        /// The provider's id, when it accepted.
        provider_id: String,
        /// Why, or what it waited for: our stable code, empty when there is nothing to say.
        code: String,
        /// Milliseconds it waited for that before it left.
        waited: u32,
    },
    /// The message lies in the schedule until it is due.
    Parked {
        /// Which message.
        id: MessageId,
        /// How often it has been parked.
        round: u16,
        /// When it is due.
        due: Time,
    },
    /// The message is over for its lane.
    Settled {
        /// Which message.
        id: MessageId,
        /// Which attempt was the last.
        attempt: u16,
        /// In which state.
        state: State,
        /// When.
        at: Time,
    },
    /// From where a new owner has to read.
    Checkpoint {
        /// When.
        at: Time,
        /// The lowest unsettled offset of each lane: urgent, normal, bulk.
        lanes: [u64; 3],
        /// The next order to read.
        orders: u64,
        /// The ledger position from which all above those offsets is told.
        ledger: u64,
    },
}

/// A call of an attempt of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The message.
    pub id: MessageId,
    /// The attempt, from 1.
    pub attempt: u16,
    /// The call, from 0.
    pub call: u8,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The provider has it.
    Accepted = 1,
    /// It surely has not.
    Refused = 2,
    /// Nobody knows.
    InDoubt = 3,
    /// It did not leave in time.
    Released = 4,
    /// The provider has it, and with it the whole message.
    AcceptedLast = 5,
}

impl Entry {
    /// The bytes, as written in a tenure.
    pub fn encode(&self, tenure: u64) -> Bytes {
        let mut out = Vec::with_capacity(80);
        out.extend([VERSION, self.kind()]);
        out.extend_from_slice(&tenure.to_le_bytes());
        match self {
            Self::Owner { tenure, at } => {
                out.extend_from_slice(&tenure.to_le_bytes());
                out.extend_from_slice(&at.0.to_le_bytes());
            }
            Self::Sending { what, at, rendering, channel, counted } => {
                put_call(&mut out, what);
                out.extend_from_slice(&at.0.to_le_bytes());
                out.extend_from_slice(&rendering.to_le_bytes());
                out.extend_from_slice(&channel.to_le_bytes());
                out.extend_from_slice(&counted.conversation.to_le_bytes());
                out.extend_from_slice(&(counted.cost.min(u32::from(u16::MAX)) as u16).to_le_bytes());
                out.push(u8::from(counted.opens));
                out.extend_from_slice(&counted.group.to_le_bytes());
                out.extend_from_slice(&counted.template.to_le_bytes());
                out.extend_from_slice(&counted.country);
            }
            Self::Outcome { what, at, outcome, provider_id, code, waited } => {
                put_call(&mut out, what);
                out.extend_from_slice(&at.0.to_le_bytes());
                out.push(*outcome as u8);
                out.extend_from_slice(&(provider_id.len() as u16).to_le_bytes());
                out.extend_from_slice(provider_id.as_bytes());
                let code = &code.as_bytes()[..code.len().min(40)];
                out.push(code.len() as u8);
                out.extend_from_slice(code);
                out.extend_from_slice(&waited.to_le_bytes());
            }
            Self::Parked { id, round, due } => {
                out.extend_from_slice(&id.bytes());
                out.extend_from_slice(&round.to_le_bytes());
                out.extend_from_slice(&due.0.to_le_bytes());
            }
            Self::Settled { id, attempt, state, at } => {
                out.extend_from_slice(&id.bytes());
                out.extend_from_slice(&attempt.to_le_bytes());
                out.push(*state as u8);
                out.extend_from_slice(&at.0.to_le_bytes());
            }
            Self::Checkpoint { at, lanes, orders, ledger } => {
                out.extend_from_slice(&at.0.to_le_bytes());
                lanes.iter().for_each(|l| out.extend_from_slice(&l.to_le_bytes()));
                out.extend_from_slice(&orders.to_le_bytes());
                out.extend_from_slice(&ledger.to_le_bytes());
            }
        }
        out.into()
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Owner { .. } => 1,
            Self::Sending { .. } => 2,
            Self::Outcome { .. } => 3,
            Self::Parked { .. } => 4,
            Self::Settled { .. } => 5,
            Self::Checkpoint { .. } => 6,
        }
    }

    /// Reads a record; `None` for one of a newer format or a broken one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_with_tenure(bytes).map(|(_, entry)| entry)
    }

    /// Reads a record and the tenure it was written in, where it names one.
    pub fn decode_with_tenure(bytes: &[u8]) -> Option<(Option<u64>, Self)> {
        let mut from = Cursor(bytes);
        let (version, kind) = (from.byte()?, from.byte()?);
        let tenure = match version {
            1 => None,
            2..=VERSION => Some(from.u64()?),
            _ => return None,
        };
        let entry = match kind {
            1 => Self::Owner { tenure: from.u64()?, at: from.time()? },
            2 => Self::Sending {
                what: from.call()?,
                at: from.time()?,
                rendering: from.u64()?,
                channel: u32::from_le_bytes(from.take()?),
                counted: from.counted(version)?,
            },
            3 => Self::Outcome {
                what: from.call()?,
                at: from.time()?,
                outcome: match from.byte()? {
                    1 => Outcome::Accepted,
                    2 => Outcome::Refused,
                    3 => Outcome::InDoubt,
                    4 => Outcome::Released,
                    5 => Outcome::AcceptedLast,
                    _ => return None,
                },
                provider_id: {
                    let length = usize::from(u16::from_le_bytes(from.take()?));
                    from.text(length)?
                },
                code: {
                    let length = usize::from(from.byte()?);
                    from.text(length)?
                },
                waited: u32::from_le_bytes(from.take()?),
            },
            4 => Self::Parked { id: from.id()?, round: u16::from_le_bytes(from.take()?), due: from.time()? },
            5 => Self::Settled {
                id: from.id()?,
                attempt: u16::from_le_bytes(from.take()?),
                state: *State::ALL.get(usize::from(from.byte()?))?,
                at: from.time()?,
            },
            6 => Self::Checkpoint {
                at: from.time()?,
                lanes: [from.u64()?, from.u64()?, from.u64()?],
                orders: from.u64()?,
                ledger: from.u64()?,
            },
            _ => return None,
        };
        Some((tenure, entry))
    }

    /// The record in a unit's partition, as written in a tenure.
    pub fn record(&self, unit: u32, tenure: u64) -> Record {
        // The id lets the log find out what became of a record whose answer was lost.
        let id = crate::ids::text("led_", crate::ids::random());
        let headers = Headers::of([("id", id.as_str())]);
        Record { topic: Topic::Ledger, partition: unit, key: Bytes::new(), headers, value: Some(self.encode(tenure)) }
    }
}

fn put_call(out: &mut Vec<u8>, what: &Call) {
    out.extend(what.id.bytes());
    out.extend_from_slice(&what.attempt.to_le_bytes());
    out.push(what.call);
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        head.try_into().ok()
    }
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|b| b[0])
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
    fn time(&mut self) -> Option<Time> {
        self.take().map(|b| Time(i64::from_le_bytes(b)))
    }
    fn text(&mut self, length: usize) -> Option<String> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(head).ok().map(str::to_owned)
    }
    fn id(&mut self) -> Option<MessageId> {
        self.take::<17>().map(|b| MessageId::from_bytes(&b))
    }
    fn counted(&mut self, version: u8) -> Option<Counted> {
        let (conversation, cost) = (self.u64()?, u32::from(u16::from_le_bytes(self.take()?)));
        let opens = version > 1 && self.byte()? != 0;
        let mut counted = Counted { conversation, cost, opens, ..Counted::default() };
        if version > 2 {
            (counted.group, counted.template) = (u32::from_le_bytes(self.take()?), u32::from_le_bytes(self.take()?));
            counted.country = self.take()?;
        }
        Some(counted)
    }
    fn call(&mut self) -> Option<Call> {
        Some(Call { id: self.id()?, attempt: u16::from_le_bytes(self.take()?), call: self.byte()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_survive_and_are_small() {
        let id = MessageId::derived(63, &[b"x"]);
        let what = Call { id, attempt: 3, call: 1 };
        let at = Time(1_795_169_730_123);
        for entry in [
            Entry::Owner { tenure: 7, at },
            Entry::Sending {
                what,
                at,
                rendering: u64::MAX,
                channel: 9,
                counted: Counted { conversation: 11, cost: 2, ..Counted::default() },
            },
            Entry::Outcome {
                what,
                at,
                outcome: Outcome::Accepted,
                provider_id: "wamid.FAKE0123456789012345678901234567890123456789".into(),
                code: "conversation".into(),
                waited: 800,
            },
            Entry::Parked { id, round: 4, due: at },
            Entry::Settled { id, attempt: 2, state: State::Cancelled, at },
            Entry::Checkpoint { at, lanes: [1, 2, 3], orders: 4, ledger: 5 },
        ] {
            let bytes = entry.encode(42);
            assert!(bytes.len() <= 128, "{} bytes", bytes.len());
            assert_eq!(Entry::decode_with_tenure(&bytes), Some((Some(42), entry.clone())));
            // As earlier versions wrote it.
            let second = [&[2], &bytes[1..]].concat();
            assert_eq!(Entry::decode_with_tenure(&second), Some((Some(42), entry.clone())));
            let first = [&[1, bytes[1]], &bytes[10..]].concat();
            assert_eq!(Entry::decode_with_tenure(&first), Some((None, entry)));
        }
    }

    #[test]
    fn what_limits_count_survives() {
        let what = Call { id: MessageId::derived(1, &[b"y"]), attempt: 1, call: 0 };
        let counted = Counted { conversation: 5, group: 4, template: 6, country: *b"DE", cost: 3, opens: true };
        let entry = Entry::Sending { what, at: Time(1), rendering: 2, channel: 3, counted };
        assert_eq!(Entry::decode(&entry.encode(1)), Some(entry));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
