//! What is known about WeChat Official Accounts.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about WeChat.
pub const FACTS: Facts = Facts {
    id: "wechat",
    name: "WeChat",
    schemes: &["wechat"],
    mediums: &["wechat"],
    // api_sendcustommessage, read 2026-11-20: 45002 above about 2048 bytes of UTF-8.
    text: TextLimit { max: 2048, unit: Unit::Bytes },
    paces: &[Pace {
        scope: Scope::Sender,
        count: 500_000,
        window_ms: 86_400_000,
        burst: 100,
        source: "developers.weixin.qq.com/doc/service/guide/dev/api/limit (customer-service messages a day), read 2026-11-20",
    }],
    concurrency: 32,
    shared_with_inbound: false,
    // Receiving_standard_messages, read 2026-11-20: three tries of 5 seconds each.
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 15 },
    needs_hook_token: false,
    // A delivery can be answered with a message (`answer_in_response`).
    handles: true,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 30_000,
    // Customer-service messages have no receipt; those of templates say that they arrived.
    strongest: State::Sent,
    reply_window_ms: Some(172_800_000),
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::None,
        edits: Support::None,
        recalls: Support::None,
    },
};
