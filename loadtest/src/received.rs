//! The books of what came in: every delivery against what stands in the log.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// A picture.
    Media,
    /// A receipt.
    Receipt,
    /// One made before, once more.
    Duplicate,
    /// One that must be refused.
    Forged,
}

/// One delivery and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// What it is.
    pub kind: Kind,
    /// Which of the channels' providers made it.
    pub source: u32,
    /// Whose it is.
    pub person: u32,
    /// Bytes of its words; for a duplicate, until it leaves, how far back it reaches.
    pub bytes: u32,
    /// For a duplicate: the arrival that made the delivery first.
    pub of: Option<u32>,
    /// Whether there was anything to send: a repeat needs something to repeat.
    pub made: bool,
    /// The answer; 0 when there was none.
    pub status: u16,
    /// Answered later than the provider waits.
    pub late: bool,
}

/// The books of what came in. Exact numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InboundBooks {
    /// Deliveries made.
    pub deliveries: u64,
    /// Of them texts.
    pub texts: u64,
    /// Of them pictures.
    pub media: u64,
    /// Of them receipts for messages that were sent elsewhere: nothing of them stands among the events.
    pub receipts: u64,
    /// Of them repeats.
    pub duplicates: u64,
    /// Of them forgeries.
    pub forged: u64,
    /// Answered with success.
    pub acknowledged: u64,
    /// Well-signed, and not answered with success: what the provider would bring again.
    pub unacknowledged: u64,
    /// Forgeries that were refused as they should be.
    pub refused_rightly: u64,
    /// Forgeries that were taken. Must be 0.
    pub forgeries_taken: u64,
    /// Messages that must be in the log: acknowledged at least once.
    pub expected: u64,
    /// Of them in the log.
    pub in_log: u64,
    /// Acknowledged and not in the log. Must be 0.
    pub lost: u64,
    /// In the log more than once, under different ids. Must be 0.
    pub doubled: u64,
    /// In the log once more under the same id, which consumers drop: two nodes took a delivery and its repeat. Must be 0 of one node.
    #[serde(default)]
    pub repeated: u64,
    /// Behind a later message of the same conversation. Must be 0.
    pub out_of_order: u64,
    /// Acknowledged later than the provider waits.
    pub late: u64,
    /// The most in one conversation.
    pub largest_conversation: u64,
}

impl InboundBooks {
    /// Whether nothing happened that must not, whoever took the deliveries.
    pub fn balance(&self) -> bool {
        self.lost + self.doubled + self.forgeries_taken == 0
    }
}

/// The balance of deliveries, how often each number stands in the log, and which stood behind later ones.
pub fn balance(deliveries: &[Delivery], times: &HashMap<u32, u32>, behind: &[u32]) -> InboundBooks {
    let made = deliveries.iter().filter(|d| d.made).count() as u64;
    let mut books = InboundBooks { deliveries: made, ..InboundBooks::default() };
    let good = |d: &Delivery| (200..300).contains(&d.status);
    let mut acknowledged = vec![false; deliveries.len()];
    for (number, delivery) in deliveries.iter().enumerate().filter(|(_, d)| d.made) {
        *match delivery.kind {
            Kind::Text => &mut books.texts,
            Kind::Media => &mut books.media,
            Kind::Receipt => &mut books.receipts,
            Kind::Duplicate => &mut books.duplicates,
            Kind::Forged => &mut books.forged,
        } += 1;
        if delivery.kind == Kind::Forged {
            books.refused_rightly += u64::from((400..500).contains(&delivery.status));
            books.forgeries_taken += u64::from(good(delivery) || times.contains_key(&(number as u32)));
            continue;
        }
        *(if good(delivery) { &mut books.acknowledged } else { &mut books.unacknowledged }) += 1;
        books.late += u64::from(delivery.late);
        if good(delivery) && delivery.kind != Kind::Receipt {
            acknowledged[delivery.of.unwrap_or(number as u32) as usize] = true;
        }
    }
    for (number, expected) in acknowledged.iter().enumerate() {
        let seen = times.get(&(number as u32)).copied().unwrap_or(0);
        books.expected += u64::from(*expected);
        books.in_log += u64::from(*expected && seen > 0);
        books.lost += u64::from(*expected && seen == 0);
        books.doubled += u64::from(seen > 1);
    }
    // What was refused at first and taken from a repeat stands where the repeat was taken.
    books.out_of_order = behind.iter().filter(|n| deliveries.get(**n as usize).is_some_and(good)).count() as u64;
    books
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(kind: Kind, status: u16, of: Option<u32>) -> Delivery {
        Delivery { kind, source: 0, person: 0, bytes: 0, of, made: true, status, late: false }
    }

    #[test]
    fn every_way_to_be_wrong_is_counted() {
        let all = [
            delivery(Kind::Text, 200, None),         // 0: in the log
            delivery(Kind::Text, 200, None),         // 1: lost
            delivery(Kind::Text, 200, None),         // 2: twice
            delivery(Kind::Text, 503, None),         // 3: refused, taken from its repeat
            delivery(Kind::Duplicate, 200, Some(3)), // 4
            delivery(Kind::Duplicate, 200, Some(0)), // 5
            delivery(Kind::Forged, 401, None),       // 6: refused
            delivery(Kind::Forged, 200, None),       // 7: taken
            delivery(Kind::Receipt, 200, None),      // 8
            delivery(Kind::Text, 0, None),           // 9: no answer, and it is there all the same
        ];
        let times = HashMap::from([(0, 1), (2, 2), (3, 1), (9, 1)]);
        let books = balance(&all, &times, &[0, 3]);
        let wanted = InboundBooks {
            deliveries: 10,
            texts: 5,
            receipts: 1,
            duplicates: 2,
            forged: 2,
            acknowledged: 6,
            unacknowledged: 2,
            refused_rightly: 1,
            forgeries_taken: 1,
            expected: 4,
            in_log: 3,
            lost: 1,
            doubled: 1,
            out_of_order: 1,
            ..InboundBooks::default()
        };
        assert_eq!(books, wanted);
        assert!(!books.balance());
    }
}
