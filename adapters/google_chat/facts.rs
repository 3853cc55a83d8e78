//! What is known about Google Chat apps (REST API v1, 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

const SOURCE: &str = "developers.google.com/workspace/chat/limits, read 2026-11-20";

/// What is known about Google Chat.
pub const FACTS: Facts = Facts {
    id: "google_chat",
    name: "Google Chat",
    schemes: &["gchat"],
    mediums: &["google_chat"],
    // The whole message has at most 32,000 bytes; of its text about 4,096 characters are shown.
    text: TextLimit { max: 4096, unit: Unit::Chars },
    paces: &[
        Pace { scope: Scope::Account, count: 3000, window_ms: 60_000, burst: 50, source: SOURCE },
        // Shared by all apps in the space.
        Pace { scope: Scope::Conversation, count: 1, window_ms: 1000, burst: 1, source: SOURCE },
    ],
    concurrency: 30,
    shared_with_inbound: false,
    ack_deadline_ms: 30_000,
    // developers.google.com/workspace/chat, receive interaction events, read 2026-11-20: what fails is lost.
    redelivery: Redelivery { status: 503, for_secs: 0 },
    needs_hook_token: false,
    handles: false,
    // `requestId`
    repeatable: true,
    echoes_our_id: false,
    settle_ms: 0,
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Downgraded,
        templates: Support::None,
        // Only people may react and upload, apps may not.
        reactions: Support::None,
        typing: Support::None,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};
