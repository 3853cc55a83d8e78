//! Discord writes Markdown: plain words must not become marks by accident, and entities become words.

use std::borrow::Cow;

use crate::contract::Text;
use crate::contract::part::{Format, Mention, TextPart};
use crate::kit::markup::{self, Dialect};
use crate::kit::object::Object;

/// A text in Discord's Markdown.
pub(super) fn write(words: &str, format: Format) -> String {
    match format {
        Format::Plain => escape(words),
        Format::Markdown => words.to_owned(),
        Format::Html => markup::from_html(words, Dialect::Plain),
    }
}

/// Plain words; links stay whole.
pub(super) fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    for (number, line) in words.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (index, word) in line.split_inclusive(' ').enumerate() {
            if word.starts_with("https://") || word.starts_with("http://") {
                out.push_str(word);
                continue;
            }
            for (at, c) in word.char_indices() {
                let item = matches!(c, '-' | '+') && word.len() == 2 && word.ends_with(' ');
                let begins = index == 0 && at == 0 && (item || matches!(c, '#' | '>'));
                if begins || matches!(c, '*' | '_' | '~' | '`' | '|' | '\\' | '[' | '<') {
                    out.push('\\');
                }
                out.push(c);
            }
        }
    }
    out
}

/// A text as people see it: mentions by name, with whom they name. `names` are the users the message mentions.
pub(super) fn read<'a>(text: Text<'a>, names: &[Object<'a>], own: &str) -> TextPart<'a> {
    if !text.contains('<') {
        return TextPart { text, ..TextPart::default() };
    }
    let mut out = String::with_capacity(text.len());
    let mut mentions = Vec::new();
    let mut rest = &*text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some((inside, after)) = rest.split_once('>').filter(|(inside, _)| inside.starts_with(['@', '#', ':', 'a', 't', '/'])) else {
            out.push('<');
            continue;
        };
        let offset = out.chars().count() as u32;
        if let Some(id) = inside.strip_prefix('@').map(|id| id.trim_start_matches('!')).filter(|id| super::place::is_id(id)) {
            let named = names.iter().find(|user| user.text("id").as_deref() == Some(id));
            let name = named.and_then(|user| user.words("global_name").or_else(|| user.words("username")));
            out.push('@');
            out.push_str(name.as_deref().unwrap_or(id));
            let length = out.chars().count() as u32 - offset;
            mentions.push(Mention { address: Some(super::place::user(id).into()), offset, length, own: (id == own).then_some(true) });
        } else if let Some(word) = entity(inside) {
            out.push_str(&word);
        } else {
            out.push('<');
            continue;
        }
        rest = after;
    }
    out.push_str(rest);
    TextPart { text: out.into(), mentions, ..TextPart::default() }
}

/// `<:name:id>`, `<#channel>`, `<@&role>`, `</command:id>`.
fn entity(inside: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = inside.strip_prefix("a:").or_else(|| inside.strip_prefix(':')) {
        return rest.split_once(':').map(|(name, _)| Cow::Owned(format!(":{name}:")));
    }
    if let Some(rest) = inside.strip_prefix('/') {
        return rest.split_once(':').map(|(name, _)| Cow::Owned(format!("/{name}")));
    }
    let id = inside.strip_prefix('#').or_else(|| inside.strip_prefix("@&"))?;
    super::place::is_id(id).then(|| Cow::Owned(format!("{}{id}", &inside[..1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(escape("- a*b* _c_ https://a.example/x_y_z d_e\n# no"), "\\- a\\*b\\* \\_c\\_ https://a.example/x_y_z d\\_e\n\\# no");
        assert_eq!(write("**a**", Format::Markdown), "**a**");
    }

    #[test]
    fn entities_become_words() {
        let users = [Object::parse(r#"{"id":"500","username":"ann","global_name":"Ann"}"#).expect("an object")];
        let read = read("hi <@500> <@!77> <:wave:12> <#400> </ticket open:9> 1 <2 <x>".into(), &users, "77");
        assert_eq!(read.text, "hi @Ann @77 :wave: #400 /ticket open 1 <2 <x>");
        assert_eq!((read.mentions.len(), read.mentions[1].own), (2, Some(true)));
    }
}
