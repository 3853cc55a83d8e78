//! A mail that came in, whichever way: one reading of it for all feeds.

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{HeaderName, Message as Mail, MessageParser, MessagePart, MimeHeaders, PartType};
use serde_json::{Map, Value, json};

use super::{Channel, compose, filename, html as pages, quote, report, wrapped};
use crate::contract::event::*;
use crate::contract::part::*;
use crate::contract::*;
use crate::kit::{address, crypto, entry, text};

/// The most files of one mail that are kept.
const FILES: usize = 100;

/// Bytes of text, and of HTML, that an event holds; the log takes records of a megabyte.
const WORDS: usize = 200_000;
/// A mail that passed more servers than this goes round in circles (RFC 5321, section 6.3).
const HOPS: usize = 100;

/// A file in a mail.
#[derive(Clone)]
pub(super) struct Attached {
    pub filename: Option<String>,
    pub mime_type: String,
    pub bytes: Vec<u8>,
}

/// What a feed says about one mail.
#[derive(Default)]
pub(super) struct Incoming {
    /// The whole mail, or its header alone where the feed has taken it apart.
    pub mail: Vec<u8>,
    pub envelope_from: Option<String>,
    pub envelope_to: Option<String>,
    /// What the feed took apart: text, HTML, the new words, files.
    pub text: Option<String>,
    pub html: Option<String>,
    pub stripped: Option<String>,
    pub files: Vec<Attached>,
    /// Parts the feed names without bringing them.
    pub elsewhere: Vec<Part<'static>>,
    pub authentication: Option<Authentication<'static>>,
}

impl Incoming {
    /// A whole mail.
    pub(super) fn whole(mail: impl Into<Vec<u8>>, from: Option<String>, to: Option<String>) -> Self {
        Self { mail: mail.into(), envelope_from: from, envelope_to: to, ..Self::default() }
    }

    /// A header out of names and values; line breaks in them are none of ours.
    pub(super) fn header(fields: impl Iterator<Item = (String, String)>) -> Vec<u8> {
        let line = |(name, value): (String, String)| format!("{name}: {}\r\n", value.split(['\r', '\n']).collect::<Vec<_>>().join(" "));
        (fields.map(line).collect::<String>() + "\r\n").into_bytes()
    }
}

/// A file that the feed names without bringing it.
pub(super) fn elsewhere(filename: Option<String>, mime_type: Option<String>, size: Option<u64>, reason: &'static str) -> Part<'static> {
    let media = Media {
        filename: filename.map(Into::into),
        mime_type: mime_type.map(Into::into),
        size,
        status: Some(MediaStatus::Unavailable),
        reason: Some(reason.into()),
        ..Media::default()
    };
    Part::File(MediaPart { media, caption: None })
}

/// Words in the charset they are said to be in; in Windows-1252 where they are none of UTF-8 and nothing is said.
pub(super) fn decoded(octets: &[u8], charset: Option<&str>) -> String {
    let charset = charset.filter(|name| !name.eq_ignore_ascii_case("utf-8"));
    let fallback = || std::str::from_utf8(octets).is_err().then_some("windows-1252");
    match charset.or_else(fallback).and_then(|name| charset_decoder(name.as_bytes())) {
        Some(decode) => decode(octets),
        None => String::from_utf8_lossy(octets).into_owned(),
    }
}

/// A mail whose header is UTF-8: programs that know no encoded words write theirs in the charset of their text.
fn legible(mut mail: Vec<u8>) -> Vec<u8> {
    let blank = mail.windows(2).position(|pair| pair == b"\n\n").into_iter().chain(mail.windows(3).position(|ends| ends == b"\n\r\n"));
    // With the end of its last line, without which that is no field.
    let (header, body) = mail.split_at(blank.min().map_or(mail.len(), |end| end + 1));
    let stated = MessageParser::default().parse_headers(header).filter(|m| m.content_type().is_some());
    let unstated = stated.is_none() && std::str::from_utf8(&mail).is_err();
    if !unstated && std::str::from_utf8(header).is_ok() {
        let open = stated.as_ref().and_then(|m| m.content_type()?.attribute("boundary")).is_some_and(|boundary| !ends(body, boundary));
        let missing = if open { endings(&mail) } else { String::new() };
        mail.extend_from_slice(missing.as_bytes());
        return mail;
    }
    let charset = stated.as_ref().and_then(|m| m.content_type()?.attribute("charset"));
    let body = if unstated { decoded(body, None).into_bytes() } else { body.to_vec() };
    // What stands in an encoded word is in the charset that the word names.
    let encoded = |line: &[u8]| line.windows(2).any(|pair| pair == b"=?");
    let line = |line: &[u8]| if encoded(line) { line.to_vec() } else { decoded(line, charset).into_bytes() };
    header.split_inclusive(|&byte| byte == b'\n').map(line).chain([body]).flatten().collect()
}

/// Whether the line is there that ends the parts.
fn ends(body: &[u8], boundary: &str) -> bool {
    let end = format!("--{boundary}--");
    body.windows(end.len()).rev().any(|octets| octets == end.as_bytes())
}

/// The ends of the parts of a mail that was cut off, or whose program forgot them: what the last part says would be taken for a file.
fn endings(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let folded = text.to_ascii_lowercase();
    let named = |(at, key): (usize, &str)| {
        let value = &text[at + key.len()..];
        match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => value.split(|c: char| c.is_whitespace() || c == ';').next(),
        }
    };
    let boundaries: Vec<&str> = folded.match_indices("boundary=").filter_map(named).filter(|boundary| !boundary.is_empty()).collect();
    // What was begun last ends first.
    boundaries.into_iter().rev().filter(|boundary| !ends(mail, boundary)).map(|boundary| format!("\r\n--{boundary}--\r\n")).collect()
}

/// An address as ours are written.
pub(super) fn mailto(address: &str) -> String {
    address::address("mailto", &address.trim().trim_matches(['<', '>']).to_lowercase())
}

/// Our own id out of a message id we gave, or out of the address bounces come to.
pub(super) fn own_id(channel: &Channel, id: &str) -> Option<String> {
    let (user, domain) = id.trim_matches(['<', '>']).rsplit_once('@')?;
    (domain.eq_ignore_ascii_case(&channel.domain) && user.starts_with("msg_")).then(|| user.to_owned())
}

/// A message id as the service that sent it knows it.
pub(super) fn provider_id(id: &str) -> &str {
    let id = id.trim_matches(['<', '>']);
    match id.rsplit_once('@') {
        Some((user, domain)) if ["amazonses.com", "sendgrid.net"].iter().any(|own| domain.ends_with(own)) || domain == "mtasv.net" => user,
        _ => id,
    }
}

/// What happened: a message, or what a report says of one of ours. Nothing when it is no mail.
pub(super) fn events(channel: &Channel, mut incoming: Incoming) -> Vec<Event<'static>> {
    incoming.mail = legible(incoming.mail);
    let Some(mail) = MessageParser::default().parse(&incoming.mail) else { return Vec::new() };
    if let Some(events) = report::events(channel, &mail, &incoming) {
        return events;
    }
    received(channel, &mail, &incoming).map(|event| reacted(&mail, event)).into_iter().collect()
}

/// What some mail programs send for an emoji under a mail: a mail with a part that says so.
fn reacted(mail: &Mail<'_>, event: Event<'static>) -> Event<'static> {
    let part = mail.parts.iter().find(|part| part.is_content_type("text", "vnd.google.email-reaction+json"));
    let said: Option<Value> = part.and_then(|part| serde_json::from_slice(part.contents()).ok());
    let emoji = said.as_ref().and_then(|said| said["emoji"].as_str()).map(str::to_owned);
    let Body::Received(Received { from, message: Message { reply_to: Some(ReplyTo { id: Some(id), .. }), .. }, .. }) = &event.body else {
        return event;
    };
    match emoji {
        Some(emoji) => {
            let reaction =
                Reaction { from: from.clone(), message_id: id.clone(), reaction: Some(emoji.into()), action: ReactionAction::Added };
            Event { body: Body::Reaction(reaction), ..event }
        }
        None => event,
    }
}

/// What a relay of ours found out about the sender (RFC 8601).
fn authenticated(channel: &Channel, mail: &Mail<'_>) -> Option<Authentication<'static>> {
    let trusted = channel.settings.trusted_authserv_id.as_deref()?;
    let values = mail.headers().iter().filter(|h| h.name().eq_ignore_ascii_case("Authentication-Results"));
    let mut texts =
        values.filter_map(|h| std::str::from_utf8(mail.raw_message.get(h.offset_start() as usize..h.offset_end() as usize)?).ok());
    // The topmost is the last that was written.
    let found = texts.find(|text| {
        let id = text.split(';').next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
        id.eq_ignore_ascii_case(trusted)
    })?;
    let result = |method: &str| {
        let said = found.split(';').skip(1).find_map(|said| said.trim_start().strip_prefix(method)?.trim_start().strip_prefix('='))?;
        said.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| !word.is_empty()).map(|word| word.to_ascii_lowercase().into())
    };
    Some(Authentication { spf: result("spf"), dkim: result("dkim"), dmarc: result("dmarc") })
}

fn received(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> Option<Event<'static>> {
    let sender = mail.from().and_then(|from| from.first());
    let from = sender.and_then(|a| a.address.as_deref()).or(incoming.envelope_from.as_deref()).filter(|a| compose::is_address(a))?;
    let id = mail.message_id().unwrap_or_default();
    let digest = crypto::hex(&crypto::sha256(&incoming.mail));
    let to = incoming.envelope_to.clone().or_else(|| Some(mail.to()?.first()?.address.as_deref()?.to_owned()));
    let key = crypto::fingerprint(&[id, to.as_deref().unwrap_or_default(), &digest]);
    let (references, parent) = (ids(mail, HeaderName::References), ids(mail, HeaderName::InReplyTo));
    let root = references.first().or(parent.first()).map(String::as_str).unwrap_or(id);
    let answered = parent.first().or(references.last());
    let time = mail.date().filter(|d| d.is_valid()).map(|d| Time::from_secs(d.to_timestamp()));
    let address = mailto(from);
    let peer = if root.is_empty() { address.clone() } else { format!("{address}#{}", address::escape(root)) };
    let (parts, forwarded) = parts(mail, incoming);
    let message = Message {
        id: if id.is_empty() { key.clone().into() } else { id.to_owned().into() },
        sent_at: time,
        parts,
        reply_to: answered.map(|id| ReplyTo {
            id: Some(provider_id(id).to_owned().into()),
            message_id: own_id(channel, id).map(Into::into),
            ..ReplyTo::default()
        }),
        // An answer has its subject from the first mail, mark and all.
        referral: mail.subject().filter(|_| answered.is_none()).and_then(entry::said),
        subject: mail.subject().map(|s| s.trim().to_owned().into()),
        cc: mail.cc().map(|cc| cc.iter().filter_map(|a| Some(mailto(a.address.as_deref()?).into())).collect()).unwrap_or_default(),
        headers: Some(Raw::of(&kept(mail))),
        automatic: automatic(channel, mail, incoming).then_some(true),
        forwarded: forwarded.then_some(true),
        authentication: incoming.authentication.clone().or_else(|| authenticated(channel, mail)),
        ..Message::default()
    };
    let name = sender.and_then(|a| a.name.as_deref()).filter(|n| !n.is_empty()).map(|n| n.to_owned().into());
    let body = Body::Received(Received {
        from: Person { name, ..Person::at(address) },
        to: to.map(|to| mailto(&to).into()),
        message,
        ..Received::default()
    });
    Some(Event { account: None, key: Some(key.into()), medium: "email".into(), peer: peer.into(), time, body })
}

/// The message ids a header names.
pub(super) fn ids(mail: &Mail<'_>, name: HeaderName<'static>) -> Vec<String> {
    let value = mail.header_raw(name).unwrap_or_default();
    value.split(['<', '>', ' ', '\t', '\r', '\n', ',']).filter(|id| id.contains('@')).map(str::to_owned).collect()
}

/// A header's value on one line.
pub(super) fn header(mail: &Mail<'_>, name: &'static str) -> Option<String> {
    let value = mail.header_raw(HeaderName::parse(name)?)?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|v| !v.is_empty())
}

fn kept(mail: &Mail<'_>) -> Value {
    // A mailing list that writes for its members names who wrote in X-Original-From.
    const KEPT: &[&str] = &[
        "Message-ID",
        "In-Reply-To",
        "References",
        "Reply-To",
        "X-Original-From",
        "List-Id",
        "List-Unsubscribe",
        "Auto-Submitted",
        "Precedence",
        "Importance",
    ];
    let mut fields: Map<String, Value> = KEPT.iter().filter_map(|name| Some((name.to_lowercase(), json!(header(mail, name)?)))).collect();
    // Whom else it is for, besides us.
    if let Some(to) = header(mail, "To").filter(|_| mail.to().is_some_and(|to| to.iter().count() > 1)) {
        fields.insert("to".into(), json!(to));
    }
    Value::Object(fields)
}

/// Written by a machine (RFC 3834 and what came before it): answering it may begin a loop.
fn automatic(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> bool {
    let says = |name: &'static str, words: &[&str]| header(mail, name).is_some_and(|v| words.contains(&v.to_lowercase().as_str()));
    let has = |name: &'static str| header(mail, name).is_some();
    let from = mail.from().and_then(|f| f.first()).and_then(|a| a.address.as_deref()).unwrap_or_default().to_lowercase();
    let own = mail.message_id().and_then(|id| id.rsplit_once('@')).is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(&channel.domain));
    let hops = mail.headers().iter().filter(|h| h.name() == "Received").count();
    let lists = mail.headers().iter().any(|h| h.name().get(..5).is_some_and(|name| name.eq_ignore_ascii_case("List-")));
    let nobody = incoming.envelope_from.as_deref().is_some_and(|from| matches!(from.trim(), "" | "<>"));
    let subject = mail.subject().unwrap_or_default().trim().trim_start_matches(['[', '(']).to_lowercase();
    header(mail, "Auto-Submitted").is_some_and(|v| !v.to_lowercase().starts_with("no"))
        || ["Precedence", "X-Precedence", "Preference"].into_iter().any(|name| says(name, &["bulk", "junk", "list", "auto_reply"]))
        || says("Return-Path", &["<>"])
        || says("X-FC-MachineGenerated", &["true"])
        || says("Delivered-To", &["autoresponder"])
        || header(mail, "X-POST-MessageClass").is_some_and(|v| v.to_lowercase().contains("autoresponder"))
        || header(mail, "X-Auto-Response-Suppress").is_some_and(|v| !v.eq_ignore_ascii_case("none"))
        || [
            "X-Autoreply",
            "X-Autorespond",
            "X-Autoresponder",
            "X-Auto-Reply-From",
            "X-Autoreply-From",
            "X-Mail-Autoreply",
            "X-Vacation",
            "Feedback-ID",
        ]
        .into_iter()
        .any(has)
        || AWAY.iter().any(|words| subject.starts_with(words))
        || lists
        || own
        || hops > HOPS
        || robot(&from)
        || nobody
}

/// Whether only machines write from this address.
fn robot(from: &str) -> bool {
    const USERS: &[&str] =
        &["mailer-daemon@", "postmaster@", "noreply@", "no-reply@", "no_reply@", "donotreply@", "do-not-reply@", "do_not_reply@", "owner-"];
    USERS.iter().any(|user| from.starts_with(user)) || from.split('@').next().is_some_and(|user| user.ends_with("-request"))
}

/// How the subjects begin that mail programs give to automatic replies, in lower case.
const AWAY: &[&str] = &[
    "auto:",
    "auto generated",
    "auto-generated",
    "auto-reply",
    "auto reply",
    "autoreply",
    "automatic reply",
    "automated reply",
    "auto response",
    "autoresponse",
    "auto-response",
    "automatic response",
    "out of office",
    "out of the office",
    "out-of-office",
    "ooo:",
    "vacation",
    "away from my mail",
    "automatische antwort",
    "automatische antworten",
    "abwesenheit",
    "abwesend",
    "abwesenheitsnotiz",
    "réponse automatique",
    "réponse auto",
    "absence du bureau",
    "absent du bureau",
    "message d'absence",
    "respuesta automática",
    "respuesta automatica",
    "fuera de la oficina",
    "resposta automática",
    "resposta automatica",
    "fora do escritório",
    "ausência temporária",
    "risposta automatica",
    "fuori sede",
    "fuori ufficio",
    "automatisch antwoord",
    "automatische reactie",
    "automatisch bericht",
    "afwezig",
    "niet op kantoor",
    "autosvar",
    "automatisk svar",
    "automatiskt svar",
    "fraværsmeddelelse",
    "frånvaro",
    "fravær",
    "ikke til stede",
    "automaattinen vastaus",
    "poissa",
    "automatyczna odpowiedź",
    "odpowiedź automatyczna",
    "poza biurem",
    "automatická odpověď",
    "automatická odpoveď",
    "mimo kancelář",
    "automatikus válasz",
    "házon kívül",
    "răspuns automat",
    "автоматический ответ",
    "автоответ",
    "автоматична відповідь",
    "автоматичен отговор",
    "αυτόματη απάντηση",
    "otomatik yanıt",
    "otomatik cevap",
    "automatski odgovor",
    "samodejni odgovor",
    "automatinis atsakymas",
    "automātiskā atbilde",
    "automaatvastus",
    "automatvastus",
    "תשובה אוטומטית",
    "מענה אוטומטי",
    "رد تلقائي",
    "الرد التلقائي",
    "پاسخ خودکار",
    "自动答复",
    "自动回复",
    "自動回覆",
    "自動回復",
    "自動応答",
    "自動返信",
    "不在",
    "자동 회신",
    "자동 응답",
    "자동회신",
    "부재중",
    "trả lời tự động",
    "balasan otomatis",
    "ตอบกลับอัตโนมัติ",
    "ตอบกลับโดยอัตโนมัติ",
];

/// How the subjects of mails begin that are passed on, in lower case.
const PASSED_ON: &[&str] = &[
    "fw:",
    "fwd:",
    "wg:",
    "tr:",
    "rv:",
    "enc:",
    "doorst:",
    "vs:",
    "vb:",
    "pd:",
    "i:",
    "továbbítás:",
    "转发:",
    "转发：",
    "轉寄:",
    "轉寄：",
];

/// The content, and whether it is that of a mail passed on.
fn parts(mail: &Mail<'_>, incoming: &Incoming) -> (Vec<Part<'static>>, bool) {
    let apart = incoming.text.is_some() || incoming.html.is_some() || !incoming.files.is_empty() || !incoming.elsewhere.is_empty();
    let bare = if apart { None } else { bare(mail) };
    let (texts, html) = match (apart, bare.clone()) {
        (true, _) => (incoming.text.clone().into_iter().collect(), incoming.html.clone()),
        (false, Some(words)) => (vec![words], None),
        (false, None) => shown(mail),
    };
    let html = html.filter(|h| !h.trim().is_empty());
    let mut texts: Vec<String> = texts.into_iter().filter(|text| !text.trim().is_empty()).map(|text| text.replace("\r\n", "\n")).collect();
    if texts.is_empty() {
        texts.extend(html.as_deref().map(|page| pages::plain(page).replace("\r\n", "\n")));
    }
    let mut enclosed = Vec::new();
    for text in texts.iter_mut().filter(|text| text.contains("begin ")) {
        let (words, files) = wrapped::in_words(text);
        if !files.is_empty() {
            *text = words;
            enclosed.extend(files);
        }
    }
    let (mut parts, mut forwarded) = (Vec::new(), false);
    // Words of any length are kept, but an event is no place for a book.
    let mut books = Vec::new();
    let html = html.and_then(|html| book(html, "message.html", "text/html", &mut books));
    let full = texts.join("\n");
    if !full.trim().is_empty() {
        // What stands under a few words that pass it on is what it is about.
        let subject = mail.subject().unwrap_or_default().trim().to_lowercase();
        forwarded = quote::passes_on(&full) || PASSED_ON.iter().any(|words| subject.starts_with(words));
        // A feed that found nothing to strip may not have known the language.
        let found = |stripped: &&str| !forwarded && !stripped.trim().is_empty() && stripped.trim() != full.trim();
        let stripped = incoming.stripped.as_deref().map(str::trim_end).filter(found);
        // What stands between files is several texts; each may have something quoted under it.
        let fresh = || texts.iter().map(|text| quote::fresh(text)).collect::<Vec<_>>().join("\n\n");
        let new = stripped.map(str::to_owned).unwrap_or_else(|| if forwarded { full.trim_end().to_owned() } else { fresh() });
        let more = new.trim() != full.trim();
        let new = text::shorten(new.trim_start_matches('\n'), WORDS, Unit::Bytes);
        let full = book(full, "message.txt", "text/plain", &mut books);
        parts.push(Part::Text(TextPart {
            text: new.into(),
            html: html.map(Into::into),
            full_text: full.filter(|_| more).map(Into::into),
            ..TextPart::default()
        }));
    }
    parts.extend(books);
    parts.extend(incoming.elsewhere.iter().cloned());
    let attached = |part: &MessagePart<'_>| {
        let kind = part.content_type().map(|t| format!("{}/{}", t.ctype(), t.subtype().unwrap_or("octet-stream")).to_lowercase());
        let fallback = if part.is_message() { "message/rfc822" } else { "application/octet-stream" };
        let (filename, mime_type) = (filename::of(mail, part), kind.unwrap_or_else(|| fallback.to_owned()));
        Attached { filename, mime_type, bytes: part.contents().to_vec() }
    };
    let files: Vec<Attached> = match (apart, bare) {
        (true, _) => incoming.files.clone(),
        (false, Some(_)) => Vec::new(),
        (false, None) => mail.attachments().take(FILES).map(attached).collect(),
    };
    parts.extend(files.into_iter().flat_map(wrapped::unpacked).chain(enclosed).take(FILES).map(file));
    (parts, forwarded)
}

/// All that is shown of a mail's words, in order, some as text and some as HTML: programs that put files between words send several
/// texts, and lists of mail write theirs under what people write.
fn shown(mail: &Mail<'_>) -> (Vec<String>, Option<String>) {
    let text = |part: &MessagePart<'_>| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        PartType::Html(page) => Some(pages::plain(page)),
        _ => None,
    };
    let is_page = |part: &MessagePart<'_>| matches!(part.body, PartType::Html(_));
    let plain = mail.text_bodies().any(|part| matches!(part.body, PartType::Text(_)));
    let texts = if plain { mail.text_bodies().filter_map(text).collect() } else { Vec::new() };
    let pages = mail
        .html_bodies()
        .any(is_page)
        .then(|| (0..mail.html_body_count()).filter_map(|at| mail.body_html(at)).collect::<Vec<_>>().join("\n"));
    (texts, pages)
}

/// The words of a mail that calls them no more than text, as old programs do, or misspells their kind, or that is said to have parts
/// and does not say where they begin.
fn bare(mail: &Mail<'_>) -> Option<String> {
    let [part] = &mail.parts[..] else { return None };
    let kind = part.content_type().filter(|_| mail.text_body_count() == 0 && part.content_disposition().is_none())?;
    let known = |sub: &str| ["plain", "enriched", "richtext", "markdown"].iter().any(|known| sub.to_ascii_lowercase().starts_with(known));
    let words =
        kind.ctype().eq_ignore_ascii_case("text") && kind.subtype().is_none_or(known) || kind.ctype().eq_ignore_ascii_case("multipart");
    words.then(|| match &part.body {
        PartType::Text(text) => text.to_string(),
        _ => decoded(part.contents(), kind.attribute("charset")),
    })
}

/// Words that fit into an event; longer ones go into a file beside it.
fn book(words: String, name: &str, mime_type: &str, files: &mut Vec<Part<'static>>) -> Option<String> {
    if words.len() <= WORDS {
        return Some(words);
    }
    files.push(file(Attached { filename: Some(name.into()), mime_type: mime_type.into(), bytes: words.into_bytes() }));
    None
}

/// A file of the mail as the part it is.
fn file(Attached { filename, mime_type, bytes }: Attached) -> Part<'static> {
    let filename = filename.map(|name| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned());
    let media = Media {
        size: Some(bytes.len() as u64),
        sha256: Some(crypto::hex(&crypto::sha256(&bytes)).into()),
        filename: filename.filter(|n| !n.is_empty()).map(Into::into),
        mime_type: Some(mime_type.clone().into()),
        inline: Some(bytes.into()),
        ..Media::default()
    };
    let part = MediaPart { media, caption: None };
    match mime_type.split('/').next() {
        Some("image") => Part::Image(part),
        Some("audio") => Part::Audio(part),
        Some("video") => Part::Video(part),
        _ => Part::File(part),
    }
}
