//! Words by which people opt out and in: the whole message, in any of the languages, however it is written.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::Deserialize;

/// What a message says, when it says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// No more.
    Stop,
    /// Again. `yes` says it too, to who has opted out: to anybody else it is an answer.
    Start {
        /// Whether it is a word that answers questions too.
        also_answers: bool,
    },
    /// Who are you?
    Help,
    /// Perhaps no more: somebody should look.
    Probably,
}

#[derive(Deserialize)]
struct Table {
    stop: BTreeMap<String, Vec<String>>,
    start: BTreeMap<String, Vec<String>>,
    help: BTreeMap<String, Vec<String>>,
    probably: BTreeMap<String, Vec<String>>,
}

struct Words {
    stop: HashSet<String>,
    start: HashSet<String>,
    help: HashSet<String>,
    probably: Vec<String>,
    longest: usize,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let table: Table = toml::from_str(include_str!("words.toml")).expect("the table is valid");
    let flat = |by_language: BTreeMap<String, Vec<String>>| -> HashSet<String> { by_language.into_values().flatten().collect() };
    let (stop, start, help) = (flat(table.stop), flat(table.start), flat(table.help));
    let longest = stop.iter().chain(&start).chain(&help).map(|w| w.len()).max().unwrap_or_default();
    Words { stop, start, help, probably: flat(table.probably).into_iter().collect(), longest }
});

/// The longest message that is looked at: what is longer is a conversation.
const LOOKED_AT: usize = 320;

/// What a whole message says; `None` for what is none of these words.
pub fn said(text: &str) -> Option<Said> {
    if text.len() > LOOKED_AT {
        return None;
    }
    let plain = plain(text);
    if plain.len() <= WORDS.longest {
        if WORDS.stop.contains(&plain) {
            return Some(Said::Stop);
        }
        if WORDS.start.contains(&plain) {
            return Some(Said::Start { also_answers: plain == "yes" });
        }
        if WORDS.help.contains(&plain) {
            return Some(Said::Help);
        }
    }
    WORDS.probably.iter().any(|phrase| plain.contains(phrase.as_str())).then_some(Said::Probably)
}

/// NFKC, lower case, single spaces, nothing but words at the ends.
fn plain(text: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let lower = composed.to_lowercase().replace(['’', '‘'], "'");
    let words: Vec<&str> = lower.split_whitespace().collect();
    words.join(" ").trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_whole_message_however_it_is_written() {
        for text in
            ["STOP", " stop. ", "\"Stop!\"", "ＳＴＯＰ", "Opt  Out", "ARRÊT", "ARRE\u{302}T", "«стоп»", "退订", "STOPALL", "UNSUBSCRIBE"]
        {
            assert_eq!(said(text), Some(Said::Stop), "{text}");
        }
        assert_eq!(said("Start"), Some(Said::Start { also_answers: false }));
        assert_eq!(said("yes!"), Some(Said::Start { also_answers: true }));
        assert_eq!(said("Help?"), Some(Said::Help));
        for text in ["Please stop texting me", "Remove me from this list", "don’t text me"] {
            assert_eq!(said(text), Some(Said::Probably), "{text}");
        }
        for text in ["", "Where is the bus stop on Main Street?", "we can start on Monday", "the end of the month", "."] {
            assert_eq!(said(text), None, "{text}");
        }
    }

    #[test]
    fn the_table_is_in_the_form_messages_are_brought_to() {
        for word in WORDS.stop.iter().chain(&WORDS.start).chain(&WORDS.help).chain(&WORDS.probably) {
            assert_eq!(&plain(word), word);
        }
        assert!(WORDS.stop.is_disjoint(&WORDS.start) && WORDS.stop.is_disjoint(&WORDS.help));
    }
}
