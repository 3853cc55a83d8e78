//! What is known about e-mail and the services that carry it.

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about e-mail.
pub const FACTS: Facts = Facts {
    id: "email",
    name: "E-mail",
    schemes: &["mailto"],
    mediums: &["email"],
    // A limit of ours: receivers refuse mail of more than 20 to 25 MB, and people stop reading long before.
    text: TextLimit { max: 200_000, unit: Unit::Bytes },
    // The smallest production quota a sender is given; `throttle` says what an account really has.
    paces: &[Pace {
        scope: Scope::Account,
        count: 14,
        window_ms: 1000,
        burst: 14,
        source: "docs.aws.amazon.com/ses, managing sending quotas, read 2026-11-20; the others publish none",
    }],
    concurrency: 10,
    shared_with_inbound: false,
    // Amazon SNS wants its answer in 15 s, the event webhook of SendGrid in 10 (unconfirmed).
    ack_deadline_ms: 10_000,
    // The shortest: Amazon SNS repeats three times, 20 s apart; the others for hours.
    redelivery: Redelivery { status: 503, for_secs: 60 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    echoes_our_id: true,
    settle_ms: 300_000,
    strongest: State::Read,
    reply_window_ms: None,
    max_body: 40 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Downgraded,
        carousel: Support::Downgraded,
        location: Support::Downgraded,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::None,
        replies: Support::Native,
        edits: Support::None,
        recalls: Support::None,
    },
};
