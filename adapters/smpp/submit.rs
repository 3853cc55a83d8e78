//! One text as the calls that carry it: one `submit_sm` for each part.

use http::Method;

use super::pdu::{self, Address, PAYLOAD, SAR_NUMBER, SAR_REFERENCE, SAR_TOTAL, SUBMIT_SM, Sm, USER_REFERENCE};
use super::words::{self, Cut, HEADED};
use super::{Bound, Long};
use crate::contract::{Call, Outbound, RenderError, Time};
use crate::kit::address::is_e164;
use crate::kit::crypto;

/// `registered_delivery`: whatever becomes of it, and failures alone.
const EVERY_END: u8 = 1;
const FAILURES: u8 = 2;
const ENDS: u8 = 3;

/// The calls of one text, the `index`th of its message; `last` says that nothing follows it.
pub(super) fn calls(
    bound: &Bound,
    message: &Outbound<'_>,
    to: &str,
    cut: &Cut,
    index: usize,
    last: bool,
) -> Result<Vec<Call>, RenderError> {
    let settings = &bound.settings;
    let mut common = Sm {
        service_type: settings.service_type.clone(),
        source: source(bound),
        destination: Address { ton: settings.dest_ton, npi: settings.dest_npi, digits: to.trim_start_matches('+').to_owned() },
        validity: validity(bound, message),
        coding: cut.coding,
        tlvs: bound.tags.iter().map(|(tag, value)| (*tag, value.as_slice().into())).collect(),
        ..Sm::default()
    };
    native(message, &mut common)?;
    let total = cut.parts.len();
    let mut calls = Vec::with_capacity(total);
    for (number, words) in cut.parts.iter().enumerate() {
        let mut sm = common.clone();
        let ends = last && number + 1 == total;
        sm.registered = receipts(settings.registered_delivery, ends);
        let named = reference(message.id, &[index, number]);
        sm.tlvs.push((USER_REFERENCE, named.to_be_bytes().to_vec().into()));
        if settings.long_mode == Long::Payload && cut.charged > 1 {
            sm.tlvs.push((PAYLOAD, words.into()));
        } else if total > 1 {
            part(&mut sm, settings.long_mode, reference(message.id, &[index]), total as u8, number as u8 + 1, words);
        } else {
            sm.short = words.into();
        }
        let unit = pdu::write(SUBMIT_SM, 0, 0, &sm.write());
        // What is known to have arrived of the last part is known of the whole message.
        let note = if ends { message.id } else { "" };
        calls.push(Call::new(Method::POST, "session:submit_sm").bytes(unit).then(note.to_owned()));
    }
    Ok(calls)
}

/// Parts before the last one tell of failures alone, so that a message is not delivered before its end is.
fn receipts(wanted: u8, ends: bool) -> u8 {
    if !ends && wanted & ENDS == EVERY_END { wanted & !ENDS | FAILURES } else { wanted }
}

/// Marks one of several parts.
fn part<'a>(sm: &mut Sm<'a>, long: Long, reference: u16, total: u8, number: u8, words: &'a [u8]) {
    let [high, low] = reference.to_be_bytes();
    let header: &[u8] = match long {
        Long::Udh16 => &[6, 8, 4, high, low, total, number],
        Long::Udh8 => &[5, 0, 3, low, total, number],
        Long::Sar | Long::Payload => {
            sm.tlvs.push((SAR_REFERENCE, vec![high, low].into()));
            sm.tlvs.push((SAR_TOTAL, vec![total].into()));
            sm.tlvs.push((SAR_NUMBER, vec![number].into()));
            sm.short = words.into();
            return;
        }
    };
    sm.esm_class |= HEADED;
    sm.short = [header, words].concat().into();
}

/// The same number for the same message, so that what is sent after a crash fits what was sent before it.
fn reference(id: &str, path: &[usize]) -> u16 {
    let hash = crypto::sha256(format!("{id}/{path:?}").as_bytes());
    u16::from_be_bytes([hash[0], hash[1]])
}

fn source(bound: &Bound) -> Address {
    let settings = &bound.settings;
    let digits = settings.sender.trim_start_matches('+');
    // SMPP 3.4, sections 5.2.5 and 5.2.6: international and ISDN, alphanumeric, or the provider's own short number.
    let (ton, npi) = match digits {
        "" => (0, 0),
        name if !name.bytes().all(|b| b.is_ascii_digit()) => (5, 0),
        number if number.len() > 6 => (1, 1),
        _ => (3, 0),
    };
    Address { ton: settings.source_ton.unwrap_or(ton), npi: settings.source_npi.unwrap_or(npi), digits: digits.to_owned() }
}

/// The end of usefulness as the protocol writes it: absolute for one message, relative where the settings say it for all.
fn validity(bound: &Bound, message: &Outbound<'_>) -> String {
    if let Some(until) = message.expires_at {
        return absolute(until);
    }
    let Some(seconds) = bound.settings.validity_s else { return String::new() };
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("0000{:02}{:02}{:02}{:02}000R", days.min(99), rest / 3600, rest / 60 % 60, rest % 60)
}

/// `YYMMDDhhmmsstnnp` in UTC.
fn absolute(time: Time) -> String {
    let written = time.to_string();
    let digits: String = written.chars().take(19).filter(char::is_ascii_digit).collect();
    format!("{}000+", digits.get(2..14).unwrap_or_default())
}

/// What the caller wants in the request as it is.
fn native(message: &Outbound<'_>, sm: &mut Sm<'_>) -> Result<(), RenderError> {
    for (name, value) in message.native {
        let at = format!("#/native/{name}");
        let octet = || {
            value.as_u64().and_then(|n| u8::try_from(n).ok()).ok_or_else(|| RenderError::new(&*at, "native_invalid", "expected 0 to 255"))
        };
        match name.as_str() {
            "service_type" => {
                let text = value.as_str().filter(|text| text.len() < 6 && text.is_ascii());
                sm.service_type =
                    text.ok_or_else(|| RenderError::new(&*at, "native_invalid", "expected at most 5 characters of ASCII"))?.to_owned();
            }
            "protocol_id" => sm.protocol_id = octet()?,
            "priority_flag" => sm.priority = octet()?,
            "replace_if_present_flag" => sm.replace = octet()?,
            "tlvs" => {
                for (tag, value) in value.as_object().into_iter().flatten() {
                    let (tag, value) = self::tag(&at, tag, value.as_str().unwrap_or_default())?;
                    sm.tlvs.retain(|(known, _)| *known != tag);
                    sm.tlvs.push((tag, value.into()));
                }
            }
            _ => {
                let known = "SMPP takes `service_type`, `protocol_id`, `priority_flag`, `replace_if_present_flag` and `tlvs`";
                return Err(RenderError::new(at, "native_not_allowed", known));
            }
        }
    }
    Ok(())
}

/// An optional field as people write it: a tag and its text, or octets as `hex:...`.
pub(super) fn tag(at: &str, tag: &str, value: &str) -> Result<(u16, Vec<u8>), RenderError> {
    let wrong = |problem: &str| RenderError::new(at, "tag_invalid", problem);
    let tag = super::errors::number(tag).and_then(|n| u16::try_from(n).ok()).ok_or_else(|| wrong("a tag is a number such as `0x1400`"))?;
    let octets = match value.strip_prefix("hex:") {
        Some(hex) if hex.len().is_multiple_of(2) && hex.is_ascii() => (0..hex.len() / 2)
            .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16))
            .collect::<Result<_, _>>()
            .map_err(|_| wrong("these are no hexadecimal digits"))?,
        Some(_) => return Err(wrong("octets have two hexadecimal digits each")),
        None => value.as_bytes().to_vec(),
    };
    Ok((tag, octets))
}

/// The recipient's number.
pub(super) fn number(address: &str) -> Result<String, RenderError> {
    let id = crate::kit::address::id(address, "tel").unwrap_or_default();
    // Short numbers of the provider's country have no plus.
    let short = (3..=8).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    match is_e164(&id) || short {
        true => Ok(id.into_owned()),
        false => Err(RenderError::new("#/to", "address_invalid", "expected `tel:` and a number in E.164: +14155550123")),
    }
}

/// A text cut for this account.
pub(super) fn cut(bound: &Bound, text: &str) -> Cut {
    words::cut(text, bound.settings.default_alphabet, bound.settings.long_mode, bound.settings.gsm_packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_protocol_has_them() {
        assert_eq!(absolute(Time(1_795_169_730_123)), "261120101530000+");
        assert_eq!(receipts(1, false), 2);
        assert_eq!((receipts(1, true), receipts(0, false), receipts(0x11, false)), (1, 0, 0x12));
    }

    #[test]
    fn optional_fields_are_text_or_octets() {
        assert_eq!(tag("x", "0x1400", "11"), Ok((0x1400, b"11".to_vec())));
        assert_eq!(tag("x", "5120", "hex:00ff"), Ok((0x1400, vec![0, 0xff])));
        assert!(tag("x", "0x14000", "").is_err() && tag("x", "5", "hex:0").is_err() && tag("x", "5", "hex:zz").is_err());
    }
}
