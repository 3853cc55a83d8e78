//! What is known about Microsoft Teams bots (Bot Framework connector v3, July 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

const SOURCE: &str = "learn.microsoft.com, Teams bots: rate limiting, read 2026-11-20";

/// What is known about Teams.
pub const FACTS: Facts = Facts {
    id: "teams",
    name: "Microsoft Teams",
    schemes: &["teams"],
    mediums: &["teams"],
    // An activity has at most 100 KB in UTF-16, 40 KB in older documents: half of that leaves room for everything else.
    text: TextLimit { max: 20_000, unit: Unit::Utf16 },
    paces: &[
        Pace { scope: Scope::Account, count: 50, window_ms: 1000, burst: 1, source: SOURCE },
        // 7 a second, 60 in half a minute, 1,800 an hour: what may go at once is taken off the hour.
        Pace { scope: Scope::Conversation, count: 53, window_ms: 30_000, burst: 7, source: SOURCE },
        Pace { scope: Scope::Conversation, count: 1700, window_ms: 3_600_000, burst: 100, source: SOURCE },
    ],
    concurrency: 30,
    shared_with_inbound: false,
    ack_deadline_ms: 15_000,
    // No schedule is documented; what stays away is lost.
    redelivery: Redelivery { status: 503, for_secs: 0 },
    needs_hook_token: false,
    // The address of the service behind a conversation.
    handles: true,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    // That it was read is told only in chats of two, where the tenant allows it: nothing to wait for.
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};
