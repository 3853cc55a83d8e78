//! What is known about Web Push and its operators.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Web Push.
pub const FACTS: Facts = Facts {
    id: "webpush",
    name: "Web Push",
    schemes: &["webpush"],
    mediums: &["push"],
    // RFC 8030: a body of 4,096 bytes must be taken; 3,993 of them are content (RFC 8291), less a headline and data.
    text: TextLimit { max: 3300, unit: Unit::Bytes },
    paces: &[
        // No operator publishes a rate; 429 says when it is too fast, for one browser at a time.
        Pace {
            scope: Scope::Account,
            count: 1000,
            window_ms: 1000,
            burst: 200,
            source: "no published rate; RFC 8030 section 8.4, read 2026-11-20",
        },
    ],
    concurrency: 100,
    shared_with_inbound: false,
    ack_deadline_ms: 10_000,
    redelivery: Redelivery { status: 404, for_secs: 0 },
    needs_hook_token: false,
    // A subscription is what it takes to reach a browser.
    handles: true,
    // Nothing keeps a repeated call away; an equal topic only lets it replace the first.
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 0,
    can: Abilities {
        media: Support::Native,
        choices: Support::Downgraded,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::None,
        // A new notification may stand in for an older one on the device, but it is a message of its own.
        edits: Support::None,
        recalls: Support::None,
    },
};
