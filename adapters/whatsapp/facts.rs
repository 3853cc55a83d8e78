//! What is known about the WhatsApp Business Cloud API (Graph v26.0).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// Messages in both directions of one number; also where a coexistence number stays.
const THROUGHPUT: &str = "developers.facebook.com/documentation/business-messaging/whatsapp/throughput, read 2026-11-20";
/// To one person.
const PAIR: &str = "developers.facebook.com/documentation/business-messaging/whatsapp/throughput#pair-rate-limits, read 2026-11-20";

/// One message in 6 seconds to one person; 45 may go at once and are paid back by waiting.
const PER_PERSON: Pace = Pace { scope: Scope::Conversation, count: 1, window_ms: 6000, burst: 45, source: PAIR };

const fn sender(count: u32) -> Pace {
    Pace { scope: Scope::Sender, count, window_ms: 1000, burst: 1, source: THROUGHPUT }
}

/// A number's paces as configured: 80 a second unless Meta raised it to 1000, or it is used in the Business app too (20).
pub(super) fn paces(per_second: u32) -> [Pace; 2] {
    [sender(per_second), PER_PERSON]
}

/// The default throughput of a number, in messages a second.
pub(super) const DEFAULT_MPS: u32 = 80;
/// Of a number that is used in the Business app as well.
pub(super) const COEXISTENCE_MPS: u32 = 20;

/// What is known about WhatsApp.
pub const FACTS: Facts = Facts {
    id: "whatsapp",
    name: "WhatsApp",
    schemes: &["whatsapp"],
    mediums: &["whatsapp"],
    // The messages reference of the Cloud API, read 2026-11-20: text.body 4096 characters.
    text: TextLimit { max: 4096, unit: Unit::Chars },
    paces: &[sender(DEFAULT_MPS), PER_PERSON],
    concurrency: 32,
    shared_with_inbound: true,
    // No deadline is published; the target is a median of 250 ms and under 1 % above 1 s
    // (developers.facebook.com/documentation/business-messaging/whatsapp/throughput, read 2026-11-20).
    ack_deadline_ms: 1000,
    // webhooks/overview, read 2026-11-20: any status but 200 is repeated, for up to 7 days; the generic Graph page says
    // 36 hours, which is the safe reading.
    redelivery: Redelivery { status: 503, for_secs: 36 * 3600 },
    needs_hook_token: false,
    repeatable: false,
    // `biz_opaque_callback_data` comes back in every status.
    echoes_our_id: true,
    settle_ms: 15_000,
    strongest: State::Read,
    reply_window_ms: Some(86_400_000),
    // webhooks/overview, read 2026-11-20: up to 3 MB.
    max_body: 3 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Native,
        carousel: Support::Native,
        location: Support::Native,
        templates: Support::Native,
        reactions: Support::Native,
        typing: Support::Native,
        replies: Support::Native,
    },
};
