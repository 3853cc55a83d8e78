//! What a new owner learns from the ledger of its unit: who was settled, who is in doubt, who is owed what.

use std::collections::HashMap;

use fairway_adapters::contract::{State, Time};

use super::lane::Counted;
use super::ledger::{Entry, Outcome as Came};
use crate::ids::MessageId;

/// What the ledger says about one message.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Attempts begun.
    pub attempt: u16,
    /// Calls of the running attempt that the provider has.
    pub calls: u8,
    /// A call was about to leave and nothing was heard of it; hash of its rendering, 0 when it is the rendering that is in doubt.
    pub open: Option<u64>,
    /// It is over.
    pub settled: Option<State>,
    /// The provider's ids.
    pub provider_ids: Vec<String>,
    /// It was parked: round and due time.
    pub parked: Option<(u16, Time)>,
    /// Where the ledger first speaks of it.
    pub first: u64,
}

impl Told {
    /// Whether anything of it may be at the provider, or it is over.
    pub fn has_begun(&self) -> bool {
        self.open.is_some() || self.calls > 0 || self.settled.is_some()
    }
}

/// Something that left.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// When.
    pub at: Time,
    /// Hash of its channel.
    pub channel: u32,
    /// What limits count it under.
    pub counted: Counted,
}

/// What a new owner learned from the ledger.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Names this tenure.
    pub tenure: u64,
    /// Where its owner record stands.
    pub owner_at: u64,
    /// Lanes are read from here.
    pub lanes: [u64; 3],
    /// Orders are read from here.
    pub orders: u64,
    /// Messages it speaks of.
    pub told: HashMap<MessageId, Told>,
    /// The ledger tells of messages from here on; what lies before says only what left.
    pub told_from: u64,
    /// What left as far back as a limit remembers.
    pub departures: Vec<Departure>,
    /// The tenure whose records count from here on; unknown before the first `owner` record.
    pub rules: Option<u64>,
}

impl Replay {
    /// Takes the next record, written in this tenure as far as it says so. Departures count from `since` on.
    pub fn take(&mut self, offset: u64, written_in: Option<u64>, entry: Entry, since: Time) {
        if let Entry::Owner { tenure, .. } = entry {
            self.rules = Some(tenure);
        }
        if written_in.zip(self.rules).is_some_and(|(its, rules)| its != rules) {
            return; // An owner that was replaced wrote it.
        }
        match entry {
            Entry::Owner { .. } => {}
            Entry::Sending { at, channel, counted, .. } if offset < self.told_from => {
                if at >= since {
                    self.departures.push(Departure { at, channel, counted });
                }
            }
            _ if offset < self.told_from => {}
            Entry::Checkpoint { lanes, orders, .. } => {
                (self.lanes, self.orders) = (lanes, orders);
            }
            Entry::Sending { what, at, rendering, channel, counted } => {
                let told = self.told(what.id, offset);
                (told.attempt, told.calls, told.open, told.parked) = (what.attempt, what.call, Some(rendering), None);
                if at >= since {
                    self.departures.push(Departure { at, channel, counted });
                }
            }
            Entry::Outcome { what, outcome, provider_id, .. } => {
                let told = self.told(what.id, offset);
                let open = told.open.take();
                match outcome {
                    Came::Accepted | Came::AcceptedLast => {
                        told.calls = what.call + 1;
                        if !provider_id.is_empty() {
                            told.provider_ids.push(provider_id);
                        }
                        if outcome == Came::AcceptedLast {
                            told.settled = Some(State::Sent);
                        }
                    }
                    // In doubt stays open until it is settled or tried again.
                    Came::InDoubt => told.open = open.or(Some(0)),
                    Came::Refused => {}
                    // It did not leave: the attempt is yet to begin, as it was for the owner who wrote this. His states name it so.
                    Came::Released => told.attempt -= u16::from(what.call == 0 && told.attempt > 0),
                }
            }
            Entry::Parked { id, round, due } => {
                let told = self.told(id, offset);
                (told.parked, told.open) = (Some((round, due)), None);
            }
            Entry::Settled { id, state, attempt, .. } => {
                let told = self.told(id, offset);
                (told.settled, told.attempt, told.open) = (Some(state), attempt, None);
            }
        }
    }

    fn told(&mut self, id: MessageId, offset: u64) -> &mut Told {
        self.told.entry(id).or_insert_with(|| Told { first: offset, ..Told::default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outbound::ledger::Call;

    const UNIT: u32 = 3;

    /// What is true of a message, whoever owns its unit.
    #[derive(Clone, Debug, Default)]
    struct Truth {
        /// How often the provider took each of its calls.
        taken: Vec<u32>,
        /// How often one of its calls was listed as in doubt.
        doubted: Vec<u32>,
        /// It was told to be over.
        over: Option<State>,
    }

    /// How far an owner is with a message.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Phase {
        Owed,
        Armed,
        InFlight { taken: bool },
        Doubt,
        Over,
    }

    #[derive(Clone, Debug)]
    struct Work {
        attempt: u16,
        call: u8,
        phase: Phase,
    }

    /// One of several owners: the last that began rules, the others are stalled and write on.
    struct Owner {
        tenure: u64,
        work: Vec<Work>,
    }

    struct World {
        messages: Vec<MessageId>,
        truth: Vec<Truth>,
        ledger: Vec<bytes::Bytes>,
        owners: Vec<Owner>,
        tenures: u64,
        random: u64,
    }

    impl World {
        fn new(calls: &[u8], seed: u64) -> Self {
            let truth = |n: &u8| Truth { taken: vec![0; usize::from(*n)], doubted: vec![0; usize::from(*n)], over: None };
            let messages = (0..calls.len()).map(|n| MessageId::derived(UNIT, &[&n.to_le_bytes()])).collect();
            let truth = calls.iter().map(truth).collect();
            Self { messages, truth, ledger: Vec::new(), owners: Vec::new(), tenures: 0, random: seed | 1 }
        }

        fn below(&mut self, n: u64) -> u64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            (self.random >> 20) % n
        }

        fn write(&mut self, tenure: u64, entry: &Entry) {
            self.ledger.push(entry.encode(tenure));
        }

        fn read(&self) -> Replay {
            let mut replay = Replay::default();
            for (offset, record) in self.ledger.iter().enumerate() {
                let (written_in, entry) = Entry::decode_with_tenure(record).expect("we wrote it");
                replay.take(offset as u64, written_in, entry, Time(0));
            }
            replay
        }

        /// A new owner, after a crash of the one before or while it is only stalled.
        fn take_over(&mut self, stalled: bool) {
            if !stalled {
                self.owners.clear();
            }
            self.tenures += 1;
            let tenure = self.tenures;
            self.write(tenure, &Entry::Owner { tenure, at: Time(1) });
            let replay = self.read();
            let work = |id: &MessageId| match replay.told.get(id) {
                None => Work { attempt: 0, call: 0, phase: Phase::Owed },
                Some(told) => {
                    let phase = if told.settled.is_some() {
                        Phase::Over
                    } else if told.open.is_some() {
                        Phase::Doubt
                    } else {
                        Phase::Owed
                    };
                    Work { attempt: told.attempt, call: told.calls, phase }
                }
            };
            let work: Vec<Work> = self.messages.iter().map(work).collect();
            for (n, work) in work.iter().enumerate().filter(|(_, w)| w.phase == Phase::Doubt) {
                self.truth[n].doubted[usize::from(work.call)] += 1;
            }
            self.owners.push(Owner { tenure, work });
        }

        /// One owner does one thing for one message.
        fn act(&mut self) {
            let at = self.below(self.owners.len() as u64) as usize;
            let rules = at + 1 == self.owners.len();
            let n = self.below(self.messages.len() as u64) as usize;
            let (tenure, mut work) = (self.owners[at].tenure, self.owners[at].work[n].clone());
            let (id, dice) = (self.messages[n], self.below(12));
            let last = usize::from(work.call) + 1 == self.truth[n].taken.len();
            let what = Call { id, attempt: work.attempt, call: work.call };
            let came = |outcome| Entry::Outcome { what, at: Time(2), outcome, provider_id: String::new(), code: String::new(), waited: 0 };
            let settled = |state| Entry::Settled { id, attempt: work.attempt, state, at: Time(3) };
            match work.phase {
                Phase::Over => {}
                Phase::Owed if dice == 0 => self.write(tenure, &Entry::Parked { id, round: 1, due: Time(9) }),
                Phase::Owed if dice == 1 && work.call == 0 => {
                    self.write(tenure, &settled(State::Cancelled));
                    work.phase = Phase::Over;
                    self.over(n, rules, State::Cancelled);
                }
                Phase::Owed => {
                    work.attempt += u16::from(work.call == 0 || work.attempt == 0);
                    let what = Call { id, attempt: work.attempt, call: work.call };
                    self.write(
                        tenure,
                        &Entry::Sending {
                            what,
                            at: Time(2),
                            rendering: 7,
                            channel: 1,
                            counted: Counted { conversation: 1, cost: 1, ..Counted::default() },
                        },
                    );
                    work.phase = Phase::Armed;
                }
                Phase::Armed if dice < 2 => {
                    self.write(tenure, &came(Came::Released));
                    work.attempt -= u16::from(work.call == 0);
                    work.phase = Phase::Owed;
                }
                // What a stalled owner wrote is not confirmed, so it does not leave.
                Phase::Armed if rules => {
                    let taken = dice < 10;
                    self.truth[n].taken[usize::from(work.call)] += u32::from(taken);
                    work.phase = Phase::InFlight { taken };
                }
                Phase::Armed => {}
                Phase::InFlight { .. } if dice == 0 => {
                    self.write(tenure, &came(Came::InDoubt));
                    self.truth[n].doubted[usize::from(work.call)] += u32::from(rules);
                    work.phase = Phase::Doubt;
                }
                Phase::InFlight { taken: false } => {
                    self.write(tenure, &came(Came::Refused));
                    work.phase = Phase::Owed;
                }
                Phase::InFlight { taken: true } if last => {
                    self.write(tenure, &came(Came::AcceptedLast));
                    work.phase = Phase::Over;
                    self.over(n, rules, State::Sent);
                }
                Phase::InFlight { taken: true } => {
                    self.write(tenure, &came(Came::Accepted));
                    (work.call, work.phase) = (work.call + 1, Phase::Owed);
                }
                // The policy: not again, or again.
                Phase::Doubt if dice < 6 => {
                    self.write(tenure, &settled(State::Failed));
                    work.phase = Phase::Over;
                    self.over(n, rules, State::Failed);
                }
                Phase::Doubt => {
                    self.write(tenure, &came(Came::Refused));
                    work.phase = Phase::Owed;
                }
            }
            self.owners[at].work[n] = work;
        }

        fn over(&mut self, n: usize, rules: bool, state: State) {
            if rules {
                self.truth[n].over.get_or_insert(state);
            }
        }

        /// Each message is owed, in doubt or settled, as it really is.
        fn check(&self) -> Result<(), TestCaseError> {
            let replay = self.read();
            for (n, (id, truth)) in self.messages.iter().zip(&self.truth).enumerate() {
                let told = replay.told.get(id).cloned().unwrap_or_default();
                prop_assert_eq!(told.settled, truth.over, "settled as it was told, and not otherwise");
                let attempt = self.owners.last().map_or(0, |owner| owner.work[n].attempt);
                prop_assert_eq!(told.attempt, attempt, "whoever comes next goes on with the number that the owner has come to");
                if told.settled.is_some() {
                    continue;
                }
                // What the ledger says is there, is; what it neither says nor doubts, is not, unless it was listed as in doubt.
                let calls = usize::from(told.calls);
                for (call, (taken, doubted)) in truth.taken.iter().zip(&truth.doubted).enumerate() {
                    let open = u32::from(told.open.is_some() && call == calls);
                    prop_assert!(call >= calls || *taken > 0, "call {call} is not there: {told:?}");
                    prop_assert!(call < calls || *taken <= doubted + open, "call {call} is there, and owed: {told:?} {truth:?}");
                }
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn a_message_is_owed_or_settled_never_both_never_neither(
            calls in proptest::collection::vec(1_u8..4, 1..5),
            seed in any::<u64>(),
            tenures in proptest::collection::vec((any::<bool>(), 1_usize..40), 1..6),
        ) {
            let mut world = World::new(&calls, seed);
            for (stalled, steps) in tenures {
                world.take_over(stalled);
                for _ in 0..steps {
                    world.act();
                    // A crash may come here.
                    world.check()?;
                }
            }
            // Nothing ever left twice without being listed.
            for truth in &world.truth {
                for (taken, doubted) in truth.taken.iter().zip(&truth.doubted) {
                    prop_assert!(*taken <= doubted + 1, "{truth:?}");
                }
            }
        }
    }
}
