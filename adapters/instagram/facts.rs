//! What is known about messaging on Instagram.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Instagram.
pub const FACTS: Facts = Facts {
    id: "instagram",
    name: "Instagram",
    schemes: &["instagram"],
    mediums: &["instagram"],
    // instagram-api-with-instagram-login/messaging-api, read 2026-11-20: UTF-8, less than 1000 bytes.
    text: TextLimit { max: 1000, unit: Unit::Bytes },
    // Text, links, reactions and stickers; sound and video stand at 10 a second, which the platform tells by its throttle.
    paces: &[Pace {
        scope: Scope::Sender,
        count: 300,
        window_ms: 1_000,
        burst: 1,
        source: "developers.facebook.com/documentation/business-messaging/messenger-platform/overview/rate-limiting, read 2026-11-20",
    }],
    concurrency: 64,
    shared_with_inbound: false,
    // `webhooks`, read 2026-11-20: 200 within 5 seconds; after an hour of failure the account may be unsubscribed.
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 3_600 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // Echoes have the message's id and nothing of ours.
    echoes_our_id: false,
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
        templates: Support::None,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::None,
        recalls: Support::None,
    },
};
