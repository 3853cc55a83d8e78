//! What is known about the Apple Push Notification service.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about the Apple Push Notification service.
pub const FACTS: Facts = Facts {
    id: "apns",
    name: "Apple Push Notification service",
    schemes: &["apns"],
    mediums: &["push"],
    // The whole payload has 4,096 bytes; this leaves room for a headline and data, and for what JSON escapes.
    text: TextLimit { max: 3500, unit: Unit::Bytes },
    paces: &[
        // Apple publishes no rate. This is what one connection with 1,000 streams carries; an own limit may be set higher.
        Pace {
            scope: Scope::Account,
            count: 5000,
            window_ms: 1000,
            burst: 500,
            source: "no published rate; developer.apple.com/documentation/usernotifications, read 2026-11-20",
        },
    ],
    // Apple says how many streams it takes (500 to 1,500 have been seen); more wait for a stream.
    concurrency: 400,
    shared_with_inbound: false,
    ack_deadline_ms: 10_000,
    redelivery: Redelivery { status: 404, for_secs: 0 },
    needs_hook_token: false,
    handles: false,
    // `apns-id` names a push and keeps no second one away; equal collapse ids only let it replace the first.
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 0,
    can: Abilities {
        // The picture is loaded by the app's own extension, where it has one.
        media: Support::Downgraded,
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
