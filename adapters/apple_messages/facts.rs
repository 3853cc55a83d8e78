//! What is known about Apple Messages for Business (MSP REST API v1).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Apple Messages for Business.
pub const FACTS: Facts = Facts {
    id: "apple_messages",
    name: "Apple Messages",
    // Invitations go to numbers.
    schemes: &["apple", "tel"],
    mediums: &["apple_messages"],
    // No predetermined maximum, but one of the payload, which is not said (msp-rest-api/messages-received, read 2026-11-28).
    text: TextLimit { max: 8_000, unit: Unit::Bytes },
    // Not published. One message in flight to each customer, or their order is lost.
    paces: &[Pace {
        scope: Scope::Account,
        count: 50,
        window_ms: 1_000,
        burst: 10,
        source: "no published number; the gateway tells by 429 and 503, 2026-11-20",
    }],
    concurrency: 16,
    shared_with_inbound: false,
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 3_600 },
    needs_hook_token: false,
    handles: false,
    // The id is ours, and a message is repeated under the same one.
    repeatable: true,
    echoes_our_id: false,
    settle_ms: 30_000,
    strongest: State::Sent,
    reply_window_ms: None,
    // Before it is unpacked.
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Downgraded,
        choices: Support::Native,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::None,
        edits: Support::None,
        recalls: Support::None,
    },
};
