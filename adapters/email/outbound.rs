//! A letter as the call its way out wants.

use std::sync::Arc;

use http::Method;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw as RawHeader;
use mail_builder::mime::{BodyPart, MimePart};
use serde_json::{Map, Value, json};

use super::compose::{self, File, Letter};
use super::{Channel, Settings, Tls, Transport, sigv4};
use crate::contract::*;
use crate::kit::{crypto, words};

/// Bytes that most receivers take; the server's own `SIZE` may be less and is asked on the connection.
const SMTP_MOST: usize = 25 << 20;
/// Bytes of a request that Amazon takes, in base64 (SendEmail, unconfirmed).
const SES_MOST: usize = 40 << 20;
/// Bytes of a mail that SendGrid takes with all its files.
const SENDGRID_MOST: usize = 30 << 20;
/// Bytes of a mail that Postmark takes with all its files.
const POSTMARK_MOST: usize = 10 << 20;

/// The calls that bring a message to a person.
pub(super) fn render(channel: &Channel, message: &Outbound<'_>, cx: &Context<'_>) -> Result<Rendered, RenderError> {
    let transport = channel.settings.transport;
    let mut out = Rendered::default();
    let letter = compose::letter(channel, message, cx, &mut out)?;
    if message.parts.is_empty() && message.template.is_none() && letter.native.is_empty() {
        return Err(RenderError::new("#/parts", "message_empty", "a message needs a part, a template, or a `native` with its content"));
    }
    if message.template.is_some() && transport == Transport::Smtp {
        return Err(RenderError::new("#/template", "template_not_supported", "a mail server has no templates: send parts"));
    }
    let call = match transport {
        Transport::Smtp => smtp(channel, message, &letter, cx)?,
        Transport::Ses => ses(channel, message, &letter, cx)?,
        Transport::Sendgrid => sendgrid(channel, message, &letter),
        Transport::Mailgun => mailgun(channel, message, &letter),
        Transport::Postmark => postmark(channel, message, &letter),
    };
    // Amazon and others count recipients.
    out.cost = u32::try_from(1 + letter.cc.len() + letter.bcc.len()).unwrap_or(u32::MAX);
    out.calls.push(call.then(letter.message_id));
    Ok(out)
}

/// A harmless call.
pub(super) fn probe(channel: &Channel, cx: &Context<'_>) -> Option<Call> {
    let settings = &channel.settings;
    let get = |path: &str| Call::get(format!("{}{path}", base(settings)));
    Some(match settings.transport {
        Transport::Smtp => return None,
        Transport::Ses => sigv4::signed(get("/v2/email/account").header("content-type", "application/json"), settings, cx.now),
        Transport::Sendgrid => get("/v3/scopes").bearer(key(settings)),
        Transport::Mailgun => get(&format!("/v3/domains/{}", channel.domain)).basic("api", key(settings)),
        Transport::Postmark => postmark_token(get("/server"), settings),
    })
}

/// Where the service's API is.
fn base(settings: &Settings) -> String {
    let region = settings.region.as_deref().unwrap_or_default();
    let eu = region == "eu";
    match (&settings.api_base, settings.transport) {
        (Some(base), _) => base.trim_end_matches('/').to_owned(),
        (None, Transport::Ses) => format!("https://email.{region}.amazonaws.com"),
        (None, Transport::Sendgrid) => format!("https://api.{}sendgrid.com", if eu { "eu." } else { "" }),
        (None, Transport::Mailgun) => format!("https://api.{}mailgun.net", if eu { "eu." } else { "" }),
        (None, Transport::Postmark) => "https://api.postmarkapp.com".to_owned(),
        (None, Transport::Smtp) => {
            let (scheme, port) = match settings.tls {
                Tls::Implicit => ("smtps", 465),
                Tls::Starttls => ("smtp", 587),
            };
            format!("{scheme}://{}:{}", settings.host.as_deref().unwrap_or_default(), settings.port.unwrap_or(port))
        }
    }
}

fn key(settings: &Settings) -> &str {
    settings.api_key.as_ref().map_or("", Secret::reveal)
}

fn postmark_token(call: Call, settings: &Settings) -> Call {
    call.header("accept", "application/json")
        .secret_header("x-postmark-server-token", settings.server_token.as_ref().map_or("", Secret::reveal))
}

/// `Name <address>`, the name quoted where it must be.
fn sender(channel: &Channel, message: &Outbound<'_>) -> (Option<String>, String) {
    let name = message.author.and_then(|a| a.name.as_deref()).map(|n| n.split_whitespace().collect::<Vec<_>>().join(" "));
    (name.filter(|n| !n.is_empty()).or_else(|| channel.name.clone()), channel.address.clone())
}

fn spelled((name, address): &(Option<String>, String)) -> String {
    match name {
        Some(name) => format!("\"{}\" <{address}>", name.replace(['"', '\\'], "")),
        None => address.clone(),
    }
}

/// What stands for a file until the transport puts it there.
fn mark(letter: &Letter, index: usize) -> String {
    format!("@{}@", crypto::fingerprint(&["file", &letter.message_id, &index.to_string()]))
}

/// The files of a letter in base64, each with its mark.
fn marks(letter: &Letter, line: Option<usize>) -> Vec<(String, Piece)> {
    let piece = |id: &String| Piece::Base64 { of: vec![Piece::Media(id.clone())], line };
    letter.files.iter().enumerate().map(|(index, file)| (mark(letter, index), piece(&file.id))).collect()
}

/// The call with files where its body has marks; without marks it is complete as it is.
fn with_files(call: Call, marks: Vec<(String, Piece)>, limit: usize, finish: Option<Finish>) -> Call {
    match (marks.is_empty(), finish) {
        (true, None) => call,
        (true, Some(finish)) => finish(call),
        (false, finish) => {
            let pieces = Piece::filled(call.body_bytes(), marks);
            call.pieces(pieces, limit, finish)
        }
    }
}

/// The whole mail as RFC 5322 says, the same bytes for the same message and second, with marks where its files belong.
fn mime(channel: &Channel, message: &Outbound<'_>, letter: &Letter, now: Time) -> Result<Vec<u8>, RenderError> {
    let (name, address) = sender(channel, message);
    let bare = |list: &[String]| Address::new_list(list.iter().map(|a| Address::new_address(None::<String>, a.clone())).collect());
    let mut builder = MessageBuilder::new()
        .from(Address::new_address(name, address))
        .to(bare(std::slice::from_ref(&letter.to)))
        .subject(letter.subject.clone())
        .date(now.0.div_euclid(1000))
        .message_id(letter.message_id.clone());
    if !letter.cc.is_empty() {
        builder = builder.cc(bare(&letter.cc));
    }
    if let Some(reply_to) = &letter.reply_to {
        let (name, address) = compose::mailbox(reply_to);
        builder = builder.reply_to(Address::new_address(name, address));
    }
    for (name, value) in &letter.headers {
        builder = builder.header(name.clone(), RawHeader::new(value.clone()));
    }
    let multipart = |kind: &'static str, parts: Vec<MimePart<'static>>| {
        let boundary = format!("=_{}", crypto::fingerprint(&["boundary", kind, &letter.message_id]));
        MimePart::new(ContentType::new(kind).attribute("boundary", boundary), BodyPart::Multipart(parts))
    };
    let words = vec![
        MimePart::new("text/plain", BodyPart::from(letter.text.clone())),
        MimePart::new("text/html", BodyPart::from(letter.html.clone())),
    ];
    let words = multipart("multipart/alternative", words);
    let files = letter.files.iter().enumerate().map(|(index, file)| {
        let kind = ContentType::new(file.mime_type.clone()).attribute("name", file.filename.clone());
        MimePart::new(kind, BodyPart::from(mark(letter, index))).attachment(file.filename.clone()).transfer_encoding("base64")
    });
    let body = if letter.files.is_empty() { words } else { multipart("multipart/mixed", [words].into_iter().chain(files).collect()) };
    let written = builder.body(body).write_to_vec();
    written.map_err(|_| RenderError::new("#/parts", "message_invalid", "the mail cannot be written"))
}

fn smtp(channel: &Channel, message: &Outbound<'_>, letter: &Letter, cx: &Context<'_>) -> Result<Call, RenderError> {
    if let Some(key) = letter.native.keys().next() {
        let known = "SMTP knows `subject`, `cc`, `bcc`, `reply_to` and `headers`";
        return Err(RenderError::new(format!("#/native/{key}"), "native_invalid", known));
    }
    let settings = &channel.settings;
    let mail = mime(channel, message, letter, cx.now)?;
    let seconds = cx.now.0.div_euclid(1000);
    // What the signature covers is whole only when the files are in it.
    let finish: Option<Finish> = channel.signer.clone().map(|signer| {
        let sign = move |call: Call| match signer.sign(call.body_bytes(), seconds) {
            Some(signed) => call.bytes(signed),
            None => call,
        };
        Arc::new(sign) as Finish
    });
    // The envelope's sender carries our id, so that a bounce names the message whatever else is in it.
    let from = match settings.bounce_address.as_deref().and_then(|a| a.rsplit_once('@')) {
        Some((user, domain)) => format!("{user}+{}@{domain}", message.id),
        None => channel.address.clone(),
    };
    let to: Vec<&str> = [&letter.to].into_iter().chain(&letter.cc).chain(&letter.bcc).map(String::as_str).collect();
    let url = match &settings.api_base {
        Some(_) => format!("{}/smtp", base(settings)),
        None => base(settings),
    };
    let helo = settings.helo_name.clone().unwrap_or_else(|| channel.domain.clone());
    let mut call = Call::new(Method::POST, url)
        .header("content-type", "message/rfc822")
        .header("x-smtp-helo", helo)
        .header("x-smtp-envid", message.id)
        .header("x-smtp-from", from)
        .header("x-smtp-to", to.join(","))
        .bytes(mail);
    if let Some(authority) = &settings.tls_ca {
        call = call.header("x-smtp-ca", crypto::base64(authority.as_bytes()));
    }
    let call = with_files(call, marks(letter, Some(76)), SMTP_MOST, finish);
    Ok(match (&settings.username, &settings.password) {
        (Some(user), Some(password)) => call.secret_header("x-smtp-user", user.clone()).secret_header("x-smtp-password", password.reveal()),
        _ => call,
    })
}

fn ses(channel: &Channel, message: &Outbound<'_>, letter: &Letter, cx: &Context<'_>) -> Result<Call, RenderError> {
    let settings = &channel.settings;
    let mut whole = Vec::new();
    let content = match message.template {
        Some(template) => json!({ "Template": { "TemplateName": template.name, "TemplateData": json!(template.params).to_string() } }),
        None if letter.files.is_empty() => json!({ "Raw": { "Data": crypto::base64(&mime(channel, message, letter, cx.now)?) } }),
        None => {
            let of = Piece::filled(&mime(channel, message, letter, cx.now)?, marks(letter, Some(76)));
            whole.push((mark(letter, letter.files.len()), Piece::Base64 { of, line: None }));
            json!({ "Raw": { "Data": whole[0].0 } })
        }
    };
    let mut destination = json!({ "ToAddresses": [letter.to] });
    for (name, list) in [("CcAddresses", &letter.cc), ("BccAddresses", &letter.bcc)] {
        if !list.is_empty() {
            destination[name] = json!(list);
        }
    }
    let mut body = json!({ "FromEmailAddress": spelled(&sender(channel, message)), "Destination": destination, "Content": content,
        "EmailTags": [{ "Name": "mid", "Value": message.id }] });
    if let Some(set) = &settings.configuration_set {
        body["ConfigurationSetName"] = json!(set);
    }
    words::merge(&mut body, &letter.native);
    let (own, now) = (settings.clone(), cx.now);
    let sign: Finish = Arc::new(move |call| sigv4::signed(call, &own, now));
    Ok(with_files(Call::json(format!("{}/v2/email/outbound-emails", base(settings)), &body), whole, SES_MOST, Some(sign)))
}

fn sendgrid(channel: &Channel, message: &Outbound<'_>, letter: &Letter) -> Call {
    let list = |list: &[String]| list.iter().map(|a| json!({ "email": a })).collect::<Vec<_>>();
    let mut person = json!({ "to": [{ "email": letter.to }], "custom_args": { "mid": message.id } });
    for (name, addresses) in [("cc", &letter.cc), ("bcc", &letter.bcc)] {
        if !addresses.is_empty() {
            person[name] = json!(list(addresses));
        }
    }
    let (name, address) = sender(channel, message);
    let mut from = json!({ "email": address });
    if let Some(name) = name {
        from["name"] = json!(name);
    }
    let mut headers: Map<String, Value> = letter.headers.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
    headers.insert("Message-ID".into(), json!(format!("<{}>", letter.message_id)));
    let mut body = json!({ "personalizations": [person], "from": from, "headers": headers });
    match message.template {
        Some(template) => {
            body["template_id"] = json!(template.name);
            body["personalizations"][0]["dynamic_template_data"] = json!(template.params);
        }
        None if letter.text.is_empty() => body["subject"] = json!(letter.subject),
        None => {
            body["subject"] = json!(letter.subject);
            body["content"] = json!([{ "type": "text/plain", "value": letter.text }, { "type": "text/html", "value": letter.html }]);
        }
    }
    if let Some(reply_to) = &letter.reply_to {
        body["reply_to"] = json!({ "email": compose::mailbox(reply_to).1 });
    }
    if !letter.files.is_empty() {
        let file = |(index, f): (usize, &File)| json!({ "content": mark(letter, index), "filename": f.filename, "type": f.mime_type, "disposition": "attachment" });
        body["attachments"] = letter.files.iter().enumerate().map(file).collect();
    }
    words::merge(&mut body, &letter.native);
    let call = Call::json(format!("{}/v3/mail/send", base(&channel.settings)), &body).bearer(key(&channel.settings));
    with_files(call, marks(letter, None), SENDGRID_MOST, None)
}

fn mailgun(channel: &Channel, message: &Outbound<'_>, letter: &Letter) -> Call {
    let mut fields: Vec<(String, String)> = vec![("from".into(), spelled(&sender(channel, message))), ("to".into(), letter.to.clone())];
    fields.extend(letter.cc.iter().map(|a| ("cc".into(), a.clone())));
    fields.extend(letter.bcc.iter().map(|a| ("bcc".into(), a.clone())));
    // A template may have a subject of its own, which any in the request takes the place of.
    if message.template.is_none() || !letter.subject.is_empty() {
        fields.push(("subject".into(), letter.subject.clone()));
    }
    match message.template {
        Some(template) => {
            fields.push(("template".into(), template.name.clone()));
            fields.push(("t:variables".into(), json!(template.params).to_string()));
        }
        None => fields.extend([("text".into(), letter.text.clone()), ("html".into(), letter.html.clone())]),
    }
    fields.push(("h:Message-Id".into(), format!("<{}>", letter.message_id)));
    fields.extend(letter.reply_to.iter().map(|a| ("h:Reply-To".into(), a.clone())));
    fields.extend(letter.headers.iter().map(|(n, v)| (format!("h:{n}"), v.clone())));
    fields.push(("v:mid".into(), message.id.to_owned()));
    fields.extend(letter.native.iter().map(|(n, v)| (n.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_owned))));
    let url = format!("{}/v3/{}/messages", base(&channel.settings), channel.domain);
    let call = if letter.files.is_empty() {
        Call::form(url, &fields)
    } else {
        let texts = fields.into_iter().map(|(name, value)| Field::Text { name, value });
        let files = letter.files.iter().map(|f| Field::Media {
            name: "attachment".into(),
            id: f.id.clone(),
            filename: f.filename.clone(),
            mime_type: f.mime_type.clone(),
        });
        Call::multipart(url, texts.chain(files).collect())
    };
    call.basic("api", key(&channel.settings))
}

fn postmark(channel: &Channel, message: &Outbound<'_>, letter: &Letter) -> Call {
    let mut headers: Vec<Value> = letter.headers.iter().map(|(n, v)| json!({ "Name": n, "Value": v })).collect();
    headers.push(json!({ "Name": "Message-ID", "Value": format!("<{}>", letter.message_id) }));
    headers.push(json!({ "Name": "X-PM-KeepID", "Value": "true" }));
    let stream = channel.settings.message_stream.as_deref().unwrap_or("outbound");
    let mut body = json!({ "From": spelled(&sender(channel, message)), "To": letter.to, "Headers": headers,
        "Metadata": { "mid": message.id }, "MessageStream": stream });
    for (name, list) in [("Cc", &letter.cc), ("Bcc", &letter.bcc)] {
        if !list.is_empty() {
            body[name] = json!(list.join(", "));
        }
    }
    if let Some(reply_to) = &letter.reply_to {
        body["ReplyTo"] = json!(reply_to);
    }
    let path = match message.template {
        Some(template) => {
            body["TemplateAlias"] = json!(template.name);
            body["TemplateModel"] = json!(template.params);
            "/email/withTemplate"
        }
        None => {
            body["Subject"] = json!(letter.subject);
            body["TextBody"] = json!(letter.text);
            body["HtmlBody"] = json!(letter.html);
            "/email"
        }
    };
    if !letter.files.is_empty() {
        let file = |(index, f): (usize, &File)| json!({ "Name": f.filename, "Content": mark(letter, index), "ContentType": f.mime_type });
        body["Attachments"] = letter.files.iter().enumerate().map(file).collect();
    }
    words::merge(&mut body, &letter.native);
    let call = postmark_token(Call::json(format!("{}{path}", base(&channel.settings)), &body), &channel.settings);
    with_files(call, marks(letter, None), POSTMARK_MOST, None)
}
