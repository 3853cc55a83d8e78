//! What is known about KakaoTalk: channel chatbots, and business messages through NHN Cloud.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about KakaoTalk.
pub const FACTS: Facts = Facts {
    id: "kakaotalk",
    name: "KakaoTalk",
    // A chatbot knows people by keys, business messages go to numbers.
    schemes: &["kakaotalk", "tel"],
    mediums: &["kakaotalk"],
    // kakaobusiness.gitbook.io, skill_guide/answer_json_format, read 2026-11-20: simpleText.
    text: TextLimit { max: 1000, unit: Unit::Chars },
    paces: &[Pace {
        scope: Scope::Account,
        count: 100,
        window_ms: 1_000,
        burst: 20,
        source: "not published for NHN v2.3; a third of TOAST-DOCS/notification-hub's 300 a second, read 2026-11-20",
    }],
    concurrency: 16,
    shared_with_inbound: false,
    // The person waits for the answer: five seconds in all.
    ack_deadline_ms: 5_000,
    redelivery: Redelivery { status: 503, for_secs: 0 },
    // A secret header, entered in the admin center, authenticates the skill.
    needs_hook_token: false,
    handles: true,
    repeatable: false,
    // `recipientGroupingKey` comes back in the results of business messages.
    echoes_our_id: true,
    settle_ms: 60_000,
    // Business messages report their delivery, answers of the chatbot nothing: what all of them have is this.
    strongest: State::Sent,
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Downgraded,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::None,
        edits: Support::None,
        recalls: Support::None,
    },
};
