//! What is known about the Viber REST Bot API.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Viber.
pub const FACTS: Facts = Facts {
    id: "viber",
    name: "Viber",
    schemes: &["viber"],
    mediums: &["viber"],
    // developers.viber.com/docs/api/rest-bot-api (7.3.0), read 2026-11-20: text messages.
    text: TextLimit { max: 7000, unit: Unit::Chars },
    paces: &[
        // Not published: what bots are seen to send without status 12.
        Pace {
            scope: Scope::Sender,
            count: 50,
            window_ms: 1_000,
            burst: 10,
            source: "no published number; kept below the throttle that bots report, 2026-11-20",
        },
        // Without an answer of that person; an answer begins the count anew.
        Pace {
            scope: Scope::Conversation,
            count: 100,
            window_ms: 3_600_000,
            burst: 100,
            source: "creators.viber.com/docs/bots-api/resources/messaging/send-message, read 2026-11-20",
        },
    ],
    concurrency: 32,
    shared_with_inbound: false,
    // Not published; the platform repeats for about an hour what was not answered with 200.
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 3_600 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 30_000,
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
        typing: Support::None,
        replies: Support::None,
        edits: Support::None,
        recalls: Support::None,
    },
};
