//! What a `command_status` means, and why a receipt says that a message failed.
//!
//! Sources: SMPP 3.4 section 5.1.3 and 5.0 section 4.7.6 for the codes, GSM 09.02 for those of networks, read 2026-11-20.

use std::collections::BTreeMap;

use super::pdu::{self, DATA_SM, GENERIC_NACK, Pdu, RESPONSE, SUBMIT_SM};
use super::receipt;
use crate::contract::adapter::unexplained;
use crate::contract::{ErrorClass, Reason, Reply, Scope, Step, Verdict};

pub(super) const OK: u32 = 0;
pub(super) const INVALID_LENGTH: u32 = 0x02;
pub(super) const INVALID_COMMAND: u32 = 0x03;
pub(super) const WRONG_STATE: u32 = 0x04;
pub(super) const ALREADY_BOUND: u32 = 0x05;
pub(super) const QUEUE_FULL: u32 = 0x14;
pub(super) const THROTTLED: u32 = 0x58;
/// We cannot store it now: come back.
pub(super) const COME_BACK: u32 = 0x64;

/// The kind of network whose codes we know.
const GSM: u8 = 3;
/// A full queue is mostly one person's: this long nothing goes to them.
const QUEUE_PAUSE_MS: u64 = 60_000;

/// Status, our code, its class, and what a person may read.
const TABLE: &[(u32, &str, ErrorClass, &str)] = {
    use ErrorClass::*;
    &[
        (0x01, "invalid_length", Content, "the message is longer than the provider takes"),
        (0x02, "protocol", Config, "the provider does not take the length of our request"),
        (0x03, "protocol", Config, "the provider does not know our request"),
        (0x04, "not_bound", Transient, "the connection is not bound for sending"),
        (0x05, "already_bound", Transient, "the account is bound elsewhere"),
        (0x06, "invalid_priority", Config, "the provider does not take this priority"),
        (0x07, "invalid_receipt_flag", Config, "the provider does not take this `registered_delivery`"),
        (0x08, "system_error", Transient, "the provider has trouble"),
        (0x0a, "sender_invalid", Config, "the provider does not take this sender; see `sender`, `source_ton` and `source_npi`"),
        (0x0b, "recipient_invalid", Recipient, "the provider does not take this number"),
        (0x0c, "message_unknown", Content, "the provider does not know this message"),
        (0x0d, "bind_failed", Auth, "the provider refuses the connection; ask it for the account's state"),
        (0x0e, "password_invalid", Auth, "the provider does not take the password; mend `password`"),
        (0x0f, "system_id_invalid", Auth, "the provider does not know the account; mend `system_id`"),
        (0x11, "cancel_failed", Content, "the provider could not cancel the message"),
        (0x13, "replace_failed", Content, "the provider could not replace the message"),
        (0x15, "service_type_invalid", Config, "the provider does not take this `service_type`"),
        (0x33, "protocol", Config, "the provider does not take the number of recipients"),
        (0x34, "protocol", Config, "the provider does not take the distribution list"),
        (0x40, "protocol", Config, "the provider does not take the kind of recipient"),
        (0x42, "protocol", Config, "the provider does not take this way of replacing"),
        (0x43, "esm_class_invalid", Config, "the provider does not take this way of sending; see `long_mode`"),
        (0x44, "protocol", Config, "the provider does not take the distribution list"),
        (0x45, "submit_failed", Transient, "the provider could not take the message"),
        (0x48, "source_ton_invalid", Config, "the provider does not take this kind of sender; mend `source_ton`"),
        (0x49, "source_npi_invalid", Config, "the provider does not take this kind of sender; mend `source_npi`"),
        (0x50, "dest_ton_invalid", Config, "the provider does not take this kind of number; mend `dest_ton`"),
        (0x51, "dest_npi_invalid", Config, "the provider does not take this kind of number; mend `dest_npi`"),
        (0x53, "system_type_invalid", Config, "the provider does not take this `system_type`"),
        (0x54, "protocol", Config, "the provider does not take the replacement flag"),
        (0x55, "protocol", Config, "the provider does not take the number of messages"),
        (0x61, "schedule_invalid", Content, "the provider does not take the time of delivery"),
        (0x62, "expiry_invalid", Content, "the provider does not take `expires_at`"),
        (0x63, "protocol", Config, "the provider does not have the predefined message"),
        (0x64, "temporary", Transient, "the provider cannot take it now"),
        (0x65, "refused", Content, "the provider refuses the message for good"),
        (0x66, "refused", Content, "the provider refuses the message"),
        (0x67, "query_failed", Transient, "the provider could not look it up"),
        (0xc0, "tag_invalid", Config, "the provider does not take the optional fields; see `tlvs`"),
        (0xc1, "tag_not_allowed", Config, "the provider does not allow an optional field; see `tlvs`"),
        (0xc2, "tag_length", Config, "the provider does not take the length of an optional field; see `tlvs`"),
        (0xc3, "tag_missing", Config, "the provider wants an optional field that is missing; see `tlvs`"),
        (0xc4, "tag_value", Config, "the provider does not take the value of an optional field; see `tlvs`"),
        (0xfe, "delivery_failed", Recipient, "the message could not be delivered"),
        (0xff, "unknown_error", Transient, "the provider does not say what is wrong"),
        (0x100, "service_not_allowed", Config, "the account may not use this service"),
        (0x101, "prohibited", Config, "the account may not do this"),
        (0x102, "service_unavailable", Transient, "the service is not available"),
        (0x103, "service_denied", Config, "the service is denied to the account"),
        (0x104, "coding_invalid", Content, "the provider does not take this alphabet"),
    ]
};

/// What a status other than 0 means; `ours` are the account's own words for the provider's own codes.
pub(super) fn reason(status: u32, ours: &BTreeMap<String, ErrorClass>) -> Reason {
    let code = format!("0x{status:08x}");
    if let Some(class) = ours.iter().find(|(name, _)| number(name) == Some(status)).map(|(_, class)| *class) {
        return Reason::new(class, "provider_code", "the provider refused it with a code of its own").provider_code(code);
    }
    match (status, TABLE.iter().find(|row| row.0 == status)) {
        (THROTTLED, _) => Reason::new(ErrorClass::Throttled, "throttled", "too many messages a second").provider_code(code),
        (QUEUE_FULL, _) => Reason::new(ErrorClass::Throttled, "queue_full", "the provider's queue is full").provider_code(code),
        (_, Some((_, ours, class, title))) => Reason::new(*class, *ours, *title).provider_code(code),
        (0x400..=0x4ff, None) => {
            let title = "the provider refused it with a code of its own; say what it means in `error_classes`";
            Reason::new(ErrorClass::Config, "provider_code", title).provider_code(code)
        }
        _ => Reason::new(ErrorClass::Unknown, "unknown_status", "the provider answered with a code nobody knows").provider_code(code),
    }
}

/// A status as the configuration writes it: `0x410` or `1040`.
pub(super) fn number(written: &str) -> Option<u32> {
    match written.strip_prefix("0x").or_else(|| written.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => written.parse().ok(),
    }
}

/// What an answer means. The reply is a whole unit; anything else is an answer of nobody.
pub(super) fn classify(reply: &Reply, ours: &BTreeMap<String, ErrorClass>) -> Step {
    let unit = Pdu::read(&reply.body);
    let answer = unit
        .filter(|u| matches!(u.command, GENERIC_NACK) || matches!(u.command & !RESPONSE, SUBMIT_SM | DATA_SM) && u.command & RESPONSE != 0);
    match answer {
        Some(unit) if unit.status == OK && unit.command != GENERIC_NACK && reply.status.is_success() => {
            // Without an id receipts cannot be told apart, but the message is there.
            Step::accept(pdu::message_id(&unit).map(|id| receipt::canonical(&id)).unwrap_or_default())
        }
        Some(unit) if unit.status != OK => refused(unit.status, ours),
        _ => match unexplained(reply.status) {
            reason if reply.status.is_success() => Step::Done(Verdict::Unclear(reason)),
            reason => Step::of(reason),
        },
    }
}

fn refused(status: u32, ours: &BTreeMap<String, ErrorClass>) -> Step {
    let why = reason(status, ours);
    match status {
        THROTTLED => Step::throttle(Scope::Account, None, why),
        QUEUE_FULL => Step::throttle(Scope::Conversation, Some(QUEUE_PAUSE_MS), why),
        // A code that nobody has explained yet concerns this message as far as anybody knows, and it was surely refused.
        _ if &*why.code == "provider_code" && why.class == ErrorClass::Config => Step::Done(Verdict::Reject(why)),
        _ if why.class == ErrorClass::Unknown => Step::Done(Verdict::Retry(why)),
        _ => Step::of(why),
    }
}

/// Why a message failed, by what its receipt says: the state's word, `err`, and the network's code.
pub(super) fn of_receipt(detail: Option<&str>, err: Option<&str>, network: Option<(u8, u16)>) -> Reason {
    use ErrorClass::*;
    let of_network = network.filter(|(kind, _)| *kind == GSM).and_then(|(_, code)| by_network(code));
    let (class, code, title) = of_network.unwrap_or(match detail {
        Some("expired") => (Transient, "expired", "the phone could not be reached in time"),
        Some("rejected") => (Content, "rejected", "the message was rejected on its way"),
        Some("deleted") => (Content, "deleted", "the message was deleted on its way"),
        _ => (Recipient, "undeliverable", "the message could not be delivered to the phone"),
    });
    let reason = Reason::new(class, code, title);
    match (network, err) {
        (Some((kind, code)), _) => reason.provider_code(format!("{kind}/{code}")),
        (None, Some(err)) => reason.provider_code(err),
        (None, None) => reason,
    }
}

type Cause = (ErrorClass, &'static str, &'static str);

/// GSM's own codes.
fn by_network(code: u16) -> Option<Cause> {
    use ErrorClass::*;
    Some(match code {
        1 => (Recipient, "number_unknown", "nobody has this number"),
        6 | 27 => (Transient, "phone_absent", "the phone is off or out of reach"),
        9 => (Recipient, "number_illegal", "the number may not be reached"),
        11 => (Recipient, "no_messages", "the number takes no messages"),
        13 => (Recipient, "barred", "the number bars messages"),
        31 => (Transient, "phone_busy", "the phone is busy"),
        32 => (Transient, "memory_full", "the phone's memory is full"),
        34 => (Transient, "network_trouble", "the network has trouble"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn answered(command: u32, status: u32, body: &[u8]) -> Step {
        let reply = Reply { body: pdu::write(command, status, 9, body).into(), ..Reply::default() };
        classify(&reply, &BTreeMap::from([("0x410".to_owned(), ErrorClass::OptedOut)]))
    }

    /// The sheet's table, code by code.
    #[test]
    fn every_status_means_what_the_sheet_says() {
        let rows: &[(&[u32], &str)] = &[
            (&[0x04, 0x05, 0x08, 0x45, 0x64, 0x67, 0xff, 0x102], "retry"),
            (&[0x01, 0x0c, 0x11, 0x13, 0x61, 0x62, 0x65, 0x66, 0x104], "reject"),
            (&[0x02, 0x03, 0x06, 0x07, 0x0a, 0x15, 0x33, 0x34, 0x40, 0x42, 0x43, 0x44], "suspend"),
            (&[0x48, 0x49, 0x50, 0x51, 0x53, 0x54, 0x55, 0x63, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4], "suspend"),
            (&[0x0d, 0x0e, 0x0f, 0x100, 0x101, 0x103], "suspend"),
            (&[0x0b, 0xfe, 0x410], "unreachable"),
            (&[0x14, 0x58], "throttle"),
            (&[0x400, 0x4ff], "reject"),
            (&[0x99, 0x500, 0xffff_ffff], "retry"),
        ];
        for (codes, word) in rows {
            for code in *codes {
                for command in [SUBMIT_SM | RESPONSE, GENERIC_NACK] {
                    let Step::Done(verdict) = answered(command, *code, b"") else { panic!("{code:#x}: one more call") };
                    assert_eq!(verdict.word(), *word, "{code:#x}");
                    assert_eq!(verdict.reason().and_then(|r| r.provider_code.clone()), Some(format!("0x{code:08x}")));
                }
            }
        }
        for row in TABLE {
            assert!(rows.iter().any(|(codes, _)| codes.contains(&row.0)), "{:#x} has no verdict in this test", row.0);
        }
        let scope = |status| match answered(SUBMIT_SM | RESPONSE, status, b"") {
            Step::Done(Verdict::Throttle { scope, after, .. }) => Some((scope, after)),
            _ => None,
        };
        assert_eq!((scope(0x58), scope(0x14)), (Some((Scope::Account, None)), Some((Scope::Conversation, Some(60_000)))));
    }

    #[test]
    fn only_an_answer_to_a_message_is_one() {
        let accepted = |step| matches!(step, Step::Done(Verdict::Accept { provider_id }) if provider_id == "1f3a");
        assert!(accepted(answered(SUBMIT_SM | RESPONSE, 0, b"001F3A\0")) && accepted(answered(DATA_SM | RESPONSE, 0, b"1f3a\0")));
        assert!(matches!(answered(SUBMIT_SM | RESPONSE, 0, b""), Step::Done(Verdict::Accept { provider_id }) if provider_id.is_empty()));
        for (command, body) in [(SUBMIT_SM, &b"1\0"[..]), (pdu::ENQUIRE_LINK | RESPONSE, b""), (GENERIC_NACK, b"")] {
            assert!(matches!(answered(command, 0, body), Step::Done(Verdict::Unclear(_))), "{command:#x}");
        }
        let broken = Reply { status: StatusCode::OK, body: b"\0\0\0\x05".to_vec().into(), ..Reply::default() };
        assert!(matches!(classify(&broken, &BTreeMap::new()), Step::Done(Verdict::Unclear(_))));
    }

    #[test]
    fn receipts_say_why() {
        let class = |detail, err, network| of_receipt(detail, err, network).class;
        assert_eq!(class(Some("undeliverable"), Some("000"), None), ErrorClass::Recipient);
        let network = [(ErrorClass::Transient, &[6, 27, 31, 32, 34][..]), (ErrorClass::Recipient, &[1, 9, 11, 13, 255])];
        for (expected, codes) in network {
            for code in codes {
                assert_eq!(class(Some("undeliverable"), None, Some((3, *code))), expected, "{code}");
            }
        }
        assert_eq!(class(Some("undeliverable"), None, Some((2, 6))), ErrorClass::Recipient, "another network's code");
        assert_eq!(class(Some("expired"), None, None), ErrorClass::Transient);
        assert_eq!(class(Some("rejected"), Some("0404"), None), ErrorClass::Content);
        assert_eq!(of_receipt(None, Some("0404"), None).provider_code.as_deref(), Some("0404"));
    }
}
