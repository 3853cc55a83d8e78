//! What is known about Sinch's Conversation API v1 and its SMS API v1 (late 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Sinch.
pub const FACTS: Facts = Facts {
    id: "sinch",
    name: "Sinch",
    schemes: &["tel", "whatsapp", "rcs", "messenger", "instagram", "viber", "telegram", "kakaotalk", "line", "wechat", "apple"],
    mediums: &["sms", "mms", "whatsapp", "rcs", "messenger", "instagram", "viber", "telegram", "kakaotalk", "line", "wechat", "apple"],
    // developers.sinch.com/docs/sms, read 2026-11-20: a batch's body has at most 2,000 characters; other channels differ.
    text: TextLimit { max: 2000, unit: Unit::Chars },
    // Requests may come at 800 a second, but the app passes on 20 to 25 and queues the rest, where no reply overtakes a
    // campaign: we keep to what it passes on.
    paces: &[Pace {
        scope: Scope::Account,
        count: 20,
        window_ms: 1000,
        burst: 1,
        source: "developers.sinch.com/docs/conversation, rate limits, read 2026-11-20",
    }],
    concurrency: 30,
    shared_with_inbound: false,
    // Not documented; an answer within 5 s has been enough.
    ack_deadline_ms: 5_000,
    // developers.sinch.com/docs/sms, webhooks, read 2026-11-20: after 5 s, doubling to 81,920 s, on 429 and 5xx alone.
    redelivery: Redelivery { status: 503, for_secs: 81_920 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // `message_metadata` and `client_reference`
    echoes_our_id: true,
    settle_ms: 60_000,
    strongest: State::Read,
    // Each channel's own: WhatsApp 24 h, SMS none.
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Native,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::None,
        edits: Support::None,
        recalls: Support::None,
    },
};
