//! Links that start a conversation, and the referral they bring back. Where a provider has a parameter for it, the link carries it
//! there. Where it has none, the prepared text ends in a mark, `[ref:spring-flyer]`, which is read from what the person sends; the
//! words stay as they were sent.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::contract::entry::is_referral;
use crate::contract::event::Referral;
use crate::contract::{Entry, EntryLink, Part};

/// What a part of a URI need not escape (RFC 3986, unreserved).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const MARK: &str = "[ref:";
const IN_WORDS: &str = "The referral is the mark at the end of the prepared text: it comes back when the person sends that too.";
const NO_REFERRAL: &str = "This provider has no place for a referral in its links: none comes back.";
const NO_TEXT: &str = "This provider's link has no place for a prepared text: people write their own.";

/// Escapes a part of a URI, spaces as `%20`.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// An address with those parameters that have a value.
pub fn with(base: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut url = base.to_owned();
    let mut sign = if base.contains('?') { '&' } else { '?' };
    for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        url.push_str(&format!("{sign}{name}={}", escape(value)));
        sign = '&';
    }
    url
}

/// A link with a parameter for the referral, and one for the text where `text` names it.
pub fn by_parameter(base: &str, referral: &str, text: Option<&str>, entry: &Entry<'_>) -> EntryLink {
    let mut parameters = vec![(referral, entry.referral)];
    parameters.extend(text.map(|name| (name, entry.text)));
    EntryLink {
        url: with(base, &parameters),
        referral: entry.referral.map(str::to_owned),
        text: entry.text.filter(|_| text.is_some()).map(str::to_owned),
        notes: (entry.text.is_some() && text.is_none()).then_some(NO_TEXT).into_iter().collect(),
    }
}

/// A link with a place for the text alone: the referral stands in it. `url` writes the link.
pub fn by_words(entry: &Entry<'_>, url: impl FnOnce(Option<&str>) -> String) -> EntryLink {
    let text = marked(entry);
    EntryLink {
        url: url(text.as_deref()),
        referral: entry.referral.map(str::to_owned),
        text,
        notes: entry.referral.map(|_| IN_WORDS).into_iter().collect(),
    }
}

/// A link that brings nothing along.
pub fn bare(url: String, entry: &Entry<'_>) -> EntryLink {
    let notes = [entry.referral.map(|_| NO_REFERRAL), entry.text.map(|_| NO_TEXT)];
    EntryLink { url, referral: None, text: None, notes: notes.into_iter().flatten().collect() }
}

/// A link to a phone's messages (RFC 5724), to a number or a short code as settings have it; `None` where it is neither: nobody can
/// write to a name.
pub fn sms(sender: &str, entry: &Entry<'_>) -> Option<EntryLink> {
    let to = dialled(sender)?;
    Some(by_words(entry, |text| with(&format!("sms:{to}"), &[("body", text)])))
}

/// A number as people dial it from anywhere, `+` and all; a short code as it is.
pub fn dialled(sender: &str) -> Option<String> {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.len() {
        // The longest short codes have 8 digits, the longest numbers 15 (ITU-T E.164).
        3..=8 if !sender.starts_with('+') => Some(digits.to_owned()),
        5..=15 if !digits.starts_with('0') => Some(format!("+{digits}")),
        _ => None,
    }
}

/// The text with the referral's mark behind it.
pub fn marked(entry: &Entry<'_>) -> Option<String> {
    let mark = entry.referral.map(|referral| format!("{MARK}{referral}]"));
    let pieces = [entry.text, mark.as_deref()];
    let text = pieces.into_iter().flatten().filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

/// The referral in words that began as a prepared text.
pub fn said(text: &str) -> Option<Referral<'static>> {
    // Almost no message has a bracket, and this is asked of every one: a look for a byte costs next to nothing.
    if !text.as_bytes().contains(&b'[') {
        return None;
    }
    let payload = text.match_indices(MARK).find_map(|(at, _)| {
        let (payload, _) = text[at + MARK.len()..].split_once(']')?;
        is_referral(payload).then_some(payload)
    })?;
    Some(Referral { kind: Some("link".into()), payload: Some(payload.to_owned().into()), ..Referral::default() })
}

/// The referral in what somebody wrote.
pub fn written(parts: &[Part<'_>]) -> Option<Referral<'static>> {
    parts.iter().find_map(|part| if let Part::Text(text) = part { said(&text.text) } else { None })
}

/// The parameters of a link that begins so, as a twin opens it: `None` when it is another link.
pub fn opened(link: &str, base: &str) -> Option<HashMap<String, String>> {
    let rest = link.strip_prefix(base)?;
    let query = match rest.strip_prefix(['?', '&']) {
        Some(query) => query,
        None if rest.is_empty() => "",
        None => return None,
    };
    Some(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_where_it_stands_and_nowhere_else() {
        let payload = |text: &str| said(text).and_then(|referral| referral.payload).map(std::borrow::Cow::into_owned);
        for referral in ["a", "spring-flyer", "A_9-z", &"x".repeat(64)] {
            for text in [None, Some(""), Some("Hi, a table for 2?"), Some("[ref:] [ref:no no]")] {
                let entry = Entry { referral: Some(referral), text };
                let whole = marked(&entry).expect("a text");
                assert_eq!(payload(&whole).as_deref(), Some(referral), "{whole}");
                assert_eq!(payload(&format!("{whole} and a chair\n")).as_deref(), Some(referral), "{whole}");
            }
        }
        for text in ["", "[ref:", "[ref:]", "[ref:a b]", "[ref:ü]", "ref:a]", "[REF:a]", &format!("[ref:{}]", "x".repeat(65))] {
            assert_eq!(payload(text), None, "{text}");
        }
        assert_eq!(marked(&Entry::default()), None);
        assert_eq!(marked(&Entry { text: Some("Hi"), referral: None }).as_deref(), Some("Hi"));
    }

    #[test]
    fn senders_are_dialled_from_anywhere() {
        for (sender, wanted) in [
            ("+14155550199", Some("+14155550199")),
            ("14155550199", Some("+14155550199")),
            ("72345", Some("72345")),
            ("Acme", None),
            ("", None),
            ("+", None),
            ("0155501", Some("0155501")),
            ("015550199123", None),
            ("+1415555019912345", None),
        ] {
            assert_eq!(dialled(sender).as_deref(), wanted, "{sender}");
        }
        let link = sms("14155550199", &Entry { referral: Some("x-1"), text: Some("1 + 1 = ü?") }).expect("a link");
        assert_eq!(link.url, "sms:+14155550199?body=1%20%2B%201%20%3D%20%C3%BC%3F%20%5Bref%3Ax-1%5D");
        assert_eq!(opened(&link.url, "sms:+14155550199").expect("ours")["body"], "1 + 1 = ü? [ref:x-1]");
        assert_eq!(opened("sms:+141555501990", "sms:+14155550199"), None);
    }
}
