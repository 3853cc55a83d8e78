//! What takes more than one call: files in and out, reactions taken back.

use serde_json::{Value, json};

use super::{Channel, answer, escaped};
use crate::contract::*;
use crate::kit::object::{self, Object};

/// Asks where a file may be uploaded. What comes after travels in `then`.
pub(super) fn first(channel: &Channel, id: &str, media: &Media<'_>, size: u64, place: &str, thread: Option<&str>, caption: &str) -> Call {
    let name = media.filename.as_deref().filter(|n| !n.is_empty()).unwrap_or("file");
    let mut share = json!({ "channel_id": place });
    if let Some(thread) = thread {
        share["thread_ts"] = thread.into();
    }
    if !caption.is_empty() {
        share["initial_comment"] = super::markup::escape(caption).into();
    }
    let mime = media.mime_type.as_deref().unwrap_or("application/octet-stream");
    let note = json!({ "then": "upload", "id": id, "name": name, "mime": mime, "share": share });
    let size = size.to_string();
    // This method takes forms alone.
    Call::form(format!("{}/files.getUploadURLExternal", channel.base), &[("filename", name), ("length", &size)])
        .bearer(channel.settings.bot_token.first())
        .then(note.to_string())
}

/// Sends the bytes to the address given.
pub(super) fn second(channel: &Channel, note: &Value, reply: &Reply) -> Option<Call> {
    let given = answer(reply);
    let call = channel.bearing(http::Method::POST, "files.slack.com", &given.words("upload_url")?)?;
    let text = |name: &str| note[name].as_str().unwrap_or_default().to_owned();
    let mut share = note["share"].clone();
    share["files"] = json!([{ "id": given.words("file_id")?, "title": text("name") }]);
    let file = Field::Media { name: "filename".into(), id: text("id"), filename: text("name"), mime_type: text("mime") };
    let next = json!({ "then": "share", "share": share });
    Some(Call { body: CallBody::Multipart(vec![file]), ..call }.then(next.to_string()))
}

/// Shows the file in the conversation.
pub(super) fn third(channel: &Channel, note: &Value) -> Call {
    channel.method("files.completeUploadExternal", &note["share"])
}

/// Asks which reactions a message has.
pub(super) fn reactions(channel: &Channel, place: &str, ts: &str) -> Call {
    let note = json!({ "then": "unreact", "channel": place, "timestamp": ts });
    Call::get(format!("{}/reactions.get?channel={}&timestamp={}", channel.base, escaped(place), escaped(ts)))
        .bearer(channel.settings.bot_token.first())
        .then(note.to_string())
}

/// Takes the next reaction of ours back; `None` when none is left.
pub(super) fn unreact(channel: &Channel, note: &Value, body: &Object<'_>) -> Option<Call> {
    let ours = |reaction: &Object<'_>| {
        let users = reaction.list("users").into_iter().filter_map(object::text);
        users.into_iter().any(|user| channel.is_own(Some(&user), None))
    };
    let given = body.object("message").map(|message| {
        message.objects("reactions").iter().filter(|r| ours(r)).filter_map(|r| r.words("name")).map(Text::into_owned).collect()
    });
    let mut names: Vec<String> = given.unwrap_or_else(|| serde_json::from_value(note["names"].clone()).unwrap_or_default());
    let name = names.pop()?;
    let (place, ts) = (&note["channel"], &note["timestamp"]);
    let next = json!({ "then": "unreact", "channel": place, "timestamp": ts, "names": names });
    Some(channel.method("reactions.remove", &json!({ "channel": place, "timestamp": ts, "name": name })).then(next.to_string()))
}

/// What the answer to a fetch means.
pub(super) fn fetched(channel: &Channel, call: &Call, reply: &Reply) -> Fetched {
    let status = reply.status.as_u16();
    match status {
        200..=299 => {}
        408 | 425 | 429 | 500..=599 => return Fetched::Later,
        _ => return Fetched::Gone(format!("Slack answered {status}")),
    }
    if call.url.contains("/files.info?") {
        let body = answer(reply);
        let file = body.object("file").unwrap_or_default();
        let url = file.words("url_private_download").or_else(|| file.words("url_private"));
        return match url.and_then(|url| channel.download(&url)) {
            Some(call) => Fetched::Call(call),
            None => Fetched::Gone(format!("Slack does not give the file: {}", body.text("error").unwrap_or_default())),
        };
    }
    // Without a good token Slack answers 200 and shows its login page; a file comes as an attachment.
    let header = |name: &str| reply.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if header("content-type").starts_with("text/html") && header("content-disposition").is_empty() && !call.secret_headers.is_empty() {
        return Fetched::Gone("Slack shows its login page: the bot's token lacks files:read, or is no longer good".into());
    }
    Fetched::Bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::twin::Twin as _;

    const CX: Context<'static> =
        Context { now: Time(0), public_url: "https://gw.example.org", hook_url: "https://gw.example.org/hooks/s", login: None, keys: None };

    #[test]
    fn a_file_goes_in_by_three_calls_and_comes_out_by_two() {
        let mut twin = super::super::Twin::new(5);
        let mut settings = twin.settings();
        settings.insert("api_base".into(), "http://twin.test".into());
        let channel = <Channel as Adapter>::bind(crate::contract::Settings(settings)).expect("settings");
        let media = Media { filename: Some("a b.pdf".into()), mime_type: Some("application/pdf".into()), ..Media::default() };
        let mut call = first(&channel, "med_1", &media, 67, "D0CHAT", None, "bill");
        let mut seen = Vec::new();
        let verdict = loop {
            seen.push(call.url.clone());
            let reply = twin.answer(&request(&call), Time(0)).reply;
            match channel.classify(&call, &reply) {
                Step::Call(next) => call = next,
                Step::Done(verdict) => break verdict,
            }
        };
        assert!(matches!(verdict, Verdict::Accept { .. }), "{verdict:?}");
        assert_eq!(
            seen,
            ["http://twin.test/files.getUploadURLExternal", "http://twin.test{secret}", "http://twin.test/files.completeUploadExternal"]
        );
        let stub = channel.fetch(&MediaRef { id: "F0TWIN".into(), ..MediaRef::default() }, &CX).expect("a call");
        let Fetched::Call(second) = channel.fetched(&stub, &twin.answer(&request(&stub), Time(0)).reply, &CX) else { panic!("no file") };
        let reply = twin.answer(&request(&second), Time(0)).reply;
        assert!(matches!(channel.fetched(&second, &reply, &CX), Fetched::Bytes));
        let page = Reply { body: "<html>".into(), ..Reply::json(200, &()) }.header("content-type", "text/html; charset=utf-8");
        assert!(matches!(channel.fetched(&second, &page, &CX), Fetched::Gone(_)));
        assert_eq!(escaped("F 1"), "F+1");
    }

    fn request(call: &Call) -> crate::contract::twin::Request {
        let url = url::Url::parse(&call.full_url()).expect("a URL");
        crate::contract::twin::Request {
            method: call.method.clone(),
            path: url.path().to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            headers: call.header_map(),
            body: bytes::Bytes::copy_from_slice(call.body_bytes()),
        }
    }
}
