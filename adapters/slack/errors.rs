//! What Slack answers: nearly always 200, with a word for what went wrong.

use serde_json::{Value, json};

use super::{Channel, answer, upload};
use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// The words of an error, the class they mean, our code, and what to tell people.
const ERRORS: &[(&[&str], ErrorClass, &str, &str)] = &[
    // These may come after Slack has begun: the message may be there.
    (&["fatal_error", "internal_error"], C::Unknown, "provider_error", "Slack had a fault while it held the message."),
    (
        &["service_unavailable", "request_timeout", "team_added_to_org", "org_level_email_display_disabled"],
        C::Transient,
        "unavailable",
        "Slack is not available for the moment.",
    ),
    (&["invalid_auth", "not_authed", "token_revoked", "token_expired"], C::Auth, "token_invalid", "Slack does not accept the bot's token."),
    (
        &["account_inactive", "org_login_required", "two_factor_setup_required", "app_not_installed"],
        C::Auth,
        "account_inactive",
        "The app or its account is no longer active in the workspace.",
    ),
    (&["missing_scope", "not_allowed_token_type", "no_permission"], C::Config, "scope_missing", "The app lacks a permission for this."),
    (
        &["ekm_access_denied", "access_denied", "accesslimited", "team_access_not_granted"],
        C::Config,
        "access_denied",
        "The workspace does not let the app do this.",
    ),
    (&["messages_tab_disabled"], C::Config, "messages_tab_disabled", "The app's Messages tab is off; turn it on under App Home."),
    (&["as_user_not_supported", "user_is_restricted"], C::Config, "not_allowed", "This token's user may not do this."),
    (&["not_in_channel"], C::Config, "not_in_channel", "The bot is not a member of the channel; invite it."),
    (
        &["channel_not_found", "channel_type_not_supported"],
        C::Recipient,
        "channel_not_found",
        "There is no such channel, or the bot may not see it.",
    ),
    (
        &["user_not_found", "users_not_found", "user_not_visible"],
        C::Recipient,
        "user_not_found",
        "There is no such person, or the bot may not see them.",
    ),
    (&["user_disabled"], C::Recipient, "user_disabled", "The person's account is switched off."),
    (&["is_archived"], C::Recipient, "channel_archived", "The channel is archived."),
    (
        &["cannot_dm_bot", "method_not_supported_for_channel_type"],
        C::Recipient,
        "cannot_be_written_to",
        "This cannot be written to by a bot.",
    ),
    (
        &[
            "restricted_action",
            "restricted_action_read_only_channel",
            "restricted_action_thread_only_channel",
            "restricted_action_non_threadable_channel",
            "restricted_action_thread_locked",
        ],
        C::Recipient,
        "restricted",
        "The workspace's rules forbid writing here.",
    ),
    (&["no_text"], C::Content, "text_empty", "The message has no text."),
    (&["msg_too_long", "msg_blocks_too_long"], C::Content, "text_too_long", "The message is longer than Slack takes."),
    (
        &["too_many_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "markdown_text_conflict"],
        C::Content,
        "blocks_invalid",
        "Slack does not take the message's blocks.",
    ),
    (
        &[
            "invalid_arguments",
            "invalid_arg_name",
            "invalid_array_arg",
            "invalid_metadata_format",
            "metadata_too_large",
            "invalid_name",
            "invalid_form_data",
            "invalid_json",
            "json_not_object",
            "invalid_charset",
        ],
        C::Content,
        "parameter_invalid",
        "A parameter of the message is wrong.",
    ),
    (
        &["thread_not_found", "cannot_reply_to_message", "message_not_found", "bad_timestamp"],
        C::Content,
        "message_not_found",
        "The message meant is not there.",
    ),
    // docs.slack.dev/reference/methods/chat.update and chat.delete, read 2026-11-29.
    (
        &["cant_update_message", "cant_delete_message"],
        C::Content,
        "not_ours",
        "Only a message the app itself has posted can be changed or taken back.",
    ),
    (&["edit_window_closed"], C::Window, "too_late", "The workspace lets messages be changed for a while only."),
    (&["compliance_exports_prevent_deletion"], C::Content, "not_deletable", "The workspace keeps its messages for compliance."),
    (
        &["message_limit_exceeded", "slack_connect_file_link_sharing_blocked", "too_many_emoji", "too_many_reactions", "no_item_specified"],
        C::Content,
        "refused",
        "Slack refuses the message.",
    ),
    (
        &[
            "file_not_found",
            "posting_to_general_channel_denied",
            "file_uploads_disabled",
            "file_update_failed",
            "file_upload_size_restricted",
        ],
        C::Content,
        "file_refused",
        "Slack refuses the file.",
    ),
    (
        &["expired_url", "used_url", "no_service", "invalid_token"],
        C::Window,
        "answer_expired",
        "What was pressed can no longer be answered: half an hour or five answers are over.",
    ),
    (
        &["duplicate_channel_not_found", "duplicate_message_not_found"],
        C::Transient,
        "duplicate_unclear",
        "Slack took it for a repetition and does not find the first.",
    ),
];

/// What an answer means.
pub(super) fn classify(channel: &Channel, call: &Call, reply: &Reply) -> Step {
    let note: Value = call.then.as_deref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
    let stage = note["then"].as_str().unwrap_or_default();
    let body = answer(reply);
    let status = reply.status.as_u16();
    let error = body.words("error");
    if status == 429 || matches!(error.as_deref(), Some("ratelimited" | "rate_limited")) {
        // What is sent to a `response_url` counts as the channel's messages do (docs.slack.dev/apis/web-api/rate-limits).
        let posts = ["/chat.postMessage", "/chat.postEphemeral"].iter().any(|method| call.url.ends_with(method))
            || call.url_secret.is_some() && stage != "share";
        let scope = if posts { Scope::Conversation } else { Scope::Account };
        return Step::throttle(
            scope,
            reply.retry_after(),
            Reason::new(C::Throttled, "too_many_requests", "Slack asks for a slower pace.").provider_code("ratelimited"),
        );
    }
    if status >= 500 {
        let reason = Reason::new(C::Unknown, "provider_error", "Slack had a fault while it held the message.").provider_code(status);
        return Step::Done(if creates(call) { Verdict::Unclear(reason) } else { Verdict::Retry(reason) });
    }
    if stage == "share" && reply.status.is_success() {
        return Step::Call(upload::third(channel, &note)); // The upload's own answer is words: `OK - 1234`.
    }
    // A `response_url` answers `ok`, without JSON.
    let answered = call.url_secret.is_some() && reply.body.trim_ascii() == b"ok";
    if reply.status.is_success() && (body.flag("ok") || answered) {
        if stage == "upload" {
            let unclear = || Step::Done(Verdict::Retry(adapter::unexplained(reply.status)));
            return upload::second(channel, &note, reply).map_or_else(unclear, Step::Call);
        }
        if stage == "unreact" {
            return upload::unreact(channel, &note, &body).map_or_else(|| Step::accept(""), Step::Call);
        }
        return accepted(call, &body);
    }
    let words =
        error.or_else(|| if call.url_secret.is_some() { std::str::from_utf8(&reply.body).ok().map(|t| t.trim().into()) } else { None });
    let Some(error) = words.filter(|error| !error.is_empty()) else {
        let gone = call.url_secret.is_some() && stage != "share" && status == 404;
        return if gone {
            Step::Done(Verdict::Reject(
                Reason::new(C::Window, "answer_expired", "What was pressed can no longer be answered.").provider_code(status),
            ))
        } else if reply.status.is_success() {
            Step::Done(Verdict::Unclear(adapter::unexplained(reply.status)))
        } else {
            Step::of(adapter::unexplained(reply.status))
        };
    };
    let gone = call.url.ends_with("/chat.delete") && error == "message_not_found";
    if reply.status.is_success() && (gone || matches!(&*error, "already_reacted" | "no_reaction")) {
        return Step::accept("");
    }
    if stage == "handle"
        && matches!(&*error, "not_in_channel" | "channel_not_found")
        && let Some(next) = by_handle(channel, call, note["url"].as_str().unwrap_or_default())
    {
        return Step::Call(next);
    }
    refused(&error, creates(call), reply.status)
}

fn refused(error: &str, creates: bool, status: http::StatusCode) -> Step {
    let known = ERRORS.iter().find(|(words, ..)| words.contains(&error));
    let Some((_, class, ours, title)) = known else {
        let reason = Reason::new(C::Content, "refused", "Slack refuses it with a word that is not known here.").provider_code(error);
        // A stranger's answer (a proxy's page) proves nothing.
        return if status.is_client_error() || status.is_success() && is_word(error) {
            Step::Done(Verdict::Reject(reason))
        } else {
            Step::Done(Verdict::Unclear(reason))
        };
    };
    let reason = Reason::new(*class, *ours, *title).provider_code(error);
    match class {
        // One channel the bot is not in must not stop the others.
        C::Config if matches!(*ours, "not_in_channel" | "not_allowed" | "access_denied") => Step::Done(Verdict::Reject(reason)),
        C::Unknown if !creates => Step::Done(Verdict::Retry(reason)),
        C::Recipient if matches!(*ours, "user_disabled" | "channel_archived") => Step::Done(Verdict::Gone { reason, current: None }),
        _ => Step::of(reason),
    }
}

fn is_word(error: &str) -> bool {
    error.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a second call would show a second message.
fn creates(call: &Call) -> bool {
    let harmless = [
        "chat.update",
        "chat.delete",
        "reactions.add",
        "reactions.remove",
        "assistant.threads.setStatus",
        "auth.test",
        "files.getUploadURLExternal",
    ];
    !harmless.iter().any(|method| call.url.ends_with(method))
}

/// The id of what was sent. A scheduled message has one of another kind, an uploaded file gets its message later.
fn accepted(call: &Call, body: &Object<'_>) -> Step {
    let sent = std::str::from_utf8(call.body_bytes()).ok().and_then(Object::parse).unwrap_or_default();
    let place = body.words("channel").or_else(|| sent.words("channel")).unwrap_or_default();
    if let Some(ts) = body.words("ts").or_else(|| body.words("message_ts")) {
        return Step::accept(if place.is_empty() { ts.into_owned() } else { format!("{place}:{ts}") });
    }
    let file = body.objects("files").first().and_then(|file| file.words("id"));
    Step::accept(body.words("scheduled_message_id").or(file).unwrap_or_default())
}

/// The same message through the address that came with what was pressed or typed.
pub(super) fn by_handle(channel: &Channel, call: &Call, url: &str) -> Option<Call> {
    let sent: Value = serde_json::from_slice(call.body_bytes()).ok()?;
    let next = channel.bearing(http::Method::POST, "hooks.slack.com", url)?;
    let mut body = json!({ "response_type": "in_channel", "replace_original": false });
    let text = sent.get("text").or_else(|| sent.get("markdown_text"));
    for (name, value) in [("text", text), ("blocks", sent.get("blocks")), ("thread_ts", sent.get("thread_ts"))] {
        if let Some(value) = value {
            body[name] = value.clone();
        }
    }
    for name in ["response_type", "replace_original", "delete_original"] {
        if let Some(value) = sent.get(name) {
            body[name] = value.clone();
        }
    }
    Some(next.header("content-type", "application/json; charset=utf-8").bytes(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;

    fn channel() -> Channel {
        <Channel as Adapter>::bind(crate::contract::Settings(super::super::Twin::new(1).settings())).expect("settings")
    }

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let channel = channel();
        let rows: &[(ErrorClass, &[&str])] = &[
            (C::Throttled, &["ratelimited", "rate_limited"]),
            (C::Unknown, &["fatal_error", "internal_error"]),
            (
                C::Transient,
                &[
                    "service_unavailable",
                    "request_timeout",
                    "team_added_to_org",
                    "duplicate_channel_not_found",
                    "duplicate_message_not_found",
                ],
            ),
            (C::Auth, &["invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "org_login_required"]),
            (C::Auth, &["two_factor_setup_required", "app_not_installed"]),
            (
                C::Config,
                &["missing_scope", "not_allowed_token_type", "no_permission", "ekm_access_denied", "access_denied", "accesslimited"],
            ),
            (C::Config, &["not_in_channel", "messages_tab_disabled", "user_is_restricted", "as_user_not_supported"]),
            (C::Recipient, &["channel_not_found", "user_not_found", "users_not_found", "user_disabled", "is_archived", "cannot_dm_bot"]),
            (
                C::Recipient,
                &["user_not_visible", "method_not_supported_for_channel_type", "restricted_action", "restricted_action_thread_locked"],
            ),
            (
                C::Content,
                &["no_text", "msg_too_long", "too_many_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_attachments"],
            ),
            (C::Content, &["markdown_text_conflict", "invalid_arguments", "invalid_metadata_format", "thread_not_found", "something_new"]),
            (C::Content, &["cannot_reply_to_message", "message_limit_exceeded", "slack_connect_file_link_sharing_blocked"]),
            (C::Window, &["expired_url", "used_url"]),
        ];
        let call = channel.method("chat.postMessage", &json!({ "channel": "C0", "text": "x" }));
        for (class, words) in rows {
            for word in *words {
                let Step::Done(verdict) = classify(&channel, &call, &Reply::json(200, &json!({ "ok": false, "error": word }))) else {
                    panic!("{word}")
                };
                assert_eq!(verdict.reason().map(|r| r.class), Some(*class), "{word}: {verdict:?}");
            }
        }
    }

    #[test]
    fn where_the_bot_is_no_member_the_press_is_answered() {
        let channel = channel();
        let note = json!({ "then": "handle", "url": "https://hooks.slack.com/actions/T0TWIN/1/x" }).to_string();
        let call = channel.method("chat.postMessage", &json!({ "channel": "C0", "text": "x", "metadata": {} })).then(note);
        let refusal = Reply::json(200, &json!({ "ok": false, "error": "not_in_channel" }));
        let Step::Call(next) = classify(&channel, &call, &refusal) else { panic!("no answer") };
        assert_eq!(
            (next.url.as_str(), next.full_url().as_str()),
            ("https://hooks.slack.com{secret}", "https://hooks.slack.com/actions/T0TWIN/1/x")
        );
        let ok = Reply { body: "ok".into(), ..Reply::json(200, &()) };
        assert!(matches!(classify(&channel, &next, &ok), Step::Done(Verdict::Accept { .. })));
        for (status, text) in [(404, ""), (404, "expired_url"), (200, "{\"ok\":false,\"error\":\"used_url\"}")] {
            let reply = Reply { body: text.into(), ..Reply::json(status, &()) };
            let Step::Done(Verdict::Reject(reason)) = classify(&channel, &next, &reply) else { panic!("{text}") };
            assert_eq!(reason.class, C::Window, "{text}");
        }
    }

    #[test]
    fn a_reaction_may_be_repeated() {
        let channel = channel();
        let call = channel.method("reactions.add", &json!({}));
        assert!(matches!(classify(&channel, &call, &Reply::json(503, &())), Step::Done(Verdict::Retry(_))));
        let again = Reply::json(200, &json!({ "ok": false, "error": "already_reacted" }));
        assert!(matches!(classify(&channel, &call, &again), Step::Done(Verdict::Accept { .. })));
    }
}
