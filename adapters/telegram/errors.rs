//! What Telegram answers. Inside 400 and 403 only the words of the description tell one error from another.

use serde_json::Value;

use super::{address, revise};
use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// Words of a description (lower-case), the class they mean, our code, and what to tell people.
/// The status is 0 where it does not matter; the first row that fits decides.
const ERRORS: &[(u16, &str, ErrorClass, &str, &str)] = &[
    (403, "bot was blocked by the user", C::OptedOut, "blocked_by_user", "The person has blocked the bot."),
    (403, "can't initiate conversation", C::OptedOut, "never_started", "The person has never started the bot."),
    (403, "user is deactivated", C::Recipient, "account_deleted", "The person's account is gone."),
    (403, "bot was kicked", C::Recipient, "bot_removed", "The bot was removed from the chat."),
    (403, "bot is not a member", C::Recipient, "bot_removed", "The bot is not a member of the chat."),
    (403, "group chat was deleted", C::Recipient, "chat_deleted", "The group is gone."),
    (403, "message_delete_forbidden", C::Content, "not_deletable", "This message cannot be taken back."),
    (403, "", C::Recipient, "forbidden", "The bot may not write to this chat."),
    (404, "method not found", C::Config, "method_not_found", "This Bot API server does not know the method; is it too old?"),
    (404, "", C::Auth, "token_invalid", "Telegram does not know the bot's token."),
    (401, "", C::Auth, "token_invalid", "Telegram does not accept the bot's token."),
    (409, "", C::Config, "conflict", "Another program takes this bot's updates."),
    (421, "", C::Config, "wrong_server", "This Bot API server does not serve the bot."),
    (413, "", C::Content, "media_too_large", "The file is larger than Telegram takes."),
    (400, "group chat was upgraded", C::Recipient, "chat_migrated", "The group has become a supergroup with another id."),
    (400, "chat not found", C::Recipient, "chat_not_found", "There is no such chat, or the bot has never met it."),
    (400, "peer_id_invalid", C::Recipient, "chat_not_found", "There is no such chat, or the bot has never met it."),
    (400, "user not found", C::Recipient, "chat_not_found", "There is no such person."),
    (400, "not enough rights", C::Recipient, "no_rights", "The bot may not write in this chat."),
    (400, "have no rights to send", C::Recipient, "no_rights", "The bot may not write in this chat."),
    (400, "chat_write_forbidden", C::Recipient, "no_rights", "The bot may not write in this chat."),
    (400, "need administrator rights", C::Recipient, "no_rights", "The bot may not write in this chat."),
    (400, "chat_admin_required", C::Recipient, "no_rights", "The bot may not write in this chat."),
    (400, "chat_restricted", C::Recipient, "no_rights", "The chat takes no messages from the bot."),
    (400, "_forbidden", C::Content, "media_forbidden", "The chat does not take this kind of message."),
    (400, "user_is_blocked", C::OptedOut, "blocked_by_user", "The person has blocked the bot."),
    (400, "input_user_deactivated", C::Recipient, "account_deleted", "The person's account is gone."),
    (400, "channel_private", C::Recipient, "bot_removed", "The bot is not a member of the chat."),
    (400, "topic_closed", C::Recipient, "topic_closed", "The topic is closed."),
    (400, "business_connection_invalid", C::Config, "business_connection_invalid", "The business account is no longer connected."),
    (400, "business connection not found", C::Config, "business_connection_invalid", "The business account is no longer connected."),
    (400, "business_peer_", C::Window, "window_closed", "The person has not written to the business account within 24 hours."),
    (400, "message is too long", C::Content, "text_too_long", "The text is longer than Telegram takes."),
    (400, "caption is too long", C::Content, "text_too_long", "The caption is longer than Telegram takes."),
    (400, "text is empty", C::Content, "text_empty", "The text is empty."),
    (400, "can't parse entities", C::Content, "markup_invalid", "Telegram does not understand the markup."),
    (400, "button_data_invalid", C::Content, "button_invalid", "A button carries more or less than 1 to 64 bytes."),
    (400, "button_url_invalid", C::Content, "button_invalid", "A button's link is not one Telegram opens."),
    (400, "reply markup is too long", C::Content, "button_invalid", "There are too many buttons."),
    (400, "wrong file identifier", C::Content, "media_invalid", "Telegram does not know the file, or cannot open its address."),
    (400, "wrong remote file identifier", C::Content, "media_invalid", "Telegram does not know the file, or cannot open its address."),
    (400, "image_process_failed", C::Content, "media_invalid", "Telegram cannot read the picture."),
    (400, "webpage_curl_failed", C::Content, "media_unreachable", "Telegram could not fetch the file from its address."),
    (400, "webpage_media_empty", C::Content, "media_type_invalid", "The file's type is not one Telegram fetches."),
    (400, "file is too big", C::Content, "media_too_large", "The file is larger than Telegram takes."),
    (400, "photo_invalid_dimensions", C::Content, "media_invalid", "The picture is too large or too narrow."),
    (400, "failed to get http url content", C::Content, "media_unreachable", "Telegram could not fetch the file from its address."),
    (400, "wrong type of the web page content", C::Content, "media_type_invalid", "The file's type is not one Telegram fetches."),
    (400, "message to be replied not found", C::Content, "quoted_gone", "The message answered is gone."),
    (400, "message thread not found", C::Content, "thread_gone", "The topic is gone."),
    (400, "query is too old", C::Content, "query_expired", "The button was pressed too long ago."),
    // What github.com/TelegramBotAPI/errors lists and bots look for; the words in capitals are the network's own
    // (core.telegram.org/method/messages.deleteMessages). Read 2026-11-29.
    (400, "message to edit not found", C::Content, "message_not_found", "The message to change is not there any more."),
    (400, "message_id_invalid", C::Content, "message_not_found", "There is no such message."),
    (400, "message can't be edited", C::Content, "not_editable", "Telegram does not let the bot change this message."),
    (400, "no caption in the message to edit", C::Content, "not_editable", "The message has no words that could change."),
    (400, "message can't be deleted", C::Window, "too_late", "The message can be taken back for 48 hours, and by its sender."),
    (400, "", C::Content, "bad_request", "Telegram refuses the message as it is."),
];

/// What an answer means.
pub(super) fn classify(call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse).unwrap_or_default();
    if reply.status.is_success() {
        return if body.flag("ok") { accepted(call, &body) } else { Step::Done(Verdict::Unclear(strange(reply))) };
    }
    let description = body.text("description").unwrap_or_default().to_lowercase();
    let code = body.int("error_code").map_or_else(|| status.to_string(), |code| code.to_string());
    let parameters = body.object("parameters").unwrap_or_default();
    if status == 429 {
        // It does not say whether the chat or the bot is too fast. The chat is the usual one; the engine slows the bot
        // when several chats answer so.
        let reason = Reason::new(C::Throttled, "too_many_requests", "Telegram asks for a slower pace.").provider_code(code);
        let after = parameters.int("retry_after").and_then(|s| u64::try_from(s).ok()).map(|s| s * 1000).or_else(|| reply.retry_after());
        return Step::throttle(Scope::Conversation, after, reason);
    }
    if status >= 500 {
        let reason = Reason::new(C::Unknown, "provider_error", "Telegram had a fault while it held the message.").provider_code(code);
        // A second chat action, reaction, edit or deletion changes nothing; a second message would be one too many.
        return Step::Done(if is_harmless(call) { Verdict::Retry(reason) } else { Verdict::Unclear(reason) });
    }
    // It says so already, or is gone already: what was wanted is so.
    let unmodified = description.contains("message is not modified") || description.contains("message_not_modified");
    let gone = description.contains("message to delete not found");
    if status == 400 && (unmodified || gone) {
        return Step::accept("");
    }
    if let Some(next) = again(call, &description, &parameters) {
        return Step::Call(next);
    }
    // An answer that is not Telegram's own (a proxy's) proves nothing about the person.
    let known = ERRORS.iter().find(|(s, words, ..)| *s == status && description.contains(words) && !description.is_empty());
    let Some((_, _, class, ours, title)) = known else { return Step::of(strange(reply)) };
    let reason = Reason::new(*class, *ours, *title).provider_code(code);
    // One business account that left, or one method an old server lacks, must not stop the bot for everybody else.
    let narrow = matches!(*ours, "business_connection_invalid" | "method_not_found");
    if narrow { Step::Done(Verdict::Reject(reason)) } else { Step::of(reason) }
}

fn strange(reply: &Reply) -> Reason {
    adapter::unexplained(reply.status)
}

/// Whether a call changes a message or takes it back.
fn revises(call: &Call) -> bool {
    let method = call.url.rsplit('/').next().unwrap_or_default();
    method.starts_with("editMessage") || matches!(method, "deleteMessage" | "deleteBusinessMessages")
}

fn is_harmless(call: &Call) -> bool {
    let method = call.url.rsplit('/').next().unwrap_or_default();
    revises(call) || matches!(method, "sendChatAction" | "setMessageReaction" | "answerCallbackQuery" | "readBusinessMessage")
}

/// The id of what was sent: of the first message where there are several, none where the result is only `true`.
fn accepted(call: &Call, body: &Object<'_>) -> Step {
    let result = body.object("result").or_else(|| body.objects("result").into_iter().next()).unwrap_or_default();
    let Some(number) = result.int("message_id") else { return Step::accept("") };
    let business = result.words("business_connection_id");
    match result.object("chat").and_then(|chat| chat.int("id")) {
        Some(chat) => Step::accept(format!("{}:{number}", address::place(chat, business.as_deref()))),
        None => {
            let sent: Value = serde_json::from_slice(call.body_bytes()).unwrap_or_default();
            let chat = sent["chat_id"].as_i64().map_or_else(String::new, |chat| format!("{}:", address::place(chat, business.as_deref())));
            Step::accept(format!("{chat}{number}"))
        }
    }
}

/// The same call once more, or mended, where the refusal says how.
fn again(call: &Call, description: &str, parameters: &Object<'_>) -> Option<Call> {
    if description.contains("there is no text in the message to edit") {
        return revise::captioned(call);
    }
    // Telegram fetches the file itself, and what it could not get once it may get the next time.
    let unfetched = description.contains("failed to get http url content") || description.contains("wrong type of the web page content");
    if unfetched && call.then.is_none() {
        return Some(call.clone().then("again"));
    }
    // Old messages stay in the old group, under numbers that mean others in the new one.
    let moved = parameters.int("migrate_to_chat_id").filter(|_| !revises(call));
    let quoteless = description.contains("message to be replied not found");
    if moved.is_none() && !quoteless {
        return None;
    }
    let mut next = call.clone();
    match &mut next.body {
        CallBody::Bytes(bytes) => {
            let mut body: Value = serde_json::from_slice(bytes).ok()?;
            let fields = body.as_object_mut()?;
            if let Some(chat) = moved {
                fields.insert("chat_id".into(), chat.into());
            }
            if quoteless {
                fields.remove("reply_parameters");
            }
            *bytes = serde_json::to_vec(&body).ok()?.into();
        }
        CallBody::Multipart(fields) => {
            fields.retain(|field| !(quoteless && matches!(field, Field::Text { name, .. } if name == "reply_parameters")));
            for field in fields {
                if let (Some(chat), Field::Text { name, value }) = (moved, field)
                    && name == "chat_id"
                {
                    *value = chat.to_string();
                }
            }
        }
        CallBody::Empty | CallBody::Pieces { .. } => return None,
    }
    // A mended call that changes nothing would go round for ever.
    (next.body != call.body).then_some(next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(status: u16, body: Value) -> Step {
        let call =
            Call::json("https://api.telegram.org/bot{secret}/sendMessage", &json!({ "chat_id": -5, "text": "x", "reply_parameters": {} }));
        classify(&call, &Reply::json(status, &body))
    }

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let rows = [
            (401, "Unauthorized", C::Auth),
            (404, "Not Found", C::Auth),
            (404, "Not Found: method not found", C::Config),
            (409, "Conflict: terminated by other getUpdates request", C::Config),
            (409, "Conflict: can't use getUpdates method while webhook is active", C::Config),
            (421, "Misdirected Request", C::Config),
            (413, "Request Entity Too Large", C::Content),
            (403, "Forbidden: bot was blocked by the user", C::OptedOut),
            (403, "Forbidden: bot can't initiate conversation with a user", C::OptedOut),
            (403, "Forbidden: user is deactivated", C::Recipient),
            (403, "Forbidden: bot was kicked from the supergroup chat", C::Recipient),
            (403, "Forbidden: bot is not a member of the channel chat", C::Recipient),
            (403, "Forbidden: the group chat was deleted", C::Recipient),
            (400, "Bad Request: chat not found", C::Recipient),
            (400, "Bad Request: PEER_ID_INVALID", C::Recipient),
            (400, "Bad Request: private chat not found", C::Recipient),
            (400, "Bad Request: user not found", C::Recipient),
            (400, "Bad Request: not enough rights to send text messages to the chat", C::Recipient),
            (400, "Bad Request: have no rights to send a message", C::Recipient),
            (400, "Bad Request: CHAT_WRITE_FORBIDDEN", C::Recipient),
            (400, "Bad Request: need administrator rights in the channel chat", C::Recipient),
            (400, "Bad Request: CHAT_ADMIN_REQUIRED", C::Recipient),
            (400, "Bad Request: CHAT_RESTRICTED", C::Recipient),
            (400, "Bad Request: VOICE_MESSAGES_FORBIDDEN", C::Content),
            (400, "Bad Request: CHAT_SEND_PHOTOS_FORBIDDEN", C::Content),
            (400, "Bad Request: USER_IS_BLOCKED", C::OptedOut),
            (400, "Bad Request: INPUT_USER_DEACTIVATED", C::Recipient),
            (400, "Bad Request: CHANNEL_PRIVATE", C::Recipient),
            (400, "Bad Request: wrong remote file identifier specified: Wrong string length", C::Content),
            (400, "Bad Request: IMAGE_PROCESS_FAILED", C::Content),
            (400, "Bad Request: WEBPAGE_CURL_FAILED", C::Content),
            (400, "Bad Request: WEBPAGE_MEDIA_EMPTY", C::Content),
            (400, "Bad Request: TOPIC_CLOSED", C::Recipient),
            (400, "Bad Request: BUSINESS_CONNECTION_INVALID", C::Config),
            (400, "Bad Request: business connection not found", C::Config),
            (400, "Bad Request: BUSINESS_PEER_USAGE_MISSING", C::Window),
            (400, "Bad Request: BUSINESS_PEER_INVALID", C::Window),
            (400, "Bad Request: message is too long", C::Content),
            (400, "Bad Request: message text is empty", C::Content),
            (400, "Bad Request: can't parse entities: Unsupported start tag", C::Content),
            (400, "Bad Request: BUTTON_DATA_INVALID", C::Content),
            (400, "Bad Request: BUTTON_URL_INVALID", C::Content),
            (400, "Bad Request: reply markup is too long", C::Content),
            (400, "Bad Request: wrong file identifier/HTTP URL specified", C::Content),
            (400, "Bad Request: file is too big", C::Content),
            (400, "Bad Request: PHOTO_INVALID_DIMENSIONS", C::Content),
            (400, "Bad Request: message thread not found", C::Content),
            (400, "Bad Request: query is too old and response timeout expired or query ID is invalid", C::Content),
            (400, "Bad Request: something new", C::Content),
        ];
        for (status, description, class) in rows {
            let body = json!({ "ok": false, "error_code": status, "description": description });
            let Step::Done(Verdict::Reject(r) | Verdict::Unreachable(r) | Verdict::Suspend(r)) = step(status, body) else {
                panic!("{description}")
            };
            assert_eq!(r.class, class, "{description}");
        }
    }

    #[test]
    fn what_can_be_mended_is_sent_again() {
        let body = json!({ "ok": false, "error_code": 400, "description": "Bad Request: group chat was upgraded to a supergroup chat",
            "parameters": { "migrate_to_chat_id": -1_000_000_000_005_i64 } });
        let Step::Call(next) = step(400, body.clone()) else { panic!("not mended") };
        let sent: Value = serde_json::from_slice(next.body_bytes()).expect("JSON");
        assert_eq!(sent["chat_id"], -1_000_000_000_005_i64);
        assert!(matches!(classify(&next, &Reply::json(400, &body)), Step::Done(Verdict::Unreachable(_))), "only once");
        let body = json!({ "ok": false, "error_code": 400, "description": "Bad Request: message to be replied not found" });
        assert!(matches!(step(400, body), Step::Call(_)));
        for words in ["failed to get HTTP URL content", "Wrong type of the web page content"] {
            let body = json!({ "ok": false, "error_code": 400, "description": format!("Bad Request: {words}") });
            let Step::Call(next) = step(400, body.clone()) else { panic!("{words}: not tried again") };
            assert!(
                matches!(classify(&next, &Reply::json(400, &body)), Step::Done(Verdict::Reject(r)) if r.class == C::Content),
                "only once"
            );
        }
    }
}
