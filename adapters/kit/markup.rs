//! Marked-up text in a channel's own markup: the CommonMark people write in chats (emphasis, strike-through, code, links,
//! headings, lists, quotes), and HTML brought down to the same.

use std::borrow::Cow;

use crate::contract::Rendered;
use crate::contract::part::{Format, TextPart};

/// What the channel understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Nothing: the words alone.
    Plain,
    /// `*bold* _italic_ ~struck~` and back-ticks.
    Stars,
    /// The tags `b i s code pre blockquote a`.
    Html,
}

/// A text in whatever format it was written, in a channel's own markup.
pub fn from_any(text: &str, format: Format, dialect: Dialect) -> Cow<'_, str> {
    match format {
        Format::Plain => Cow::Borrowed(text),
        Format::Markdown => Cow::Owned(from_commonmark(text, dialect)),
        Format::Html => Cow::Owned(from_html(text, dialect)),
    }
}

/// The same for a part of a message; that a channel without markup shows the words alone is told in `out`.
pub fn told<'t>(words: &'t TextPart<'_>, dialect: Dialect, name: &str, part: usize, out: &mut Rendered) -> Cow<'t, str> {
    let made = from_any(&words.text, words.format, dialect);
    if dialect == Dialect::Plain && words.format != Format::Plain && made != words.text {
        let from = if words.format == Format::Html { "html" } else { "markdown" };
        out.note(part, from, "text", &format!("{name} has no markup: the words stand alone"));
    }
    made
}

/// CommonMark in a channel's own markup.
pub fn from_commonmark(text: &str, dialect: Dialect) -> String {
    let mut writer = Writer { dialect, strong: false, out: String::with_capacity(text.len() + 16) };
    let mut paragraph = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let bare = line.trim_start();
        if bare.is_empty() {
            writer.paragraph(&mut paragraph);
            if !writer.out.is_empty() {
                writer.out.push('\n');
            }
        } else if let Some(fence) = ["```", "~~~"].into_iter().find(|f| bare.starts_with(f)) {
            writer.paragraph(&mut paragraph);
            let code: Vec<&str> = lines.by_ref().take_while(|l| !l.trim_start().starts_with(fence)).collect();
            writer.block(&code.join("\n"));
        } else if let Some(heading) = heading(bare) {
            writer.paragraph(&mut paragraph);
            writer.line(|w| w.wrapped(Mark::Strong, heading));
        } else if is_rule(bare) {
            writer.paragraph(&mut paragraph);
            writer.line(|w| w.out.push_str(if dialect == Dialect::Html { "———" } else { "---" }));
        } else if let Some(quoted) = bare.strip_prefix('>') {
            writer.paragraph(&mut paragraph);
            writer.quote(quoted.strip_prefix(' ').unwrap_or(quoted));
        } else if let Some(item) = bullet(bare) {
            writer.paragraph(&mut paragraph);
            let indent = &line[..line.len() - bare.len()];
            // A bullet would take an SMS out of its seven-bit alphabet: half the letters for the same price.
            let dot = if dialect == Dialect::Html { "• " } else { "- " };
            writer.line(|w| {
                w.out.push_str(indent);
                w.out.push_str(dot);
                w.inline(item);
            });
        } else {
            // Emphasis may run over the lines of a paragraph, so these are read together.
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            let hard = line.trim_end();
            paragraph.push_str(hard.strip_suffix('\\').unwrap_or(hard));
        }
    }
    writer.paragraph(&mut paragraph);
    let mut out = writer.out;
    out.truncate(out.trim_end().len());
    out
}

/// HTML in a channel's own markup; unknown tags are left out, blocks become lines. As it is where the channel knows HTML.
pub fn from_html(text: &str, dialect: Dialect) -> String {
    if dialect == Dialect::Html {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut links: Vec<(usize, String)> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&entities(&rest[..at]));
        let inside = &rest[at + 1..];
        let begins = inside.trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic() || c == '!');
        let Some((tag, after)) = inside.split_once('>').filter(|_| begins) else {
            out.push('<');
            rest = inside;
            continue;
        };
        rest = after;
        let name = tag.trim_start_matches('/').split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        let mark = match name.to_ascii_lowercase().as_str() {
            "b" | "strong" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => "*",
            "i" | "em" => "_",
            "s" | "del" | "strike" => "~",
            "code" => "`",
            "pre" => "```",
            "br" => "\n",
            "li" if !tag.starts_with('/') => "\n- ",
            "p" | "div" | "ul" | "ol" | "tr" | "blockquote" => {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                ""
            }
            "a" if tag.starts_with('/') => {
                if let Some((from, link)) = links.pop().filter(|(from, link)| out.get(*from..).is_some_and(|words| words != link)) {
                    let space = if out.len() > from { " " } else { "" };
                    out.push_str(&format!("{space}({link})"));
                }
                ""
            }
            "a" => {
                links.extend(href(tag).map(|link| (out.len(), entities(link))));
                ""
            }
            _ => "",
        };
        let kept = dialect == Dialect::Stars || mark.starts_with('\n');
        out.push_str(if kept { mark } else { "" });
    }
    out.push_str(&entities(rest));
    out.trim().to_owned()
}

#[derive(Clone, Copy)]
enum Mark {
    Strong,
    Emphasis,
    Both,
    Struck,
}

struct Writer {
    dialect: Dialect,
    /// Inside bold: stars do not nest.
    strong: bool,
    out: String,
}

impl Writer {
    fn paragraph(&mut self, text: &mut String) {
        let text = std::mem::take(text);
        if !text.is_empty() {
            self.line(|w| w.inline(&text));
        }
    }

    fn line(&mut self, write: impl FnOnce(&mut Self)) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        write(self);
        self.out.push('\n');
    }

    fn block(&mut self, code: &str) {
        let (before, after) = match self.dialect {
            Dialect::Plain => ("", ""),
            Dialect::Stars => ("```\n", "\n```"),
            Dialect::Html => ("<pre>", "</pre>"),
        };
        self.line(|w| {
            w.out.push_str(before);
            w.words(code);
            w.out.push_str(after);
        });
    }

    fn quote(&mut self, text: &str) {
        let html = self.dialect == Dialect::Html;
        self.line(|w| {
            w.out.push_str(if html { "<blockquote>" } else { "> " });
            w.inline(text);
            w.out.push_str(if html { "</blockquote>" } else { "" });
        });
    }

    /// Words as they are meant, in this dialect.
    fn words(&mut self, text: &str) {
        if self.dialect != Dialect::Html {
            return self.out.push_str(text);
        }
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                c => self.out.push(c),
            }
        }
    }

    fn wrapped(&mut self, mark: Mark, text: &str) {
        let bold = matches!(mark, Mark::Strong | Mark::Both);
        let (open, close) = match (self.dialect, mark) {
            (Dialect::Plain, _) => ("", ""),
            (_, Mark::Strong) if self.strong => ("", ""),
            (Dialect::Stars, Mark::Strong) => ("*", "*"),
            (Dialect::Stars, Mark::Emphasis) => ("_", "_"),
            (Dialect::Stars, Mark::Both) => ("*_", "_*"),
            (Dialect::Stars, Mark::Struck) => ("~", "~"),
            (Dialect::Html, Mark::Strong) => ("<b>", "</b>"),
            (Dialect::Html, Mark::Emphasis) => ("<i>", "</i>"),
            (Dialect::Html, Mark::Both) => ("<b><i>", "</i></b>"),
            (Dialect::Html, Mark::Struck) => ("<s>", "</s>"),
        };
        let around = self.strong;
        self.strong |= bold;
        self.out.push_str(open);
        self.inline(text);
        self.out.push_str(close);
        self.strong = around;
    }

    fn inline(&mut self, text: &str) {
        let mut rest = text;
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            let taken = match c {
                '\\' => rest[1..].chars().next().filter(char::is_ascii_punctuation).map(|_| {
                    self.words(&rest[1..2]);
                    2
                }),
                '`' => self.code(rest),
                '[' | '!' => self.link(rest),
                '<' => self.address(rest),
                '*' | '_' | '~' => self.emphasis(rest, before),
                _ => None,
            };
            let taken = taken.unwrap_or_else(|| {
                // A whole run that opens nothing is meant as it stands.
                let run = rest.len() - rest.trim_start_matches(c).len();
                let plain = if matches!(c, '*' | '_' | '~' | '`') { run } else { c.len_utf8() };
                self.words(&rest[..plain]);
                plain
            });
            before = rest[..taken].chars().next_back().unwrap_or(' ');
            rest = &rest[taken..];
        }
    }

    fn code(&mut self, text: &str) -> Option<usize> {
        let run = text.len() - text.trim_start_matches('`').len();
        let end = closing(&text[run..], '`', run)?;
        let code = text[run..run + end].trim();
        let (open, close) = match self.dialect {
            Dialect::Plain => ("", ""),
            Dialect::Stars => ("`", "`"),
            Dialect::Html => ("<code>", "</code>"),
        };
        self.out.push_str(open);
        self.words(code);
        self.out.push_str(close);
        Some(run + end + run)
    }

    fn link(&mut self, text: &str) -> Option<usize> {
        let start = if text.starts_with("![") { 2 } else { 1 };
        let inside = text.get(start..).filter(|_| text[..start].ends_with('['))?;
        let mut depth = 0_i32;
        let close = inside.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            (depth < 0).then_some(at)
        })?;
        let target = inside[close + 1..].strip_prefix('(')?;
        let end = target.find(')')?;
        let url = target[..end].split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']);
        let words = &inside[..close];
        match self.dialect {
            Dialect::Html => {
                self.out.push_str("<a href=\"");
                self.words(url);
                self.out.push_str("\">");
                self.inline(words);
                self.out.push_str("</a>");
            }
            _ if words == url || words.is_empty() => self.words(url),
            _ => {
                self.inline(words);
                self.out.push_str(&format!(" ({url})"));
            }
        }
        Some(start + close + 2 + end + 1)
    }

    fn address(&mut self, text: &str) -> Option<usize> {
        let end = text.find('>')?;
        let url = &text[1..end];
        let known = ["http://", "https://", "mailto:", "tel:"].iter().any(|scheme| url.starts_with(scheme));
        (known && !url.contains(char::is_whitespace)).then(|| {
            self.words(url);
            end + 1
        })
    }

    fn emphasis(&mut self, text: &str, before: char) -> Option<usize> {
        let c = text.chars().next()?;
        let run = text.len() - text.trim_start_matches(c).len();
        let mark = match (c, run) {
            ('~', 1 | 2) => Mark::Struck,
            ('*' | '_', 1) => Mark::Emphasis,
            ('*' | '_', 2) => Mark::Strong,
            ('*' | '_', 3) => Mark::Both,
            _ => return None,
        };
        let inside = &text[run..];
        // snake_case_words are words.
        if inside.starts_with(char::is_whitespace) || c == '_' && before.is_alphanumeric() {
            return None;
        }
        let end = closing(inside, c, run)?;
        if end == 0 {
            return None;
        }
        self.wrapped(mark, &inside[..end]);
        Some(run + end + run)
    }
}

/// Where a run of exactly `count` closes what it opened.
fn closing(text: &str, mark: char, count: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if mark != '`' => at += 2,
            b'`' if mark != '`' => {
                let run = bytes[at..].iter().take_while(|b| **b == b'`').count();
                at += run + closing(&text[at + run..], '`', run).map_or(0, |end| end + run);
            }
            b if b == mark as u8 => {
                let run = bytes[at..].iter().take_while(|b| **b == mark as u8).count();
                let after_space = text[..at].ends_with(char::is_whitespace);
                let before_word = mark == '_' && text[at + run..].starts_with(char::is_alphanumeric);
                if run == count && (mark == '`' || !after_space && !before_word) {
                    return Some(at);
                }
                at += run;
            }
            _ => at += 1,
        }
    }
    None
}

fn heading(line: &str) -> Option<&str> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let words = line[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| words.trim_end_matches('#').trim())
}

fn bullet(line: &str) -> Option<&str> {
    ["- ", "* ", "+ "].into_iter().find_map(|dot| line.strip_prefix(dot))
}

fn is_rule(line: &str) -> bool {
    let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    line.len() >= 3 && ["-", "*", "_"].into_iter().any(|c| line.trim_matches(c.chars().next().unwrap_or('-')).is_empty())
}

fn href(tag: &str) -> Option<&str> {
    let value = tag.split_once("href=")?.1;
    let quote = value.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    value[1..].split(quote).next()
}

fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let named = rest.split_once(';').filter(|(name, _)| name.len() <= 8);
        let known = named.and_then(|(name, after)| Some((entity(name)?, after)));
        match known {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commonmark_becomes_the_channels_own() {
        let text = "# Hi **Ana**\n\nYour *order* is ~~late~~ __here__, see [it](https://a.example/1_2_3 \"t\") or `a*b`.\n\n- one\n- ***two***\n\n> 1 < 2\n\n```rust\nx & y\n```\nsnake_case_word \\*kept\\* 2 * 3 * 4";
        assert_eq!(
            from_commonmark(text, Dialect::Stars),
            "*Hi Ana*\n\nYour _order_ is ~late~ *here*, see it (https://a.example/1_2_3) or `a*b`.\n\n- one\n- *_two_*\n\n> 1 < 2\n\n```\nx & y\n```\nsnake_case_word *kept* 2 * 3 * 4"
        );
        assert_eq!(
            from_commonmark(text, Dialect::Plain),
            "Hi Ana\n\nYour order is late here, see it (https://a.example/1_2_3) or a*b.\n\n- one\n- two\n\n> 1 < 2\n\nx & y\nsnake_case_word *kept* 2 * 3 * 4"
        );
        assert_eq!(
            from_commonmark("**a & b**\n<https://x.example/?a=1&b=2> ![alt](https://i.example)", Dialect::Html),
            "<b>a &amp; b</b>\nhttps://x.example/?a=1&amp;b=2 <a href=\"https://i.example\">alt</a>"
        );
        assert_eq!(from_commonmark("**unclosed and *odd", Dialect::Stars), "**unclosed and *odd");
    }

    #[test]
    fn html_comes_down_to_the_same() {
        let html = "<p>Hi <b>Ana</b> &amp; <i>Bo</i>, <a href='https://a.example'>look</a></p><ul><li>1 &lt; 2</ul>a<br>b 3 < 4 &#x41;";
        assert_eq!(from_html(html, Dialect::Plain), "Hi Ana & Bo, look (https://a.example)\n\n- 1 < 2\na\nb 3 < 4 A");
        assert_eq!(from_html("<b>x</b>", Dialect::Stars), "*x*");
    }

    proptest! {
        #[test]
        fn any_text_comes_out(text in "[a *_~`\\\\\\[\\]()<>#\n>é!-]{0,60}") {
            for dialect in [Dialect::Plain, Dialect::Stars, Dialect::Html] {
                let _ = (from_commonmark(&text, dialect), from_html(&text, dialect));
            }
        }
    }
}
