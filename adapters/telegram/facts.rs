//! What is known about Telegram's Bot API (10.1, rolling).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Telegram.
pub const FACTS: Facts = Facts {
    id: "telegram",
    name: "Telegram",
    schemes: &["telegram"],
    mediums: &["telegram"],
    // core.telegram.org/bots/api#sendmessage, read 2026-11-20: 1-4096 characters after entity parsing, counted in UTF-16.
    text: TextLimit { max: 4096, unit: Unit::Utf16 },
    paces: &[
        Pace {
            scope: Scope::Sender,
            count: 30,
            window_ms: 1000,
            burst: 1,
            source: "core.telegram.org/bots/faq#my-bot-is-hitting-limits, read 2026-11-20",
        },
        Pace {
            scope: Scope::Conversation,
            count: 1,
            window_ms: 1000,
            burst: 1,
            source: "core.telegram.org/bots/faq#my-bot-is-hitting-limits, read 2026-11-20",
        },
        Pace {
            scope: Scope::Group,
            count: 20,
            window_ms: 60_000,
            burst: 5,
            source: "core.telegram.org/bots/faq#my-bot-is-hitting-limits, read 2026-11-29",
        },
    ],
    concurrency: 30,
    shared_with_inbound: false,
    // Not published; the server drops an idle connection after about 60 s (tdlib/telegram-bot-api WebhookActor.cpp,
    // read 2026-11-20).
    ack_deadline_ms: 60_000,
    // The same source: any status that is not 2xx is repeated, messages for 24 h. A 410 for 23 h removes the webhook.
    redelivery: Redelivery { status: 503, for_secs: 86_400 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    // No delivery or read receipts exist for bots: accepted is all there is.
    strongest: State::Sent,
    // Business chats have 24 h and say so in each message; ordinary chats have no window.
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Downgraded,
        location: Support::Native,
        templates: Support::None,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::Native,
        // core.telegram.org/bots/api#deletemessage, read 2026-11-29: for 48 hours.
        recalls: Support::Native,
    },
};
