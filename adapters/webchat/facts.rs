//! What is known about our own web chat. The numbers are decisions of ours, taken from what people know of other widgets.

use crate::contract::{Abilities, Facts, Redelivery, State, Support, TextLimit, Unit};

/// What is known about web chat.
pub const FACTS: Facts = Facts {
    id: "webchat",
    name: "Web chat",
    schemes: &["webchat"],
    mediums: &["webchat"],
    // Sunshine takes 4,096 characters (docs.smooch.io, read 2026-11-20); ours is larger and well inside a 64 KB frame
    // even when every character needs four bytes.
    text: TextLimit { max: 12_000, unit: Unit::Chars },
    // There is nobody else's limit: what the machine carries is carried, this many calls at once.
    paces: &[],
    concurrency: 32,
    shared_with_inbound: false,
    // A widget shows "not delivered, retry" after 10 s without an acknowledgement.
    ack_deadline_ms: 10_000,
    // The widget repeats with the same id until it is acknowledged, for as long as the page is open.
    redelivery: Redelivery { status: 503, for_secs: 86_400 },
    needs_hook_token: false,
    // The room files a frame under our message's id, so a repeated call changes nothing.
    handles: false,
    repeatable: true,
    echoes_our_id: true,
    settle_ms: 2_000,
    strongest: State::Read,
    reply_window_ms: None,
    max_body: 128 << 10,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Native,
        templates: Support::None,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};
