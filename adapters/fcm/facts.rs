//! What is known about Firebase Cloud Messaging (HTTP v1).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

const QUOTAS: &str = "firebase.google.com/docs/cloud-messaging/throttling-and-quotas, read 2026-11-20";

/// What is known about Firebase Cloud Messaging.
pub const FACTS: Facts = Facts {
    id: "fcm",
    name: "Firebase Cloud Messaging",
    schemes: &["fcm"],
    mediums: &["push"],
    // The whole payload has 4,096 bytes; this leaves room for a headline, a picture and data.
    text: TextLimit { max: 3500, unit: Unit::Bytes },
    paces: &[
        // A burst of a second's worth: from nothing to the peak within a minute is what Google asks of senders.
        Pace { scope: Scope::Account, count: 600_000, window_ms: 60_000, burst: 10_000, source: QUOTAS },
        Pace { scope: Scope::Conversation, count: 240, window_ms: 60_000, burst: 20, source: QUOTAS },
    ],
    // Streams of a few HTTP/2 connections; Google's own Go library keeps 50 calls in flight.
    concurrency: 50,
    shared_with_inbound: false,
    ack_deadline_ms: 10_000,
    redelivery: Redelivery { status: 404, for_secs: 0 },
    needs_hook_token: false,
    handles: false,
    // No key of ours keeps a repeated call from arriving twice; equal tags only let the second replace the first.
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 0,
    can: Abilities {
        media: Support::Native,
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
