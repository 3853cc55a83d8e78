//! What the ways out answer, and what bounces say.

use serde_json::Value;

use super::Transport;
use crate::contract::ErrorClass as C;
use crate::contract::adapter::unexplained;
use crate::contract::*;

/// What SES says, by API and by SMTP, when the day's allowance is used up, and the milliseconds to wait: the day is a window that
/// moves, and the guide wants a second try after ten minutes at most (docs.aws.amazon.com/ses, manage-sending-quotas-errors,
/// read 2026-11-29).
const DAILY_QUOTA: (&str, u64) = ("Daily message quota exceeded", 600_000);
/// What SendGrid says when the plan's mails are used up: with 401 by HTTP (sendgrid-nodejs, issue 1032), with 451 by SMTP.
const NO_CREDITS: &str = "Maximum credits exceeded";

fn reason(class: C, code: &'static str, title: &'static str, provider: impl ToString) -> Reason {
    let reason = Reason::new(class, code, title);
    let provider = provider.to_string();
    if provider.is_empty() { reason } else { reason.provider_code(provider) }
}

/// The person does not want our mail.
pub(super) fn opted_out(word: &str) -> Reason {
    reason(C::OptedOut, "suppressed", "the address is on the service's suppression list", word)
}

/// The receiver may take it later.
pub(super) fn temporary(_words: &str) -> Reason {
    reason(C::Transient, "delivery_delayed", "the receiver could not take the mail for the time being", "")
}

/// The service refused what the mail says.
pub(super) fn rejected(word: &str) -> Reason {
    reason(C::Content, "content_rejected", "the content of the mail was refused", word)
}

/// The receiver refused us rather than the address.
pub(super) fn blocked(status: &str, words: &str) -> Reason {
    let known = bounced(status, words);
    if known.class == C::Recipient { reason(C::Content, "content_rejected", "the receiver refused the mail", status) } else { known }
}

/// A refusal by its enhanced status (RFC 3463), or by the one its words begin with, or by what the words say, or by the
/// SMTP code.
pub(super) fn bounced(status: &str, words: &str) -> Reason {
    let is_status = |t: &str| {
        t.starts_with(['4', '5'])
            && t.len() >= 5
            && t.split('.').count() == 3
            && t.split('.').all(|n| !n.is_empty() && n.len() <= 3 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut found = words.split([' ', '-', ';', ':', '(', ')', '\n', '\r', '\t', '#', '[', ']', '<', '>']).filter(|word| is_status(word));
    // A status that says no more than that it failed gives way to anything that does.
    let enhanced =
        if is_status(status) && !status.ends_with(".0.0") { Some(status) } else { found.next().or(Some(status).filter(|s| is_status(s))) };
    let code = enhanced.unwrap_or(status);
    // Many servers answer 5.7.1 for every refusal of theirs, an unknown mailbox among them.
    let refusal = enhanced == Some("5.7.1");
    let vague = refusal || enhanced.is_none_or(|status| status.ends_with(".0"));
    // What may pass is no matter of the address, whatever the words are.
    let fits = |told: &Reason| match told.class {
        C::Recipient if refusal => true,
        _ if refusal => false,
        class => !code.starts_with('4') || class == C::Transient && enhanced.is_none(),
    };
    if let (true, Some(told)) = (vague, told(words).filter(fits)) {
        return Reason { provider_code: (!code.is_empty()).then(|| code.to_owned()), ..told };
    }
    let Some((class, rest)) = enhanced.and_then(|s| s.split_once('.')) else {
        let is_code = |word: &&str| {
            matches!(word.as_bytes(), [b'4' | b'5', b'0'..=b'5', b'0'..=b'9'] | [b'4' | b'5', b'0'..=b'5', b'0'..=b'9', b'-', ..])
        };
        let smtp = || words.split_whitespace().find(is_code).and_then(|word| word.get(..3));
        let code = if code.is_empty() { smtp().unwrap_or_default() } else { code };
        return match code.as_bytes().first() {
            Some(b'4') => reason(C::Transient, "delivery_delayed", "the receiver could not take the mail for the time being", code),
            _ if ["550", "551", "553"].contains(&code) => {
                reason(C::Recipient, "mailbox_unknown", "the receiver knows no such mailbox", code)
            }
            _ => reason(C::Content, "mail_refused", "the receiver refused the mail", code),
        };
    };
    let late = class == "4";
    match rest {
        "7.26" | "7.27" | "7.29" | "7.30" | "7.32" | "7.515" | "7.509" => {
            reason(C::Config, "sender_not_authenticated", "the receiver wants SPF, DKIM, DMARC or TLS from this sender", code)
        }
        "7.28" => reason(C::Throttled, "rate_limited", "the receiver finds us too fast", code),
        "2.1" if late => reason(C::Throttled, "recipient_rate", "this mailbox gets mail faster than it takes it", code),
        _ if late && rest.starts_with("7.") => reason(C::Throttled, "rate_limited", "the receiver finds us too fast", code),
        "2.2" => reason(C::Transient, "mailbox_full", "the mailbox is full", code),
        "4.7" => reason(C::Transient, "delivery_expired", "the receiver did not take the mail in time", code),
        "1.1" | "1.2" | "1.3" | "1.10" | "2.1" | "4.4" if !late => {
            reason(C::Recipient, "mailbox_unknown", "the receiver knows no such mailbox", code)
        }
        _ if late => reason(C::Transient, "delivery_delayed", "the receiver could not take the mail for the time being", code),
        "2.3" | "3.4" => reason(C::Content, "mail_too_large", "the mail is too large for the receiver", code),
        "7.1" => reason(C::Content, "content_rejected", "the receiver's policy refused the mail", code),
        "7.0" | "7.8" | "7.9" | "7.11" if ["530", "534", "535", "538"].iter().any(|c| words.starts_with(c)) => auth(code),
        _ if rest.starts_with("6.") || rest.starts_with("7.") => {
            reason(C::Content, "content_rejected", "the receiver's policy refused the mail", code)
        }
        _ if rest.starts_with("1.") => reason(C::Recipient, "mailbox_unknown", "the receiver knows no such mailbox", code),
        _ => reason(C::Content, "mail_refused", "the receiver refused the mail", code),
    }
}

/// What the words of a server mean that gives no status of its own.
fn told(words: &str) -> Option<Reason> {
    const FULL: &[&str] = &[
        "quota",
        "mailbox full",
        "mailbox is full",
        "box is full",
        "space not enough",
        "exceeded storage",
        "insufficient disk",
        "full mailbox",
        "storage full",
        "over its limit",
        "mailbox size limit",
        "mailbox exceeds",
        "disk space limit",
        "too many messages on",
    ];
    const UNKNOWN: &[&str] = &[
        "user unknown",
        "unknown user",
        "no such user",
        "unknown recipient",
        "recipient unknown",
        "no such recipient",
        "no such address",
        "no mailbox",
        "no such mailbox",
        "mailbox unavailable",
        "mailbox not found",
        "user not found",
        "does not exist",
        "doesn't exist",
        "not a valid mailbox",
        "not listed in",
        "isn't listed",
        "invalid recipient",
        "invalid mailbox",
        "unknown address",
        "unknown or illegal",
        "no such person",
        "address rejected",
        "user doesn't have",
        "doesn't have a",
        "account is disabled",
        "account disabled",
        "unrouteable",
        "unroutable",
        "host unknown",
        "host not found",
        "domain not found",
        "name or service not known",
        "couldn't find any host",
        "bad destination",
        "user not known",
        "not our customer",
        "no longer valid",
        "name is not recognized",
        "invalid final delivery userid",
        "address not found",
        "user is not found",
        "has been disabled",
        "not a known user",
        "not a valid user",
        "not an active",
        "deactivated",
        "no such domain",
        "no mail box",
        "address does not",
        "bad_recipient",
        "not a registered",
        "invalid user",
        "ディレクトリのリストにありません",
    ];
    const LARGE: &[&str] = &["too large", "too big", "message size", "size limit", "maximum size", "exceeds size"];
    const SPAM: &[&str] = &[
        "spam",
        "blocked",
        "blacklist",
        "block list",
        "blocklist",
        "policy",
        "unsolicited",
        "content rejected",
        "virus",
        "not authorized",
        "access denied",
    ];
    const LATE: &[&str] = &[
        "timed out",
        "timeout",
        "time-out",
        "connection refused",
        "could not connect",
        "couldn't establish",
        "no route to host",
        "unreachable",
        "too long",
        "20 attempts",
        "aborted after",
        "maximum-time-expired",
        "retry time",
        "not responding",
        "can't connect",
    ];
    let said = words.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    let row = |class, code, title| Some(reason(class, code, title, ""));
    match () {
        // It is not the recipient who is refused here.
        () if says(&["sender address rejected"]) => row(C::Content, "content_rejected", "the receiver's policy refused the mail"),
        () if says(FULL) => row(C::Transient, "mailbox_full", "the mailbox is full"),
        () if says(UNKNOWN) => row(C::Recipient, "mailbox_unknown", "the receiver knows no such mailbox"),
        () if says(LARGE) => row(C::Content, "mail_too_large", "the mail is too large for the receiver"),
        () if says(SPAM) => row(C::Content, "content_rejected", "the receiver's policy refused the mail"),
        () if says(LATE) => row(C::Transient, "delivery_expired", "the receiver did not take the mail in time"),
        () => None,
    }
}

fn auth(code: impl ToString) -> Reason {
    reason(C::Auth, "credentials_refused", "the service refuses our credentials", code)
}

fn config(code: impl ToString) -> Reason {
    reason(C::Config, "account_not_ready", "the account or the sender is not set up for this, or is stopped", code)
}

fn content(code: impl ToString) -> Reason {
    reason(C::Content, "request_refused", "the service refuses the mail as it is", code)
}

fn rate_limited(code: impl ToString) -> Reason {
    reason(C::Throttled, "rate_limited", "the service finds us too fast", code)
}

fn too_fast(reply: &Reply) -> Step {
    let after = reply.retry_after().or_else(|| reply.until_reset("x-ratelimit-reset"));
    Step::throttle(Scope::Account, after, rate_limited(reply.status.as_u16()))
}

fn day_used_up(reply: &Reply, code: impl ToString) -> Step {
    let used_up = reason(C::Throttled, "daily_quota", "the account's mails of the last 24 hours are used up", code);
    Step::throttle(Scope::Account, Some(reply.retry_after().unwrap_or(DAILY_QUOTA.1)), used_up)
}

/// What an answer means.
pub(super) fn classify(transport: Transport, call: &Call, reply: &Reply) -> Step {
    let status = reply.status.as_u16();
    if reply.headers.contains_key("x-smtp-code") || transport == Transport::Smtp {
        return smtp(call, reply);
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match (transport, status) {
        (_, 429 | 420) => too_fast(reply),
        (Transport::Sendgrid, 200..=299) => {
            let id = reply.headers.get("x-message-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
            Step::accept(id.unwrap_or_else(|| noted(call)))
        }
        (Transport::Ses, 200..=299) => accepted(body["MessageId"].as_str()),
        (Transport::Mailgun, 200..=299) => accepted(body["id"].as_str().map(|id| id.trim_matches(['<', '>']))),
        (Transport::Postmark, _) if body["ErrorCode"].is_u64() => postmark(body["ErrorCode"].as_u64().unwrap_or_default(), &body, reply),
        // No code of Postmark's own: something in between refuses our network.
        (Transport::Postmark, 403) => Step::of(config(403)),
        (Transport::Ses, 400..=499) => ses(&body, reply),
        (Transport::Sendgrid, 401) if String::from_utf8_lossy(&reply.body).contains(NO_CREDITS) => Step::of(config(401)),
        (_, 401) => Step::of(auth(401)),
        (Transport::Sendgrid, 403) | (Transport::Mailgun, 402..=404) => Step::of(config(status)),
        (_, 400 | 413) => Step::of(content(status)),
        (_, 503) => Step::of(reason(C::Transient, "service_unavailable", "the service is not available", 503)),
        _ => Step::of(unexplained(reply.status)),
    }
}

fn accepted(id: Option<&str>) -> Step {
    match id.filter(|id| !id.is_empty()) {
        Some(id) => Step::accept(id),
        None => Step::of(reason(C::Unknown, "answer_not_understood", "the service's answer names no message", "")),
    }
}

/// The message id we gave.
fn noted(call: &Call) -> String {
    call.then.as_ref().map(|note| String::from_utf8_lossy(note).into_owned()).unwrap_or_default()
}

/// A mail server's answer as the transport writes it: the code in `x-smtp-code`, the words in the body.
fn smtp(call: &Call, reply: &Reply) -> Step {
    let words = String::from_utf8_lossy(&reply.body);
    let code: u16 = reply.headers.get("x-smtp-code").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or_default();
    match (code, reply.status.as_u16()) {
        (200..=299, 200..=299) | (0, 200..=299) => Step::accept(noted(call)),
        (530 | 534 | 535 | 538, _) => Step::of(auth(code)),
        (421 | 450 | 451 | 452 | 454, _) => {
            let known = bounced(&code.to_string(), &words);
            match known.class {
                _ if words.contains(NO_CREDITS) => Step::of(config(code)),
                _ if words.contains(DAILY_QUOTA.0) => day_used_up(reply, code),
                _ if words.contains("Throttling") => Step::throttle(Scope::Account, reply.retry_after(), rate_limited(code)),
                C::Throttled if known.code == "recipient_rate" => Step::throttle(Scope::Conversation, reply.retry_after(), known),
                C::Throttled => Step::throttle(Scope::Account, reply.retry_after(), known),
                // The same address may take it later, whatever the enhanced status says of it.
                _ => Step::Done(Verdict::Retry(Reason { class: C::Transient, ..known })),
            }
        }
        (400..=499, _) => Step::Done(Verdict::Retry(temporary("").provider_code(code))),
        (500..=599, _) => {
            let known = bounced(&code.to_string(), &words);
            // The server has answered: whatever a bounce would wait for, this mail was not taken.
            match known.class {
                C::Transient | C::Throttled => Step::Done(Verdict::Retry(known)),
                _ => Step::of(known),
            }
        }
        _ => Step::of(unexplained(reply.status)),
    }
}

fn postmark(code: u64, body: &Value, reply: &Reply) -> Step {
    match (code, reply.status.as_u16()) {
        (0, 200..=299) => accepted(body["MessageID"].as_str()),
        (10, _) => Step::of(auth(code)),
        (429, _) => too_fast(reply),
        (300, _) => Step::of(reason(C::Recipient, "address_refused", "the service takes no such address", code)),
        (406, _) => Step::of(opted_out("406")),
        (400 | 401 | 405 | 412 | 413, _) => Step::of(config(code)),
        (402 | 403 | 411, _) => Step::of(content(code)),
        // 100: maintenance.
        (100 | 500 | 503, _) | (_, 503) => Step::of(reason(C::Transient, "service_unavailable", "the service is not available", code)),
        (_, 400..=499) => Step::of(content(code)),
        _ => Step::of(unexplained(reply.status)),
    }
}

fn ses(body: &Value, reply: &Reply) -> Step {
    let header = reply.headers.get("x-amzn-errortype").and_then(|v| v.to_str().ok());
    let name = header.or_else(|| body["__type"].as_str()).or_else(|| body["code"].as_str()).unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    let words = body["message"].as_str().or_else(|| body["Message"].as_str()).unwrap_or_default();
    match name {
        _ if words.contains(DAILY_QUOTA.0) => day_used_up(reply, name),
        "TooManyRequestsException" | "ThrottlingException" | "Throttling" => too_fast(reply),
        // The same name for an identity that nobody has verified and for a mail that SES finds harmful: only the words tell.
        "MessageRejected" if words.contains("not verified") => Step::of(config(name)),
        "SendingPausedException"
        | "AccountSuspendedException"
        | "LimitExceededException"
        | "MailFromDomainNotVerifiedException"
        | "NotFoundException" => Step::of(config(name)),
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "AccessDeniedException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => Step::of(auth(name)),
        "MessageRejected" | "BadRequestException" | "ValidationException" => Step::of(content(name)),
        _ => Step::of(unexplained(reply.status)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_of_bounces() {
        let rows = [
            ("5.1.1", "", C::Recipient),
            ("5.1.10", "", C::Recipient),
            ("550", "550 5.1.1 no such user", C::Recipient),
            ("", "smtp; 553 5.1.3 bad", C::Recipient),
            ("5.4.4", "", C::Recipient),
            ("5.2.2", "", C::Transient),
            ("4.4.7", "", C::Transient),
            ("4.7.28", "", C::Throttled),
            ("4.2.1", "", C::Throttled),
            ("4.7.0", "", C::Throttled),
            ("5.7.26", "", C::Config),
            ("5.7.515", "", C::Config),
            ("5.7.1", "", C::Content),
            ("5.7.1", "550 5.7.1 <a@b.example>: Recipient address rejected: user does not exist", C::Recipient),
            ("5.7.1", "554 5.7.1 over the quota of this sender", C::Content),
            ("", "550 Sender address rejected: Domain not found", C::Content),
            ("5.0.0", "smtp; 550 551 <a@b.example> is a deactivated mailbox", C::Recipient),
            ("5.0.0", "smtp; 550 No such domain at this location", C::Recipient),
            ("5.7.0", "x-unix; The recipient mailbox has exceeded its disk space limit.", C::Transient),
            ("5.3.4", "", C::Content),
            ("5.6.0", "", C::Content),
            ("550", "no", C::Recipient),
            ("421", "later", C::Transient),
        ];
        for (status, words, class) in rows {
            assert_eq!(bounced(status, words).class, class, "{status} {words}");
        }
    }

    #[test]
    fn every_way_out_has_its_table() {
        let call = Call::get("https://api.example").then("msg_1@acme.example");
        let word = |transport, reply: &Reply| match classify(transport, &call, reply) {
            Step::Done(verdict) => format!("{} {}", verdict.word(), verdict.reason().map_or("", |r| &r.code)),
            Step::Call(_) => "call".into(),
        };
        let smtp = |code: u16, words: &str, status| {
            Reply { body: words.to_owned().into(), ..Reply::json(status, &()) }.header("x-smtp-code", &code.to_string())
        };
        let rows = [
            (Transport::Smtp, smtp(250, "2.0.0 queued", 200), "accept "),
            (Transport::Smtp, smtp(421, "4.7.28 too fast", 503), "throttle rate_limited"),
            (Transport::Smtp, smtp(454, "Throttling failure: Maximum sending rate exceeded", 503), "throttle rate_limited"),
            (Transport::Smtp, smtp(454, "Throttling failure: Daily message quota exceeded", 503), "throttle daily_quota"),
            (Transport::Smtp, smtp(451, "later", 503), "retry delivery_delayed"),
            (Transport::Smtp, smtp(452, "4.2.2 full", 503), "retry mailbox_full"),
            (Transport::Smtp, smtp(535, "5.7.8 no", 422), "suspend credentials_refused"),
            (Transport::Smtp, smtp(550, "5.1.1 nobody", 422), "unreachable mailbox_unknown"),
            (Transport::Smtp, smtp(550, "5.7.26 spf", 422), "suspend sender_not_authenticated"),
            (Transport::Smtp, smtp(552, "5.3.4 big", 422), "reject mail_too_large"),
            (Transport::Postmark, Reply::json(200, &json!({ "ErrorCode": 0, "MessageID": "m" })), "accept "),
            (Transport::Postmark, Reply::json(422, &json!({ "ErrorCode": 406 })), "unreachable suppressed"),
            (Transport::Postmark, Reply::json(422, &json!({ "ErrorCode": 300 })), "unreachable address_refused"),
            (Transport::Postmark, Reply::json(422, &json!({ "ErrorCode": 412 })), "suspend account_not_ready"),
            (Transport::Postmark, Reply::json(401, &json!({ "ErrorCode": 10 })), "suspend credentials_refused"),
            (Transport::Postmark, Reply::json(422, &json!({ "ErrorCode": 429 })), "throttle rate_limited"),
            (Transport::Postmark, Reply::json(403, &json!("<html>")), "suspend account_not_ready"),
            (Transport::Postmark, Reply::json(200, &json!({})), "unclear http_status"),
            (Transport::Mailgun, Reply::json(200, &json!({ "id": "<a@b>" })), "accept "),
            (Transport::Mailgun, Reply::json(402, &json!({})), "suspend account_not_ready"),
            (Transport::Mailgun, Reply::json(500, &json!({})), "unclear http_status"),
            (Transport::Ses, Reply::json(200, &json!({ "MessageId": "m" })), "accept "),
            (Transport::Ses, Reply::json(429, &json!({ "__type": "TooManyRequestsException" })), "throttle rate_limited"),
            (Transport::Ses, Reply::json(400, &json!({})).header("x-amzn-errortype", "MessageRejected:http://x"), "reject request_refused"),
            (Transport::Ses, Reply::json(403, &json!({ "__type": "SignatureDoesNotMatch" })), "suspend credentials_refused"),
            (Transport::Ses, Reply::json(400, &json!({ "__type": "BadRequestException" })), "reject request_refused"),
        ];
        for (transport, reply, expected) in rows {
            assert_eq!(word(transport, &reply), expected, "{transport:?} {:?}", reply.body);
        }
    }
}
