//! What is known about Slack's Events API, interactivity and Web API (rolling, autumn 2026).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Slack.
pub const FACTS: Facts = Facts {
    id: "slack",
    name: "Slack",
    schemes: &["slack"],
    mediums: &["slack"],
    // docs.slack.dev/reference/methods/chat.postMessage, read 2026-11-20: best up to 4,000, cut off after 40,000.
    text: TextLimit { max: 4000, unit: Unit::Chars },
    // Above that a workspace has an allowance of several hundred a minute that is not published; 429 tells.
    paces: &[Pace {
        scope: Scope::Conversation,
        count: 1,
        window_ms: 1000,
        burst: 1,
        source: "docs.slack.dev/apis/web-api/rate-limits, read 2026-11-20",
    }],
    concurrency: 20,
    shared_with_inbound: false,
    // docs.slack.dev/apis/events-api, read 2026-11-20: 3 s; repeated at once, after 1 and after 5 minutes. Presses and
    // commands are never repeated.
    ack_deadline_ms: 3_000,
    redelivery: Redelivery { status: 503, for_secs: 360 },
    needs_hook_token: false,
    handles: true,
    repeatable: false,
    echoes_our_id: false,
    settle_ms: 0,
    // Accepted is visible; nothing is reported after that.
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Downgraded,
        templates: Support::None,
        reactions: Support::Native,
        // Only in the threads of an assistant.
        typing: Support::None,
        replies: Support::Native,
        edits: Support::Native,
        recalls: Support::Native,
    },
};
