//! What Firebase's answers mean: by its own error code, then by the status in the body, then by the HTTP status.
//! firebase.google.com/docs/cloud-messaging/error-codes, read 2026-11-20.

use serde_json::Value;

use crate::contract::{ErrorClass as C, Reason, Reply, Scope, Step, Verdict};

/// Milliseconds to wait on 429 where the answer says nothing.
const THROTTLED: u64 = 60_000;
/// Milliseconds before which Google wants no second try on 503.
const UNAVAILABLE: u64 = 10_000;

pub(super) fn classify(reply: &Reply) -> Step {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status.is_success() {
        let name = body["name"].as_str().and_then(|name| name.split_once("/messages/")).map(|(_, id)| id);
        return match name.filter(|id| !id.is_empty()) {
            Some(id) => Step::accept(id),
            None => Step::of(Reason::new(C::Unknown, "strange_success", "Firebase said yes without naming a message")),
        };
    }
    let error = Told::read(&body);
    let status = reply.status.as_u16();
    let reason = |class, code, title: &str| Reason::new(class, code, title.to_owned()).provider_code(error.name(status));
    let gone = |code, title: &str| Step::Done(Verdict::Gone { reason: reason(C::Recipient, code, title), current: None });
    match (status, error.code, error.status) {
        (_, "UNREGISTERED", _) => gone("unregistered", "the app was removed, or its registration was renewed or has expired"),
        (400, ..) if error.names_the_device() => gone("token_invalid", "the registration is not one of Firebase's"),
        (400, "UNSPECIFIED_ERROR", _) => {
            Step::Done(Verdict::Retry(reason(C::Transient, "unspecified", "Firebase refuses without saying why")))
        }
        // The device has another app than this one: the channel goes on for the others.
        (400, ..) if error.names_the_package() => {
            Step::Done(Verdict::Reject(reason(C::Config, "package_name", "the app is not the one that `restricted_package_name` names")))
        }
        (400, ..) => Step::of(reason(C::Content, "invalid_argument", "Firebase refuses what the message says")),
        (401, "THIRD_PARTY_AUTH_ERROR" | "APNS_AUTH_ERROR", _) => {
            // Only one platform's devices are cut off: the channel goes on for the others.
            let title = "the key for Apple's or the browsers' push service stored in the Firebase project is not valid";
            Step::Done(Verdict::Reject(reason(C::Auth, "platform_credentials", title)))
        }
        (401, ..) => Step::Done(Verdict::LogIn(reason(C::Auth, "unauthenticated", "the access token is missing, expired or revoked"))),
        (403, "SENDER_ID_MISMATCH", _) => {
            Step::of(reason(C::Recipient, "sender_id_mismatch", "the registration belongs to another Firebase project"))
        }
        (403, ..) => Step::of(reason(C::Auth, "permission_denied", "the service account lacks the role, or the API is switched off")),
        (404, _, "NOT_FOUND") => Step::of(reason(C::Config, "project_unknown", "there is no such Firebase project")),
        (404, ..) => Step::Done(Verdict::Retry(reason(C::Transient, "not_found", "Google's front end did not know the address"))),
        (429, ..) => {
            let scope = if error.is_of_one_target() { Scope::Conversation } else { Scope::Account };
            let after = reply.retry_after().unwrap_or(THROTTLED);
            Step::throttle(scope, Some(after), reason(C::Throttled, "quota_exceeded", "too many messages for Firebase"))
        }
        (503, ..) => {
            let after = reply.retry_after().unwrap_or(UNAVAILABLE);
            Step::throttle(Scope::Account, Some(after), reason(C::Transient, "unavailable", "Firebase is overloaded"))
        }
        (408 | 425, ..) => Step::of(reason(C::Unknown, "server_fault", "Firebase gave up waiting and may have the message")),
        (400..500, ..) => Step::of(reason(C::Content, "refused", "Firebase refuses the message")),
        _ => Step::of(reason(C::Unknown, "server_fault", "Firebase had a fault and may have the message")),
    }
}

/// An error as Google writes it.
struct Told<'b> {
    code: &'b str,
    status: &'b str,
    message: &'b str,
    details: &'b [Value],
}

impl<'b> Told<'b> {
    fn read(body: &'b Value) -> Self {
        let error = &body["error"];
        let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
        let ours = details.iter().find(|d| d["@type"].as_str().is_some_and(|t| t.ends_with("google.firebase.fcm.v1.FcmError")));
        let text = |value: &'b Value| value.as_str().unwrap_or_default();
        Self { code: ours.map_or("", |d| text(&d["errorCode"])), status: text(&error["status"]), message: text(&error["message"]), details }
    }

    fn name(&self, status: u16) -> String {
        let known = [self.code, self.status].into_iter().find(|t| !t.is_empty());
        known.map_or_else(|| status.to_string(), str::to_owned)
    }

    /// A fault in a template must not erase every device: only what names the registration does.
    fn names_the_device(&self) -> bool {
        let named = self.fields().any(|f| matches!(f, "message.token" | "message.fid" | "token" | "fid"));
        named || self.message.contains("not a valid FCM registration token")
    }

    fn names_the_package(&self) -> bool {
        self.fields().any(|f| f.ends_with("restricted_package_name"))
    }

    /// The fields Firebase finds fault with.
    fn fields(&self) -> impl Iterator<Item = &str> {
        let violations = self.details.iter().flat_map(|d| d["fieldViolations"].as_array().into_iter().flatten());
        violations.filter_map(|v| v["field"].as_str())
    }

    /// Whether the rate of one device or one topic is exceeded, not the project's (reference/fcm/rest/v1/ErrorCode, read 2026-11-29).
    fn is_of_one_target(&self) -> bool {
        let violations = self.details.iter().flat_map(|d| d["violations"].as_array().into_iter().flatten());
        let words = violations.flat_map(|v| [v["subject"].as_str(), v["description"].as_str()]).flatten();
        let names = |text: &str| ["device", "topic"].iter().any(|target| text.to_ascii_lowercase().contains(target));
        words.chain([self.message]).any(names)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(status: u16, code: &str, state: &str) -> (&'static str, String) {
        let detail = json!([{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }]);
        let reply = Reply::json(status, &json!({ "error": { "code": status, "status": state, "message": "m", "details": detail } }));
        match classify(&reply) {
            Step::Done(verdict) => (verdict.word(), verdict.reason().map(|r| r.code.to_string()).unwrap_or_default()),
            Step::Call(_) => ("call", String::new()),
        }
    }

    #[test]
    fn the_table_of_errors() {
        let rows = [
            (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "reject", "invalid_argument"),
            (401, "", "UNAUTHENTICATED", "log_in", "unauthenticated"),
            (401, "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", "reject", "platform_credentials"),
            (401, "APNS_AUTH_ERROR", "UNAUTHENTICATED", "reject", "platform_credentials"),
            (403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED", "unreachable", "sender_id_mismatch"),
            (403, "", "PERMISSION_DENIED", "suspend", "permission_denied"),
            (404, "UNREGISTERED", "NOT_FOUND", "gone", "unregistered"),
            (404, "", "NOT_FOUND", "suspend", "project_unknown"),
            (429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "throttle", "quota_exceeded"),
            (500, "INTERNAL", "INTERNAL", "unclear", "server_fault"),
            (503, "UNAVAILABLE", "UNAVAILABLE", "throttle", "unavailable"),
            (500, "UNSPECIFIED_ERROR", "UNKNOWN", "unclear", "server_fault"),
        ];
        for (status, code, state, word, ours) in rows {
            assert_eq!(told(status, code, state), (word, ours.to_owned()), "{status} {code}");
        }
    }

    #[test]
    fn a_page_of_the_front_end_is_no_verdict_on_the_device() {
        let page = |status| match classify(&Reply { body: "<html>".into(), ..Reply::json(status, &()) }) {
            Step::Done(verdict) => verdict.word(),
            Step::Call(_) => "call",
        };
        assert_eq!((page(404), page(502), page(504)), ("retry", "unclear", "unclear"));
    }
}
