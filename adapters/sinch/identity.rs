//! People as Sinch names them: a channel and an identity on it.

use serde_json::{Value, json};

use crate::kit::address::{address, is_e164, unescape};

/// Our scheme, Sinch's channel, our medium, and whether people have numbers there.
const CHANNELS: &[(&str, &str, &str, bool)] = &[
    ("tel", "SMS", "sms", true),
    ("tel", "MMS", "mms", true),
    ("whatsapp", "WHATSAPP", "whatsapp", true),
    ("rcs", "RCS", "rcs", true),
    ("messenger", "MESSENGER", "messenger", false),
    ("instagram", "INSTAGRAM", "instagram", false),
    ("viber", "VIBERBM", "viber", true),
    ("viber", "VIBER", "viber", false),
    ("telegram", "TELEGRAM", "telegram", false),
    ("kakaotalk", "KAKAOTALK", "kakaotalk", true),
    ("kakaotalk", "KAKAOTALKCHAT", "kakaotalk", false),
    ("line", "LINE", "line", false),
    ("wechat", "WECHAT", "wechat", false),
    ("apple", "APPLEBC", "apple", false),
];

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Sinch's word for the channel.
    pub channel: &'static str,
    /// Who on it; numbers without plus.
    pub id: String,
}

impl Identity {
    /// As a request names it.
    pub fn recipient(&self) -> Value {
        json!({ "identified_by": { "channel_identities": [{ "channel": self.channel, "identity": self.id }] } })
    }
}

/// Reads an address; `None` when it names nobody.
pub(super) fn parse(address: &str) -> Option<Identity> {
    let (scheme, id) = address.split_once(':')?;
    let (_, channel, _, numbered) = CHANNELS.iter().find(|(s, ..)| *s == scheme)?;
    let id = unescape(id);
    let number = id.trim_start_matches('+');
    let good = if *numbered {
        is_e164(&format!("+{number}")) || scheme == "whatsapp" && number.as_bytes().get(2) == Some(&b'.')
    } else {
        !id.is_empty()
    };
    good.then(|| Identity { channel, id: if *numbered { number } else { &id }.to_owned() })
}

/// Medium and address of an identity. A channel nobody knows yet keeps its own name.
pub(super) fn of(channel: &str, id: &str) -> (String, String) {
    let number = format!("+{}", id.trim_start_matches('+'));
    match CHANNELS.iter().find(|(_, c, ..)| *c == channel) {
        Some((scheme, _, medium, numbered)) => {
            let id = if *numbered && is_e164(&number) { &number } else { id };
            ((*medium).to_owned(), address(scheme, id))
        }
        None => (channel.to_ascii_lowercase(), address(&channel.to_ascii_lowercase(), id)),
    }
}

/// Our side's address: a number, a short code or a name, or an id on the channel.
pub(super) fn ours(channel: &str, id: &str) -> String {
    let number = format!("+{}", id.trim_start_matches('+'));
    let short = matches!(channel, "SMS" | "MMS") && !(is_e164(&number) && number.len() > 8);
    if short { address("sms", id) } else { of(channel, id).1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_and_addresses_belong_together() {
        for (address, channel, id) in [
            ("tel:+14155550123", "SMS", "14155550123"),
            ("whatsapp:+34600000111", "WHATSAPP", "34600000111"),
            ("messenger:3300", "MESSENGER", "3300"),
            ("apple:opaque", "APPLEBC", "opaque"),
        ] {
            assert_eq!(parse(address), Some(Identity { channel, id: id.into() }));
            assert_eq!(of(channel, id).1, address);
        }
        assert_eq!((parse("mailto:a@b.example"), parse("tel:123x"), parse("messenger:")), (None, None, None));
        assert_eq!(of("HOLOGRAM", "1"), ("hologram".into(), "hologram:1".into()));
        assert_eq!(
            (ours("SMS", "12345"), ours("SMS", "14155550199"), ours("SMS", "ACME")),
            ("sms:12345".into(), "tel:+14155550199".into(), "sms:ACME".into())
        );
    }
}
