//! Receipts: what became of pushes on the devices, up to a hundred in one delivery.

use std::borrow::Cow;

use crate::contract::event::{Change, ContactUpdated, ProviderEvent};
use crate::contract::*;
use crate::kit::object::Object;
use crate::kit::{address, crypto};

/// A receipt's proof may be this many milliseconds old, or ahead. Huawei documents no limit; this one is ours.
const TOLERANCE: i64 = 300_000;

/// The proof of receipts: a key and the user name that is signed with it.
pub(super) struct Callback {
    key: crypto::Key,
    user: String,
}

impl Callback {
    pub(super) fn new(user: &str, key: &Secret) -> Self {
        let key = crypto::sha256_keys(&Secrets::one(key.reveal())).remove(0);
        Self { key, user: user.to_owned() }
    }

    /// Checks `timestamp=...; nonce=...; value=...`. The body is not part of it.
    pub(super) fn check(&self, hook: &Webhook<'_>, now: Time) -> Result<(), VerifyError> {
        let header = hook.header("x-huawei-callback-id").ok_or(VerifyError::MISSING)?;
        let field = |name: &str| header.split(';').find_map(|part| part.trim().split_once('=').filter(|(n, _)| *n == name)).map(|(_, v)| v);
        let (Some(timestamp), Some(nonce), Some(value)) = (field("timestamp"), field("nonce"), field("value")) else {
            return Err(VerifyError::MISSING);
        };
        let tag = crypto::unbase64(value).ok_or(VerifyError::MISMATCH)?;
        let signed = [timestamp, nonce, &self.user].concat();
        if !crypto::signed(std::slice::from_ref(&self.key), signed.as_bytes(), &tag) {
            return Err(VerifyError::MISMATCH);
        }
        let at = timestamp.parse().map(Time).map_err(|_| VerifyError::MISMATCH)?;
        if now.since(at).abs() > TOLERANCE { Err(VerifyError::Stale) } else { Ok(()) }
    }
}

pub(super) fn parse<'a>(hook: &Verified<'a>) -> Parsed<'a> {
    let body = Cow::Borrowed(&br#"{"code":"0","message":"success"}"#[..]);
    let ack = Ack { content_type: Some("application/json"), body, ..Ack::default() };
    let mut parsed = Parsed { ack, ..Parsed::default() };
    let Some(body) = hook.text().and_then(Object::parse) else {
        parsed.leave("the delivery is not a JSON object");
        return parsed;
    };
    let statuses = body.list("statuses");
    if statuses.is_empty() {
        parsed.leave("the delivery holds no receipts");
    }
    for raw in statuses {
        let entry = Object::parse(raw.get()).and_then(|entry| receipt(&entry, raw));
        match entry {
            Some(events) => parsed.events.extend(events),
            None => parsed.leave("a receipt names no push or no device"),
        }
    }
    parsed
}

/// One entry, of either generation.
fn receipt<'a>(entry: &Object<'a>, raw: &'a serde_json::value::RawValue) -> Option<Vec<Event<'a>>> {
    let (token, request) = (entry.words("token")?, entry.words("requestId")?);
    let peer = address::address("hms", &token);
    let event = |key: String, time, body| Event {
        account: None,
        key: Some(key.into()),
        medium: "push".into(),
        peer: peer.clone().into(),
        time,
        body,
    };
    let mark = crypto::fingerprint(&[&token]);
    let told = entry.object("deliveryStatus");
    let told = told.as_ref().unwrap_or(entry);
    let code = told.int("result").or_else(|| told.int("status"));
    let Some(code) = code else {
        // Of a widget: its form has a result of its own, and none of our messages.
        let form = entry.object("formStatus")?;
        let key = format!("{request}:{mark}:form:{}", form.text("result").unwrap_or_default());
        let body = Body::Provider(ProviderEvent { provider_type: "formStatus".into(), raw: Raw::borrowed(raw) });
        return Some(vec![event(key, form.int("timestamp").map(Time), body)]);
    };
    let time = told.int("timestamp").map(Time);
    let key = format!("{request}:{mark}:{code}");
    let Some(meaning) = meaning(code) else {
        let body = Body::Provider(ProviderEvent { provider_type: format!("status {code}").into(), raw: Raw::borrowed(raw) });
        return Some(vec![event(key, time, body)]);
    };
    let ours = entry.words("biTag").filter(|tag| tag.starts_with("msg_"));
    let error = meaning.error.map(|(class, code_of_ours)| Reason::new(class, code_of_ours, meaning.words).provider_code(code));
    let detail = (code != 0).then_some(Cow::Borrowed(meaning.words));
    let receipt = Receipt { message_id: ours, at: time, error, detail, ..Receipt::new(request, meaning.state) };
    let mut events = vec![event(key.clone(), time, Body::Receipt(receipt))];
    if meaning.gone {
        let change = ContactUpdated {
            change: Change::AddressGone,
            previous: Some(peer.clone().into()),
            current: None,
            reason: Some("token_dead".into()),
            extra: Extra::default(),
        };
        events.push(event(format!("{key}:gone"), time, Body::ContactUpdated(change)));
    }
    Some(events)
}

/// What a code says.
struct Meaning {
    state: State,
    error: Option<(ErrorClass, &'static str)>,
    words: &'static str,
    /// The device's token will never work again.
    gone: bool,
}

/// developer.huawei.com, push-api-msg-receipt, read 2026-11-20.
fn meaning(code: i64) -> Option<Meaning> {
    use ErrorClass as C;
    let failed = |class, ours, words| Meaning { state: State::Failed, error: Some((class, ours)), words, gone: false };
    let waits = |words| Meaning { state: State::Sent, error: None, words, gone: false };
    Some(match code {
        0 => Meaning { state: State::Delivered, error: None, words: "delivered", gone: false },
        2 => Meaning { gone: true, ..failed(C::Recipient, "app_removed", "the app is not installed") },
        5 => Meaning { gone: true, ..failed(C::Recipient, "token_invalid", "the device token does not exist for the device's user") },
        6 => failed(C::OptedOut, "notifications_off", "notifications are switched off"),
        10 => failed(C::Recipient, "device_inactive", "the device has not been connected for 30 days"),
        14 => failed(C::Transient, "network", "the network failed"),
        15 => Meaning { state: State::Expired, error: None, words: "replaced by a later one, or too many were waiting", gone: false },
        22 => failed(C::Recipient, "other_user", "the device has another user"),
        27 => waits("the app is not running; its data waits"),
        31 => failed(C::Content, "not_supported", "the system or the app does not support this kind of message"),
        51 => waits("the device has not been unlocked since it started"),
        102 => failed(C::Throttled, "device_limit", "more than 3,000 pushes to this device today"),
        144 => failed(C::Recipient, "profile_unknown", "the device does not know this profile"),
        201 => failed(C::OptedOut, "held_back", "held back by Huawei's rules: another user, notifications off, or uninstalled"),
        256 => failed(C::Throttled, "marketing_limit", "the device has had its advertising for today"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "gw-receipts";

    fn check(header: &str, now: i64) -> Result<(), VerifyError> {
        let callback = Callback::new(USER, &Secret::new("fake-callback-passphrase"));
        let mut headers = http::HeaderMap::new();
        headers.insert("x-huawei-callback-id", header.parse().expect("a header"));
        let hook =
            Webhook { method: &http::Method::POST, url: "https://gw.example.org/hooks/h", query: "", headers: &headers, body: b"{}" };
        callback.check(&hook, Time(now))
    }

    #[test]
    fn the_vector_verifies_and_grows_stale() {
        let header =
            "timestamp=1795000000000; nonce=0d9d2f1e-6c1b-4a53-9f6e-2a1b7c3d4e5f; value=PHwGkog8RlggEC1V9B3MfmUyRhM1/J/mJos0lYIyKWs=";
        assert!(check(header, 1_795_000_010_000).is_ok());
        assert!(matches!(check(header, 1_795_000_300_001), Err(VerifyError::Stale)));
        assert!(matches!(check(header, 1_794_999_699_999), Err(VerifyError::Stale)));
        assert!(matches!(check(&header.replace("nonce=0", "nonce=1"), 1_795_000_010_000), Err(VerifyError::Mismatch { .. })));
        assert!(matches!(check("timestamp=1; nonce=2", 1), Err(VerifyError::Missing { .. })));
    }

    #[test]
    fn every_code_of_the_sheet_has_a_meaning() {
        use State as S;
        let states =
            [(0, S::Delivered), (2, S::Failed), (5, S::Failed), (6, S::Failed), (10, S::Failed), (14, S::Failed), (15, S::Expired)];
        let more = [
            (22, S::Failed),
            (27, S::Sent),
            (31, S::Failed),
            (51, S::Sent),
            (102, S::Failed),
            (144, S::Failed),
            (201, S::Failed),
            (256, S::Failed),
        ];
        for (code, state) in states.into_iter().chain(more) {
            assert_eq!(meaning(code).map(|m| m.state), Some(state), "{code}");
        }
        assert!(meaning(999).is_none());
    }
}
