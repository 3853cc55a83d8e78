//! Bounces that are no reports (RFC 3464): the words of qmail, Exim, Exchange, Yahoo and those that write like them, in the
//! languages their operators chose.

use mail_parser::{Message as Mail, MessagePart, PartType};

use super::letter::{Incoming, header};
use super::{Channel, compose, html};

/// What a server's letter says of a mail of ours.
pub(super) struct Bounce {
    /// Whom it was for.
    pub people: Vec<String>,
    /// The server has not given up.
    pub delayed: bool,
    /// What it says.
    pub words: String,
    /// The message id in the copy of our mail, where the letter has one.
    pub id: Option<String>,
}

/// The most people of one letter.
const PEOPLE: usize = 20;

/// Reads a letter; `None` when no machine wrote it, when it tells of no failure, or of nobody in particular.
pub(super) fn read(channel: &Channel, mail: &Mail<'_>, incoming: &Incoming) -> Option<Bounce> {
    let listed = header(mail, "X-Failed-Recipients");
    let subject = fold(mail.subject().unwrap_or_default());
    let certain = listed.is_some() || by_a_server(mail);
    if !certain && !by_nobody(mail, incoming) && !ENTITLED.iter().any(|words| subject.starts_with(words)) {
        return None;
    }
    let text = words(mail, incoming);
    let (letter, copy) = apart(&text);
    let tells = |said: &str, phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
    // Nobody in particular may also write that a parcel could not be delivered.
    let about_mail =
        || !copy.is_empty() || mail.parts.iter().any(MessagePart::is_message) || tells(&subject, FAILED) || tells(&subject, DELAYED);
    if !certain && !about_mail() {
        return None;
    }
    let said = format!("{subject}\n{}", fold(letter));
    let delayed = tells(&said, DELAYED);
    if !delayed && !tells(&said, FAILED) && listed.is_none() {
        return None;
    }
    let own =
        |who: &str| who == channel.address.to_lowercase() || incoming.envelope_to.as_deref().is_some_and(|to| to.eq_ignore_ascii_case(who));
    let listed: Vec<String> = listed.iter().flat_map(|list| addresses(list)).collect();
    let people = if listed.is_empty() { named(letter, own) } else { listed };
    let people = if people.is_empty() { addressed(mail, copy) } else { people };
    (!people.is_empty()).then(|| Bounce { people, delayed, words: letter.to_owned(), id: message_id(copy).or_else(|| message_id(letter)) })
}

/// Lower case, with straight apostrophes.
fn fold(text: &str) -> String {
    text.replace('’', "'").to_lowercase()
}

/// Whether a mail server wrote this rather than somebody.
fn by_a_server(mail: &Mail<'_>) -> bool {
    const SERVERS: &[&str] = &[
        "mailer",
        "daemon",
        "postmaster",
        "post_master",
        "mail.delivery",
        "maildelivery",
        "mail_service",
        "imss",
        "inetgw",
        "antivirus",
        "bounce",
    ];
    let from = mail.from().and_then(|from| from.first()).and_then(|a| a.address.as_deref()).unwrap_or_default().to_lowercase();
    let user = from.split('@').next().unwrap_or_default();
    user == "ndr" || SERVERS.iter().any(|word| user.contains(word))
}

/// Whether there is no sender, as is right for letters that must not be answered.
fn by_nobody(mail: &Mail<'_>, incoming: &Incoming) -> bool {
    let nobody = |path: &str| path.trim().trim_matches(['<', '>']).is_empty();
    let from = mail.from().and_then(|from| from.first()).and_then(|a| a.address.as_deref());
    from.is_none_or(nobody)
        || incoming.envelope_from.as_deref().is_some_and(nobody)
        || header(mail, "Return-Path").is_some_and(|path| nobody(&path))
}

/// The words of the letter.
fn words(mail: &Mail<'_>, incoming: &Incoming) -> String {
    if let Some(text) = incoming.text.as_deref().filter(|text| !text.trim().is_empty()) {
        return text.replace("\r\n", "\n");
    }
    let texts = mail.parts.iter().filter_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        PartType::Html(page) => Some(html::plain(page)),
        _ => None,
    });
    texts.take(2).collect::<Vec<_>>().join("\n").replace("\r\n", "\n")
}

/// The letter, and the copy of our mail under it.
fn apart(text: &str) -> (&str, &str) {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let folded = line.trim().to_lowercase();
        let ruled = folded.starts_with(['-', '=', '*', '_']) && COPIES_RULED.iter().any(|words| folded.contains(words));
        if offset > 0
            && (ruled
                || COPIES.iter().any(|words| folded.contains(words))
                || folded.starts_with("received: from ")
                || folded.starts_with("return-path:"))
        {
            return text.split_at(offset);
        }
        offset += line.len();
    }
    (text, "")
}

/// How the copy of a mail is announced.
const COPIES: &[&str] = &[
    "below this line is a copy",
    "this is a copy of",
    "copy of the original",
    "included is a copy",
    "below is a copy",
    "original message follows",
    "original message attached",
    "original message details",
    "returned mail follows",
    "here is your returned mail",
    "message headers follow",
    "message text follows",
    "unsent message below",
    "old message:",
    "your message reads",
    "header of the source mail",
    "lines of your original message",
    "of the message follow",
    "start of returned message",
    "el siguiente es una copia",
    "ci-dessous une copie",
    "kopie der nachricht",
    "копия вашего",
];
const COPIES_RULED: &[&str] = &[
    "original message",
    "returned m",
    "message header",
    "unsent message",
    "copy of",
    "header and top",
    "end of message",
    "mensaje original",
    "ursprüngliche nachricht",
    "message d'origine",
    "forwarded message",
    "original-nachricht",
    "исходное сообщение",
    "原信",
];

/// How the subjects of such letters begin.
const ENTITLED: &[&str] = &[
    "undeliver",
    "non-delivery",
    "mail delivery fail",
    "delivery status notification",
    "delivery failure",
    "returned mail",
    "failure notice",
];

/// How servers say that they gave up.
const FAILED: &[&str] = &[
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "could not deliver",
    "couldn't deliver",
    "unable to deliver",
    "wasn't able to deliver",
    "was unable to",
    "not delivered",
    "not been delivered",
    "undeliver",
    "non-delivery",
    "not deliver",
    "delivery failed",
    "delivery has failed",
    "delivery failure",
    "delivery fail",
    "failure notice",
    "failure delivery",
    "returned mail",
    "returned to sender",
    "returning to sender",
    "returning message",
    "mail failed",
    "failed mail",
    "failed recipients",
    "permanent fatal",
    "did not reach",
    "delivery status notification (failure)",
    "delivery problem",
    "user unknown",
    "unknown user",
    "no such user",
    "mailbox is full",
    "final delivery userid",
    "failure notification",
    "was automatically rejected",
    "was rejected",
    "attempting to deliver",
    "error message below",
    "delivery to the following recipient",
    "following recipients was aborted",
    "processing error",
    "mail system error",
    "error during delivery",
    "address not found",
    "message blocked",
    "permanent error",
    "an error was detected",
    "nicht zugestellt",
    "unzustellbar",
    "zustellung fehlgeschlagen",
    "fehler bei der übermittlung",
    "n'a pas pu",
    "n'a pas été remis",
    "non remis",
    "échec de la remise",
    "non distribu",
    "non délivr",
    "no se pudo entregar",
    "no se ha podido entregar",
    "no pudo ser entregado",
    "no entregado",
    "devuelto al remitente",
    "não foi possível entregar",
    "não pôde ser entregue",
    "não foi entregue",
    "não entregue",
    "falha na entrega",
    "impossibile recapitare",
    "non è stato recapitato",
    "mancato recapito",
    "mancata consegna",
    "niet worden bezorgd",
    "niet bezorgd",
    "onbestelbaar",
    "niet afgeleverd",
    "kunne ikke leveres",
    "ikke leveret",
    "kan ikke leveres",
    "kunde inte levereras",
    "gick inte att leverera",
    "det går inte att leverera",
    "ei voitu toimittaa",
    "toimittaminen epäonnistui",
    "nie można dostarczyć",
    "nie została dostarczona",
    "niedostarczona",
    "nie mogła zostać dostarczona",
    "nedoručiteln",
    "nelze doručit",
    "nebylo možné doručit",
    "kézbesítés sikertelen",
    "nem kézbesíthető",
    "nu a putut fi livrat",
    "nelivrat",
    "не доставлен",
    "не может быть доставлен",
    "недоставлен",
    "не удалось доставить",
    "не вдалося доставити",
    "δεν ήταν δυνατή η παράδοση",
    "teslim edilemedi",
    "iletilemedi",
    "לא ניתן היה למסור",
    "تعذر تسليم",
    "无法投递",
    "無法投遞",
    "无法发送到",
    "退信",
    "投递失败",
    "發送失敗",
    "傳送失敗",
    "未送达",
    "未傳遞",
    "配信不能",
    "配信できません",
    "送信できません",
    "届けられません",
    "配送できません",
    "전송되지 않",
    "배달되지 않",
    "전달하지 못",
    "반송",
    "không gửi được",
    "không thể gửi",
    "tidak terkirim",
    "gagal terkirim",
];
/// How they say that they try on.
const DELAYED: &[&str] = &[
    "has not yet been delivered",
    "have not yet been delivered",
    "not yet been delivered",
    "been delayed",
    "message delayed",
    "delivery delayed",
    "(delay)",
    "still being retried",
    "still awaiting delivery",
    "will be retried",
    "will continue to be made",
    "will continue to try",
    "has been postponed",
    "just a warning",
    "could not send message for past",
    "zustellung verzögert",
    "wird weiterhin versucht",
    "verzögerte zustellung",
    "a été retardé",
    "remise retardée",
    "se ha retrasado",
    "entrega retrasada",
    "atraso na entrega",
    "entrega atrasada",
    "consegna ritardata",
    "in ritardo",
    "vertraagd",
    "forsinket",
    "fördröjd",
    "opóźni",
    "задержан",
    "доставка отложена",
    "配信の遅延",
    "配信遅延",
    "延迟",
    "延遲",
];

/// What stands beside an address that failed.
const BESIDE: &[&str] = &[
    "recipient",
    "rcpt to",
    "undeliver",
    "addressed to",
    "unknown",
    "userid",
    "fail",
    "did not reach",
    "no such",
    "message to",
    "mailbox",
    "user's",
    "delivered to",
    "[smtp:",
    "smtp=",
    "error-for",
    "reached our local",
    "destinataire",
    "destinatario",
    "empfänger",
];
/// Whom a letter names beside those: its own people.
const STAFF: &[&str] = &["postmaster@", "mailer-daemon@", "abuse@", "support@", "helpdesk@", "noc@"];

/// Those the letter says it could not reach: alone on a line, or with a word that says so, or else the first it names at all.
fn named(letter: &str, own: impl Fn(&str) -> bool) -> Vec<String> {
    let mut best: (u8, Vec<String>) = (0, Vec::new());
    for line in letter.lines() {
        let folded = line.trim().to_lowercase();
        let found: Vec<String> =
            addresses(&folded).into_iter().filter(|who| !own(who) && !STAFF.iter().any(|staff| who.starts_with(staff))).collect();
        let Some(first) = found.first() else { continue };
        if ["message-id", "from:", "references", "mail from", "http", "contact", "sender"].iter().any(|word| folded.contains(word)) {
            continue;
        }
        let bare = folded.trim_matches(|c: char| c.is_whitespace() || "<>*:\"'-.,()[]".contains(c));
        let alone = bare == first
            || folded.starts_with(&format!("<{first}>"))
            || folded.starts_with(&format!("{first}:"))
            || folded.starts_with(&format!("{first} "));
        let weight = if alone {
            3
        } else if BESIDE.iter().any(|word| folded.contains(word)) {
            2
        } else {
            1
        };
        if weight > best.0 {
            best = (weight, Vec::new());
        }
        if weight == best.0 && (weight > 1 || best.1.is_empty()) {
            best.1.extend(found.into_iter().take(if weight > 1 { PEOPLE } else { 1 }));
        }
    }
    unique(best.1)
}

/// Whom the copy of our mail was for: its `To`.
fn addressed(mail: &Mail<'_>, copy: &str) -> Vec<String> {
    let attached = mail.parts.iter().find_map(|part| part.message()?.to()?.first()?.address.as_deref().map(str::to_lowercase));
    let in_copy = || copy.lines().find_map(|line| line.strip_prefix("To:").and_then(|to| addresses(to).into_iter().next()));
    attached.or_else(in_copy).into_iter().collect()
}

fn addresses(line: &str) -> Vec<String> {
    let words = line.split(|c: char| c.is_whitespace() || "<>()[]\"',;=".contains(c));
    let words =
        words.map(|word| word.rsplit(':').find(|piece| piece.contains('@')).unwrap_or(word).trim_matches(|c: char| !c.is_alphanumeric()));
    unique(
        words
            .filter(|word| compose::is_address(word) && word.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.')))
            .map(str::to_lowercase)
            .collect(),
    )
}

fn unique(list: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for item in list.into_iter().take(PEOPLE) {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// The message id among the lines of a header.
fn message_id(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.trim().get(..11).is_some_and(|name| name.eq_ignore_ascii_case("message-id:")))?;
    let id = line.trim()[11..].trim().trim_matches(['<', '>']);
    (id.contains('@') && !id.contains(char::is_whitespace)).then(|| id.to_owned())
}
