//! What is known about RCS for Business (API v1, late 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about RCS for Business.
pub const FACTS: Facts = Facts {
    id: "rcs",
    name: "RCS for Business",
    schemes: &["rcs", "tel"],
    mediums: &["rcs"],
    // RBM API reference, AgentContentMessage.text, read 2026-11-20.
    text: TextLimit { max: 3072, unit: Unit::Chars },
    // Google publishes no number; 429 tells. This is a cap to start with.
    paces: &[Pace {
        scope: Scope::Account,
        count: 50,
        window_ms: 1000,
        burst: 10,
        source: "a cap of ours, set 2026-11-20: the quota of an agent is not published",
    }],
    concurrency: 30,
    shared_with_inbound: false,
    // developers.google.com/business-communications/rcs-business-messaging, webhooks, read 2026-11-20: backoff to 600 s, for
    // 7 days; all agents of a partner stand in one queue.
    ack_deadline_ms: 10_000,
    redelivery: Redelivery { status: 503, for_secs: 604_800 },
    needs_hook_token: false,
    handles: false,
    // `messageId`
    repeatable: true,
    echoes_our_id: false,
    settle_ms: 0,
    strongest: State::Read,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Native,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::None,
        edits: Support::None,
        // While no phone has it.
        recalls: Support::Native,
    },
};
