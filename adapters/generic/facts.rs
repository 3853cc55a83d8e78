//! What is known about a provider that nobody here has heard of: what its description says, and cautious values for the rest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::settings::{Meaning, Scheme, Settings};
use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, SettingsError, State, Support, TextLimit, Unit};

/// What holds of all of them, and what the table of channels shows.
pub const FACTS: Facts = Facts {
    id: "generic",
    name: "Any JSON over HTTP",
    schemes: &["generic"],
    mediums: &["generic"],
    text: TextLimit { max: 1530, unit: Unit::Chars },
    paces: &[],
    concurrency: 16,
    shared_with_inbound: false,
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 3_600 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 30_000,
    strongest: State::Read,
    reply_window_ms: None,
    max_body: 4 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};

/// The facts of the provider that these settings describe.
///
/// Facts live as long as the process; equal descriptions share theirs, so reading a file again takes no memory.
pub(super) fn declared(settings: &Settings) -> Result<&'static Facts, SettingsError> {
    static KNOWN: Mutex<BTreeMap<String, &'static Facts>> = Mutex::new(BTreeMap::new());
    let pace = settings.send.pace.as_deref().map(pace).transpose()?;
    let strongest = strongest(settings);
    let proved = settings.signature.as_ref().map(|s| s.scheme);
    let (media, choices) = (takes(settings, "media"), settings.send.choices.is_some());
    let echoes = settings.receipts.iter().any(|rule| rule.our_id.is_some());
    let repeatable = settings.send.idempotency_header.is_some();
    let medium = settings.medium.clone().unwrap_or_else(|| if settings.scheme == "tel" { "sms".into() } else { settings.scheme.clone() });
    let text = settings.send.text_limit;
    let quotes = takes(settings, "reply_to");
    let revises = (settings.edit.is_some(), settings.recall.is_some());
    let key = format!(
        "{:?}",
        (&settings.name, &settings.scheme, &medium, text, pace, strongest, proved, media, choices, quotes, (echoes, repeatable, revises))
    );
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(facts) = known.get(&key) {
        return Ok(facts);
    }
    let native = |yes: bool, else_is: Support| if yes { Support::Native } else { else_is };
    let facts: &'static Facts = Box::leak(Box::new(Facts {
        name: settings.name.clone().leak(),
        schemes: vec![&*settings.scheme.clone().leak()].leak(),
        mediums: vec![&*medium.leak()].leak(),
        text: TextLimit { max: text.max, unit: text.unit.unit() },
        paces: pace.into_iter().collect::<Vec<_>>().leak(),
        needs_hook_token: proved == Some(Scheme::None),
        repeatable,
        echoes_our_id: echoes,
        strongest,
        max_body: if proved.is_some() { FACTS.max_body } else { 0 },
        can: Abilities {
            media: native(media, Support::Downgraded),
            choices: native(choices, Support::Downgraded),
            replies: native(quotes, Support::None),
            edits: native(revises.0, Support::None),
            recalls: native(revises.1, Support::None),
            ..FACTS.can
        },
        ..FACTS
    }));
    known.insert(key, facts);
    Ok(facts)
}

/// Whether a body has a place for it.
pub(super) fn takes(settings: &Settings, name: &str) -> bool {
    let send = &settings.send;
    [Some(&send.body), send.media.as_ref()].into_iter().flatten().any(|tree| tree.takes(name))
}

fn strongest(settings: &Settings) -> State {
    let meant = |wanted: Meaning| settings.receipts.iter().any(|rule| rule.states.values().any(|meaning| *meaning == wanted));
    if meant(Meaning::Read) {
        State::Read
    } else if meant(Meaning::Delivered) {
        State::Delivered
    } else {
        State::Sent
    }
}

/// `COUNT/WINDOW`: `20/s`, `100/10s`, `1000/h`.
fn pace(text: &str) -> Result<Pace, SettingsError> {
    let read = || {
        let (count, window) = text.split_once('/')?;
        let digits = window.len() - window.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let many: u64 = if digits == 0 { 1 } else { window[..digits].parse().ok()? };
        let unit = match window[digits..].trim() {
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let count: u32 = count.trim().parse().ok()?;
        let window_ms = many.checked_mul(unit)?;
        (count > 0 && window_ms > 0).then_some(Pace {
            scope: Scope::Sender,
            count,
            window_ms,
            burst: 1,
            source: "the settings of the channel",
        })
    };
    read().ok_or_else(|| SettingsError::new("send.pace", "no pace", "write messages per window, such as `20/s`, `100/10s` or `1000/h`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_read() {
        let read = |text: &str| pace(text).map(|p| (p.count, p.window_ms)).ok();
        assert_eq!([read("20/s"), read("100/10s"), read("5/min")], [Some((20, 1_000)), Some((100, 10_000)), Some((5, 60_000))]);
        assert_eq!([read("20"), read("0/s"), read("x/s"), read("1/0s"), read("1/week")], [None; 5]);
    }
}
