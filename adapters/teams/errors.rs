//! What the connector answers: a status and a code, or an older form with JSON inside the message.

use http::Method;
use serde_json::Value;

use super::place;
use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// Where the public connector sends tenants of GCC.
const GCC: &str = "https://smba.infra.gcc.teams.microsoft.com/teams";

/// Words of a refusal (lower-case), the class they mean, our code, and what to tell people. The first that fits decides.
const WORDS: &[(&str, ErrorClass, &str, &str)] = &[
    ("botdisabledbyadmin", C::Config, "disabled_by_admin", "The tenant's administrator has switched the app off."),
    ("conversationblockedbyuser", C::OptedOut, "blocked_by_user", "The person has blocked the bot."),
    ("messagewritesblocked", C::OptedOut, "blocked_by_user", "The person has blocked or removed the bot."),
    ("botnotinconversationroster", C::Recipient, "not_installed", "The bot is not in this conversation."),
    ("isn't installed", C::Recipient, "not_installed", "The app is not installed for this person."),
    ("forbiddenoperationexception", C::Recipient, "not_installed", "The app is not installed for this person."),
    ("notenoughpermissions", C::Config, "no_permission", "The bot lacks a permission for this."),
    ("botnotregistered", C::Auth, "not_registered", "The connector knows no such bot."),
];

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    let note: Value = call.then.as_deref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
    if reply.status.is_success() {
        return accepted(call, &note, &body, reply);
    }
    let error = body.object("error").unwrap_or_default();
    let message = error.words("message").or_else(|| body.words("message")).unwrap_or_default();
    // The older form: `{"message":"{\"subCode\":...}"}`.
    let nested = Object::parse(&message).unwrap_or_default();
    let code = nested.words("subCode").or_else(|| nested.words("errorCode")).or_else(|| error.words("code"));
    let said = format!("{} {} {message}", code.as_deref().unwrap_or_default(), nested.text("details").unwrap_or_default()).to_lowercase();
    let bare = adapter::unexplained(reply.status);
    let bare = if let Some(code) = &code { bare.provider_code(code) } else { bare.provider_code(status) };
    let reason = |class, ours: &'static str, title: &'static str| Reason { class, code: ours.into(), title: title.into(), ..bare.clone() };
    let known =
        || WORDS.iter().find(|(words, ..)| said.contains(words) || *words == "messagewritesblocked" && code.as_deref() == Some("209"));
    match status {
        429 => Step::throttle(
            Scope::Conversation,
            reply.retry_after(),
            reason(C::Throttled, "too_many_requests", "The conversation or the app is too fast."),
        ),
        412 => Step::of(reason(C::Transient, "busy", "Something else is done in this conversation at the same time.")),
        502 | 503 => Step::Done(Verdict::Retry(reason(C::Transient, "provider_error", "The connector or what it depends on had a fault."))),
        // A second change or deletion changes nothing more.
        500..=599 if revises(call) => Step::Done(Verdict::Retry(reason(C::Transient, "provider_error", "The connector had a fault."))),
        // It may have been posted, and nothing makes repeating safe; but making a conversation twice gives the same one.
        500..=599 if note["then"] == "post" => {
            Step::Done(Verdict::Retry(reason(C::Transient, "provider_error", "The connector had a fault.")))
        }
        500..=599 => {
            Step::Done(Verdict::Unclear(reason(C::Unknown, "provider_error", "The connector had a fault while it held the message.")))
        }
        403 if said.contains("invalidbotapihost") => match moved(call) {
            Some(next) => Step::Call(next),
            None => Step::of(reason(C::Config, "wrong_host", "The tenant lives behind another address of the connector.")),
        },
        401 => match known() {
            Some((_, C::Auth, ours, title)) => Step::of(reason(C::Auth, ours, title)),
            _ => Step::Done(Verdict::LogIn(reason(C::Auth, "token_expired", "The connector does not accept the token any more."))),
        },
        403 => match known() {
            // One tenant or one conversation must not stop the others.
            Some((_, C::Config, ours, title)) => Step::Done(Verdict::Reject(reason(C::Config, ours, title))),
            Some((_, class, ours, title)) => Step::of(reason(*class, ours, title)),
            None => Step::Done(Verdict::Reject(reason(C::Config, "forbidden", "The bot may not do this here."))),
        },
        // What was to be taken back is gone: what was wanted is so.
        404 if said.contains("activitynotfound") && revises(call) && call.method == Method::DELETE => Step::accept(""),
        404 if said.contains("activitynotfound") && revises(call) => {
            Step::Done(Verdict::Reject(reason(C::Content, "message_not_found", "The message to change is not there any more.")))
        }
        404 if said.contains("activitynotfound") => {
            Step::of(reason(C::Recipient, "message_not_found", "The message is not there any more."))
        }
        404 if said.contains("conversationnotfound") => {
            Step::Done(Verdict::Gone { reason: reason(C::Recipient, "conversation_gone", "The conversation is gone."), current: None })
        }
        404 if code.is_some() => Step::of(reason(C::Recipient, "not_found", "There is no such conversation or person.")),
        413 => Step::of(reason(C::Content, "message_too_large", "The message is larger than Teams takes.")),
        400 => Step::of(reason(C::Content, "message_invalid", "Teams does not take the message as it is.")),
        _ => Step::of(bare),
    }
}

fn accepted(call: &Call, note: &Value, body: &Object<'_>, reply: &Reply) -> Step {
    let id = body.words("id").or_else(|| body.words("activityId"));
    if note["then"] == "post" {
        let Some(conversation) = id else { return Step::Done(Verdict::Retry(adapter::unexplained(reply.status))) };
        let base = note["base"].as_str().unwrap_or_default();
        let next = Call::json(format!("{base}/v3/conversations/{}/activities", place::encoded(&conversation)), &note["body"]);
        return Step::Call(Call { secret_headers: call.secret_headers.clone(), ..next });
    }
    // Typing answers nothing, a reaction neither.
    let silent = call.method != Method::POST || call.body_bytes().windows(15).any(|w| w == br#""type":"typing""#);
    match id {
        Some(id) => Step::accept(place::message(&conversation(call), &id)),
        None if silent || matches!(reply.status.as_u16(), 201 | 202 | 204) => Step::accept(""),
        None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
    }
}

/// Whether a call changes a message or takes it back.
fn revises(call: &Call) -> bool {
    matches!(call.method, Method::PUT | Method::DELETE) && !call.url.contains("/reactions/")
}

/// The conversation a call was for.
fn conversation(call: &Call) -> String {
    let path = call.url.split_once("/v3/conversations/").map(|(_, path)| path).unwrap_or_default();
    percent_encoding::percent_decode_str(path.split('/').next().unwrap_or_default()).decode_utf8_lossy().into_owned()
}

/// The same call at GCC's address; `None` when it was there already.
fn moved(call: &Call) -> Option<Call> {
    let (base, path) = call.url.split_once("/v3/")?;
    (base == "https://smba.trafficmanager.net/teams" || base.starts_with("https://smba.trafficmanager.net/"))
        .then(|| Call { url: format!("{GCC}/v3/{path}"), ..call.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(status: u16, code: &str, message: &str) -> Step {
        let call = Call::json("https://smba.trafficmanager.net/emea/1/v3/conversations/a%3A1/activities", &json!({ "type": "message" }));
        classify(&call, &Reply::json(status, &json!({ "error": { "code": code, "message": message } })))
    }

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let rows: &[(u16, &str, &str, &str, ErrorClass)] = &[
            (429, "Throttled", "Too many requests", "throttle", C::Throttled),
            (412, "PreconditionFailed", "x", "retry", C::Transient),
            (502, "ServiceError", "x", "retry", C::Transient),
            (503, "ServiceError", "x", "retry", C::Transient),
            (504, "ServiceError", "x", "unclear", C::Unknown),
            (500, "ServiceError", "x", "unclear", C::Unknown),
            (400, "Bad Argument", "x", "reject", C::Content),
            (400, "BadSyntax", "x", "reject", C::Content),
            (401, "BotNotRegistered", "x", "suspend", C::Auth),
            (401, "Unauthorized", "Authorization has been denied for this request.", "log_in", C::Auth),
            (403, "BotDisabledByAdmin", "x", "reject", C::Config),
            (403, "BotNotInConversationRoster", "x", "unreachable", C::Recipient),
            (403, "ForbiddenOperationException", "Bot isn't installed in user's personal scope", "unreachable", C::Recipient),
            (403, "ConversationBlockedByUser", "x", "unreachable", C::OptedOut),
            (403, "MessageWritesBlocked", "x", "unreachable", C::OptedOut),
            (403, "NotEnoughPermissions", "x", "reject", C::Config),
            (404, "ConversationNotFound", "x", "gone", C::Recipient),
            (404, "ActivityNotFoundInConversation", "x", "unreachable", C::Recipient),
            (413, "MessageSizeTooBig", "x", "reject", C::Content),
            (413, "RequestEntityTooLarge", "x", "reject", C::Content),
        ];
        for (status, code, message, verdict, class) in rows {
            let Step::Done(found) = step(*status, code, message) else { panic!("{code}") };
            assert_eq!((found.word(), found.reason().map(|r| r.class)), (*verdict, Some(*class)), "{status} {code}");
        }
        let Step::Done(old) = step(403, "Forbidden", r#"{"subCode":"MessageWritesBlocked","details":"x","errorCode":209}"#) else {
            panic!("the older form")
        };
        assert_eq!(old.reason().map(|r| r.class), Some(C::OptedOut));
    }

    #[test]
    fn a_tenant_of_gcc_is_found_where_it_lives() {
        let Step::Call(next) = step(403, "InvalidBotApiHost", "x") else { panic!("not sent again") };
        assert_eq!(next.url, "https://smba.infra.gcc.teams.microsoft.com/teams/v3/conversations/a%3A1/activities");
        let again = classify(&next, &Reply::json(403, &json!({ "error": { "code": "InvalidBotApiHost", "message": "x" } })));
        assert!(matches!(again, Step::Done(Verdict::Suspend(_))));
    }

    #[test]
    fn a_conversation_is_made_and_then_written_to() {
        let note = json!({ "then": "post", "base": "https://smba.trafficmanager.net/teams", "body": { "type": "message", "text": "x" } });
        let call = Call::json("https://smba.trafficmanager.net/teams/v3/conversations", &json!({})).bearer("fake").then(note.to_string());
        let Step::Call(next) = classify(&call, &Reply::json(201, &json!({ "id": "a:1-new" }))) else { panic!("no message") };
        assert!(next.url.ends_with("/v3/conversations/a%3A1%2Dnew/activities") && next.secret_headers.len() == 1);
        let done = classify(&next, &Reply::json(201, &json!({ "id": "1763600010000" })));
        assert!(matches!(done, Step::Done(Verdict::Accept { provider_id }) if provider_id == "a:1-new|1763600010000"));
        assert!(matches!(classify(&call, &Reply::json(504, &())), Step::Done(Verdict::Retry(_))));
    }
}
