//! What is known about Twilio Programmable Messaging (REST API 2010-04-01).

use crate::contract::{Abilities, Facts, Pace, Redelivery, Scope, State, Support, TextLimit, Unit};

/// What is known about Twilio.
pub const FACTS: Facts = Facts {
    id: "twilio",
    name: "Twilio",
    schemes: &["tel", "whatsapp", "rcs", "messenger"],
    mediums: &["sms", "whatsapp", "rcs", "messenger"],
    // twilio.com/docs/messaging/api/message-resource, read 2026-11-20: `Body`, at most 1,600 characters.
    text: TextLimit { max: 1600, unit: Unit::Chars },
    // The slowest sender; the kind of sender decides, see `paces`.
    paces: &[LONG_CODE],
    // The limit on requests in flight is per account and not published; 429 says when it is reached.
    concurrency: 20,
    shared_with_inbound: false,
    // twilio.com/docs/usage/webhooks/webhooks-connection-overrides, read 2026-11-20: 15 s for all attempts together, and
    // only where the URL's fragment asks for repeats (`#rc=5&rp=all`).
    ack_deadline_ms: 15_000,
    redelivery: Redelivery { status: 503, for_secs: 15 },
    needs_hook_token: false,
    handles: false,
    repeatable: false,
    // In the query of `StatusCallback`.
    echoes_our_id: true,
    settle_ms: 60_000,
    strongest: State::Read,
    // 24 h on WhatsApp, none on SMS: a message outside it comes back with 63016.
    reply_window_ms: None,
    max_body: 1 << 20,
    can: Abilities {
        media: Support::Native,
        choices: Support::Downgraded,
        carousel: Support::Downgraded,
        location: Support::Native,
        templates: Support::Native,
        reactions: Support::None,
        typing: Support::Native,
        replies: Support::None,
        edits: Support::None,
        // A deletion is of Twilio's record, and only what Twilio itself holds until a set time can be canceled:
        // twilio.com/docs/api/errors/30409, read 2026-11-29.
        recalls: Support::None,
    },
};

const SOURCE: &str = "support.twilio.com, rate limits and message queues, read 2026-11-20";

/// A sender's pace in segments a second.
const fn pace(count: u32, source: &'static str) -> Pace {
    Pace { scope: Scope::Sender, count, window_ms: 1000, burst: 1, source }
}

/// United States and Canada, also for 10DLC, whose campaigns have limits of their own that only `throttle` can say.
pub(super) const LONG_CODE: Pace = pace(1, SOURCE);
/// Numbers of other countries, and names.
pub(super) const ABROAD: Pace = pace(10, SOURCE);
/// Toll-free numbers.
pub(super) const TOLL_FREE: Pace = pace(3, SOURCE);
/// Short codes.
pub(super) const SHORT_CODE: Pace = pace(100, SOURCE);
/// WhatsApp senders.
pub(super) const WHATSAPP: Pace = pace(80, "twilio.com/docs/whatsapp/best-practices-and-faqs, read 2026-11-20");
