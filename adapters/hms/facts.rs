//! What is known about Huawei Push Kit.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Huawei Push Kit.
pub const FACTS: Facts = Facts {
    id: "hms",
    name: "Huawei Push Kit",
    schemes: &["hms"],
    mediums: &["push"],
    // 4,096 bytes without the tokens; this leaves room for a headline, a picture and data.
    text: TextLimit { max: 3300, unit: Unit::Bytes },
    paces: &[
        // By category and active users; this is the floor. AppGallery Connect shows the app's own.
        Pace {
            scope: Scope::Account,
            count: 6000,
            window_ms: 1000,
            burst: 600,
            source: "docs.getui.com/getui/mobile/vendor/qps, read 2026-11-20",
        },
        Pace {
            scope: Scope::Conversation,
            count: 3000,
            window_ms: 86_400_000,
            burst: 20,
            source: "developer.huawei.com, push-msg-freq-control, read 2026-11-20",
        },
    ],
    concurrency: 50,
    shared_with_inbound: false,
    // Not documented; most providers give up after some seconds.
    ack_deadline_ms: 5000,
    redelivery: Redelivery { status: 503, for_secs: 0 },
    // The signature covers a time, a nonce and a name, but not the body.
    needs_hook_token: true,
    handles: false,
    repeatable: false,
    // In `bi_tag`.
    echoes_our_id: true,
    settle_ms: 60_000,
    strongest: State::Delivered,
    reply_window_ms: None,
    max_body: 1 << 20,
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
