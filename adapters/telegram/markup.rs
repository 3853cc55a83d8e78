//! Marked-up text as the HTML that Telegram knows: a few tags, each closed, everything else left out.

use crate::contract::part::Format;
use crate::kit::markup::{Dialect, from_commonmark};

/// core.telegram.org/bots/api#html-style, read 2026-11-20.
const TAGS: &[&str] = &["b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "blockquote", "tg-spoiler"];

/// The text as it goes into the request, with its `parse_mode`.
pub(super) fn marked(text: &str, format: Format) -> (String, Option<&'static str>) {
    match format {
        Format::Plain => (text.to_owned(), None),
        Format::Markdown => (from_commonmark(text, Dialect::Html), Some("HTML")),
        Format::Html => (html(text), Some("HTML")),
    }
}

/// The words without markup.
pub(super) fn plain(text: &str, format: Format) -> String {
    match format {
        Format::Plain => text.to_owned(),
        Format::Markdown => from_commonmark(text, Dialect::Plain),
        Format::Html => {
            let mut words = String::new();
            let known = html(text);
            let mut rest = known.as_str();
            while let Some(at) = rest.find('<') {
                words.push_str(&rest[..at]);
                rest = rest[at..].split_once('>').map_or("", |(_, after)| after);
            }
            words.push_str(rest);
            words.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
        }
    }
}

/// Any HTML as Telegram's: known tags balanced, blocks as lines, the rest of the tags left out.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        words(&rest[..at], &mut out);
        let Some((tag, after)) = tag(&rest[at..]) else {
            out.push_str("&lt;");
            rest = &rest[at + 1..];
            continue;
        };
        rest = after;
        let name =
            tag.trim_start_matches('/').split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default().to_ascii_lowercase();
        if tag.starts_with('/') {
            close(&name, &mut open, &mut out);
        } else {
            start(&name, tag, &mut open, &mut out);
        }
    }
    words(rest, &mut out);
    while let Some(name) = open.pop() {
        end(&name, &mut out);
    }
    out.trim().to_owned()
}

/// A tag's inside and what follows it; `None` when `<` begins no tag.
fn tag(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('<')?;
    let begins = inside.trim_start_matches('/').chars().next()?;
    if !begins.is_ascii_alphabetic() && begins != '!' {
        return None;
    }
    inside.split_once('>')
}

fn start(name: &str, tag: &str, open: &mut Vec<String>, out: &mut String) {
    match name {
        "br" => out.push('\n'),
        "li" => {
            line(out);
            out.push_str("• ");
        }
        "p" | "div" | "ul" | "ol" | "tr" => line(out),
        "a" => {
            let link = href(tag).unwrap_or_default();
            out.push_str(&format!("<a href=\"{}\">", link.replace('"', "%22").replace('<', "%3C").replace('>', "%3E")));
            open.push(name.into());
        }
        "span" if tag.contains("tg-spoiler") => {
            out.push_str("<tg-spoiler>");
            open.push("span".into());
        }
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
            line(out);
            out.push_str("<b>");
            open.push(name.into());
        }
        _ if TAGS.contains(&name) => {
            out.push_str(&format!("<{name}>"));
            open.push(name.into());
        }
        _ => {}
    }
}

/// Closes a tag and what is still open inside it.
fn close(name: &str, open: &mut Vec<String>, out: &mut String) {
    if matches!(name, "p" | "div" | "ul" | "ol" | "tr") {
        return line(out);
    }
    let Some(at) = open.iter().rposition(|o| o == name) else { return };
    for name in open.split_off(at).iter().rev() {
        end(name, out);
    }
}

fn end(name: &str, out: &mut String) {
    match name {
        "span" => out.push_str("</tg-spoiler>"),
        name if name.starts_with('h') => out.push_str("</b>\n"),
        name => out.push_str(&format!("</{name}>")),
    }
}

fn line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn href(tag: &str) -> Option<&str> {
    let value = tag.split_once("href=")?.1;
    let quote = value.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    value[1..].split(quote).next()
}

/// Words between tags: Telegram knows four named entities and the numbers, anything else is meant as it stands.
fn words(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..].split_once(';').map(|(name, _)| name).filter(|name| name.len() <= 8);
        let known = |n: &str| matches!(n, "lt" | "gt" | "amp" | "quot") || n.strip_prefix('#').is_some_and(|d| !d.is_empty());
        match name {
            Some("nbsp") => out.push('\u{a0}'),
            Some(name) if known(name) => out.push_str(&rest[..name.len() + 2]),
            _ => {
                out.push_str("&amp;");
                rest = &rest[1..];
                continue;
            }
        }
        rest = &rest[name.map_or(1, |n| n.len() + 2)..];
    }
    out.push_str(&rest.replace('>', "&gt;"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_html_becomes_telegrams() {
        assert_eq!(html("<p>Hi <b>Ana</b></p><ul><li>one<li>two</ul>"), "Hi <b>Ana</b>\n• one\n• two");
        assert_eq!(html("<h1>Top</h1><table><tr>x & y &eacute; 1 < 2</table>"), "<b>Top</b>\nx &amp; y &amp;eacute; 1 &lt; 2");
        assert_eq!(html("<i>open <b>crossed</i>"), "<i>open <b>crossed</b></i>");
        assert_eq!(html("<a href='https://a.example/?x=\"y\"'>a</a>"), "<a href=\"https://a.example/?x=%22y%22\">a</a>");
        assert_eq!(plain("<b>a</b> &lt;3", Format::Html), "a <3");
    }
}
