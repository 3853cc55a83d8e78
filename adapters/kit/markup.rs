//! Marked-up text for channels with a markup of their own, or none: the CommonMark and the HTML that people write in
//! messages (emphasis, code, links, headings, lists, quotes), not tables or footnotes.

use crate::contract::part::Format;

/// How a channel marks its text. A pair that is empty leaves the words bare.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Strong emphasis, also of headings.
    pub bold: (&'static str, &'static str),
    /// Emphasis.
    pub italic: (&'static str, &'static str),
    /// Struck out.
    pub strike: (&'static str, &'static str),
    /// Code in a line.
    pub code: (&'static str, &'static str),
    /// Lines of code.
    pub block: (&'static str, &'static str),
    /// What begins each line of a quotation.
    pub quote: &'static str,
}

/// No markup at all.
pub const PLAIN: Style = Style { bold: ("", ""), italic: ("", ""), strike: ("", ""), code: ("", ""), block: ("", ""), quote: "" };

/// Stars, underscores, tildes and backquotes, as most chat applications read them.
pub const CHAT: Style =
    Style { bold: ("*", "*"), italic: ("_", "_"), strike: ("~", "~"), code: ("`", "`"), block: ("```\n", "\n```"), quote: "> " };

/// The text in the channel's own markup.
pub fn convert(text: &str, format: Format, style: &Style) -> String {
    match format {
        Format::Plain => text.to_owned(),
        Format::Markdown => markdown(text, style),
        Format::Html => html(text, style),
    }
}

fn markdown(text: &str, style: &Style) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut code: Option<(char, Vec<&str>)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let fence = bare.chars().next().filter(|c| matches!(c, '`' | '~') && bare.starts_with(&c.to_string().repeat(3)));
        match (&mut code, fence) {
            (Some((open, lines)), Some(mark)) if *open == mark => {
                out.push(format!("{}{}{}", style.block.0, lines.join("\n"), style.block.1));
                code = None;
            }
            (Some((_, lines)), _) => lines.push(line),
            (None, Some(mark)) => code = Some((mark, Vec::new())),
            (None, None) => out.push(line_of(line, style)),
        }
    }
    if let Some((_, lines)) = code {
        out.push(format!("{}{}{}", style.block.0, lines.join("\n"), style.block.1));
    }
    out.join("\n")
}

/// One line: a heading, a quotation, a list's item, a rule, or words.
fn line_of(line: &str, style: &Style) -> String {
    let indent = &line[..line.len() - line.trim_start().len()];
    let bare = line.trim();
    let hashes = bare.bytes().take_while(|b| *b == b'#').count();
    if (1..=6).contains(&hashes) && bare[hashes..].starts_with(' ') {
        let words = inline(bare[hashes..].trim().trim_end_matches('#').trim(), &PLAIN);
        return format!("{}{words}{}", style.bold.0, style.bold.1);
    }
    if let Some(rest) = bare.strip_prefix('>') {
        return format!("{}{}", style.quote, line_of(rest.trim_start(), style));
    }
    let squeezed: String = bare.chars().filter(|c| *c != ' ').collect();
    if squeezed.len() >= 3 && ["-", "*", "_"].iter().any(|mark| squeezed.replace(mark, "").is_empty()) {
        return "---".into();
    }
    if let Some(rest) = bare.strip_prefix("* ").or_else(|| bare.strip_prefix("+ ")).or_else(|| bare.strip_prefix("- ")) {
        return format!("{indent}- {}", inline(rest, style));
    }
    let soft = line.strip_suffix('\\').unwrap_or(line);
    inline(soft.trim_end(), style)
}

/// Emphasis, code and links inside a line.
fn inline(text: &str, style: &Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if let Some((piece, after)) = span(rest, before, style) {
            out.push_str(&piece);
            rest = after;
            before = '.';
            continue;
        }
        let mut taken = c.len_utf8();
        let next = rest[taken..].chars().next();
        if c == '\\' && next.is_some_and(|next| next.is_ascii_punctuation()) {
            let next = next.unwrap_or_default();
            out.push(next);
            taken += next.len_utf8();
        } else {
            out.push(c);
        }
        before = c;
        rest = &rest[taken..];
    }
    out
}

/// A marked span at the beginning of the text, converted, and what follows it.
fn span<'t>(text: &'t str, before: char, style: &Style) -> Option<(String, &'t str)> {
    let wrap = |pair: (&str, &str), inner: &str| format!("{}{}{}", pair.0, inline(inner, style), pair.1);
    match text.chars().next()? {
        '`' => {
            let ticks = text.bytes().take_while(|b| *b == b'`').count();
            let (mark, body) = text.split_at(ticks);
            let end = body.find(mark)?;
            let code = body[..end].trim();
            Some((format!("{}{code}{}", style.code.0, style.code.1), &body[end + ticks..]))
        }
        '*' | '_' => {
            for (mark, pair) in [("**", style.bold), ("__", style.bold), ("*", style.italic), ("_", style.italic)] {
                if let Some((inner, after)) = between(text, mark, before) {
                    return Some((wrap(pair, inner), after));
                }
            }
            None
        }
        '~' => between(text, "~~", before).map(|(inner, after)| (wrap(style.strike, inner), after)),
        '!' if text.starts_with("![") => link(&text[1..], style),
        '[' => link(text, style),
        '<' => {
            let (inner, after) = text[1..].split_once('>')?;
            (inner.contains("://") && !inner.contains(' ')).then(|| (inner.to_owned(), after))
        }
        _ => None,
    }
}

/// The text between two equal marks, where CommonMark lets them open and close.
fn between<'t>(text: &'t str, mark: &str, before: char) -> Option<(&'t str, &'t str)> {
    let inner = text.strip_prefix(mark)?;
    let word = mark.starts_with('_');
    if inner.starts_with(char::is_whitespace) || word && before.is_alphanumeric() {
        return None;
    }
    let mut from = 0;
    while let Some(at) = inner[from..].find(mark).map(|at| at + from) {
        let after = &inner[at + mark.len()..];
        let mut escaped = inner[..at].ends_with('\\') || inner[..at].ends_with(char::is_whitespace) || at == 0;
        escaped |= word && after.chars().next().is_some_and(char::is_alphanumeric);
        // A single mark does not close on half of a double one.
        let single = mark.len() == 1 && after.starts_with(mark);
        if !escaped && !single {
            return Some((&inner[..at], after));
        }
        from = at + mark.len() + usize::from(single);
        if from >= inner.len() {
            return None;
        }
    }
    None
}

/// `[words](address)`: the words with the address behind them, or the address alone when it says the same.
fn link<'t>(text: &'t str, style: &Style) -> Option<(String, &'t str)> {
    let close = text.find("](")?;
    let words = inline(&text[1..close], style);
    let rest = &text[close + 2..];
    let end = rest.find(')')?;
    let target = rest[..end].split(' ').next().unwrap_or_default().trim_matches(['<', '>']);
    Some((named(&words, target), &rest[end + 1..]))
}

fn named(words: &str, target: &str) -> String {
    let bare = |text: &str| {
        text.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("mailto:").trim_end_matches('/').to_owned()
    };
    if target.is_empty() {
        words.to_owned()
    } else if words.is_empty() || bare(words) == bare(target) {
        target.trim_start_matches("mailto:").to_owned()
    } else {
        format!("{words} ({target})")
    }
}

fn html(text: &str, style: &Style) -> String {
    let mut out = String::with_capacity(text.len());
    let mut links: Vec<(usize, String)> = Vec::new();
    let mut preformatted = false;
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find('<').unwrap_or(rest.len());
        words(&rest[..at], preformatted, &mut out);
        rest = &rest[at..];
        let Some(end) = rest.find('>') else {
            out.push_str(&entities(rest));
            break;
        };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let open = !tag.starts_with('/');
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let mark = |pair: (&'static str, &'static str)| if open { pair.0 } else { pair.1 };
        match name.as_str() {
            "b" | "strong" => out.push_str(mark(style.bold)),
            "i" | "em" => out.push_str(mark(style.italic)),
            "s" | "strike" | "del" => out.push_str(mark(style.strike)),
            "code" if !preformatted => out.push_str(mark(style.code)),
            "pre" => {
                preformatted = open;
                out.push_str(mark(style.block));
            }
            "br" => out.push('\n'),
            "li" if open => {
                line(&mut out);
                out.push_str("- ");
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                if open {
                    paragraph(&mut out);
                }
                out.push_str(mark(style.bold));
                if !open {
                    paragraph(&mut out);
                }
            }
            "p" | "blockquote" => paragraph(&mut out),
            "div" | "tr" | "ul" | "ol" | "table" => line(&mut out),
            "a" if open => links.push((out.len(), attribute(tag, "href").unwrap_or_default())),
            "a" => {
                if let Some((from, target)) = links.pop() {
                    let words = out.split_off(from);
                    out.push_str(&named(&words, &target));
                }
            }
            "script" | "style" if open => {
                let close = format!("</{name}");
                rest = rest.find(&close).map_or("", |at| &rest[at..]);
            }
            _ => {}
        }
    }
    out.trim().to_owned()
}

/// Words between tags: white space is one space, unless it is preformatted.
fn words(text: &str, preformatted: bool, out: &mut String) {
    let text = entities(text);
    if preformatted {
        out.push_str(&text);
        return;
    }
    for c in text.chars() {
        if c.is_ascii_whitespace() {
            if !out.is_empty() && !out.ends_with(char::is_whitespace) {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
}

fn line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn paragraph(out: &mut String) {
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push_str("\n\n");
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = match quote {
        Some(quote) => rest[1..].split(quote).next(),
        None => rest.split([' ', '/']).next(),
    };
    value.map(entities)
}

fn entities(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = rest.find(';').filter(|end| *end <= 10).and_then(|end| Some((entity(&rest[1..end])?, end + 1)));
        let (c, taken) = known.unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commonmark_becomes_the_channels_own() {
        let say = |text| convert(text, Format::Markdown, &CHAT);
        assert_eq!(say("**Hi** *you*, ~~old~~ `x*y` and __too__ _so_"), "*Hi* _you_, ~old~ `x*y` and *too* _so_");
        assert_eq!(say("**a *b* c**"), "*a _b_ c*");
        assert_eq!(say("# Title\n\n* one\n+ two\n1. three\n> said **so**"), "*Title*\n\n- one\n- two\n1. three\n> said *so*");
        assert_eq!(say("[our shop](https://acme.example/s) <https://a.example>"), "our shop (https://acme.example/s) https://a.example");
        assert_eq!(say("[acme.example](https://acme.example)"), "https://acme.example");
        assert_eq!(say("```rust\nlet **x** = 1;\n```"), "```\nlet **x** = 1;\n```");
        assert_eq!(say(r"2 * 3 * 4, snake_case_name, \*bare\*, 5 ** 2"), "2 * 3 * 4, snake_case_name, *bare*, 5 ** 2");
        assert_eq!(convert("**Hi** [x](https://y.z)\n> q", Format::Markdown, &PLAIN), "Hi x (https://y.z)\nq");
    }

    #[test]
    fn html_becomes_the_channels_own() {
        let say = |text| convert(text, Format::Html, &CHAT);
        assert_eq!(say("<p>Hi <b>you</b> &amp; <i>me</i><br>now</p><ul><li>a</li><li>b</li></ul>"), "Hi *you* & _me_\nnow\n\n- a\n- b");
        assert_eq!(say("<a href=\"https://x.y\">there</a> &#8364;&#x41;&unknown; 1 < 2"), "there (https://x.y) €A&unknown; 1 < 2");
        assert_eq!(say("<style>p{}</style>x<script>1</script>"), "x");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z*_~`>#<&;\\[\\]()!\\\\é漢 \n-]{0,60}") {
            for format in [Format::Markdown, Format::Html] {
                convert(&text, format, &CHAT);
            }
            let letters = |s: &str| s.chars().filter(char::is_ascii_lowercase).collect::<String>();
            let plain = convert(&text, Format::Plain, &CHAT);
            prop_assert_eq!(letters(&plain), letters(&text));
        }
    }
}
