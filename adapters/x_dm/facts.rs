//! What is known about Direct Messages on X (API v2).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

const LIMITS: &str = "github.com/xdevplatform/docs x-api/fundamentals/rate-limits.mdx (dm_conversations), read 2026-11-20";

/// What is known about X.
pub const FACTS: Facts = Facts {
    id: "x_dm",
    name: "X",
    schemes: &["x"],
    mediums: &["x"],
    // Not confirmed by the reference, which names no maximum.
    text: TextLimit { max: 10_000, unit: Unit::Chars },
    paces: &[
        Pace { scope: Scope::Sender, count: 15, window_ms: 900_000, burst: 15, source: LIMITS },
        Pace { scope: Scope::Sender, count: 1_440, window_ms: 86_400_000, burst: 15, source: LIMITS },
        // All accounts of the app together.
        Pace { scope: Scope::Account, count: 1_440, window_ms: 86_400_000, burst: 15, source: LIMITS },
    ],
    concurrency: 4,
    shared_with_inbound: false,
    // x-api/webhooks/introduction.mdx, read 2026-11-20. Replays of the last 24 hours can be asked for.
    ack_deadline_ms: 10_000,
    redelivery: Redelivery { status: 503, for_secs: 0 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 60_000,
    strongest: State::Read,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Downgraded,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::None,
        edits: Support::None,
        // A deletion takes a message away for ourselves alone: developer.x.com, direct-messages/delete-message, read 2026-11-29.
        recalls: Support::None,
    },
};
