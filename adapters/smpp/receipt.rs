//! Receipts in all their spellings: tags where the provider sends them, else the words of appendix B of SMPP 3.4, which
//! everybody writes a little differently.

use super::errors;
use super::pdu::{NETWORK_ERROR, RECEIPTED_ID, STATE, Sm};
use super::words;
use super::{Alphabet, Base};
use crate::contract::{Reason, State};

/// `esm_class`: what kind of delivery it is.
const KIND: u8 = 0x3c;
const RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;

/// What became of a message of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Our message's id as its tag says it: the form that the answer to our request had.
    pub tagged: Option<String>,
    /// The id as the words say it, which may be in another base.
    pub written: Option<String>,
    /// What the message says it is about, as far as it says so: the beginning of our text.
    pub text: Option<String>,
    /// The state; `None` when what stands there is no state.
    pub state: Option<State>,
    /// The provider's own word where it says more than the state.
    pub detail: Option<&'static str>,
    /// `err`, as it is written.
    pub error: Option<String>,
    /// Network and code.
    pub network: Option<(u8, u16)>,
}

/// Whether a delivery is a receipt. Some providers forget to say so, and then its tags tell, or its words.
pub(super) fn is_receipt(sm: &Sm<'_>) -> bool {
    matches!(sm.esm_class & KIND, RECEIPT | INTERMEDIATE) || sm.tlv(RECEIPTED_ID).is_some() && sm.tlv(STATE).is_some() || reads_as_one(sm)
}

/// Whether the words are those of appendix B, from an id to a state with both dates between them: nobody writes that to anybody.
fn reads_as_one(sm: &Sm<'_>) -> bool {
    let begins = sm.content().trim_ascii_start().get(..3).is_some_and(|key| key.eq_ignore_ascii_case(b"id:"));
    let words = || Some(written(sm)).filter(|words| ["submit date", "done date"].iter().all(|key| rest(words, key).is_some()));
    begins && words().and_then(|words| state_named(&field(&words, "stat")?)).is_some()
}

/// The words of a receipt. They are ASCII also where their alphabet is said to be that of our message, two octets a letter.
fn written(sm: &Sm<'_>) -> String {
    let content = sm.content();
    match std::str::from_utf8(content) {
        Ok(words) if content.is_ascii() && !content.contains(&0) => words.to_owned(),
        _ => words::decode(sm, Alphabet::Latin1, false).unwrap_or_default(),
    }
}

/// Reads a receipt.
pub(super) fn read(sm: &Sm<'_>) -> Told {
    let words = written(sm);
    let by_tag = sm.number(STATE).and_then(|state| state_of(u8::try_from(state).ok()?));
    let known = by_tag.or_else(|| state_named(&field(&words, "stat")?));
    Told {
        tagged: sm.word(RECEIPTED_ID),
        written: field(&words, "id"),
        text: rest(&words, "text").filter(|text| !text.is_empty()),
        state: known.map(|(state, _)| state),
        detail: known.and_then(|(_, detail)| detail),
        error: field(&words, "err"),
        network: sm.tlv(NETWORK_ERROR).and_then(|tag| match tag {
            [kind, high, low] => Some((*kind, u16::from_be_bytes([*high, *low]))),
            _ => None,
        }),
    }
}

impl Told {
    /// Why it failed, when it did.
    pub fn reason(&self) -> Option<Reason> {
        (self.state == Some(State::Failed)).then(|| errors::of_receipt(self.detail, self.error.as_deref(), self.network))
    }
}

/// SMPP 3.4, section 5.2.28, with what 5.0 added in section 4.7.15. `UNKNOWN` and `ACCEPTD` leave the outcome open.
fn state_of(state: u8) -> Option<(State, Option<&'static str>)> {
    Some(match state {
        0 => (State::Sent, Some("scheduled")),
        1 => (State::Sent, Some("enroute")),
        2 => (State::Delivered, None),
        3 => (State::Failed, Some("expired")),
        4 => (State::Failed, Some("deleted")),
        5 => (State::Failed, Some("undeliverable")),
        6 => (State::Sent, Some("accepted")),
        7 => (State::Sent, Some("unknown")),
        8 => (State::Failed, Some("rejected")),
        9 => (State::Failed, Some("skipped")),
        _ => return None,
    })
}

/// A state by its word, whole, longer than it should be, or cut off.
fn state_named(word: &str) -> Option<(State, Option<&'static str>)> {
    const WORDS: [(&str, u8); 24] = [
        ("SCHEDULED", 0),
        ("SCHEDLD", 0),
        ("ENROUTE", 1),
        ("BUFFERED", 1),
        ("BUFFRED", 1),
        ("ENQUEUD", 1),
        ("QUEUED", 1),
        ("PENDING", 1),
        ("DELIVRD", 2),
        ("DELIVERED", 2),
        ("EXPIRED", 3),
        ("DELETED", 4),
        ("UNDELIVERABLE", 5),
        ("UNDELIVERED", 5),
        ("FAILED", 5),
        ("NOROUTE", 5),
        ("ACCEPTED", 6),
        ("ACCEPTD", 6),
        ("ACKED", 6),
        ("SENT", 6),
        ("UNKNOWN", 7),
        ("REJECTED", 8),
        ("REJECTD", 8),
        ("SKIPPED", 9),
    ];
    let word = word.to_ascii_uppercase();
    if let Ok(number) = word.parse() {
        return state_of(number);
    }
    // Four letters tell them apart: DELI from DELE.
    let known = WORDS.iter().find(|(known, _)| word.len() >= 4 && (known.starts_with(&word) || word.starts_with(known)));
    state_of(known.map(|(_, state)| *state)?)
}

/// The value behind `key:`, up to white space or what some write in its place.
fn field(words: &str, key: &str) -> Option<String> {
    let value = rest(words, key)?;
    value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).next().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// All that stands behind `key:`.
fn rest(words: &str, key: &str) -> Option<String> {
    // ASCII folding keeps every position where it was.
    let folded = words.to_ascii_lowercase();
    let key = format!("{key}:");
    let at = folded.match_indices(&key).map(|(at, _)| at).find(|at| {
        // `id:` is not the end of `mid:`, and nothing behind `text:` is a key.
        let before = folded[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric()) && (key == "text:" || folded.find("text:").is_none_or(|text| *at < text))
    })?;
    Some(words[at + key.len()..].trim().to_owned())
}

/// An id so that two spellings of one are equal: without zeros in front, in lower case.
pub(super) fn canonical(id: &str) -> String {
    let id = id.trim().to_ascii_lowercase();
    let bare = id.trim_start_matches('0');
    if bare.is_empty() && !id.is_empty() { "0".into() } else { bare.to_owned() }
}

/// The id of a receipt's words in the form in which the answer to our request had it.
pub(super) fn as_answered(written: &str, base: Base) -> String {
    let id = canonical(written);
    let turned = match base {
        Base::Same => None,
        Base::AnswerHexReceiptDec => id.parse::<u128>().ok().map(|n| format!("{n:x}")),
        Base::AnswerDecReceiptHex => u128::from_str_radix(&id, 16).ok().map(|n| n.to_string()),
    };
    turned.unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Told {
        read(&Sm { esm_class: RECEIPT, short: words.as_bytes().into(), ..Sm::default() })
    }

    #[test]
    fn receipts_are_read_in_all_their_spellings() {
        let spellings = [
            (
                "id:0000007994 sub:001 dlvrd:001 submit date:2611020915 done date:2611020916 stat:DELIVRD err:000 text:Hi",
                "0000007994",
                State::Delivered,
            ),
            (
                "ID:1f3a SUB:001 DLVRD:001 SUBMIT DATE:261102091500 DONE DATE:261102091600 STAT:DELIVRD ERR:000 TEXT:",
                "1f3a",
                State::Delivered,
            ),
            ("id: 77 stat: delivered err: 0 Text:a stat:REJECTD", "77", State::Delivered),
            ("stat:UNDELIV err:1B id:77", "77", State::Failed),
            ("id:77 sub:001 stat:UNDELIVERABLE", "77", State::Failed),
            ("id:77 stat:EXPI", "77", State::Failed),
            ("id:77 stat:ACCEPTD", "77", State::Sent),
            ("id:77 stat:REJECTD err:404", "77", State::Failed),
            ("id:77 stat:8", "77", State::Failed),
            ("id:77,stat:UNKNOWN", "77", State::Sent),
            ("id:77;sub:001;stat:DELIVRD;err:000", "77", State::Delivered),
            ("id:77 submit date:2611020915 done date:2611020915 stat:DELIVRD err:000 text:hi", "77", State::Delivered),
            (
                "id:a29f6845555647139e5c8f3b817f2c9a sub:001 stat:DELIVRD err:000 text:",
                "a29f6845555647139e5c8f3b817f2c9a",
                State::Delivered,
            ),
            ("id:77 stat:SCHEDLD", "77", State::Sent),
            ("id:77 stat:BUFFRED", "77", State::Sent),
            ("id:77 stat:SKIPPED err:000", "77", State::Failed),
            ("id:77 stat:UNDELIV err:075 text:-PROFILE", "77", State::Failed),
            ("mid:5 id:77 stat:ENROUTE", "77", State::Sent),
            ("id:77 sub:001 dlvrd:001 submit date:2611020915 done date:2611020915 stat:ACKED   err:003 text: ", "77", State::Sent),
            ("id:77 submit date:2611020915 done date: stat:ENQUEUD", "77", State::Sent),
        ];
        for (words, id, state) in spellings {
            let told = of(words);
            assert_eq!((told.written.as_deref(), told.state), (Some(id), Some(state)), "{words}");
        }
        let said_wide = Sm { esm_class: RECEIPT, coding: 8, short: b"id:77 stat:DELIVRD err:000".as_slice().into(), ..Sm::default() };
        assert_eq!((read(&said_wide).written.as_deref(), read(&said_wide).state), (Some("77"), Some(State::Delivered)));
        let wide: Vec<u8> = "id:77 stat:DELIVRD".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&Sm { short: wide.into(), ..said_wide }).written.as_deref(), Some("77"));
        let cut = of("id:77 sub:001 dlvrd:001 submit date:2611020915 done date:26110");
        assert_eq!((cut.written.as_deref(), cut.state), (Some("77"), None));
        assert_eq!(of("id:77 stat:DEL").state, None, "three letters are two states");
        assert_eq!((of("hello").written, of("").state), (None, None));
        let tagged = Sm {
            tlvs: vec![(RECEIPTED_ID, b"1f3a\0"[..].into()), (STATE, vec![5].into()), (NETWORK_ERROR, vec![3, 0, 6].into())],
            ..Sm::default()
        };
        assert!(is_receipt(&tagged));
        let told = read(&tagged);
        assert_eq!((told.tagged.as_deref(), told.state, told.network), (Some("1f3a"), Some(State::Failed), Some((3, 6))));
        assert_eq!(told.reason().map(|r| r.class), Some(crate::contract::ErrorClass::Transient));
    }

    #[test]
    fn a_receipt_without_its_flag_is_told_by_its_words() {
        let unflagged = |words: &str| is_receipt(&Sm { short: words.as_bytes().into(), ..Sm::default() });
        assert!(unflagged("id:0077 sub:001 dlvrd:000 submit date:2611020915 done date:2611020915 stat:UNDELIV err:255 text:Hi"));
        assert!(unflagged("ID:77 SUBMIT DATE:2611020915 DONE DATE:2611020916 STAT:DELIVRD"));
        for said in [
            "id:77 stat:DELIVRD",
            "Id: 77, my order, done date: today",
            "My id:77 submit date:1 done date:2 stat:DELIVRD",
            "id:7 submit date:1 done date:2 stat:fine",
            "",
        ] {
            assert!(!unflagged(said), "{said}");
        }
    }

    #[test]
    fn ids_are_the_same_in_every_base() {
        assert_eq!((canonical("0000007994").as_str(), canonical(" 001F3A ").as_str(), canonical("000").as_str()), ("7994", "1f3a", "0"));
        assert_eq!(as_answered("0000007994", Base::AnswerHexReceiptDec), "1f3a");
        assert_eq!(as_answered("00001F3A", Base::AnswerDecReceiptHex), "7994");
        assert_eq!(as_answered("a-b", Base::AnswerHexReceiptDec), "a-b", "what is no number stays");
    }
}
