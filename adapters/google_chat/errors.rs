//! What Google Chat answers: a status, a word, and a sentence that tells refusals apart.

use serde_json::Value;

use super::revise;
use crate::contract::*;
use crate::kit::google::Fault;
use crate::kit::object::Object;
use ErrorClass as C;

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let note: Value = call.then.as_deref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
    let (edit, recall) = (call.then.as_deref() == Some(revise::EDIT.as_bytes()), call.then.as_deref() == Some(revise::RECALL.as_bytes()));
    if reply.status.is_success() && recall {
        return Step::accept(""); // The answer to a deletion is an empty object.
    }
    if reply.status.is_success() {
        let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
        let Some(name) = body.words("name") else { return Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))) };
        if note["then"] == "post" {
            let text = |field: &str| note[field].as_str().unwrap_or_default();
            let next = Call::json(format!("{}/v1/{name}/messages?{}", text("base"), text("query")), &note["body"]);
            return Step::Call(Call { secret_headers: call.secret_headers.clone(), ..next });
        }
        return Step::accept(name);
    }
    let fault = Fault::read(reply);
    let bare = Reason::new(C::Unknown, "unexplained", "Google Chat refuses without a reason we know.");
    let bare = if fault.status.is_empty() { bare.provider_code(status) } else { bare.provider_code(&fault.status) };
    let reason = |class, ours: &'static str, title: &'static str| Reason { class, code: ours.into(), title: title.into(), ..bare.clone() };
    let says = |words: &[&str]| words.iter().any(|word| fault.words.contains(word));
    match status {
        429 => {
            let slower = reason(C::Throttled, "too_many_requests", "The space or the project is too fast.");
            Step::throttle(fast(&fault.words), reply.retry_after(), slower)
        }
        // The request's own id makes repeating safe.
        408 | 425 | 500..=599 => Step::Done(Verdict::Retry(reason(C::Transient, "provider_error", "Google Chat had a fault."))),
        401 => Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "Google does not accept the token any more."))),
        409 if fault.status == "ALREADY_EXISTS" && !taken(call).is_empty() => Step::accept(taken(call)),
        403 if says(&["not a member", "not been added", "removed", "blocked", "not installed", "has not installed"]) => {
            Step::of(reason(C::OptedOut, "not_installed", "The app is not, or no longer, in this space or with this person."))
        }
        403 if says(&["domain", "external", "administrator", "admin"]) => {
            Step::Done(Verdict::Reject(reason(C::Config, "domain_policy", "The organisation's rules forbid it.")))
        }
        403 if says(&["scope", "disabled", "not found", "has not been used", "not configured"]) => {
            Step::of(reason(C::Config, "app_not_set_up", "The Chat API or the app is not set up in the project."))
        }
        403 => Step::Done(Verdict::Reject(reason(C::Config, "permission_denied", "The app may not do this here."))),
        404 if note["then"] == "post" => Step::of(reason(C::Recipient, "never_started", "The person has no conversation with the app.")),
        // What was to be taken back is gone: what was wanted is so.
        404 if fault.status == "NOT_FOUND" && recall => Step::accept(""),
        404 if fault.status == "NOT_FOUND" && edit => {
            Step::Done(Verdict::Reject(reason(C::Content, "message_not_found", "The message to change is not there any more.")))
        }
        404 if fault.status == "NOT_FOUND" => Step::Done(Verdict::Gone {
            reason: reason(C::Recipient, "space_gone", "The space, or the app's place in it, is gone."),
            current: None,
        }),
        400 if fault.status == "FAILED_PRECONDITION" => Step::of(reason(C::Config, "not_set_up", "The app's set-up is not finished.")),
        400 => Step::of(reason(C::Content, "message_invalid", "Google Chat does not take the message as it is.")),
        _ => Step::of(adapter::unexplained(reply.status)),
    }
}

/// What is too fast: the space, unless the sentence names the project, which Google's quota service does where a project's own
/// quota is exceeded; what is counted for a space does not stand there (workspace/chat/limits, read 2026-11-29).
fn fast(words: &str) -> Scope {
    if words.contains("for consumer 'project") && !words.contains("per space") { Scope::Account } else { Scope::Conversation }
}

/// The name of a message that was posted before: the space, and the name we gave it.
fn taken(call: &Call) -> String {
    let path = call.url.split_once("/v1/").map(|(_, path)| path).unwrap_or_default();
    let named = path.split_once("messageId=").map(|(_, id)| id.split('&').next().unwrap_or_default());
    let space = path.split('?').next().unwrap_or_default();
    named.filter(|_| space.ends_with("/messages")).map(|id| format!("{space}/{id}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kit::google::refused;

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let call = Call::json("https://chat.googleapis.com/v1/spaces/AAA/messages?requestId=r&messageId=client-a-0", &json!({}));
        let rows: &[(u16, &str, &str, &str, ErrorClass)] = &[
            (429, "RESOURCE_EXHAUSTED", "quota", "throttle", C::Throttled),
            (500, "INTERNAL", "x", "retry", C::Transient),
            (503, "UNAVAILABLE", "x", "retry", C::Transient),
            (504, "DEADLINE_EXCEEDED", "x", "retry", C::Transient),
            (401, "UNAUTHENTICATED", "x", "log_in", C::Auth),
            (403, "PERMISSION_DENIED", "The caller is not a member of the space", "unreachable", C::OptedOut),
            (403, "PERMISSION_DENIED", "This app was blocked by the user", "unreachable", C::OptedOut),
            (403, "PERMISSION_DENIED", "Google Chat app not found", "suspend", C::Config),
            (403, "PERMISSION_DENIED", "Google Chat API has not been used in project 1 before or it is disabled", "suspend", C::Config),
            (403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", "suspend", C::Config),
            (403, "PERMISSION_DENIED", "Disallowed by the domain administrator", "reject", C::Config),
            (404, "NOT_FOUND", "x", "gone", C::Recipient),
            (400, "INVALID_ARGUMENT", "x", "reject", C::Content),
            (400, "FAILED_PRECONDITION", "x", "suspend", C::Config),
        ];
        for (status, word, words, verdict, class) in rows {
            let Step::Done(found) = classify(&call, &refused(*status, word, words)) else { panic!("{words}") };
            assert_eq!((found.word(), found.reason().map(|r| r.class)), (*verdict, Some(*class)), "{status} {words}");
        }
        let Step::Done(Verdict::Accept { provider_id }) = classify(&call, &refused(409, "ALREADY_EXISTS", "x")) else {
            panic!("posted before")
        };
        assert_eq!(provider_id, "spaces/AAA/messages/client-a-0");
    }

    #[test]
    fn a_person_is_found_first() {
        let note = json!({ "then": "post", "base": "https://chat.googleapis.com", "query": "requestId=r", "body": { "text": "x" } });
        let call = Call::get("https://chat.googleapis.com/v1/spaces:findDirectMessage?name=users/1").bearer("fake").then(note.to_string());
        let Step::Call(next) = classify(&call, &Reply::json(200, &json!({ "name": "spaces/DM1" }))) else { panic!("no message") };
        assert_eq!((next.url.as_str(), next.secret_headers.len()), ("https://chat.googleapis.com/v1/spaces/DM1/messages?requestId=r", 1));
        assert!(matches!(classify(&call, &refused(404, "NOT_FOUND", "x")), Step::Done(Verdict::Unreachable(_))));
    }
}
