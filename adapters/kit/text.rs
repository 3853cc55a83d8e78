//! Cutting texts where people would, and turning CommonMark into a channel's own markup.

use crate::contract::Unit;

/// Cuts a text into pieces no longer than `max` units: at a paragraph, a line, a sentence, a word, in this order of
/// preference, and never inside a character.
pub fn split(text: &str, max: usize, unit: Unit) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while unit.count(rest) > max {
        let mut used = 0;
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let mut buffer = [0; 4];
            used += unit.count(c.encode_utf8(&mut buffer));
            if used > max {
                break;
            }
            end = at + c.len_utf8();
        }
        let end = end.max(rest.chars().next().map_or(0, char::len_utf8));
        let head = &rest[..end];
        // A cut in the first half would make more pieces than the reader needs.
        let good = |at: Option<usize>, len: usize| at.map(|at| at + len).filter(|at| *at > head.len() / 2);
        let cut = good(head.rfind("\n\n"), 2)
            .or_else(|| good(head.rfind('\n'), 1))
            .or_else(|| good(head.rfind(". "), 2))
            .or_else(|| good(head.rfind(' '), 1))
            .unwrap_or(end);
        pieces.push(rest[..cut].trim_end());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Shortens a text to at most `max` units, with an ellipsis when something was cut.
pub fn shorten(text: &str, max: usize, unit: Unit) -> String {
    if unit.count(text) <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(unit.count("…"));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let mut buffer = [0; 4];
        used += unit.count(c.encode_utf8(&mut buffer));
        if used > room {
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_fit_and_lose_only_white_space(text in "[a-zé漢😀 .\n]{0,80}", max in 2_usize..12) {
            for unit in [Unit::Chars, Unit::Utf16] {
                let pieces = split(&text, max, unit);
                prop_assert!(pieces.iter().all(|p| unit.count(p) <= max));
                let squeeze = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                prop_assert_eq!(squeeze(&pieces.concat()), squeeze(&text));
            }
        }

        #[test]
        fn shortened_fits(text in "[a-zé漢😀 ]{0,40}", max in 1_usize..20) {
            prop_assert!(Unit::Utf16.count(&shorten(&text, max, Unit::Utf16)) <= max);
        }
    }
}
