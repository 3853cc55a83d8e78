//! Names of files that take several parameters (RFC 2231, section 3): `filename*0*=charset''...; filename*1*=...`.
//!
//! The charset stands in the first piece and holds for all, and a character may be cut in two between pieces: so their octets are put
//! together before they are read.

use mail_parser::{HeaderName, Message as Mail, MessagePart, MimeHeaders};

use super::letter::decoded;

/// What the file is called.
pub(super) fn of(mail: &Mail<'_>, part: &MessagePart<'_>) -> Option<String> {
    let header = |name: &HeaderName<'_>| part.headers.iter().find(|header| header.name == *name);
    let raw = |name| {
        let header = header(&name)?;
        mail.raw_message.get(header.offset_start() as usize..header.offset_end() as usize)
    };
    let put_together = raw(HeaderName::ContentDisposition).and_then(|raw| continued(raw, "filename*"));
    let put_together = put_together.or_else(|| raw(HeaderName::ContentType).and_then(|raw| continued(raw, "name*")));
    put_together.or_else(|| part.attachment_name().map(str::to_owned))
}

/// The parameter whose pieces are numbered behind `stem`, when there are several.
fn continued(header: &[u8], stem: &str) -> Option<String> {
    let header = std::str::from_utf8(header).ok()?;
    let mut pieces: Vec<(u32, bool, &str)> = header.split(';').filter_map(|parameter| piece(parameter, stem)).collect();
    pieces.sort_by_key(|(number, ..)| *number);
    let (&(_, extended, first), true) = (pieces.first()?, pieces.len() > 1) else { return None };
    let mut parts = first.splitn(3, '\'');
    let (charset, _, rest) = if extended { (parts.next(), parts.next(), parts.next()?) } else { (None, None, first) };
    let octets = pieces.iter().enumerate().flat_map(|(at, &(_, extended, value))| {
        let value = if at == 0 { rest } else { value };
        if extended { percent_encoding::percent_decode_str(value).collect() } else { value.as_bytes().to_vec() }
    });
    Some(decoded(&octets.collect::<Vec<u8>>(), charset.filter(|name| !name.is_empty())))
}

/// Its number, whether it is percent-encoded, and what it says.
fn piece<'h>(parameter: &'h str, stem: &str) -> Option<(u32, bool, &'h str)> {
    let (name, value) = parameter.split_once('=')?;
    let name = name.trim();
    let number = name.get(..stem.len()).filter(|begin| begin.eq_ignore_ascii_case(stem)).and_then(|_| name.get(stem.len()..))?;
    let extended = number.ends_with('*');
    Some((number.trim_end_matches('*').parse().ok()?, extended, value.trim().trim_matches('"')))
}
