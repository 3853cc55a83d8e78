//! Addresses in their normal form: one way to write each, so that what people write finds what is kept.

use std::borrow::Cow;

/// The scheme of an address: what stands before the first colon.
pub fn scheme(address: &str) -> &str {
    address.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// What stands behind the scheme.
pub fn rest(address: &str) -> &str {
    address.split_once(':').map_or("", |(_, rest)| rest)
}

/// The phone number in an address, digits without plus, where it is one.
pub fn number(address: &str) -> Option<&str> {
    let digits = rest(address).strip_prefix('+')?;
    (matches!(digits.len(), 2..=15) && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// The normal form: scheme in lower case, numbers with plus and without what people put between digits, mail in lower case.
/// What is none of these stays as it is: ids of providers may differ by case alone.
pub fn normal(address: &str) -> Cow<'_, str> {
    let trimmed = address.trim();
    let Some((scheme, rest)) = trimmed.split_once(':') else { return Cow::Borrowed(trimmed) };
    let free = |scheme| scheme != "mailto" && !fairway_adapters::NUMBERS.contains(&scheme);
    if !scheme.bytes().any(|b| b.is_ascii_uppercase()) && (number(trimmed).is_some() || free(scheme)) {
        return Cow::Borrowed(trimmed); // As most are written: nothing is copied.
    }
    let scheme = scheme.to_ascii_lowercase();
    let rest = match scheme.as_str() {
        "mailto" => rest.to_lowercase(),
        scheme if fairway_adapters::NUMBERS.contains(&scheme) => phone(rest).unwrap_or_else(|| rest.to_owned()),
        _ => rest.to_owned(),
    };
    let normal = format!("{scheme}:{rest}");
    if normal == trimmed { Cow::Borrowed(trimmed) } else { Cow::Owned(normal) }
}

/// A phone number with plus; `None` for what is none (a short code, a name, a business-scoped id).
fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let only = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}'));
    let plus = text.trim_start().starts_with('+');
    // Without a plus only a full international number is meant: what is shorter is a short code.
    (only && !digits.starts_with('0') && digits.len() <= 15 && (plus && digits.len() >= 2 || digits.len() >= 8))
        .then(|| format!("+{digits}"))
}

/// What is wrong with an address, if anything.
pub fn problem(address: &str) -> Option<&'static str> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    match address.split_once(':') {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.chars().all(fine) && !rest.is_empty() => match scheme {
            "tel" if number(address).is_none() => Some("a phone number is written with country code: tel:+15550100200"),
            "mailto" if !rest.contains('@') => Some("a mail address has an @: mailto:ana@example.org"),
            _ if address.len() > 512 => Some("an address has at most 512 bytes"),
            _ => None,
        },
        _ => Some("an address is `scheme:id`, such as tel:+15550100200 or mailto:ana@example.org"),
    }
}

/// The domain of a mail address.
pub fn domain(address: &str) -> Option<&str> {
    (scheme(address) == "mailto").then(|| rest(address).rsplit_once('@').map(|(_, domain)| domain)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (written, kept) in [
            ("tel:+1 (555) 010-0200", "tel:+15550100200"),
            ("whatsapp:15550100200", "whatsapp:+15550100200"),
            ("WhatsApp:+15550100200", "whatsapp:+15550100200"),
            ("whatsapp:US.44010001", "whatsapp:US.44010001"),
            ("sms:12345", "sms:12345"),
            ("sms:ACME", "sms:ACME"),
            ("mailto:Ana@Example.ORG", "mailto:ana@example.org"),
            ("telegram:5550001", "telegram:5550001"),
            ("line:Uabc", "line:Uabc"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(normal(written), kept, "{written}");
            assert_eq!(normal(kept), kept, "the normal form of {kept} is itself");
        }
        assert_eq!(domain("mailto:ana@example.org"), Some("example.org"));
        assert_eq!(number("tel:+15550100200"), Some("15550100200"));
        for bad in ["", "x", "tel:", "tel:abc", "mailto:ana", ":x", "tel:0555"] {
            assert!(problem(&normal(bad)).is_some(), "{bad}");
        }
        assert_eq!(problem("tel:+15550100200"), None);
    }
}
