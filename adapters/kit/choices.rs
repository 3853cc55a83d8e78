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

/// The option a person means by a short answer: its number, its title, or its id.
pub fn matched<'o, 'a>(options: &'o [ChoiceOption<'a>], answer: &str) -> Option<&'o ChoiceOption<'a>> {
    let answer = answer.trim().trim_end_matches(['.', ')', '!']);
    let replies =
        || options.iter().filter(|o| !matches!(o.kind, OptionKind::Url | OptionKind::Call | OptionKind::Copy | OptionKind::Webview));
    if let Ok(number) = answer.parse::<usize>() {
        return replies().nth(number.checked_sub(1)?);
    }
    let same = |a: &str| a.to_lowercase() == answer.to_lowercase();
    replies().find(|o| same(&o.title) || o.id.as_deref().is_some_and(same))
}

#[cfg(test)]
mod tests {
    use super::*;

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
