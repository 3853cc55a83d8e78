//! What holds, in memory: asked for every message, so it hashes a few short texts and looks them up.
//!
//! Addresses stand here as keyed fingerprints: an erased person's opt-out is kept as its fingerprint alone, and still holds.

use std::collections::{HashMap, HashSet};

use fairway_adapters::contract::Category;
use parking_lot::RwLock;

use super::Ask;
use crate::ids::{self, Fingerprint};
use crate::people::address;

/// What a row of `consents` has for an erased person in place of the address.
pub const ERASED: &str = "erased:";

/// When a person allowed (positive) or forbade (negative) something last; 0: never said.
type Said = i64;

/// What one person said about one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    all: Said,
    marketing: Said,
    /// The newest word that forbade one program.
    programs: Said,
}

#[derive(Default)]
struct Maps {
    said: HashMap<Fingerprint, Standing>,
    suppressed: HashSet<Fingerprint>,
    /// Of those, who is suppressed only because their provider cannot reach them.
    gone: HashSet<Fingerprint>,
    /// Patterns with the channel they hold for; empty for every channel.
    domains: HashMap<String, Vec<String>>,
    prefixes: Vec<(String, String)>,
}

/// What bars a message from its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The person wants no messages.
    OptedOut,
    /// The person wants no marketing.
    OptedOutMarketing,
    /// The person has left the program.
    OptedOutProgram,
    /// The channel's marketing needs an opt-in.
    NotOptedIn,
    /// The address is suppressed.
    Address,
    /// The provider says that the address is gone, or that the person has blocked us there.
    Gone,
    /// The domain is.
    Domain,
    /// The prefix is.
    Prefix,
}

impl Bar {
    /// All of them.
    pub const ALL: [Self; Self::Prefix as usize + 1] = [
        Self::OptedOut,
        Self::OptedOutMarketing,
        Self::OptedOutProgram,
        Self::NotOptedIn,
        Self::Address,
        Self::Gone,
        Self::Domain,
        Self::Prefix,
    ];

    /// Our stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::OptedOut => "opted_out",
            Self::OptedOutMarketing => "opted_out_marketing",
            Self::OptedOutProgram => "opted_out_program",
            Self::NotOptedIn => "not_opted_in",
            Self::Address => "suppressed",
            Self::Gone => "suppressed_gone",
            Self::Domain => "suppressed_domain",
            Self::Prefix => "suppressed_prefix",
        }
    }

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::OptedOut => "The person wants no messages.",
            Self::OptedOutMarketing => "The person wants no marketing.",
            Self::OptedOutProgram => "The person has left this program.",
            Self::NotOptedIn => "This channel's marketing goes only to people who opted in.",
            Self::Address => "This address is not written to.",
            Self::Gone => "This address is gone, or the person has blocked us there.",
            Self::Domain => "Nobody at this domain is written to.",
            Self::Prefix => "No address that begins like this is written to.",
        }
    }
}

/// Whether a pattern is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppressed {
    /// It is not.
    No,
    /// Its provider cannot reach it: that says nothing about the person's other addresses.
    Gone,
    /// Somebody wants it so.
    Wanted,
}

/// One row of `consents`.
pub struct Row {
    /// The address, or [`ERASED`] and its fingerprint.
    pub address: String,
    /// The channel; empty for every one.
    pub channel: String,
    /// `all`, `marketing`, or a program.
    pub scope: String,
    /// When it was said; negative when it forbids.
    pub said: Said,
}

/// The index.
pub struct Index {
    secret: Vec<u8>,
    maps: RwLock<Maps>,
}

impl Index {
    /// An empty one, whose fingerprints this secret keys.
    pub fn new(secret: Vec<u8>) -> Self {
        Self { secret, maps: RwLock::default() }
    }

    /// The fingerprint of an address in its normal form.
    pub fn person(&self, address: &str) -> Fingerprint {
        match address.strip_prefix(ERASED).and_then(|text| ids::read_fingerprint(&format!("_{text}"))) {
            Some(fingerprint) => fingerprint,
            None => ids::fingerprint(&[&self.secret, address.as_bytes()]),
        }
    }

    fn key(person: Fingerprint, channel: &str, program: &str) -> Fingerprint {
        ids::fingerprint(&[&person.to_be_bytes(), channel.as_bytes(), program.as_bytes()])
    }

    /// Takes what a row says, unless something newer is known.
    pub fn learn(&self, row: &Row) {
        let person = self.person(&row.address);
        let mut maps = self.maps.write();
        let mut take = |program: &str, which: fn(&mut Standing) -> &mut Said| {
            let said = which(maps.said.entry(Self::key(person, &row.channel, program)).or_default());
            if row.said.abs() >= said.abs() {
                *said = row.said;
            }
        };
        match row.scope.as_str() {
            "all" => take("", |s| &mut s.all),
            "marketing" => take("", |s| &mut s.marketing),
            program => {
                take(program, |s| &mut s.marketing);
                if row.said < 0 {
                    take("", |s| &mut s.programs);
                }
            }
        }
    }

    /// Sets whether a pattern is suppressed on a channel (empty: every one).
    pub fn suppress(&self, pattern: &str, channel: &str, suppressed: Suppressed) {
        let holds = suppressed != Suppressed::No;
        let maps = &mut *self.maps.write();
        if let Some(domain) = pattern.strip_prefix('@') {
            let channels = maps.domains.entry(domain.to_owned()).or_default();
            channels.retain(|c| c != channel);
            if holds {
                channels.push(channel.to_owned());
            }
            if channels.is_empty() {
                maps.domains.remove(domain);
            }
        } else if let Some(prefix) = pattern.strip_suffix('*') {
            maps.prefixes.retain(|(p, c)| p != prefix || c != channel);
            if holds {
                maps.prefixes.push((prefix.to_owned(), channel.to_owned()));
            }
        } else {
            let key = Self::key(self.person(pattern), channel, "");
            for (set, belongs) in [(&mut maps.suppressed, holds), (&mut maps.gone, suppressed == Suppressed::Gone)] {
                if belongs {
                    set.insert(key);
                } else {
                    set.remove(&key);
                }
            }
        }
    }

    /// Whether an address, in its normal form, is suppressed itself on a channel.
    pub fn is_suppressed(&self, address: &str, channel: &str) -> bool {
        let (maps, person) = (self.maps.read(), self.person(address));
        [channel, ""].iter().any(|channel| maps.suppressed.contains(&Self::key(person, channel, "")))
    }

    /// What forbids a message, if anything.
    pub fn stands(&self, ask: &Ask<'_>, opt_in: bool) -> Option<Bar> {
        let maps = self.maps.read();
        let marketing = ask.category == Category::Marketing;
        let nothing = maps.said.is_empty() && maps.suppressed.is_empty() && maps.domains.is_empty() && maps.prefixes.is_empty();
        if nothing {
            return if marketing && opt_in { Some(Bar::NotOptedIn) } else { None };
        }
        let to = address::normal(ask.address);
        let fits = |channel: &String| channel.is_empty() || channel == ask.channel;
        if address::domain(&to).and_then(|d| maps.domains.get(d)).is_some_and(|channels| channels.iter().any(fits)) {
            return Some(Bar::Domain);
        }
        if maps.prefixes.iter().any(|(prefix, channel)| fits(channel) && to.starts_with(prefix.as_str())) {
            return Some(Bar::Prefix);
        }
        let person = self.person(&to);
        let (here, everywhere) = (Self::key(person, ask.channel, ""), Self::key(person, "", ""));
        let suppressed = |key: &Fingerprint| maps.suppressed.contains(key);
        let is_gone = |key: &Fingerprint| !suppressed(key) || maps.gone.contains(key);
        if !is_gone(&here) || !is_gone(&everywhere) {
            return Some(Bar::Address);
        }
        // What the person said comes first: an address that is gone ends nothing but itself.
        let gone = (suppressed(&here) || suppressed(&everywhere)).then_some(Bar::Gone);
        let of = |key: Fingerprint| maps.said.get(&key).copied().unwrap_or_default();
        let (here, everywhere) = (of(here), of(everywhere));
        let all = newest(here.all, everywhere.all);
        if all < 0 {
            return Some(Bar::OptedOut);
        }
        if !marketing {
            return gone;
        }
        let ads = newest(all, newest(here.marketing, everywhere.marketing));
        if ads < 0 {
            return Some(Bar::OptedOutMarketing);
        }
        let left = newest(here.programs, everywhere.programs);
        let program = match ask.program {
            Some(program) => newest(of(Self::key(person, ask.channel, program)).marketing, of(Self::key(person, "", program)).marketing),
            // Which program it belongs to nobody says: it may be the one the person left.
            None => left,
        };
        if program < 0 && newest(program, all) < 0 {
            return Some(Bar::OptedOutProgram);
        }
        if opt_in && ads <= 0 && program <= 0 { Some(Bar::NotOptedIn) } else { gone }
    }
}

fn newest(a: Said, b: Said) -> Said {
    if b.abs() > a.abs() { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'a>(address: &'a str, channel: &'a str, category: Category) -> Ask<'a> {
        Ask { address, channel, category, program: None }
    }

    fn code(index: &Index, ask: &Ask<'_>, opt_in: bool) -> &'static str {
        index.stands(ask, opt_in).map_or("", Bar::code)
    }

    fn said(index: &Index, address: &str, channel: &str, scope: &str, said: Said) {
        index.learn(&Row { address: address.into(), channel: channel.into(), scope: scope.into(), said });
    }

    #[test]
    fn the_newest_word_counts_for_its_scope() {
        use Category::{Marketing, Transactional};
        let index = Index::new(b"key".to_vec());
        let (ana, sms) = ("tel:+15550100200", "acme-sms");
        assert_eq!(code(&index, &ask(ana, sms, Marketing), true), "not_opted_in");
        assert_eq!(code(&index, &ask(ana, sms, Marketing), false), "");
        said(&index, ana, sms, "all", -10);
        assert_eq!(code(&index, &ask("tel:+1 555 010 0200", sms, Transactional), false), "opted_out", "however it is written");
        assert_eq!(code(&index, &ask(ana, "acme-other", Transactional), false), "", "a STOP reaches its channel");
        said(&index, ana, sms, "all", 9);
        assert_eq!(code(&index, &ask(ana, sms, Transactional), false), "opted_out", "an older word changes nothing");
        said(&index, ana, sms, "all", 20);
        assert_eq!(code(&index, &ask(ana, sms, Marketing), true), "", "a START opts in");
        said(&index, ana, "", "marketing", -30);
        assert_eq!(code(&index, &ask(ana, sms, Marketing), false), "opted_out_marketing");
        assert_eq!(code(&index, &ask(ana, sms, Transactional), false), "");
        said(&index, ana, sms, "news", -40);
        said(&index, ana, sms, "marketing", 41);
        let of = |program| Ask { program, ..ask(ana, sms, Marketing) };
        assert_eq!(code(&index, &of(Some("news")), false), "opted_out_program");
        assert_eq!(code(&index, &of(Some("sales")), false), "");
        assert_eq!(code(&index, &of(None), false), "opted_out_program", "it may be that program's");
    }

    #[test]
    fn suppressions_hold_by_address_domain_and_prefix() {
        use Category::Authentication;
        let index = Index::new(b"key".to_vec());
        for pattern in ["mailto:ana@example.org", "@blocked.example", "tel:+49*"] {
            index.suppress(pattern, "", Suppressed::Wanted);
        }
        for (address, expected) in [
            ("mailto:Ana@example.org", "suppressed"),
            ("mailto:bo@example.org", ""),
            ("mailto:bo@blocked.example", "suppressed_domain"),
            ("mailto:bo@notblocked.example", ""),
            ("tel:+4917012345678", "suppressed_prefix"),
            ("whatsapp:+4917012345678", ""),
        ] {
            assert_eq!(code(&index, &ask(address, "c", Authentication), false), expected, "{address}");
        }
        index.suppress("tel:+49*", "", Suppressed::No);
        index.suppress("mailto:ana@example.org", "", Suppressed::No);
        index.suppress("tel:+4917012345678", "other", Suppressed::Wanted);
        assert_eq!(code(&index, &ask("tel:+4917012345678", "c", Authentication), false), "");
        assert_eq!(code(&index, &ask("tel:+4917012345678", "other", Authentication), false), "suppressed");
        assert_eq!(code(&index, &ask("mailto:ana@example.org", "c", Authentication), false), "");
    }

    #[test]
    fn an_address_that_is_gone_is_told_apart_from_what_somebody_wants() {
        let index = Index::new(b"key".to_vec());
        let ana = "telegram:1";
        index.suppress(ana, "c", Suppressed::Gone);
        let found = || code(&index, &ask(ana, "c", Category::Marketing), false);
        assert_eq!((found(), index.is_suppressed(ana, "c"), index.is_suppressed(ana, "d")), ("suppressed_gone", true, false));
        said(&index, ana, "", "marketing", -10);
        assert_eq!(found(), "opted_out_marketing", "the person's own word counts more");
        assert_eq!(code(&index, &ask(ana, "c", Category::Service), false), "suppressed_gone");
        index.suppress(ana, "", Suppressed::Wanted);
        assert_eq!(found(), "suppressed");
        index.suppress(ana, "", Suppressed::No);
        index.suppress(ana, "c", Suppressed::No);
        assert_eq!((found(), code(&index, &ask(ana, "c", Category::Service), false)), ("opted_out_marketing", ""));
    }

    #[test]
    fn an_erased_opt_out_still_holds() {
        let index = Index::new(b"key".to_vec());
        let erased = format!("{ERASED}{}", ids::text("", index.person("tel:+15550100200")));
        said(&index, &erased, "c", "all", -1);
        assert_eq!(code(&index, &ask("tel:+15550100200", "c", Category::Service), false), "opted_out");
    }
}
