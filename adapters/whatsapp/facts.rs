//! What is known about WhatsApp's Cloud API.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about WhatsApp.
pub const FACTS: Facts = Facts {
    id: "whatsapp",
    name: "WhatsApp",
    schemes: &["whatsapp"],
    mediums: &["whatsapp"],
    // developers.facebook.com/documentation/business-messaging/whatsapp: messages reference, read 2026-11-20.
    text: TextLimit { max: 4096, unit: Unit::Chars },
    paces: PACES,
    concurrency: 64,
    // The throughput counts messages in both directions (the same pages, `throughput`, read 2026-11-20).
    shared_with_inbound: true,
    // No deadline is published; the stated aim is a median of 250 ms and under 1 % above 1 s (`webhooks/overview`,
    // read 2026-11-20).
    ack_deadline_ms: 1_000,
    // Anything but 200 is repeated, up to 7 days (`webhooks/overview`, read 2026-11-20; another page says 36 hours).
    redelivery: Redelivery { status: 503, for_secs: 604_800 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // `biz_opaque_callback_data` comes back with the `sent` status within seconds (messages reference, read 2026-11-20).
    echoes_our_id: true,
    settle_ms: 30_000,
    strongest: State::Read,
    reply_window_ms: Some(86_400_000),
    // Up to 3 MB a delivery (`webhooks/overview`, read 2026-11-20).
    max_body: 4 << 20,
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
        recalls: Support::None,
    },
};

const PACES: &[Pace] = &[
    Pace {
        scope: Scope::Sender,
        count: 80,
        window_ms: 1_000,
        burst: 1,
        source: "developers.facebook.com/documentation/business-messaging/whatsapp/throughput, read 2026-11-20",
    },
    PAIR,
];

/// What goes to one person.
pub(super) const PAIR: Pace = Pace {
    scope: Scope::Conversation,
    count: 1,
    window_ms: 6_000,
    burst: 45,
    source: "developers.facebook.com/documentation/business-messaging/whatsapp/throughput (pair rate limits), read 2026-11-20",
};

/// A number that is also used in the Business app.
pub(super) const COEXISTENCE: u32 = 20;
