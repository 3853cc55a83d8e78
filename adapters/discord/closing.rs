//! Why a connection to the gateway ended, and how to go on: docs.discord.com/developers/topics/opcodes-and-status-codes, read 2026-11-29.

use crate::contract::{ErrorClass, Reason};

/// What only a person mends is not tried again sooner: every try counts among the thousand a day.
const AFTER_REFUSAL: u64 = 900_000;
/// After too many payloads, or a front that turns us away.
const AFTER_TOO_MUCH: u64 = 60_000;
/// After a connection that simply ended. The engine's own pauses grow beyond it.
const AFTER_END: u64 = 1_000;

/// How to go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct After {
    /// What is shown meanwhile; `None` for what happens every day.
    pub reason: Option<Reason>,
    /// Whether what was missed may still be had.
    pub resumes: bool,
    /// Milliseconds before the next try.
    pub wait_ms: u64,
}

impl After {
    /// After what happens every day.
    pub const USUAL: Self = Self { reason: None, resumes: true, wait_ms: AFTER_END };
}

/// Codes that no next try mends, our code, and what to do.
const FATAL: &[(u16, ErrorClass, &str, &str)] = &[
    (
        4004,
        ErrorClass::Auth,
        "token_invalid",
        "Discord does not accept the bot's token: mend `bot_token` (application, page Bot, Reset Token)",
    ),
    (4010, ErrorClass::Config, "shard_invalid", "Discord does not know this shard: mend `gateway_shards`"),
    (4011, ErrorClass::Config, "sharding_required", "the bot is in too many servers for so few connections: raise `gateway_shards`"),
    (4012, ErrorClass::Config, "version_invalid", "Discord does not speak this version of its gateway any more: update the gateway"),
    (4013, ErrorClass::Config, "intents_invalid", "Discord does not know one of the intents: mend `gateway_intents`"),
    (
        4014,
        ErrorClass::Config,
        "intents_disallowed",
        "a privileged intent is not switched on: in Discord's developer portal, application, page Bot, Privileged Gateway Intents, switch on \
         Message Content Intent and what else `gateway_intents` names; or take it out there",
    ),
];

/// After the goodbye with this code.
pub(super) fn closed(code: Option<u16>) -> After {
    if let Some((code, class, ours, title)) = FATAL.iter().find(|(fatal, ..)| Some(*fatal) == code) {
        let reason = Reason::new(*class, *ours, *title).provider_code(code);
        return After { reason: Some(reason), resumes: true, wait_ms: AFTER_REFUSAL };
    }
    let reason = code.map(|code| Reason::new(ErrorClass::Transient, "gateway_closed", "Discord closed the connection").provider_code(code));
    After {
        reason,
        // 4006 was the code of a session that is over; 4007 and 4009 ask for a new one.
        resumes: !matches!(code, Some(4006 | 4007 | 4009)),
        wait_ms: if code == Some(4008) { AFTER_TOO_MUCH } else { AFTER_END },
    }
}

/// After an answer to the handshake that was none.
pub(super) fn refused(status: u16) -> After {
    let reason =
        Reason::new(ErrorClass::Transient, "gateway_refused", "Discord's gateway does not take the connection").provider_code(status);
    After { reason: Some(reason), resumes: true, wait_ms: AFTER_TOO_MUCH }
}

/// After something that should not be: said, and tried again.
pub(super) fn broken(code: &'static str, title: &'static str) -> After {
    After { reason: Some(Reason::new(ErrorClass::Transient, code, title)), resumes: true, wait_ms: AFTER_END }
}
