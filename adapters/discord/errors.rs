//! What Discord answers: a status, and nearly always a code.

use http::Method;
use serde_json::{Value, json};

use super::{Channel, outbound, revise};
use crate::contract::*;
use crate::kit::object::Object;
use ErrorClass as C;

/// Codes, the class they mean, our code, and what to tell people.
const CODES: &[(&[i64], ErrorClass, &str, &str)] = &[
    (&[130_000, 40_006, 40_004], C::Transient, "unavailable", "Discord has switched this off for the moment."),
    (&[40_001, 50_014], C::Auth, "token_invalid", "Discord does not accept the bot's token."),
    (&[40_333], C::Config, "turned_away", "Discord's front turned the call away."),
    (&[50_001, 50_013, 50_010, 160_002, 50_173], C::Config, "no_permission", "The bot may not write in this channel."),
    (&[10_003, 10_004, 10_008, 10_013], C::Recipient, "not_found", "There is no such channel, server, message or person."),
    (&[50_033, 40_058, 50_024], C::Recipient, "cannot_be_written_to", "This cannot be written to."),
    (&[50_083, 160_005], C::Recipient, "thread_closed", "The thread is archived or locked."),
    (&[50_007], C::OptedOut, "direct_messages_closed", "The person takes no direct messages from the bot."),
    (&[50_278], C::Recipient, "no_common_server", "The person shares no server with the bot."),
    (&[40_007], C::Recipient, "banned", "The person is banned from the server."),
    (
        &[10_015, 50_027, 40_094, 10_062],
        C::Window,
        "answer_expired",
        "What was asked can no longer be answered: 15 minutes or five answers are over.",
    ),
    (&[40_005, 50_045, 50_046, 50_109], C::Content, "media_too_large", "A file is larger than Discord takes, or broken."),
    (&[200_000, 240_000, 20_009], C::Content, "filtered", "The server's or Discord's rules forbid the words."),
    (&[50_159, 50_160, 50_161], C::Content, "voice_invalid", "The voice message is not one Discord takes."),
    (&[50_035, 50_006, 30_015, 50_081], C::Content, "message_invalid", "Discord does not take the message as it is."),
];

/// Codes for too much at once, and what is too fast.
const SLOW: &[(i64, Scope)] = &[
    (20_028, Scope::Conversation),
    (20_029, Scope::Account),
    (40_062, Scope::Conversation),
    (20_016, Scope::Conversation),
    (30_046, Scope::Conversation),
    (40_003, Scope::Account),
];

/// Cloudflare's way of saying stop has no JSON and means minutes.
const CLOUDFLARE_MS: u64 = 300_000;

/// What an answer means.
pub(super) fn classify(channel: &Channel, call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    let note: Value = call.then.as_deref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default();
    let body = std::str::from_utf8(&reply.body).ok().and_then(Object::parse);
    if reply.status.is_success() {
        return accepted(channel, call, &note, body.unwrap_or_default(), reply);
    }
    let spoken = body.is_some();
    let body = body.unwrap_or_default();
    let code = body.int("code").filter(|code| *code > 0);
    let reason = |class, ours: &'static str, title: &'static str| {
        let reason = Reason::new(class, ours, title);
        if let Some(code) = code { reason.provider_code(code) } else { reason.provider_code(status) }
    };
    let slow = SLOW.iter().find(|(c, _)| Some(*c) == code).map(|(_, scope)| *scope).filter(|_| (400..500).contains(&status));
    if status == 429 || slow.is_some() {
        let limited = |name: &str| reply.headers.get("x-ratelimit-scope").and_then(|v| v.to_str().ok()) == Some(name);
        let scope = slow.unwrap_or(if body.flag("global") || limited("global") || !spoken { Scope::Account } else { Scope::Conversation });
        let asked = body.float("retry_after").filter(|s| *s >= 0.0).map(|s| (s * 1000.0).ceil() as u64).or_else(|| reply.retry_after());
        let after = asked.or((!spoken).then_some(CLOUDFLARE_MS));
        return Step::throttle(scope, after, reason(C::Throttled, "too_many_requests", "Discord asks for a slower pace."));
    }
    if status >= 500 || matches!(status, 408 | 425) {
        let reason = reason(C::Unknown, "provider_error", "Discord had a fault while it held the message.");
        return Step::Done(if repeatable(call) {
            Verdict::Retry(Reason { class: C::Transient, ..reason })
        } else {
            Verdict::Unclear(reason)
        });
    }
    if code == Some(40_060) && status == 400 {
        return Step::accept(""); // Answered already.
    }
    if let Some(step) = missed(&note, status, code, &reason) {
        return step;
    }
    let known = code.and_then(|code| CODES.iter().find(|(codes, ..)| codes.contains(&code)));
    let late = known.is_some_and(|(_, class, ..)| *class == C::Window) || status == 404 && call.url_secret.is_some();
    if let Some(next) = again(channel, &note, late, code) {
        return Step::Call(next);
    }
    match (known, status) {
        _ if late => Step::Done(Verdict::Reject(reason(
            C::Window,
            "answer_expired",
            "What was asked can no longer be answered: 15 minutes or five answers are over.",
        ))),
        (Some((_, class, ours, title)), _) => verdict(reason(*class, ours, title)),
        (None, 401) => Step::of(reason(C::Auth, "token_invalid", "Discord does not accept the bot's token.")),
        // Without JSON it is not Discord that speaks but what stands before it.
        (None, 403) if !spoken => Step::of(reason(C::Config, "turned_away", "Discord's front turned the call away.")),
        (None, 403) => verdict(reason(C::Config, "no_permission", "The bot may not write in this channel.")),
        (None, 404) if spoken => Step::of(reason(C::Recipient, "not_found", "There is no such channel, server, message or person.")),
        (None, 400..=499) if spoken => Step::of(reason(C::Content, "message_invalid", "Discord does not take the message as it is.")),
        _ => Step::of(adapter::unexplained(reply.status)),
    }
}

fn verdict(reason: Reason) -> Step {
    match &*reason.code {
        // One channel the bot may not write to must not stop the others.
        "no_permission" => Step::Done(Verdict::Reject(reason)),
        _ => Step::of(reason),
    }
}

/// What is said of the message to change or to take back; nobody is out of reach for that.
fn missed(note: &Value, status: u16, code: Option<i64>, reason: &dyn Fn(ErrorClass, &'static str, &'static str) -> Reason) -> Option<Step> {
    let recall = match note["then"].as_str()? {
        "recall" => true,
        "edit" => false,
        _ => return None,
    };
    let refused = |class, ours, title| Step::Done(Verdict::Reject(reason(class, ours, title)));
    match code? {
        10_008 if recall && status == 404 => Some(Step::accept("")), // It is gone: what was wanted is so.
        10_008 => Some(refused(C::Content, "message_not_found", "The message to change is not there any more.")),
        50_005 => Some(refused(C::Content, "not_ours", "Only a message the bot itself has posted can be changed.")),
        50_021 => Some(refused(C::Content, "not_deletable", "This message cannot be changed or taken back.")),
        _ => None,
    }
}

/// Whether a second call would show nothing twice: what carries a nonce, changes what is there, or is no message.
fn repeatable(call: &Call) -> bool {
    !(call.url_secret.is_some() && call.method == Method::POST)
}

/// The other way, where one is closed.
fn again(channel: &Channel, note: &Value, late: bool, code: Option<i64>) -> Option<Call> {
    let files = note["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    match note["then"].as_str()? {
        "late" if late => {
            let mut body = note["body"].clone();
            body["nonce"] = note["nonce"].clone();
            body["enforce_nonce"] = true.into();
            Some(outbound::posted(channel, note["place"].as_str()?, &body, files))
        }
        // Where the bot is no member, the press lets us answer all the same.
        "spare" if matches!(code, Some(50_001 | 50_013 | 10_003 | 50_007)) => {
            let mut body = note["body"].clone();
            let fields = body.as_object_mut()?;
            ["nonce", "enforce_nonce", "message_reference"].iter().for_each(|name| drop(fields.remove(*name)));
            Some(channel.message(channel.answer(Method::POST, note["token"].as_str()?, ""), &body, files))
        }
        _ => None,
    }
}

fn accepted(channel: &Channel, call: &Call, note: &Value, body: Object<'_>, reply: &Reply) -> Step {
    match note["then"].as_str() {
        Some("post") => match body.words("id") {
            Some(id) => {
                Step::Call(outbound::posted(channel, &id, &note["body"], note["files"].as_array().map(Vec::as_slice).unwrap_or_default()))
            }
            None => Step::Done(Verdict::Retry(adapter::unexplained(reply.status))),
        },
        Some("revise") => match body.words("id") {
            Some(id) => {
                let files = note["files"].as_array().map(Vec::as_slice).unwrap_or_default();
                Step::Call(revise::revised(channel, &id, note["message"].as_str().unwrap_or_default(), &note["body"], files))
            }
            None => Step::Done(Verdict::Retry(adapter::unexplained(reply.status))),
        },
        Some("unreact") => unreact(channel, note, &body).map_or_else(|| Step::accept(""), Step::Call),
        _ => match body.words("id") {
            Some(id) => Step::accept(id),
            // Typing and reactions answer 204.
            None if reply.status.as_u16() == 204 || call.method != Method::POST && call.method != Method::PATCH => Step::accept(""),
            None => Step::Done(Verdict::Unclear(adapter::unexplained(reply.status))),
        },
    }
}

/// Takes the next reaction of ours back; `None` when none is left.
fn unreact(channel: &Channel, note: &Value, body: &Object<'_>) -> Option<Call> {
    let name = |reaction: &Object<'_>| {
        let emoji = reaction.object("emoji")?;
        let name = emoji.words("name")?;
        Some(emoji.words("id").map_or_else(|| name.to_string(), |id| format!("{name}:{id}")))
    };
    let given = body.has("id").then(|| body.objects("reactions").iter().filter(|r| r.flag("me")).filter_map(name).collect());
    let mut names: Vec<String> = given.unwrap_or_else(|| serde_json::from_value(note["names"].clone()).unwrap_or_default());
    let emoji = names.pop()?;
    let path = note["path"].as_str()?;
    let next = json!({ "then": "unreact", "path": path, "names": names });
    Some(channel.call(Method::DELETE, &format!("{path}/reactions/{}/@me", outbound::escaped(&emoji))).then(next.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;

    fn channel() -> Channel {
        <Channel as Adapter>::bind(crate::contract::Settings(super::super::Twin::new(1).settings())).expect("settings")
    }

    fn step(call: &Call, status: u16, code: i64) -> Step {
        classify(&channel(), call, &Reply::json(status, &json!({ "code": code, "message": "x" })))
    }

    #[test]
    fn the_table_says_what_the_sheet_says() {
        let call = channel().json(Method::POST, "/channels/1/messages", &json!({}));
        let rows: &[(ErrorClass, u16, &[i64])] = &[
            (C::Throttled, 429, &[0, 20_028, 20_029, 40_062]),
            (C::Throttled, 400, &[20_016, 40_003]),
            (C::Transient, 500, &[0, 130_000]),
            (C::Transient, 403, &[40_006, 40_004, 130_000]),
            (C::Auth, 401, &[0, 40_001, 50_014]),
            (C::Config, 403, &[40_333, 50_001, 50_013, 50_010, 160_002, 50_173]),
            (C::Recipient, 404, &[10_003, 10_004, 10_008, 10_013]),
            (C::Recipient, 400, &[50_033, 40_058, 50_083, 160_005, 50_024]),
            (C::OptedOut, 403, &[50_007]),
            (C::Recipient, 403, &[50_278, 40_007]),
            (C::Window, 404, &[10_015, 50_027, 10_062]),
            (C::Window, 400, &[40_094]),
            (
                C::Content,
                400,
                &[50_035, 50_006, 40_005, 50_045, 50_046, 50_109, 30_015, 50_081, 200_000, 240_000, 20_009, 50_159, 50_160, 50_161, 99_999],
            ),
        ];
        for (class, status, codes) in rows {
            for code in *codes {
                let Step::Done(verdict) = step(&call, *status, *code) else { panic!("{code}") };
                assert_eq!(verdict.reason().map(|r| r.class), Some(*class), "{status} {code}: {verdict:?}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_too_late_goes_to_the_channel() {
        let channel = channel();
        let note = json!({ "then": "late", "body": { "content": "x" }, "files": [], "place": "400", "nonce": "n" });
        let call = channel.answer(Method::PATCH, "fake-token", "/messages/@original").then(note.to_string());
        let Step::Call(next) = step(&call, 401, 50_027) else { panic!("not sent again") };
        assert!(next.url.ends_with("/channels/400/messages") && !format!("{call:?}").contains("fake-token"));
        let follow = channel.answer(Method::POST, "fake-token", "");
        assert!(matches!(step(&follow, 404, 10_015), Step::Done(Verdict::Reject(r)) if r.class == C::Window));
        assert!(matches!(step(&follow, 503, 0), Step::Done(Verdict::Unclear(_))));
        assert!(matches!(step(&call, 503, 0), Step::Done(Verdict::Retry(_))));
    }

    #[test]
    fn a_persons_messages_are_found_before_they_change() {
        let channel = channel();
        let native = serde_json::Map::new();
        let parts = [Part::text("Come at six")];
        let edit = Outbound {
            id: "msg_1",
            to: "discord:user/500",
            thread: None,
            parts: &parts,
            template: None,
            category: Category::Service,
            reply_to: Some("599"),
            handle: Some("original:fake-token"),
            author: None,
            expires_at: None,
            native: &native,
        };
        let cx = Context { now: Time(0), public_url: "", hook_url: "", login: None, keys: None };
        let sent = SentMessage { to: "discord:user/500", thread: None, provider_id: "600", handle: None };
        let opened = Reply::json(200, &json!({ "id": "800", "type": 1 }));
        for (revision, method) in [(Revision::Edit(&edit), Method::PATCH), (Revision::Recall, Method::DELETE)] {
            let first = channel.revise(&sent, revision, &cx).and_then(Result::ok).expect("a call");
            let Step::Call(next) = classify(&channel, &first, &opened) else { panic!("no second call") };
            assert_eq!((next.method, next.url.as_str()), (method, "https://discord.com/api/v10/channels/800/messages/600"));
        }
    }

    #[test]
    fn where_the_bot_is_no_member_the_press_is_answered() {
        let channel = channel();
        let note = json!({ "then": "spare", "token": "fake-token", "body": { "content": "x", "nonce": "n" }, "files": [] });
        let call = channel.json(Method::POST, "/channels/1/messages", &json!({})).then(note.to_string());
        let Step::Call(next) = step(&call, 403, 50_001) else { panic!("not answered") };
        assert!(next.full_url().ends_with("/fake-token"));
        assert_eq!(next.body_bytes(), br#"{"content":"x"}"#);
    }
}
