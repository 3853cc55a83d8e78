//! What is known about the Messenger Platform.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Messenger.
pub const FACTS: Facts = Facts {
    id: "messenger",
    name: "Messenger",
    schemes: &["messenger"],
    mediums: &["messenger"],
    // developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages, read 2026-11-20.
    text: TextLimit { max: 2000, unit: Unit::Chars },
    // Text, links and reactions; sound and video stand at 10 a second, which the platform tells by its throttle. Above
    // 40 a second the Page's own inbox stops showing and sending (the same page).
    paces: &[Pace {
        scope: Scope::Sender,
        count: 300,
        window_ms: 1_000,
        burst: 1,
        source: "developers.facebook.com/documentation/business-messaging/messenger-platform/overview/rate-limiting, read 2026-11-20",
    }],
    concurrency: 64,
    shared_with_inbound: false,
    // `webhooks`, read 2026-11-20: 200 within 5 seconds; after an hour of failure the Page is unsubscribed.
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 3_600 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // `message.metadata` comes back in the echo, when `message_echoes` is subscribed (send-api reference, read 2026-11-20).
    echoes_our_id: true,
    settle_ms: 30_000,
    strongest: State::Read,
    reply_window_ms: Some(86_400_000),
    // Up to 1000 updates a delivery; no size is published.
    max_body: 4 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Downgraded,
        templates: Support::Native,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::None,
        recalls: Support::None,
    },
};
