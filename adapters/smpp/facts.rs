//! What is known about SMPP 3.4 (late 2026). Each provider has its own numbers: the settings and `[throttle]` say them.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about SMPP.
pub const FACTS: Facts = Facts {
    id: "smpp",
    name: "SMPP",
    schemes: &["tel"],
    mediums: &["sms"],
    // No limit of the protocol: what phones put together, and as much as other SMS services take in one message.
    text: TextLimit { max: 1600, unit: Unit::Utf16 },
    paces: &[Pace {
        scope: Scope::Account,
        count: 10,
        window_ms: 1000,
        burst: 1,
        source: "common default of contracts (developers.sinch.com/docs/sms, SMPP; jasmin's smppccm), read 2026-11-20; `tps` says yours",
    }],
    // The window of one connection: 10 at Sinch, read 2026-11-20; `window` and `binds` say yours.
    concurrency: 10,
    shared_with_inbound: false,
    // 10 to 60 s with most; one is aimed at.
    ack_deadline_ms: 10_000,
    // For the validity of a message: 24 to 72 h.
    redelivery: Redelivery { status: 503, for_secs: 86_400 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // Where the provider echoes `user_message_reference`, or quotes the text: the session finds the message by it.
    echoes_our_id: true,
    settle_ms: 60_000,
    strongest: State::Delivered,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Downgraded,
        choices: Support::Downgraded,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::None,
        edits: Support::None,
        // Few message centres take `cancel_sm`, and none says whether the phone has the message already.
        recalls: Support::None,
    },
};
