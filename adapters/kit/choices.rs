//! Options for channels without buttons: a numbered list whose answer can be matched again.

use crate::contract::part::{ChoiceOption, Choices, OptionKind};

/// The options as a numbered list under the text; links, numbers and texts to copy stand behind their titles.
pub fn numbered(choices: &Choices<'_>) -> String {
    let mut out = String::new();
    if let Some(header) = &choices.header {
        out.push_str(header);
        out.push_str("\n\n");
    }
    out.push_str(&choices.text);
    let mut number = 0;
    for option in &choices.options {
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
