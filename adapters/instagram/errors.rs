//! What a code and subcode of Instagram lead to (error codes of the Messenger and Instagram Platforms, read 2026-11-20).

use crate::contract::*;
use crate::kit::inbox::errors::{self, Act};

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    errors::classify("Instagram", row, call, reply)
}

/// Class, our code, a sentence, and what it leads to.
fn row(code: i64, subcode: i64) -> Option<(ErrorClass, &'static str, &'static str, Act)> {
    use Act::*;
    use ErrorClass as C;
    const HALF_HOUR: u64 = 1_800_000;
    Some(match (code, subcode) {
        (_, 2_018_278 | 2_534_022) => (C::Window, "window_closed", "outside the 24 hours in which this person may be answered", Reject),
        (10, 2_018_300) => (C::Window, "another_app", "another app owns this conversation now", Reject),
        (10, 2_018_108) => (C::OptedOut, "opted_out", "this person does not receive messages from the account", Unreachable),
        (551 | 200, 1_545_041) => (C::OptedOut, "blocked", "this person blocked or restricted the account, or is gone", Unreachable),
        (551, _) => (C::Recipient, "unavailable", "this person is not available", Unreachable),
        (_, 2_534_014 | 2_018_001) => (C::Recipient, "unknown_person", "no person of this account has this id", Unreachable),
        (_, 2_534_013 | 2_534_041) => (C::Recipient, "recipient_unusable", "this person cannot be written to", Unreachable),
        (_, 1_893_063 | 2_534_122 | 2_534_029) => {
            (C::Throttled, "account_restricted", "the account may not send for a while", Throttle(Scope::Sender, HALF_HOUR))
        }
        (3, _) => (C::Auth, "capability_missing", "the app lacks a capability, or message access is switched off", Suspend),
        (10 | 200..=299, _) => (C::Auth, "permission_missing", "a permission is missing or was revoked", Suspend),
        (190, _) => (C::Auth, "token_invalid", "the token is expired or invalid", Suspend),
        (102, _) => (C::Auth, "session_invalid", "the session is invalid", Suspend),
        (368, _) => (C::Config, "policy_block", "sending is blocked for a policy violation", Suspend),

        (613, 1_996_002) => (C::Throttled, "thread_rate", "too many messages to this person", Throttle(Scope::Conversation, 0)),
        (4, _) => (C::Throttled, "app_rate", "the app makes too many calls", Throttle(Scope::Account, 0)),
        (17, _) => (C::Throttled, "user_rate", "the token's user makes too many calls", Throttle(Scope::Account, 0)),
        (32 | 80_002, _) => (C::Throttled, "account_rate", "the account makes too many calls", Throttle(Scope::Sender, 0)),
        (613 | 80_006, _) => (C::Throttled, "send_rate", "the account sends faster than it may", Throttle(Scope::Sender, 0)),

        (1, 1_357_046) => (C::Unknown, "sent_with_error", "an error although the message may have been sent", Unclear),
        (1 | 2 | -1, _) => (C::Transient, "unavailable", "Instagram failed for a moment", Retry),

        (100, 33) | (2500, _) => (C::Config, "object_missing", "the id is wrong or not accessible; is the flavour the token's?", Suspend),
        (100, 2_018_109) => (C::Content, "media_too_large", "the file is too large", Reject),
        (100, 2_018_047 | 2_018_007) => (C::Content, "media_upload", "the file could not be taken, or is not of its type", Again),
        (100, 2_018_008) => (C::Content, "media_link", "the link could not be fetched in time", Again),
        (100, _) => (C::Content, "parameter_invalid", "a parameter is invalid: a text over 1000 bytes, a link, a comment too old", Reject),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, code: i64, subcode: i64) -> String {
        let error = json!({ "error": { "code": code, "error_subcode": subcode, "message": "x", "type": "IGApiException" } });
        match classify(
            &Call::json("https://graph.test/v25.0/1/messages", &json!({ "message": { "text": "x" } })),
            &Reply::json(status, &error),
        ) {
            Step::Call(_) => "again".into(),
            Step::Done(Verdict::Throttle { scope, after, .. }) => format!("throttle {} {}", scope.word(), after.unwrap_or(0)),
            Step::Done(verdict) => {
                let class = verdict.reason().map(|r| r.class.word()).unwrap_or_default();
                format!("{} {class}", verdict.word())
            }
        }
    }

    #[test]
    fn every_code_of_the_table_leads_somewhere() {
        let table: &[(u16, &[(i64, i64)], &str)] = &[
            (400, &[(10, 2_534_022), (10, 2_018_278)], "reject window"),
            (400, &[(10, 2_018_108), (551, 1_545_041), (200, 1_545_041)], "unreachable opted_out"),
            (400, &[(100, 2_534_014), (100, 2_018_001), (100, 2_534_013), (100, 2_534_041), (551, 0)], "unreachable recipient"),
            (403, &[(10, 1_893_063), (10, 2_534_122), (100, 2_534_029)], "throttle sender 1800000"),
            (403, &[(10, 0), (200, 0), (299, 0), (3, 0), (230, 0)], "suspend auth"),
            (401, &[(190, 458), (190, 460), (190, 463), (190, 464), (190, 467), (102, 0)], "suspend auth"),
            (400, &[(368, 0), (100, 33), (2500, 0)], "suspend config"),
            (400, &[(4, 0), (17, 0)], "throttle account 0"),
            (429, &[(32, 0), (613, 0), (80_002, 0), (80_006, 0), (424_242, 0)], "throttle sender 0"),
            (400, &[(613, 1_996_002)], "throttle conversation 0"),
            (500, &[(1, 0), (2, 0), (-1, 0)], "retry transient"),
            (400, &[(1, 1_357_046)], "unclear unknown"),
            (400, &[(100, 0), (100, 2_018_109)], "reject content"),
            (400, &[(100, 2_018_047), (100, 2_018_008)], "again"),
            (503, &[(424_242, 0)], "unclear unknown"),
        ];
        for (status, codes, expected) in table {
            for (code, subcode) in *codes {
                assert_eq!(verdict(*status, *code, *subcode), *expected, "{code}/{subcode}");
            }
        }
    }
}
