//! Slack's way of writing text: entities in angle brackets, three characters escaped.

use std::borrow::Cow;

use crate::contract::Text;
use crate::contract::part::{Format, Mention, TextPart};
use crate::kit::{address, markup};

/// A text as people see it, with the people named in it. `bot` is our own user.
pub(super) fn read<'a>(text: Text<'a>, team: &str, bot: Option<&str>) -> TextPart<'a> {
    if !text.contains(['<', '&']) {
        return TextPart { text, ..TextPart::default() };
    }
    let mut out = String::with_capacity(text.len());
    let mut mentions = Vec::new();
    let mut rest = &*text;
    while let Some(at) = rest.find('<') {
        plain(&rest[..at], &mut out);
        rest = &rest[at + 1..];
        let Some((inside, after)) = rest.split_once('>') else {
            out.push('<');
            continue;
        };
        rest = after;
        let (target, label) = inside.split_once('|').map_or((inside, None), |(target, label)| (target, Some(label)));
        let offset = out.chars().count() as u32;
        if let Some(user) = target.strip_prefix('@') {
            out.push('@');
            plain(label.unwrap_or(user).trim_start_matches('@'), &mut out);
            let length = out.chars().count() as u32 - offset;
            let own = (bot == Some(user)).then_some(true);
            mentions.push(Mention { address: Some(person(team, user).into()), offset, length, own });
        } else {
            plain(&entity(target, label), &mut out);
        }
    }
    plain(rest, &mut out);
    TextPart { text: out.into(), mentions, ..TextPart::default() }
}

/// A person's address.
pub(super) fn person(team: &str, user: &str) -> String {
    format!("slack:{}/{}", address::escape(team), address::escape(user))
}

/// What stands for a channel, a group of people, a date or a link.
fn entity<'t>(target: &'t str, label: Option<&'t str>) -> Cow<'t, str> {
    match (target.as_bytes().first(), label) {
        (Some(b'#'), label) => Cow::Owned(format!("#{}", label.filter(|l| !l.is_empty()).unwrap_or(&target[1..]))),
        (Some(b'!'), Some(label)) => Cow::Borrowed(label),
        (Some(b'!'), None) => Cow::Owned(format!("@{}", target[1..].split('^').next().unwrap_or_default())),
        (_, None) => Cow::Borrowed(target.strip_prefix("mailto:").or_else(|| target.strip_prefix("tel:")).unwrap_or(target)),
        (_, Some(label)) if target == label || target.split_once(':').is_some_and(|(_, rest)| rest.trim_start_matches('/') == label) => {
            if target.starts_with("http") {
                Cow::Borrowed(target)
            } else {
                Cow::Borrowed(label)
            }
        }
        (_, Some(label)) => Cow::Owned(format!("{label} ({target})")),
    }
}

fn plain(text: &str, out: &mut String) {
    out.push_str(&unescape(text));
}

/// Words as they were before [`escape`].
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains('&') { Cow::Owned(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) } else { Cow::Borrowed(text) }
}

/// Words as Slack wants them: nothing in them is taken for an entity.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text in Slack's own markup.
pub(super) fn write(text: &str, format: Format) -> String {
    escape(&markup::from_any(text, format, markup::Dialect::Stars))
}

/// A text without markup.
pub(super) fn bare(text: &str, format: Format) -> String {
    markup::from_any(text, format, markup::Dialect::Plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_become_words() {
        let text = "Hi <@U0BOT>, see <#C1|general> &amp; <https://a.example|here> <https://b.example> <!here> <mailto:a@b.example|a@b.example> 1 &lt; 2 <";
        let read = read(text.into(), "T0", Some("U0BOT"));
        assert_eq!(read.text, "Hi @U0BOT, see #general & here (https://a.example) https://b.example @here a@b.example 1 < 2 <");
        assert_eq!((read.mentions[0].offset, read.mentions[0].length, read.mentions[0].own), (3, 6, Some(true)));
        assert_eq!(read.mentions[0].address.as_deref(), Some("slack:T0/U0BOT"));
        assert_eq!(write("**a** <b> & c", Format::Markdown), "*a* &lt;b&gt; &amp; c");
    }
}
