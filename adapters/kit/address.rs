//! Addresses: `scheme:rest`, with `/ # ? %` inside a part percent-encoded (contract, section 4).

use std::borrow::Cow;

/// Writes an address. Borrows nothing when the id needs escaping.
pub fn address(scheme: &str, id: &str) -> String {
    let mut out = String::with_capacity(scheme.len() + 1 + id.len());
    out.push_str(scheme);
    out.push(':');
    out.push_str(&escape(id));
    out
}

/// Escapes `/ # ? %` inside a part.
pub fn escape(part: &str) -> Cow<'_, str> {
    if !part.contains(['/', '#', '?', '%']) {
        return Cow::Borrowed(part);
    }
    let mut out = String::with_capacity(part.len() + 6);
    for c in part.chars() {
        match c {
            '/' => out.push_str("%2F"),
            '#' => out.push_str("%23"),
            '?' => out.push_str("%3F"),
            '%' => out.push_str("%25"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Undoes [`escape`].
pub fn unescape(part: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy()
}

/// The id of an address with this scheme, unescaped; `None` when the scheme differs or the id is empty.
pub fn id<'a>(address: &'a str, scheme: &str) -> Option<Cow<'a, str>> {
    let rest = address.strip_prefix(scheme)?.strip_prefix(':')?;
    (!rest.is_empty()).then(|| unescape(rest))
}

/// Whether it is E.164: `+`, then 2 to 15 digits, the first not 0.
pub fn is_e164(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

/// A link to a provider's file as it is to be fetched: a stand-in for the API stands in for the hosts of its files too.
pub fn stand_in(link: &str, api_base: Option<&str>, hosts: &[&str]) -> String {
    let url = url::Url::parse(link).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    let own = hosts.iter().any(|own| host == *own || host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')));
    match (api_base, &url) {
        (Some(base), Some(url)) if own => {
            format!("{}{}{}", base.trim_end_matches('/'), url.path(), url.query().map(|q| format!("?{q}")).unwrap_or_default())
        }
        _ => link.to_owned(),
    }
}
