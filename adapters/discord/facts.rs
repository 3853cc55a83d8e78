//! What is known about Discord's interactions, webhook events and REST API v10 (August 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Discord.
pub const FACTS: Facts = Facts {
    id: "discord",
    name: "Discord",
    schemes: &["discord"],
    mediums: &["discord"],
    // discord.com/developers/docs/resources/message#create-message, read 2026-11-20.
    text: TextLimit { max: 2000, unit: Unit::Chars },
    paces: &[
        Pace {
            scope: Scope::Account,
            count: 50,
            window_ms: 1000,
            burst: 1,
            source: "discord.com/developers/docs/topics/rate-limits, read 2026-11-20",
        },
        // Not documented, commonly seen; the headers of each answer have the last word.
        Pace {
            scope: Scope::Conversation,
            count: 5,
            window_ms: 5000,
            burst: 5,
            source: "X-RateLimit headers of message creation as seen, read 2026-11-20",
        },
    ],
    concurrency: 20,
    shared_with_inbound: false,
    // discord.com/developers/docs/interactions, read 2026-11-20: 3 s. Interactions never come again; webhook events do for
    // up to 10 minutes.
    ack_deadline_ms: 3_000,
    redelivery: Redelivery { status: 503, for_secs: 600 },
    needs_hook_token: false,
    handles: true,
    // `nonce` with `enforce_nonce`; answers to interactions change the one message that is there.
    repeatable: true,
    echoes_our_id: false,
    settle_ms: 0,
    // Accepted is visible; nothing is reported after that.
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};
