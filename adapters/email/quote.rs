//! The new words of a reply without the history under them.

/// The text up to where the mail it answers is quoted; all of it when nothing would be left.
pub(super) fn fresh(text: &str) -> &str {
    let mut at = 0;
    let mut cut = text.len();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let next = lines.get(index + 1).copied().unwrap_or_default();
        if begins(line.trim(), next.trim(), &lines[index..]) {
            cut = at;
            break;
        }
        at += line.len();
    }
    let head = text[..cut].trim_end();
    if head.trim().is_empty() { text.trim_end() } else { head }
}

/// Whether the history begins with this line.
fn begins(line: &str, next: &str, rest: &[&str]) -> bool {
    signs(rest) || introduces(line) || introduces(&format!("{line} {next}")) && opens(line) || divides(line) || block(line, rest) || quoted_to_the_end(rest)
}

/// Dash, dash, space: the signature follows (RFC 3676, section 4.3).
fn signs(rest: &[&str]) -> bool {
    rest.first().is_some_and(|line| line.trim_end_matches(['\r', '\n']) == "-- ")
}

/// How mail programs introduce what they quote, in the languages people write to us in.
const ENDINGS: &[&str] = &["wrote:", "writes:", "schrieb:", "a écrit :", "a écrit:", "escribió:", "ha scritto:", "escreveu:", "schreef:", "napisał(a):", "пишет:", "написал:", "写道:", "写道："];
const OPENINGS: &[&str] = &["On ", "Am ", "Le ", "El ", "Il ", "Em ", "Op ", "W dniu "];

fn introduces(line: &str) -> bool {
    ENDINGS.iter().any(|ending| line.ends_with(ending)) || line.starts_with("Am ") && line.contains(" schrieb ") && line.ends_with(':')
}

fn opens(line: &str) -> bool {
    OPENINGS.iter().any(|opening| line.starts_with(opening))
}

fn divides(line: &str) -> bool {
    let bare = line.trim_matches(['-', '_', ' ']);
    let ruled = line.starts_with("-----") || line.starts_with("_____");
    ruled && (bare.is_empty() && line.len() >= 20 || ["original message", "ursprüngliche nachricht", "message d'origine", "mensaje original", "forwarded message"].contains(&bare.to_lowercase().as_str()))
}

/// `From: ...` with `Sent:` or `Date:` and `To:` in the lines that follow.
fn block(line: &str, rest: &[&str]) -> bool {
    let head = ["From:", "Von:", "De :", "De:", "Da:", "Van:"].iter().any(|name| line.trim_start_matches('*').starts_with(name));
    let has = |names: &[&str]| rest.iter().skip(1).take(5).any(|l| names.iter().any(|n| l.trim().trim_start_matches('*').starts_with(n)));
    head && has(&["Sent:", "Date:", "Gesendet:", "Datum:", "Envoyé", "Enviado", "Inviato:", "Verzonden:"]) && has(&["To:", "An:", "À", "Para:", "A:", "Aan:"])
}

/// Only quoted lines from here on.
fn quoted_to_the_end(rest: &[&str]) -> bool {
    rest.first().is_some_and(|line| line.starts_with('>')) && rest.iter().all(|line| line.starts_with('>') || line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::fresh;

    #[test]
    fn history_is_cut_and_answers_between_quotes_are_not() {
        let rows = [
            ("Yes please\n\nOn Fri Acme wrote:\n> Confirm?", "Yes please"),
            ("Yes\n\nOn Fri, 20 Nov 2026 at 10:00, Acme Support\n<a@acme.example> wrote:\n\n> Hi", "Yes"),
            ("Ja\n\nAm 20.11.2026 um 10:00 schrieb Acme:\n> Hallo", "Ja"),
            ("Oui\r\n\r\n-----Original Message-----\r\nFrom: a", "Oui"),
            ("Fine\n\nFrom: Acme <a@acme.example>\nSent: Friday\nTo: Ann\nSubject: x\n\nHi", "Fine"),
            ("> Which size?\nForty-two\n> Which colour?\nRed", "> Which size?\nForty-two\n> Which colour?\nRed"),
            ("> only a quote", "> only a quote"),
            ("Fine\n-- \nAnn, Example Ltd", "Fine"),
            ("Fine\n--\nno signature", "Fine\n--\nno signature"),
            ("From: here to there", "From: here to there"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(fresh(text), expected);
        }
    }
}
