//! The words of a mail that is written in HTML alone.

use mail_parser::decoders::html::add_html_token;

use crate::kit::markup;

/// HTML as text: what nobody sees is left out, and lines are where the page shows them.
pub(super) fn plain(html: &str) -> String {
    let shown = named(&collapsed(&shown(html)));
    let text = markup::from_html(&shown, markup::Dialect::Plain).replace('\u{a0}', " ");
    let mut out = String::with_capacity(text.len());
    let mut blanks = 0;
    for line in text.lines().map(str::trim) {
        blanks = if line.is_empty() { blanks + 1 } else { 0 };
        if blanks < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

/// Without comments, styles, scripts and the like.
fn shown(html: &str) -> String {
    const HIDDEN: &[(&str, &str)] =
        &[("<!--", "-->"), ("<style", "</style>"), ("<script", "</script>"), ("<title", "</title>"), ("<?", ">"), ("<![", ">")];
    // ASCII folding keeps every position where it was.
    let folded = html.to_ascii_lowercase();
    let mut out = String::with_capacity(html.len());
    let mut at = 0;
    while let Some(start) = folded[at..].find('<').map(|found| at + found) {
        let hidden = HIDDEN.iter().find(|(open, _)| folded[start..].starts_with(open));
        let end = hidden.map(|(_, close)| folded[start..].find(close).map_or(folded.len(), |found| start + found + close.len()));
        out.push_str(&html[at..start]);
        match end {
            Some(end) => at = end,
            None => {
                // A rule stands between lines.
                out.push_str(if folded[start..].starts_with("<hr") { "<br><" } else { "<" });
                at = start + 1;
            }
        }
    }
    out.push_str(&html[at..]);
    out
}

/// White space is one space, and none in front of a block, except where it is kept.
fn collapsed(html: &str) -> String {
    const BLOCKS: &[&str] =
        &["div", "p", "br", "tr", "td", "table", "tbody", "ul", "ol", "li", "h", "body", "blockquote", "center", "section"];
    let folded = html.to_ascii_lowercase();
    if folded.contains("<pre") {
        return html.to_owned();
    }
    let block = |at: usize| {
        let tag = folded.get(at..).and_then(|rest| rest.strip_prefix('<')).map(|rest| rest.trim_start_matches('/'));
        tag.is_some_and(|tag| BLOCKS.iter().any(|block| tag.starts_with(block)))
    };
    let mut out = String::with_capacity(html.len());
    let mut spaces = false;
    for (at, c) in html.char_indices() {
        if c.is_ascii_whitespace() {
            spaces = true;
            continue;
        }
        if spaces && !(c == '<' && block(at)) {
            out.push(' ');
        }
        spaces = false;
        out.push(c);
    }
    out
}

/// Letters in place of the names HTML has for them. Those that would be read as markup stay.
fn named(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..]
            .split_once(';')
            .map(|(name, _)| name)
            .filter(|name| !name.is_empty() && name.len() <= 31 && name.bytes().all(|b| b.is_ascii_alphanumeric()));
        match name {
            Some(name) if !["amp", "lt", "gt", "quot"].contains(&name) => {
                let token = &rest[..name.len() + 2];
                add_html_token(&mut out, token.as_bytes(), false);
                rest = &rest[token.len()..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_page_reads_as_it_looks() {
        let rows = [
            ("<p>Gr&uuml;&szlig;e,\r\nAnn&nbsp;&amp;&nbsp;Bob</p>", "Grüße, Ann & Bob"),
            ("<html><head><title>x</title><style>p { a: b }</style></head><body><!--[if mso]><p>no</p><![endif]-->Hi</body></html>", "Hi"),
            ("<div>One</div>\n<div>Two</div><div><br></div>\n\n<div>Three &lt;3</div>", "One\nTwo\n\nThree <3"),
            ("a &unknown; b & c", "a &unknown; b & c"),
        ];
        for (html, expected) in rows {
            assert_eq!(plain(html), expected, "{html}");
        }
    }
}
