//! What is known about Vonage's Messages API v1 and its SMS API (late 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Vonage.
pub const FACTS: Facts = Facts {
    id: "vonage",
    name: "Vonage",
    schemes: &["tel", "whatsapp", "rcs", "messenger", "viber"],
    mediums: &["sms", "mms", "whatsapp", "rcs", "messenger", "viber"],
    // developer.vonage.com/en/api/messages, read 2026-11-20: an SMS has at most 1,000 characters; other channels take more.
    text: TextLimit { max: 1000, unit: Unit::Chars },
    // A United States number that is no 10DLC sends one a second; the 429s of others tell their own.
    paces: &[Pace {
        scope: Scope::Account,
        count: 30,
        window_ms: 1000,
        burst: 1,
        source: "developer.vonage.com, SMS API troubleshooting: throttling, read 2026-11-20",
    }],
    concurrency: 30,
    shared_with_inbound: false,
    // developer.vonage.com, webhook retries, read 2026-11-20: 15 s; after 5 s, doubling to 15 minutes, for 24 h, on 429 and 5xx.
    ack_deadline_ms: 15_000,
    redelivery: Redelivery { status: 503, for_secs: 86_400 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // `client_ref`
    echoes_our_id: true,
    settle_ms: 60_000,
    strongest: State::Read,
    // WhatsApp and Messenger have 24 h, SMS none; a message outside comes back with 1340.
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Native,
        templates: Support::Native,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::None,
        // RCS, while no phone has it.
        recalls: Support::Native,
    },
};
