//! One visitor's conversation in memory: the newest frames, numbered by their offsets, and the marks beside them.
//! A pure value; the locks and the log are in `threads`.

use std::collections::{BTreeMap, HashMap};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

/// Frames kept of a conversation.
pub const KEPT: usize = 500;
/// The most that is sent to who comes back; who missed more starts afresh with the newest.
pub const GAP: usize = 200;
/// Frames of one page of history.
pub const PAGE: usize = 50;
/// For how long a sign of typing means something, in milliseconds.
pub const TYPING: i64 = 8_000;

/// The kinds of records on the topic.
pub mod kind {
    /// A message to the visitor.
    pub const OUT: &str = "out";
    /// A message of the visitor.
    pub const IN: &str = "in";
    /// A message to the visitor as it reads from now on.
    pub const EDIT: &str = "edit";
    /// A message to the visitor was taken back: its id.
    pub const GONE: &str = "gone";
    /// Somebody of ours is typing. Not kept.
    pub const TYPING: &str = "typing";
    /// Somebody of ours has read up to a message of the visitor: its id.
    pub const READ: &str = "read";
    /// The visitor has seen everything up to a number.
    pub const SEEN: &str = "seen";
    /// The visitor goes on under another session: its id.
    pub const MOVED: &str = "moved";
}

/// A message, either way.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its id.
    pub id: String,
    /// Whether it goes to the visitor.
    pub out: bool,
    /// The JSON object as it was written; the number is added when it is sent.
    pub json: Bytes,
}

/// What became of a message later.
#[derive(Clone, Debug, PartialEq)]
struct Revision {
    /// The number of the record that says it.
    seq: u64,
    /// How it reads now; `None` once it was taken back, which is for good.
    json: Option<Bytes>,
}

/// A message as it reads now, with its number and that of its last change.
struct Shown<'t> {
    seq: u64,
    edited: Option<u64>,
    json: &'t Bytes,
}

impl Shown<'_> {
    /// What is sent: the object with its numbers as the first fields.
    fn numbered(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.json.len() + 48);
        out.put_slice(b"{\"seq\":");
        out.put_slice(self.seq.to_string().as_bytes());
        if let Some(edited) = self.edited {
            out.put_slice(b",\"edited\":");
            out.put_slice(edited.to_string().as_bytes());
        }
        if self.json.len() > 2 {
            out.put_u8(b',');
        }
        out.put_slice(self.json.get(1..).unwrap_or(b"}"));
        out.freeze()
    }
}

/// A mark beside the messages: the number of the record that set it, and what it says.
type Mark<T> = Option<(u64, T)>;

/// The conversation.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    frames: BTreeMap<u64, Frame>,
    ids: HashMap<String, u64>,
    revised: HashMap<String, Revision>,
    seen: Mark<u64>,
    read: Mark<String>,
    typing: Mark<i64>,
    moved: Option<String>,
    /// Receipts of delivery were given up to this number. Only a saving: giving one twice changes nothing.
    delivered: u64,
    head: u64,
    /// Whether older frames were let go.
    cut: bool,
}

impl Thread {
    /// Takes a record. Records may come twice and out of order; the outcome is the same.
    pub fn take(&mut self, seq: u64, time: i64, kind: &str, id: &str, json: &Bytes) {
        self.head = self.head.max(seq);
        match kind {
            self::kind::OUT | self::kind::IN => {
                self.insert(seq, Frame { id: id.to_owned(), out: kind == self::kind::OUT, json: json.clone() })
            }
            self::kind::EDIT => self.revise(id, Revision { seq, json: Some(json.clone()) }),
            self::kind::GONE => self.revise(id, Revision { seq, json: None }),
            self::kind::TYPING => newer(&mut self.typing, seq, time),
            self::kind::READ => newer(&mut self.read, seq, id.to_owned()),
            self::kind::SEEN => {
                if let Ok(upto) = id.parse::<u64>() {
                    let upto = upto.max(self.seen());
                    newer(&mut self.seen, seq, upto);
                }
            }
            self::kind::MOVED => self.moved = Some(id.to_owned()),
            _ => {}
        }
    }

    fn insert(&mut self, seq: u64, frame: Frame) {
        // A repeat (a crash between append and answer) has a later number: the first one stays.
        match self.ids.get(&frame.id) {
            Some(known) if *known <= seq => return,
            Some(known) => {
                self.frames.remove(known);
            }
            None => {}
        }
        self.ids.insert(frame.id.clone(), seq);
        self.frames.insert(seq, frame);
        while self.frames.len() > KEPT {
            if let Some((_, gone)) = self.frames.pop_first() {
                self.ids.remove(&gone.id);
                self.revised.remove(&gone.id);
                self.cut = true;
            }
        }
    }

    /// Takes what became of a message, which may be told before the message itself: the newest words stand, and what was taken
    /// back once stays so.
    fn revise(&mut self, id: &str, new: Revision) {
        let stays = self.revised.get(id).is_some_and(|old| match (&old.json, &new.json) {
            (None, Some(_)) => true,
            (None, None) => old.seq <= new.seq,
            (Some(_), None) => false,
            (Some(_), Some(_)) => old.seq >= new.seq,
        });
        if stays {
            return;
        }
        self.revised.insert(id.to_owned(), new);
        if self.revised.len() > 2 * KEPT {
            // Of messages that were let go.
            self.revised.retain(|id, _| self.ids.contains_key(id));
        }
    }

    /// A message as it reads now; `None` when it was taken back.
    fn shown<'t>(&'t self, seq: u64, frame: &'t Frame) -> Option<Shown<'t>> {
        match self.revised.get(&frame.id).filter(|_| frame.out) {
            Some(revision) => Some(Shown { seq, edited: Some(revision.seq), json: revision.json.as_ref()? }),
            None => Some(Shown { seq, edited: None, json: &frame.json }),
        }
    }

    /// How a message to the visitor reads now; `None` when it is not there, or not any more.
    pub fn reads(&self, id: &str) -> Option<Bytes> {
        let seq = self.number(id)?;
        let frame = self.frames.get(&seq).filter(|frame| frame.out)?;
        self.shown(seq, frame).map(|shown| shown.json.clone())
    }

    fn stands(&self, frame: &Frame) -> bool {
        frame.out && self.revised.get(&frame.id).is_none_or(|revision| revision.json.is_some())
    }

    /// The number of a message.
    pub fn number(&self, id: &str) -> Option<u64> {
        self.ids.get(id).copied()
    }

    /// Up to where the visitor has seen.
    pub fn seen(&self) -> u64 {
        self.seen.as_ref().map_or(0, |(_, upto)| *upto)
    }

    /// The session the visitor goes on under.
    pub fn moved(&self) -> Option<&str> {
        self.moved.as_deref()
    }

    /// The newest number.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Messages to the visitor that he has not seen.
    fn unread(&self) -> usize {
        self.frames.range(self.seen() + 1..).filter(|(_, f)| self.stands(f)).count()
    }

    /// Ids of messages to the visitor in a stretch of numbers, oldest first.
    fn ids_between(&self, after: u64, upto: u64) -> Vec<String> {
        if after >= upto {
            return Vec::new();
        }
        self.frames.range(after + 1..=upto).filter(|(_, f)| self.stands(f)).map(|(_, f)| f.id.clone()).collect()
    }

    /// What has newly arrived in a browser, now that it has everything up to a number.
    pub fn arrive(&mut self, upto: u64) -> Vec<String> {
        let ids = self.ids_between(self.delivered, upto);
        self.delivered = self.delivered.max(upto.min(self.head));
        ids
    }

    /// What is newly seen, now that everything up to a number is.
    pub fn newly_seen(&self, upto: u64) -> Vec<String> {
        self.ids_between(self.seen(), upto.min(self.head))
    }

    /// What a browser gets that has everything up to `cursor`, or nothing yet.
    pub fn welcome(&self, session: &str, cursor: Option<u64>) -> Bytes {
        let missed = cursor.map(|c| self.frames.range(c + 1..).count());
        let reset = missed.is_none_or(|n| n > GAP);
        let frames: Vec<(&u64, &Frame)> = if reset {
            let skip = self.frames.len().saturating_sub(PAGE);
            self.frames.iter().skip(skip).collect()
        } else {
            self.frames.range(cursor.unwrap_or(0) + 1..).collect()
        };
        let more = reset && self.has_before(frames.first().map(|(s, _)| **s));
        // Who starts afresh has nothing that could have changed.
        let since = if reset { u64::MAX } else { cursor.unwrap_or(0) };
        let mut shown = self.changed(since);
        shown.extend(frames.into_iter().filter_map(|(seq, frame)| self.shown(*seq, frame)));
        let gone: Vec<&str> = self.gone(since).into_iter().map(|(_, id)| id).collect();
        let head = json!({
            "type": "welcome", "session": session, "cursor": self.head, "reset": reset, "unread": self.unread(),
            "seen": self.seen(), "read": self.read.as_ref().map(|(_, id)| id), "more": more, "gone": gone,
        });
        with_frames(head, shown)
    }

    /// Messages that somebody has who has everything up to a number, and that read differently since.
    fn changed(&self, since: u64) -> Vec<Shown<'_>> {
        let newer = self.revised.iter().filter(|(_, revision)| revision.seq > since);
        let mut old: Vec<Shown<'_>> = newer
            .filter_map(|(id, _)| {
                let seq = self.number(id).filter(|seq| *seq <= since)?;
                self.shown(seq, self.frames.get(&seq)?)
            })
            .collect();
        old.sort_by_key(|shown| shown.seq);
        old
    }

    /// Messages taken back after a number, with the number that says so.
    fn gone(&self, since: u64) -> Vec<(u64, &str)> {
        let gone = self.revised.iter().filter(|(_, revision)| revision.seq > since && revision.json.is_none());
        let mut gone: Vec<(u64, &str)> = gone.map(|(id, revision)| (revision.seq, id.as_str())).collect();
        gone.sort_unstable();
        gone
    }

    /// An older page of history.
    pub fn history(&self, before: u64) -> Bytes {
        let older: Vec<(&u64, &Frame)> = self.frames.range(..before).rev().take(PAGE).collect();
        let frames: Vec<(&u64, &Frame)> = older.into_iter().rev().collect();
        let head = json!({ "type": "history", "before": before, "more": self.has_before(frames.first().map(|(s, _)| **s)) });
        with_frames(head, frames.into_iter().filter_map(|(seq, frame)| self.shown(*seq, frame)).collect())
    }

    fn has_before(&self, first: Option<u64>) -> bool {
        first.is_some_and(|first| self.frames.range(..first).next().is_some())
    }

    /// Everything a live connection has not been sent yet, and the number it then has.
    pub fn since(&self, cursor: u64, now: i64) -> (Vec<Bytes>, u64) {
        let fresh = self.frames.range(cursor + 1..).filter_map(|(seq, frame)| self.shown(*seq, frame));
        let mut out: Vec<(u64, Bytes)> = fresh.map(|shown| (shown.seq, shown.numbered())).collect();
        out.extend(self.changed(cursor).iter().map(|shown| (shown.edited.unwrap_or(shown.seq), shown.numbered())));
        let mut mark = |seq: u64, value: serde_json::Value| {
            if seq > cursor {
                out.push((seq, value.to_string().into()));
            }
        };
        for (seq, id) in self.gone(cursor) {
            mark(seq, json!({ "type": "gone", "seq": seq, "id": id }));
        }
        if let Some((seq, upto)) = &self.seen {
            mark(*seq, json!({ "type": "seen", "upto": upto, "unread": self.unread() }));
        }
        if let Some((seq, id)) = &self.read {
            mark(*seq, json!({ "type": "read", "id": id }));
        }
        if let Some((seq, at)) = &self.typing
            && now - at < TYPING
        {
            mark(*seq, json!({ "type": "typing", "for_ms": TYPING - (now - at).max(0) }));
        }
        out.sort_by_key(|(seq, _)| *seq);
        (out.into_iter().map(|(_, json)| json).collect(), self.head.max(cursor))
    }

    /// The messages as they read now, to be copied when two conversations become one.
    pub fn messages(&self) -> Vec<Frame> {
        let now = |(seq, frame): (&u64, &Frame)| self.shown(*seq, frame).map(|shown| Frame { json: shown.json.clone(), ..frame.clone() });
        self.frames.iter().filter_map(now).collect()
    }
}

fn newer<T>(mark: &mut Mark<T>, seq: u64, value: T) {
    if mark.as_ref().is_none_or(|(known, _)| *known < seq) {
        *mark = Some((seq, value));
    }
}

/// An object with the frames as its last field, without reading them.
fn with_frames(head: serde_json::Value, frames: Vec<Shown<'_>>) -> Bytes {
    let head = head.to_string();
    let mut out = BytesMut::with_capacity(head.len() + frames.iter().map(|f| f.json.len() + 48).sum::<usize>() + 16);
    out.put_slice(&head.as_bytes()[..head.len() - 1]);
    out.put_slice(b",\"frames\":[");
    for (index, frame) in frames.into_iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(&frame.numbered());
    }
    out.put_slice(b"]}");
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn thread(frames: &[(u64, &str, &str)]) -> Thread {
        let mut thread = Thread::default();
        for (seq, kind, id) in frames {
            thread.take(*seq, 0, kind, id, &json(id));
        }
        thread
    }

    fn json(id: &str) -> Bytes {
        format!("{{\"id\":\"{id}\"}}").into()
    }

    fn read(bytes: &Bytes) -> Value {
        serde_json::from_slice(bytes).expect("JSON")
    }

    #[test]
    fn who_comes_back_gets_the_gap() {
        let thread = thread(&[(3, "out", "a"), (5, "in", "b"), (9, "out", "c"), (11, "seen", "5")]);
        let welcome = read(&thread.welcome("v-1", Some(3)));
        assert_eq!(welcome["frames"].as_array().map(Vec::len), Some(2));
        assert_eq!((welcome["reset"].as_bool(), welcome["unread"].as_u64(), welcome["cursor"].as_u64()), (Some(false), Some(1), Some(11)));
        assert_eq!(welcome["frames"][0]["seq"], 5);
        let afresh = read(&thread.welcome("v-1", None));
        assert_eq!((afresh["frames"].as_array().map(Vec::len), afresh["more"].as_bool()), (Some(3), Some(false)));
    }

    #[test]
    fn a_gap_too_large_starts_afresh_and_history_pages_back() {
        let ids: Vec<String> = (0..700).map(|n| n.to_string()).collect();
        let frames: Vec<(u64, &str, &str)> = ids.iter().enumerate().map(|(n, id)| (n as u64 + 1, "out", id.as_str())).collect();
        let thread = thread(&frames);
        let welcome = read(&thread.welcome("v-1", Some(10)));
        assert_eq!((welcome["reset"].as_bool(), welcome["more"].as_bool()), (Some(true), Some(true)));
        let (mut before, mut seen) = (welcome["frames"][0]["seq"].as_u64().expect("a number"), PAGE);
        loop {
            let page = read(&thread.history(before));
            seen += page["frames"].as_array().map_or(0, Vec::len);
            if page["more"] != true {
                break;
            }
            before = page["frames"][0]["seq"].as_u64().expect("a number");
        }
        assert_eq!(seen, KEPT);
    }

    #[test]
    fn receipts_are_given_once_for_each_message() {
        let mut thread = thread(&[(1, "out", "a"), (2, "in", "b"), (3, "out", "c")]);
        assert_eq!(thread.arrive(2), ["a"]);
        assert_eq!(thread.arrive(99), ["c"]);
        assert!(thread.arrive(99).is_empty());
        assert_eq!(thread.newly_seen(3), ["a", "c"]);
        thread.take(4, 0, kind::SEEN, "3", &Bytes::new());
        thread.take(5, 0, kind::SEEN, "1", &Bytes::new());
        assert!(thread.newly_seen(5).is_empty(), "what was seen stays seen");
        thread.take(6, 0, "out", "d", &json("d"));
        assert_eq!(thread.arrive(6), ["d"]);
    }

    #[test]
    fn what_changed_and_what_is_gone_reaches_everybody_once() {
        let mut thread = thread(&[(1, "out", "a"), (2, "out", "b"), (3, "in", "c")]);
        thread.take(4, 0, kind::EDIT, "a", &Bytes::from_static(b"{\"id\":\"a\",\"new\":1}"));
        thread.take(5, 0, kind::GONE, "b", &Bytes::from_static(b"{}"));
        let live: Vec<Value> = thread.since(3, 0).0.iter().map(read).collect();
        assert_eq!((live[0]["seq"].as_u64(), live[0]["edited"].as_u64(), live[0]["new"].as_u64()), (Some(1), Some(4), Some(1)));
        assert_eq!((live[1]["type"].as_str(), live[1]["id"].as_str(), live.len()), (Some("gone"), Some("b"), 2));
        assert!(thread.since(5, 0).0.is_empty());
        let back = read(&thread.welcome("v-1", Some(3)));
        assert_eq!((back["frames"][0]["edited"].as_u64(), back["gone"][0].as_str()), (Some(4), Some("b")));
        let afresh = read(&thread.welcome("v-1", None));
        assert_eq!(
            (afresh["frames"].as_array().map(Vec::len), afresh["frames"][0]["new"].as_u64(), afresh["unread"].as_u64()),
            (Some(2), Some(1), Some(1))
        );
        assert_eq!(thread.arrive(5), ["a"], "no receipt for what was taken back");
        assert_eq!(
            (thread.reads("a").map(|json| json.len()), thread.reads("b"), thread.reads("c"), thread.messages().len()),
            (Some(18), None, None, 2)
        );
        thread.take(6, 0, kind::EDIT, "b", &json("b"));
        assert_eq!(thread.reads("b"), None, "what is gone stays gone");
    }

    #[test]
    fn a_live_connection_gets_what_is_new_and_fresh() {
        let mut thread = thread(&[(1, "out", "a")]);
        thread.take(2, 1_000, kind::TYPING, "", &Bytes::new());
        let (sent, cursor) = thread.since(1, 2_000);
        assert_eq!((sent.len(), cursor), (1, 2));
        assert_eq!(read(&sent[0])["for_ms"], 7_000);
        assert!(thread.since(1, 20_000).0.is_empty(), "nobody has typed for long");
        assert_eq!(thread.since(2, 0), (Vec::new(), 2));
    }

    proptest! {
        /// However records come, once or twice, in whichever order, each message stands once, at its first number.
        #[test]
        fn the_order_of_reading_does_not_matter(order in proptest::collection::vec(0_usize..12, 0..60)) {
            let records: Vec<(u64, String)> = (0..12).map(|n| (n as u64 + 1, format!("m{}", n % 8))).collect();
            let mut whole: Vec<usize> = order;
            whole.extend(0..12);
            let mut thread = Thread::default();
            for at in whole {
                let (seq, id) = &records[at];
                thread.take(*seq, 0, "out", id, &json(id));
            }
            prop_assert_eq!(thread.messages().len(), 8);
            for n in 0..8 {
                prop_assert_eq!(thread.number(&format!("m{n}")), Some(n + 1));
            }
        }

        /// The same of what became of them: the newest words, and gone for good.
        #[test]
        fn the_order_of_revisions_does_not_matter(order in proptest::collection::vec(0_usize..9, 0..40)) {
            let kinds = [kind::OUT, kind::EDIT, kind::EDIT, kind::OUT, kind::EDIT, kind::GONE, kind::EDIT, kind::GONE, kind::OUT];
            let ids = ["a", "a", "a", "b", "b", "b", "b", "b", "c"];
            let mut whole = order;
            whole.extend(0..9);
            let mut thread = Thread::default();
            for at in whole {
                thread.take(at as u64 + 1, 0, kinds[at], ids[at], &json(&at.to_string()));
            }
            prop_assert_eq!(thread.reads("a"), Some(json("2")));
            prop_assert_eq!((thread.reads("b"), thread.reads("c")), (None, Some(json("8"))));
            prop_assert_eq!(thread.gone(0), [(6, "b")]);
        }
    }
}
