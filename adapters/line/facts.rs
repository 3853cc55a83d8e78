//! What is known about the LINE Messaging API.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about LINE.
pub const FACTS: Facts = Facts {
    id: "line",
    name: "LINE",
    schemes: &["line"],
    mediums: &["line"],
    // developers.line.biz/en/reference/messaging-api, read 2026-11-20: text message.
    text: TextLimit { max: 5000, unit: Unit::Utf16 },
    // One channel and endpoint; the monthly quota of the plan is told by the provider.
    paces: &[Pace {
        scope: Scope::Sender,
        count: 2_000,
        window_ms: 1_000,
        burst: 100,
        source: "developers.line.biz/en/reference/messaging-api/#rate-limits, read 2026-11-20",
    }],
    concurrency: 64,
    shared_with_inbound: false,
    // check-webhook-error-statistics, read 2026-11-20.
    ack_deadline_ms: 2_000,
    // Off by default, and its spacing is not published: a switch in the console.
    redelivery: Redelivery { status: 503, for_secs: 0 },
    needs_hook_token: false,
    handles: true,
    // `X-Line-Retry-Key`: 24 hours.
    repeatable: true,
    echoes_our_id: false,
    settle_ms: 30_000,
    strongest: State::Sent,
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
        replies: Support::Native,
        edits: Support::None,
        recalls: Support::None,
    },
};
