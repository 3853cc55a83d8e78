//! Whose turn it is: the channels of a tenant take turns, and tenants do by what their messages cost.
//!
//! Each tenant has a virtual time that grows by the cost of what it took; who is least far on is asked first. Whoever is asked and
//! has nothing to send now gathers no claim for later.

use std::collections::VecDeque;
use std::sync::Arc;

struct Tenant {
    name: String,
    channels: VecDeque<Arc<str>>,
    /// How far it is.
    time: u64,
    /// Who has waited longest is asked first among those who are as far.
    turn: u64,
}

/// The channels of a unit in the order of their turns. Tenants are few, most often one, so they are looked through.
#[derive(Default)]
pub(super) struct Turns {
    tenants: Vec<Tenant>,
    now: u64,
    turns: u64,
}

impl Turns {
    /// Gives a channel its place among those of its tenant.
    pub(super) fn place(&mut self, channel: &Arc<str>, tenant: &str) {
        if self.tenants.iter().any(|t| t.name == tenant && t.channels.contains(channel)) {
            return;
        }
        self.tenants.iter_mut().for_each(|t| t.channels.retain(|c| c != channel));
        self.tenants.retain(|t| !t.channels.is_empty());
        match self.tenants.iter_mut().find(|t| t.name == tenant) {
            Some(known) => known.channels.push_back(Arc::clone(channel)),
            None => self.tenants.push(Tenant {
                name: tenant.to_owned(),
                channels: [Arc::clone(channel)].into(),
                time: self.now,
                turn: self.turns,
            }),
        }
    }

    /// Asks channels until one has something: `next` gives it with its cost.
    pub(super) fn offer<T>(&mut self, mut next: impl FnMut(&Arc<str>) -> Option<(T, u32)>) -> Option<T> {
        if self.tenants.len() > 1 {
            self.tenants.sort_by_key(|t| (t.time, t.turn));
        }
        for tenant in &mut self.tenants {
            for _ in 0..tenant.channels.len() {
                tenant.channels.rotate_left(1);
                let Some(channel) = tenant.channels.back() else { break };
                if let Some((taken, cost)) = next(channel) {
                    self.turns += 1;
                    self.now = self.now.max(tenant.time);
                    (tenant.time, tenant.turn) = (tenant.time + u64::from(cost.max(1)), self.turns);
                    return Some(taken);
                }
            }
            tenant.time = tenant.time.max(self.now);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Channels by tenant, and what each has to send: how many, and the cost of one.
    fn taken(turns: &mut Turns, left: &mut HashMap<&str, (u32, u32)>, times: usize) -> HashMap<String, u32> {
        let mut taken: HashMap<String, u32> = HashMap::new();
        for _ in 0..times {
            let one = turns.offer(|channel| {
                let (count, cost) = left.get_mut(&**channel).filter(|(count, _)| *count > 0)?;
                *count -= 1;
                Some((Arc::clone(channel), *cost))
            });
            let Some(channel) = one else { break };
            *taken.entry(channel.to_string()).or_default() += 1;
        }
        taken
    }

    #[test]
    fn a_tenant_with_many_channels_gets_no_more_than_one_with_one() {
        let mut turns = Turns::default();
        for channel in ["a1", "a2", "a3"] {
            turns.place(&channel.into(), "a");
        }
        turns.place(&"b1".into(), "b");
        let mut left = HashMap::from([("a1", (1000, 1)), ("a2", (1000, 1)), ("a3", (1000, 1)), ("b1", (1000, 1))]);
        let first = taken(&mut turns, &mut left, 600);
        assert_eq!([first["a1"], first["a2"], first["a3"], first["b1"]], [100, 100, 100, 300]);
        // Dear messages count for what they cost.
        left.insert("b1", (1000, 3));
        let second = taken(&mut turns, &mut left, 400);
        assert!((99..=101).contains(&second["b1"]), "{second:?}");
    }

    #[test]
    fn who_had_nothing_to_send_catches_up_for_nothing() {
        let mut turns = Turns::default();
        turns.place(&"a".into(), "a");
        turns.place(&"b".into(), "b");
        let mut left = HashMap::from([("a", (1000, 1)), ("b", (0, 1))]);
        assert_eq!(taken(&mut turns, &mut left, 500)["a"], 500);
        left.insert("b", (1000, 1));
        let both = taken(&mut turns, &mut left, 100);
        assert!((49..=51).contains(&both["a"]) && (49..=51).contains(&both["b"]), "{both:?}");
        // Moved to another tenant, a channel stands there alone.
        turns.place(&"a".into(), "b");
        assert_eq!(turns.tenants.len(), 1);
    }
}
