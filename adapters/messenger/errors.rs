//! What a code and subcode of Messenger lead to (`error-codes`, read 2026-11-20).

use crate::contract::*;
use crate::kit::inbox::errors::{self, Act};

/// What the answer to a call means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    errors::classify("Messenger", row, call, reply)
}

/// Class, our code, a sentence, and what it leads to.
fn row(code: i64, subcode: i64) -> Option<(ErrorClass, &'static str, &'static str, Act)> {
    use Act::*;
    use ErrorClass as C;
    const HALF_HOUR: u64 = 1_800_000;
    Some(match (code, subcode) {
        (10, 2_018_278 | 2_018_065 | 2_534_022) => {
            (C::Window, "window_closed", "outside the time in which this person may be answered: use a template", Reject)
        }
        (10, 2_018_108) => (C::OptedOut, "opted_out", "this person does not receive messages from the Page", Unreachable),
        (551 | 200, 1_545_041) => (C::OptedOut, "blocked", "this person blocked the Page or is gone", Unreachable),
        (551, _) => (C::Recipient, "unavailable", "this person is not available", Unreachable),
        (100, 2_018_001) => (C::Recipient, "unknown_person", "no person of this Page has this id", Unreachable),
        // The app may write to people with a role in it alone: the channel still works for these.
        (10 | 200, 2_018_028) => (C::Config, "app_not_approved", "the app is not approved for people without a role in it", Unreachable),
        // github.com/davidchua/pymessenger/issues/93: other threads are still ours.
        (10, 2_018_300) => (C::Window, "another_app", "another app owns this conversation now", Reject),
        (10, 1_893_063) => (C::Throttled, "page_restricted", "the Page may not send for a while", Throttle(Scope::Sender, HALF_HOUR)),
        (200, 2_018_021 | 2_018_027) => (C::Config, "phone_matching", "people cannot be matched by phone number here", Reject),
        (10 | 200..=299, _) => (C::Auth, "permission_missing", "a permission is missing or was revoked", Suspend),
        (190, _) => (C::Auth, "token_invalid", "the Page token is expired or invalid", Suspend),
        (102, _) => (C::Auth, "session_invalid", "the session is invalid", Suspend),
        (368, _) => (C::Config, "policy_block", "sending is blocked for a policy violation", Suspend),

        (4, 2_018_022) => (C::Throttled, "phone_rate", "too many messages to phone numbers", Throttle(Scope::Account, 0)),
        // How often this person wants marketing: nothing else is held.
        (4, 2_018_354) | (9, 2_018_352) => (C::Throttled, "marketing_cap", "this person gets no more marketing for now", Unreachable),
        (613, 1_996_002) => (C::Throttled, "thread_rate", "too many messages to this person", Throttle(Scope::Conversation, 0)),
        (4, _) => (C::Throttled, "app_rate", "the app makes too many calls", Throttle(Scope::Account, 0)),
        (17, _) => (C::Throttled, "user_rate", "the token's user makes too many calls", Throttle(Scope::Account, 0)),
        (32 | 80_001, _) => (C::Throttled, "page_rate", "the Page makes too many calls", Throttle(Scope::Sender, 0)),
        (613 | 80_006, _) => (C::Throttled, "send_rate", "the Page sends faster than it may", Throttle(Scope::Sender, 0)),

        (1, 1_357_046) => (C::Unknown, "sent_with_error", "an error although the message may have been sent", Unclear),
        (2, 2_018_344) => (C::Config, "contact_terms", "the Page must accept the contact terms", Reject),
        (1 | 2 | -1, _) => (C::Transient, "unavailable", "Messenger failed for a moment", Retry),
        (1200, _) => (C::Transient, "unavailable", "Messenger could not send just now", Retry),

        (100, 33) => (C::Config, "object_missing", "the Page's id is wrong or not accessible", Suspend),
        (100, 2_018_109) => (C::Content, "media_too_large", "the file is too large", Reject),
        (100, 2_018_047 | 2_018_007) => (C::Content, "media_upload", "the file could not be taken, or is not of its type", Again),
        (100, 2_018_008) => (C::Content, "media_link", "the link could not be fetched in time", Again),
        (100, 2_018_015 | 2_018_032 | 2_018_034 | 2_018_040 | 2_018_041 | 2_018_053) => {
            (C::Content, "message_invalid", "the message is empty or has invalid data", Reject)
        }
        (100, _) => (C::Content, "parameter_invalid", "a parameter is invalid, or a retired message tag was used", Reject),
        (10_303, _) => (C::Content, "linking_token", "the account linking token is invalid", Reject),
        (506 | 1_609_005, _) => (C::Content, "comment_invalid", "a duplicate, or a link that cannot be attached", Reject),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(status: u16, code: i64, subcode: i64) -> String {
        let reply = Reply::json(status, &json!({ "error": { "code": code, "error_subcode": subcode, "message": "x" } }));
        match classify(&Call::json("https://graph.test/v25.0/1/messages", &json!({ "message": { "text": "x" } })), &reply) {
            Step::Call(_) => "again".into(),
            Step::Done(verdict) => match verdict {
                Verdict::Accept { .. } => "accept".into(),
                Verdict::Throttle { scope, .. } => format!("throttle {}", scope.word()),
                Verdict::Retry(_) => "retry".into(),
                Verdict::Unclear(_) => "unclear".into(),
                Verdict::Reject(r) => format!("reject {}", r.class.word()),
                Verdict::Unreachable(r) => format!("unreachable {}", r.class.word()),
                Verdict::Suspend(r) => format!("suspend {}", r.class.word()),
                other => other.word().into(),
            },
        }
    }

    #[test]
    fn every_code_of_the_table_leads_somewhere() {
        let table: &[(u16, &[(i64, i64)], &str)] = &[
            (400, &[(10, 2_018_278), (10, 2_018_065), (10, 2_534_022), (10, 2_018_300)], "reject window"),
            (400, &[(10, 2_018_108), (551, 1_545_041), (200, 1_545_041)], "unreachable opted_out"),
            (400, &[(551, 0), (100, 2_018_001)], "unreachable recipient"),
            (400, &[(10, 2_018_028), (200, 2_018_028)], "unreachable config"),
            (403, &[(10, 0), (200, 0), (299, 0), (230, 0)], "suspend auth"),
            (403, &[(10, 1_893_063)], "throttle sender"),
            (400, &[(368, 0), (100, 33)], "suspend config"),
            (401, &[(190, 0), (190, 458), (190, 463), (190, 492), (102, 0)], "suspend auth"),
            (400, &[(4, 0), (17, 0), (4, 2_018_022)], "throttle account"),
            (400, &[(32, 0), (613, 0), (80_001, 0), (80_006, 0)], "throttle sender"),
            (400, &[(613, 1_996_002)], "throttle conversation"),
            (400, &[(4, 2_018_354), (9, 2_018_352)], "unreachable throttled"),
            (500, &[(1, 0), (2, 0), (-1, 0), (1200, 0)], "retry"),
            (400, &[(1, 1_357_046)], "unclear"),
            (400, &[(2, 2_018_344), (200, 2_018_021), (200, 2_018_027)], "reject config"),
            (
                400,
                &[(100, 0), (100, 2_018_109), (100, 2_018_015), (100, 2_018_053), (10_303, 0), (506, 0), (1_609_005, 0)],
                "reject content",
            ),
            (400, &[(100, 2_018_047), (100, 2_018_007), (100, 2_018_008)], "again"),
            (500, &[(424_242, 0)], "unclear"),
            (429, &[(424_242, 0)], "throttle sender"),
        ];
        for (status, codes, expected) in table {
            for (code, subcode) in *codes {
                assert_eq!(verdict(*status, *code, *subcode), *expected, "{code}/{subcode}");
            }
        }
    }
}
