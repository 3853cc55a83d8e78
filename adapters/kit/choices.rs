//! Options for channels without buttons: a numbered list whose answer can be matched again.

use super::{spoken, words};
use crate::contract::part::{ChoiceOption, Choices, OptionKind};
use crate::contract::{Rendered, Unit};

/// The options as a numbered list under the text, below their headings where these have some; links, numbers and texts to
/// copy stand behind their titles.
pub fn numbered(choices: &Choices<'_>) -> String {
    let mut out = String::new();
    if let Some(header) = &choices.header {
        out.push_str(header);
        out.push_str("\n\n");
    }
    out.push_str(&choices.text);
    let (mut number, mut under) = (0, "");
    for option in &choices.options {
        heading(option, &mut under, &mut out);
        out.push('\n');
        match (option.kind, &option.value) {
            (OptionKind::Url | OptionKind::Call | OptionKind::Copy | OptionKind::Webview, Some(value)) => {
                out.push_str(&format!("{}: {value}", option.title));
            }
            _ => {
                number += 1;
                out.push_str(&format!("{number}. {}", option.title));
            }
        }
        if let Some(description) = &option.description {
            out.push_str(" - ");
            out.push_str(description);
        }
    }
    if let Some(footer) = &choices.footer {
        out.push_str("\n\n");
        out.push_str(footer);
    }
    out
}

/// A line with the option's heading, where another began.
fn heading<'o>(option: &'o ChoiceOption<'_>, under: &mut &'o str, out: &mut String) {
    let section = option.section.as_deref().unwrap_or_default();
    if section != *under {
        *under = section;
        if !section.is_empty() {
            out.push_str("\n\n");
            out.push_str(section);
        }
    }
}

/// What buttons do not say: second lines, titles of more than `longest` characters, and headings with all that stands under
/// them. Each line begins with a break.
pub fn unsaid(options: &[ChoiceOption<'_>], longest: usize) -> String {
    let headed = options.iter().any(|o| o.section.as_deref().is_some_and(|s| !s.is_empty()));
    let (mut out, mut under) = (String::new(), "");
    for option in options {
        heading(option, &mut under, &mut out);
        match option.description.as_deref().filter(|d| !d.is_empty()) {
            Some(description) => out.push_str(&format!("\n- {}: {description}", option.title)),
            None if headed || Unit::Chars.count(&option.title) > longest => out.push_str(&format!("\n- {}", option.title)),
            None => {}
        }
    }
    out
}

/// The question where buttons can do less than `can`: what acts stands in the words, what asks becomes an answer. Each is
/// told in `out`; `name` is the channel's.
pub fn fitted<'a>(
    asked: &Choices<'a>,
    can: impl Fn(&ChoiceOption<'_>) -> bool,
    name: &str,
    part: usize,
    out: &mut Rendered,
) -> Choices<'a> {
    let (mut options, mut lines) = (Vec::new(), String::new());
    for option in &asked.options {
        if can(option) {
            options.push(option.clone());
        } else if words::asks(option) {
            out.note(part, "ask", "button", &format!("{name} cannot ask for this; the press comes back as a choice"));
            options.push(ChoiceOption { kind: OptionKind::Reply, ..option.clone() });
        } else if let Some(line) = spoken::acting(option) {
            out.note(part, "option", "text", &format!("{name} has no such button here: it stands in the text"));
            lines.push_str(&format!("\n{line}"));
        } else {
            options.push(option.clone());
        }
    }
    Choices { text: format!("{}{lines}", asked.text).into(), options, ..asked.clone() }
}

/// What a person sees of a question: its words, and the options that are buttons.
pub fn shown<'o>(words: &str, buttons: impl IntoIterator<Item = &'o str>) -> String {
    let titles: Vec<&str> = buttons.into_iter().collect();
    if titles.is_empty() { words.to_owned() } else { format!("{words}\n[{}]", titles.join("] [")) }
}

/// The option a person means by a short answer: its number (in any script, as a keycap, or before its title), its title, its id,
/// an emoji of its title, or a thumb for its yes or no.
pub fn matched<'o, 'a>(options: &'o [ChoiceOption<'a>], answer: &str) -> Option<&'o ChoiceOption<'a>> {
    let replies =
        || options.iter().filter(|o| !matches!(o.kind, OptionKind::Url | OptionKind::Call | OptionKind::Copy | OptionKind::Webview));
    let plain = plain(answer);
    let answer = plain.trim_matches(|c: char| c.is_whitespace() || ".,;:!?()[]\"'#".contains(c));
    if answer.is_empty() {
        return None;
    }
    let same = |a: &str| a.trim().to_lowercase() == answer.to_lowercase();
    if let Some(option) = replies().find(|o| same(&o.title) || o.id.as_deref().is_some_and(same)) {
        return Some(option);
    }
    let digits = answer.find(|c: char| !c.is_ascii_digit()).unwrap_or(answer.len());
    if digits > 0 {
        let option = replies().nth(answer[..digits].parse::<usize>().ok()?.checked_sub(1)?)?;
        let rest = answer[digits..].trim_start_matches(|c: char| c.is_whitespace() || ".):-".contains(c));
        return (rest.is_empty() || rest.to_lowercase() == option.title.trim().to_lowercase()).then_some(option);
    }
    if answer.chars().any(|c| c.is_alphanumeric()) {
        return None;
    }
    // Signs alone: an emoji that one title has, or a thumb.
    let mut having = replies().filter(|o| self::plain(&o.title).contains(answer));
    if let (Some(option), None) = (having.next(), having.next()) {
        return Some(option);
    }
    let words = THUMBS.iter().find(|(signs, _)| signs.contains(&answer))?.1;
    let is_word = |text: &str| words.contains(&text.trim().to_lowercase().as_str());
    replies().find(|o| is_word(&o.title) || o.id.as_deref().is_some_and(is_word))
}

/// Signs that stand for yes and for no, and the words of options that they mean.
const THUMBS: [(&[&str], &[&str]); 2] = [
    (
        &["👍", "✅", "👌", "✔", "☑", "🆗"],
        &[
            "yes",
            "ok",
            "okay",
            "confirm",
            "ja",
            "oui",
            "sí",
            "si",
            "sì",
            "sim",
            "da",
            "да",
            "tak",
            "evet",
            "igen",
            "はい",
            "是",
            "네",
            "نعم",
            "हाँ",
        ],
    ),
    (
        &["👎", "❌", "✖", "🚫"],
        &["no", "cancel", "nein", "nee", "non", "não", "nej", "nei", "нет", "nie", "hayır", "nem", "いいえ", "否", "아니요", "لا", "नहीं"],
    ),
];

/// A text with the digits of all scripts as ASCII, and without the marks that make an emoji of a sign or give it a colour.
fn plain(text: &str) -> String {
    // The zeros of the decimal digits people's keyboards have; the others follow each.
    const ZEROS: [u32; 13] = [0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xE50, 0xFF10];
    let text = text.replace('\u{1F51F}', "10");
    let kept = text
        .chars()
        .filter(|c| !matches!(c, '\u{FE0E}' | '\u{FE0F}' | '\u{20E3}' | '\u{1F3FB}'..='\u{1F3FF}' | '\u{200D}' | '\u{200E}' | '\u{200F}'));
    kept.map(|c| {
        let digit = ZEROS.iter().find_map(|zero| (u32::from(c)).checked_sub(*zero).filter(|d| *d < 10));
        digit.and_then(|d| char::from_digit(d, 10)).unwrap_or(c)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_matched_as_people_write_them() {
        let option = |id: &'static str, title: &'static str, kind| ChoiceOption {
            id: Some(id.into()),
            title: title.into(),
            kind,
            ..ChoiceOption::default()
        };
        let options = [
            option("info", "More", OptionKind::Url),
            option("yes", "Yes, I come", OptionKind::Reply),
            option("move", "🕒 Another time", OptionKind::Reply),
            option("no", "No", OptionKind::Reply),
        ];
        let picked = |answer: &str| matched(&options, answer).and_then(|o| o.id.as_deref());
        for (answer, id) in [
            ("1", "yes"),
            (" 2. ", "move"),
            ("3)", "no"),
            ("#3", "no"),
            ("(1)", "yes"),
            ("1 - yes, i come", "yes"),
            ("1. Yes, I come", "yes"),
            ("２", "move"),
            ("٣", "no"),
            ("३", "no"),
            ("1\u{FE0F}\u{20E3}", "yes"),
            ("yes, i come!", "yes"),
            ("YES", "yes"),
            ("move", "move"),
            ("🕒", "move"),
            ("👍🏽", "yes"),
            ("👎", "no"),
            ("No.", "no"),
        ] {
            assert_eq!(picked(answer), Some(id), "{answer}");
        }
        for nothing in ["", "0", "4", "17", "1 table please", "2 people", "yes please", "🎉", "?", "not now"] {
            assert_eq!(picked(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn headings_stand_above_what_they_head() {
        let option = |section: Option<&'static str>, title: &'static str| ChoiceOption {
            title: title.into(),
            section: section.map(Into::into),
            ..ChoiceOption::default()
        };
        let options = vec![option(Some("Out"), "Terrace"), option(Some("Out"), "Garden"), option(Some("In"), "Hall")];
        let asked = Choices { text: "Where?".into(), options, ..Choices::default() };
        assert_eq!(numbered(&asked), "Where?\n\nOut\n1. Terrace\n2. Garden\n\nIn\n3. Hall");
        assert_eq!(unsaid(&asked.options, 20), "\n\nOut\n- Terrace\n- Garden\n\nIn\n- Hall");
        assert_eq!(unsaid(&[option(None, "Yes"), option(None, "Maybe")], 3), "\n- Maybe");
    }
}
