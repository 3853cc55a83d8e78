//! The new words of a reply without the history under them.
//!
//! Every mail program introduces what it quotes in its own way and in the language of whoever uses it: by a sentence
//! ("On ..., Ann wrote:"), by a ruled line ("-----Original Message-----"), by a copy of the header, or by nothing but `>`.

/// The text up to where the mail it answers is quoted, or what stands under the quote; all of it where answers stand
/// between quotes, and where nothing would be left.
pub(super) fn fresh(text: &str) -> &str {
    let lines = lines(text);
    let whole = text.trim_end();
    let Some((at, quote)) = history(&lines) else { return whole };
    let head = text[..lines[at].start].trim_end();
    let end = lines[at..].iter().find(|line| line.signs()).map_or(text.len(), |line| line.start);
    let below = match quote {
        Quote::PassedOn => return whole,
        Quote::Marked(lead) => Below::read(&lines[at + lead..]),
        Quote::Rest => Below::Nothing,
    };
    match below {
        Below::Between => text[..end].trim_end(),
        Below::Under(start) if head.trim().is_empty() => text[start..end.max(start)].trim_end(),
        Below::Under(_) if greets(head) => text[..end].trim_end(),
        _ if head.trim().is_empty() => whole,
        _ => head,
    }
}

/// Whether a text is a mail passed on: what follows the mark is its content and no history.
pub(super) fn passes_on(text: &str) -> bool {
    history(&lines(text)).is_some_and(|(_, quote)| quote == Quote::PassedOn)
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut offset = 0;
    text.split_inclusive('\n').map(|line| Line::new(line, &mut offset)).collect()
}

/// The line at which the history begins, and how.
fn history(lines: &[Line<'_>]) -> Option<(usize, Quote)> {
    // From here on to the end, or to a signature, nothing but quotes.
    let mut ends = vec![true; lines.len() + 1];
    for at in (0..lines.len()).rev() {
        ends[at] = lines[at].closes() || ends[at + 1] && (lines[at].blank() || lines[at].quoted() || is_wrapped(lines, at));
    }
    (0..lines.len()).find_map(|at| Some((at, begins(&lines[at..], ends[at])?)))
}

/// What history begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    /// None: the mail that follows is passed on.
    PassedOn,
    /// Everything behind it, be it a signature.
    Rest,
    /// Lines marked with `>` after so many lines.
    Marked(usize),
}

/// A line, and where it starts in the text.
#[derive(Clone, Copy)]
struct Line<'t> {
    start: usize,
    raw: &'t str,
    bare: &'t str,
}

impl<'t> Line<'t> {
    fn new(line: &'t str, offset: &mut usize) -> Self {
        let start = *offset;
        *offset += line.len();
        Self { start, raw: line.trim_end_matches(['\r', '\n']), bare: line.trim_matches(is_filler) }
    }

    fn blank(self) -> bool {
        self.bare.is_empty()
    }

    fn quoted(self) -> bool {
        self.bare.starts_with('>')
    }

    /// Dash, dash, space: the signature follows (RFC 3676, section 4.3).
    fn signs(self) -> bool {
        self.raw == "-- "
    }

    /// What may stand under a quote and is no answer begins: a signature as many write it, the footer of a list.
    fn closes(self) -> bool {
        self.signs() || self.bare == "--" || is_rule(self.bare)
    }
}

/// White space, and what turns the direction of writing or joins nothing.
fn is_filler(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether the history begins with the first of these lines, after which there may be nothing but quotes.
fn begins(rest: &[Line<'_>], ends: bool) -> Option<Quote> {
    let first = rest.first()?;
    if first.signs() {
        return Some(Quote::Rest);
    }
    if first.blank() {
        return None;
    }
    if first.quoted() {
        // Above everything else, or to the end.
        return (first.start == 0 || ends).then_some(Quote::Marked(0));
    }
    if forwards(first.bare) {
        return Some(Quote::PassedOn);
    }
    if let Some(lines) = introduces(rest) {
        return Some(Quote::Marked(lines));
    }
    (divides(rest) || heads(rest)).then_some(Quote::Rest)
}

/// What stands under a quote that is marked with `>`.
enum Below {
    /// Nothing new, or there is no such quote.
    Nothing,
    /// Words of the writer, from here on.
    Under(usize),
    /// Words of the writer and more quotes.
    Between,
}

impl Below {
    fn read(lines: &[Line<'_>]) -> Self {
        let lines: Vec<Line<'_>> = lines.iter().copied().skip_while(|line| line.blank()).collect();
        if !lines.first().is_some_and(|line| line.quoted()) {
            return Self::Nothing;
        }
        let mut words = None;
        for (at, line) in lines.iter().enumerate() {
            if line.closes() {
                break;
            }
            match (line.quoted(), words) {
                (true, Some(_)) => return Self::Between,
                (false, None) if !line.blank() && !is_wrapped(&lines, at) => words = Some(line.start),
                _ => {}
            }
        }
        words.map_or(Self::Nothing, Self::Under)
    }
}

/// Whether a line is the end of the long quoted line above it that some program broke.
fn is_wrapped(lines: &[Line<'_>], at: usize) -> bool {
    let above = at.checked_sub(1).and_then(|at| lines.get(at));
    above.is_some_and(|line| line.quoted() && line.bare.chars().count() >= 60) && lines.get(at + 1).is_some_and(|line| line.quoted())
}

/// A first line that says nothing alone.
fn greets(head: &str) -> bool {
    let head = head.trim();
    !head.contains('\n') && head.chars().count() <= 40 && head.ends_with([',', '，', '!'])
}

/// What stands at the end of an introduction, before the colon.
const SAID: &[&str] = &[
    "wrote",
    "writes",
    "sent",
    "said",
    "schrieb",
    "geschrieben",
    "a écrit",
    "écrit",
    "escribió",
    "ha scritto",
    "scritto",
    "escreveu",
    "schreef",
    "geschreven",
    "napisał(a)",
    "napisał",
    "napisała",
    "pisze",
    "пишет",
    "написал",
    "написала",
    "написал(а)",
    "написав",
    "написала(-в)",
    "пише",
    "написа",
    "skrev",
    "skrifaði",
    "kirjoitti",
    "yazdı",
    "şunu yazdı",
    "írta",
    "napsal(a)",
    "napsal",
    "napsala",
    "napísal(a)",
    "napísal",
    "a scris",
    "έγραψε",
    "je napisao/la",
    "je napisao",
    "je napisal(a)",
    "je napisal/-a",
    "rašė",
    "kirjutas",
    "rakstīja",
    "va escriure",
    "đã viết",
    "menulis",
    "写道",
    "寫道",
    "写到",
    "のメッセージ",
    "さんは書きました",
    "작성",
    "님이 작성",
    "เขียนว่า",
    "כתב",
    "כתב/ה",
    "כתבה",
    "كتب",
    "نوشت",
];
/// What stands in the middle of one, before the name or the time.
const SAYING: &[&str] = &[" schrieb ", " schreef ", " skrev ", " ezt írta ", " كتب ", " a écrit ", " napsal ", " wrote "];
/// How one begins.
const OPENINGS: &[&str] = &[
    "On ",
    "In a message dated ",
    "Am ",
    "Le ",
    "El ",
    "Il ",
    "Em ",
    "Op ",
    "W dniu ",
    "Dnia ",
    "Den ",
    "På ",
    "Dne ",
    "Dňa ",
    "Vào ",
    "Pada ",
    "În ",
    "La ",
    "Στις ",
    "На ",
    "Dana ",
    "Tarih",
    "在",
    "于",
    "於",
    "בתאריך ",
    "ב-",
    "في ",
];

/// How many lines the sentence takes that introduces the quote, when it begins here. Mail programs break it anywhere.
fn introduces(rest: &[Line<'_>]) -> Option<usize> {
    let quoted_from = |at: usize| rest.iter().skip(at).find(|line| !line.blank()).is_some_and(|line| line.quoted());
    let mut sentence = String::new();
    for (at, line) in rest.iter().enumerate().take(4) {
        if line.blank() || line.quoted() || at > 0 && (opens(line.bare) || !may_go_on(rest[0].bare)) {
            return None;
        }
        sentence.push_str(if sentence.is_empty() { "" } else { " " });
        sentence.push_str(line.bare);
        if is_introduction(&sentence, quoted_from(at + 1)) {
            return Some(at + 1);
        }
    }
    None
}

fn opens(line: &str) -> bool {
    let line = line.trim_start_matches(['-', '*', ' ']);
    OPENINGS.iter().any(|opening| line.starts_with(opening))
}

/// Whether a line may be the first of several that introduce a quote.
fn may_go_on(line: &str) -> bool {
    opens(line)
        || line.starts_with(|c: char| c.is_ascii_digit())
        || line.contains('<')
        || dated(line) && (line.contains(['@', ',']) || line.as_bytes().windows(5).any(is_clock))
}

/// Hours and minutes.
fn is_clock(five: &[u8]) -> bool {
    matches!(five, [b'0'..=b'9', b'0'..=b'9', b':' | b'.', b'0'..=b'9', b'0'..=b'9'])
}

/// Whether there is a day or a time in it.
fn dated(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= 3
}

fn is_introduction(sentence: &str, quote_follows: bool) -> bool {
    const LONGEST: usize = 400;
    let ruled = sentence.starts_with("--") && sentence.ends_with("--");
    let bare = sentence.trim_matches(|c| is_filler(c) || matches!(c, '-' | '*' | '_'));
    let said = match bare.strip_suffix([':', '：']) {
        Some(said) => said.trim_end_matches(|c| is_filler(c) || c == '*'),
        None if ruled => bare,
        None => {
            return quote_follows
                && bare.starts_with(|c: char| c.is_ascii_digit())
                && bare.ends_with('>')
                && bare.contains('@')
                && dated(bare);
        }
    };
    if said.len() > LONGEST {
        return false;
    }
    let evident = dated(said) || said.contains('@') || quote_follows && !said.contains(['?', ';']);
    // Scripts without spaces put the word right behind the time.
    let apart = |word: &str, before: &str| !word.starts_with(|c: char| c.is_ascii_alphabetic()) || !before.ends_with(char::is_alphanumeric);
    let ends = SAID.iter().any(|word| said.strip_suffix(word).is_some_and(|before| apart(word, before)));
    let holds = SAYING.iter().any(|word| said.contains(word)) && (opens(bare) || said.contains('@')) && dated(said);
    let names = said.ends_with('>') && said.contains('@') && dated(said);
    ends && (evident || ruled) || holds || names && !is_label(said)
}

/// Names of a mail that is quoted whole.
const ORIGINAL: &[&str] = &[
    "original message",
    "original",
    "reply message",
    "replied message",
    "ursprüngliche nachricht",
    "originalnachricht",
    "original-nachricht",
    "ursprüngliche mail",
    "antwort nachricht",
    "message d'origine",
    "message d’origine",
    "message original",
    "message initial",
    "mensaje original",
    "mensagem original",
    "messaggio originale",
    "messaggio originario",
    "oorspronkelijk bericht",
    "origineel bericht",
    "oorspronkelijke bericht",
    "oprindelig meddelelse",
    "oprindelig besked",
    "original besked",
    "ursprungligt meddelande",
    "originalmeddelande",
    "opprinnelig melding",
    "originalmelding",
    "alkuperäinen viesti",
    "oryginalna wiadomość",
    "wiadomość oryginalna",
    "wiadomość pierwotna",
    "původní zpráva",
    "původní e-mail",
    "pôvodná správa",
    "eredeti üzenet",
    "mesajul original",
    "mesaj original",
    "orijinal mesaj",
    "orjinal mesaj",
    "özgün ileti",
    "исходное сообщение",
    "исходное письмо",
    "оригинальное сообщение",
    "оригинално съобщение",
    "оригинално писмо",
    "початкове повідомлення",
    "оригінальне повідомлення",
    "αρχικό μήνυμα",
    "πρωτότυπο μήνυμα",
    "הודעה מקורית",
    "ההודעה המקורית",
    "الرسالة الأصلية",
    "رسالة أصلية",
    "پیام اصلی",
    "原始邮件",
    "原始郵件",
    "原邮件",
    "回复的原邮件",
    "元のメッセージ",
    "オリジナルメッセージ",
    "元のメール",
    "원본 메시지",
    "원본 메일",
    "원본메일",
    "ข้อความต้นฉบับ",
    "thư gốc",
    "tin nhắn gốc",
    "pesan asli",
    "missatge original",
    "mensaxe orixinal",
    "izvorna poruka",
    "originalna poruka",
    "izvirno sporočilo",
    "pirminis laiškas",
    "sākotnējais ziņojums",
    "algne kiri",
];
/// Names of a mail that is passed on.
const FORWARDED: &[&str] = &[
    "forwarded message",
    "forwarded mail",
    "weitergeleitete nachricht",
    "message transféré",
    "mensaje reenviado",
    "mensagem encaminhada",
    "messaggio inoltrato",
    "doorgestuurd bericht",
    "videresendt meddelelse",
    "videresendt melding",
    "vidarebefordrat meddelande",
    "välitetty viesti",
    "przekazana wiadomość",
    "wiadomość przekazana dalej",
    "přeposlaná zpráva",
    "továbbított üzenet",
    "mesaj redirecționat",
    "пересылаемое сообщение",
    "перенаправленное сообщение",
    "пересланное сообщение",
    "iletilen mesaj",
    "转发的邮件",
    "轉寄的郵件",
    "转发邮件信息",
    "転送されたメッセージ",
    "전달된 메시지",
];

/// The words between the dashes of a ruled line, in lower case.
fn words_of_rule(line: &str) -> Option<String> {
    let bare = line.trim_matches(|c| is_filler(c) || matches!(c, '-' | '_' | '=' | '*' | '—' | '–'));
    let ruled = ["--", "__", "==", "—", "–"].iter().any(|rule| line.starts_with(rule));
    (ruled && !bare.is_empty()).then(|| bare.trim_end_matches([':', '：']).trim().replace('\u{a0}', " ").to_lowercase())
}

fn forwards(line: &str) -> bool {
    line == "Begin forwarded message:" || words_of_rule(line).is_some_and(|words| FORWARDED.contains(&words.as_str()))
}

/// A line of nothing but dashes or underscores.
fn is_rule(line: &str) -> bool {
    line.len() >= 10 && line.chars().all(|c| matches!(c, '-' | '_'))
}

/// A ruled line that names what follows it, or one with a copied header or a list's footer under it.
fn divides(rest: &[Line<'_>]) -> bool {
    let line = rest[0].bare;
    if is_rule(line) {
        let mut below = rest.iter().enumerate().skip(1).filter(|(_, line)| !line.blank());
        return below
            .next()
            .is_some_and(|(at, line)| heads(&rest[at..]) || line.quoted() || line.bare.to_lowercase().contains("mailing list"));
    }
    line.contains("Original Message processed by david") || words_of_rule(line).is_some_and(|words| ORIGINAL.contains(&words.as_str()))
}

/// What a line of a copied header tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    From,
    Date,
    To,
    Subject,
    Copy,
}

/// The names of header fields as mail programs translate them.
const LABELS: &[(Label, &[&str])] = &[
    (
        Label::From,
        &[
            "from",
            "von",
            "de",
            "da",
            "van",
            "fra",
            "från",
            "od",
            "lähettäjä",
            "feladó",
            "от",
            "от кого",
            "від",
            "από",
            "kimden",
            "gönderen",
            "מאת",
            "من",
            "از",
            "发件人",
            "寄件者",
            "寄件人",
            "差出人",
            "送信者",
            "送信元",
            "보낸 사람",
            "보낸사람",
            "발신자",
            "dari",
            "từ",
            "người gửi",
            "จาก",
            "de la",
            "expeditor",
            "nuo",
            "saatja",
            "pošiljatelj",
            "šalje",
            "remitente",
            "expéditeur",
            "absender",
            "mittente",
            "afzender",
            "nadawca",
            "odesílatel",
        ],
    ),
    (
        Label::Date,
        &[
            "date",
            "sent",
            "sent at",
            "gesendet",
            "gesendet am",
            "datum",
            "envoyé",
            "envoyé le",
            "enviado",
            "enviado el",
            "enviada em",
            "enviado em",
            "fecha",
            "data",
            "inviato",
            "verzonden",
            "sendt",
            "dato",
            "skickat",
            "wysłano",
            "wysłane",
            "odesláno",
            "odoslané",
            "dátum",
            "küldve",
            "elküldve",
            "trimis",
            "дата",
            "отправлено",
            "дата отправки",
            "надіслано",
            "изпратено",
            "ημερομηνία",
            "εστάλη",
            "στάλθηκε",
            "gönderildi",
            "gönderim tarihi",
            "gönderme tarihi",
            "tarih",
            "תאריך",
            "נשלח",
            "تاريخ الإرسال",
            "التاريخ",
            "تم الإرسال",
            "تاریخ",
            "发送时间",
            "发送日期",
            "日期",
            "时间",
            "寄件日期",
            "傳送時間",
            "已傳送",
            "已发送",
            "送信日時",
            "日時",
            "日付",
            "보낸 날짜",
            "보낸날짜",
            "날짜",
            "lähetetty",
            "päivämäärä",
            "päiväys",
            "dikirim",
            "tanggal",
            "ngày",
            "đã gửi",
            "gửi",
            "ngày gửi",
            "วันที่",
            "poslano",
            "išsiųsta",
            "kuupäev",
            "saadetud",
        ],
    ),
    (
        Label::To,
        &[
            "to",
            "an",
            "à",
            "pour",
            "para",
            "a",
            "per",
            "aan",
            "til",
            "till",
            "do",
            "komu",
            "pre",
            "vastaanottaja",
            "címzett",
            "către",
            "кому",
            "до",
            "προς",
            "kime",
            "alıcı",
            "אל",
            "إلى",
            "به",
            "收件人",
            "收件者",
            "宛先",
            "받는 사람",
            "받는사람",
            "수신자",
            "kepada",
            "đến",
            "ถึง",
            "za",
            "prima",
            "kam",
            "destinataire",
            "destinatario",
            "empfänger",
        ],
    ),
    (
        Label::Subject,
        &[
            "subject",
            "betreff",
            "objet",
            "asunto",
            "assunto",
            "oggetto",
            "onderwerp",
            "emne",
            "ämne",
            "temat",
            "předmět",
            "predmet",
            "tárgy",
            "subiect",
            "тема",
            "θέμα",
            "konu",
            "נושא",
            "الموضوع",
            "موضوع",
            "主题",
            "主題",
            "主旨",
            "件名",
            "제목",
            "aihe",
            "subjek",
            "chủ đề",
            "tiêu đề",
            "เรื่อง",
            "zadeva",
            "tema",
            "teema",
            "относно",
        ],
    ),
    (
        Label::Copy,
        &[
            "cc",
            "kopie",
            "copie",
            "kopi",
            "kopia",
            "copia",
            "cópia",
            "dw",
            "копия",
            "копія",
            "kopio",
            "másolat",
            "bilgi",
            "抄送",
            "副本",
            "참조",
            "reply-to",
            "antwort an",
            "organization",
            "organisation",
        ],
    ),
];

fn label(line: &str) -> Option<Label> {
    let line = line.trim_matches(|c| is_filler(c) || c == '*');
    let (name, _) = line.split_once([':', '：'])?;
    let name = name.trim_end_matches(|c| is_filler(c) || c == '*').to_lowercase();
    LABELS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(label, _)| *label)
}

fn is_label(line: &str) -> bool {
    label(line).is_some()
}

/// A copy of the header begins here: a few of its fields under each other, or on one line, with an address or a subject.
fn heads(rest: &[Line<'_>]) -> bool {
    const LINES: usize = 12;
    let first = rest.first().map_or("", |line| line.bare);
    let Some(Label::From | Label::Date | Label::Subject | Label::To) = label(first) else { return false };
    if [" To: ", " Subject: "].iter().all(|name| first.contains(name)) {
        return true;
    }
    let (mut found, mut addressed, mut others, mut blank) = (Vec::new(), false, 0, false);
    for line in rest.iter().take(LINES).take_while(|line| !line.quoted()) {
        match label(line.bare) {
            _ if line.blank() => {
                blank = true;
                continue;
            }
            // A value may go on in the lines below it, as long as they are not those of the letter.
            None if blank || others == 2 => break,
            None => others += 1,
            Some(label) => {
                others = 0;
                if !found.contains(&label) {
                    found.push(label);
                }
            }
        }
        blank = false;
        addressed |= line.bare.contains('@');
    }
    let has = |label| found.contains(&label);
    match found.len() {
        0 | 1 => false,
        2 if has(Label::From) => addressed && !has(Label::Copy),
        2 => addressed && has(Label::Date) && has(Label::To),
        _ => (has(Label::From) || has(Label::Date)) && (addressed || has(Label::Subject)),
    }
}

#[cfg(test)]
mod tests {
    use super::{fresh, passes_on};

    #[test]
    fn history_is_cut_and_answers_between_quotes_are_not() {
        let rows = [
            ("Yes please\n\nOn Fri Acme wrote:\n> Confirm?", "Yes please"),
            ("Oui\r\n\r\n-----Original Message-----\r\nFrom: a", "Oui"),
            ("Fine\n\nFrom: Acme <a@acme.example>\nSent: Friday\nTo: Ann\nSubject: x\n\nHi", "Fine"),
            ("> Which size?\nForty-two\n> Which colour?\nRed", "> Which size?\nForty-two\n> Which colour?\nRed"),
            ("> only a quote", "> only a quote"),
            ("Fine\n-- \nAnn, Example Ltd", "Fine"),
            ("Fine\n--\nno signature", "Fine\n--\nno signature"),
            ("From: here to there", "From: here to there"),
            ("", ""),
            // Under the quote, and between quotes.
            ("On 20 Nov 2026 at 10:00 Acme wrote:\n> Which size?\n> And colour?\n\nForty-two, red.\n-- \nAnn", "Forty-two, red."),
            ("> Which size?\n\nForty-two", "Forty-two"),
            ("Hi,\n\nOn 20 Nov 2026 Acme wrote:\n> Size?\n\nForty-two\n", "Hi,\n\nOn 20 Nov 2026 Acme wrote:\n> Size?\n\nForty-two"),
            (
                "See below.\nOn 20 Nov 2026 Acme wrote:\n> Size?\n42\n> Colour?\nred",
                "See below.\nOn 20 Nov 2026 Acme wrote:\n> Size?\n42\n> Colour?\nred",
            ),
            ("Yes, do it\nOn 20 Nov 2026 Acme wrote:\n> Size?\n\nThis mail is confidential.", "Yes, do it"),
            ("Good\nOn 20 Nov 2026 Acme wrote:\n> a line that is so long that the program of the reader broke it in\ntwo\n> more", "Good"),
            // What only looks like history.
            ("Item\n----------------------------\nShoes", "Item\n----------------------------\nShoes"),
            (
                "From: foo\nBar.\n\nBaz.\n\nFrom: Acme [a@acme.example]\nSent: Friday\nTo: Ann\nSubject: x\n\n> Hi",
                "From: foo\nBar.\n\nBaz.",
            ),
            ("From: Berlin\nTo: Paris\nDate: Friday", "From: Berlin\nTo: Paris\nDate: Friday"),
            ("As Bob wrote: it is red", "As Bob wrote: it is red"),
            ("Dates:\n2026-11-20 10:00\n20.11.2026 at 10:00", "Dates:\n2026-11-20 10:00\n20.11.2026 at 10:00"),
            ("On Friday we come\nOn Monday too", "On Friday we come\nOn Monday too"),
        ];
        for (text, expected) in rows {
            assert_eq!(fresh(text), expected);
        }
    }

    #[test]
    fn sentences_introduce_history_in_every_language() {
        let rows = [
            "On Fri, 20 Nov 2026 at 10:00, Acme Support\n<a@acme.example> wrote:\n\n> Hi",
            "On Fri, 20 Nov 2026 at 10:00, Acme <\n0123456789abcdef0123456789abcdef@acme.example>\nwrote:\n\nHi",
            "On 20-Nov-2026, at 6:54 PM, Acme <a@acme.example> sent:\n> Hi",
            "---- On Fri, 20 Nov 2026 10:00:00 +0100 a@acme.example wrote ----\n\nHi",
            "---- Acme wrote ----\n> Hi",
            "In a message dated 11/20/2026 10:00:00 A.M. GMT, a@acme.example writes:\n\nHi",
            "Am 20.11.2026 um 10:00 schrieb Acme:\n> Hallo",
            "Am Fr., 20. Nov. 2026 um 10:00 Uhr schrieb Acme <\na@acme.example>:\n\n> Hallo",
            "Acme <a@acme.example> schrieb am Fr., 20. Nov. 2026,\n10:00:\n\n> Hallo",
            "Le ven. 20 nov. 2026 à 10:00, Acme <a@acme.example> a écrit :\n\n> Bonjour",
            "El vie, 20 nov 2026 a las 10:00, Acme (<a@acme.example>) escribió:\n\n> Hola",
            "Il giorno ven 20 nov 2026 alle ore 10:00 Acme <a@acme.example> ha\nscritto:\n\n> Ciao",
            "Em sex., 20 de nov. de 2026 às 10:00, Acme <a@acme.example> escreveu:\n\n> Oi",
            "Op vr 20 nov 2026 om 10:00 schreef Acme <a@acme.example>:\n\n> Hoi",
            "Op 20-nov.-2026, om 10:00 heeft Acme <a@acme.example> het volgende geschreven:\nHoi",
            "pt., 20 lis 2026 o 10:00 Acme <a@acme.example> napisał(a):\n\n> Cześć",
            "W dniu 20.11.2026 o 10:00, Acme pisze:\n> Cześć",
            "W dniu 20 listopada 2026 10:00 użytkownik Acme <a@acme.example>\nnapisał:\nCześć",
            "пт, 20 нояб. 2026 г. в 10:00, Acme <a@acme.example>:\n\n> Привет",
            "20.11.2026 10:00, Acme пишет:\n> Привет",
            "20 ноября 2026 г., 10:00 пользователь Acme <a@acme.example> написал:\n\nПривет",
            "пт, 20 лист. 2026 р. о 10:00 Acme <a@acme.example> пише:\n\n> Привіт",
            "Den fre 20 nov. 2026 kl 10:00 skrev Acme <a@acme.example>:\n\n> Hej",
            "Den 20 november, 2026 10:00:00, Acme (a@acme.example) skrev:\nHej",
            "fre. 20. nov. 2026 kl. 10.00 skrev Acme <a@acme.example>:\n\n> Hei",
            "pe 20. marraskuuta 2026 klo 10.00 Acme\n<a@acme.example> kirjoitti:\n\nHei",
            "In data 20 novembre 2026 10:00:00 \"Acme\" <a@acme.example> ha scritto:\n\nCiao",
            "pe 20. marrask. 2026 klo 10.00 Acme (a@acme.example) kirjoitti:\n\n> Hei",
            "Dne pá 20. 11. 2026 10:00 uživatel Acme <a@acme.example> napsal:\n\n> Ahoj",
            "Acme <a@acme.example> ezt írta (időpont: 2026. nov. 20., P 10:00):\n\n> Szia",
            "În vin., 20 nov. 2026 la 10:00, Acme <a@acme.example> a scris:\n\n> Salut",
            "Στις Παρ 20 Νοε 2026 στις 10:00, ο χρήστης Acme <a@acme.example> έγραψε:\n\n> Γεια",
            "Acme <a@acme.example>, 20 Kas 2026 Cum, 10:00 tarihinde şunu yazdı:\n\n> Selam",
            "Vào Th 6, 20 thg 11, 2026 vào lúc 10:00 Acme <a@acme.example> đã viết:\n\n> Chào",
            "Pada tanggal Jum, 20 Nov 2026 pukul 10.00 Acme <a@acme.example> menulis:\n\n> Hai",
            "Acme <a@acme.example> 于2026年11月20日周五 10:00写道：\n\n> 你好",
            "在 2026年11月20日，10:00，Acme <a@acme.example> 写道：\n\n你好",
            "Acme <a@acme.example> 於 2026年11月20日 週五 上午10:00寫道：\n\n> 你好",
            "2026年11月20日(金) 10:00 Acme <a@acme.example>:\n\n> こんにちは",
            "2026/11/20 10:00、Acme <a@acme.example>のメッセージ:\n\n> こんにちは",
            "2026년 11월 20일 (금) 오전 10:00, Acme <a@acme.example>님이 작성:\n\n> 안녕",
            "\u{200f}\u{202b}בתאריך יום ו׳, 20 בנוב׳ 2026 ב-10:00 מאת \u{202a}Acme\u{202c}\u{200f} <\u{202a}a@acme.example\u{202c}\u{200f}>:\u{202c}\n\n> שלום",
            "في الجمعة، 20 نوفمبر 2026 في 10:00 ص تمت كتابة ما يلي بواسطة Acme <a@acme.example>:\n\n> مرحبا",
            "2026-11-20 10:00 GMT+01:00 Acme <\na@acme.example>:\n\n> Hi",
            "2026/11/20 Acme <a@acme.example>\n\n> Hi",
        ];
        for history in rows {
            assert_eq!(fresh(&format!("Thanks, all is well.\n\n{history}\n")), "Thanks, all is well.", "{history}");
            assert_eq!(fresh(&format!("Thanks, all is well.\n{history}\n")), "Thanks, all is well.", "{history}");
        }
    }

    #[test]
    fn copied_headers_begin_history_in_every_language() {
        let rows = [
            "________________________________\nFrom: Acme <a@acme.example>\nSent: Friday, November 20, 2026 10:00 AM\nTo: Ann\nSubject: x\n\nHi",
            "From: Acme \n<a@acme.example> \nSent: Friday\nTo: Ann\nSubject: x\n\nHi",
            "*From:* Acme [mailto:a@acme.example]\n*Sent:* Friday\n*To:* Ann\n*Subject:* x",
            "Date: Fri, 20 Nov 2026 10:00:00 +0000\nFrom: a@acme.example\nTo: ann@example.org\nSubject: x",
            "Date: Fri, 20 Nov 2026 10:00:00 +0000\nTo: ann@example.org",
            "Date: Fri, 20 Nov 2026 10:00:00 +0000 From: a@acme.example To: Ann Subject: x",
            "From: a@acme.example\nReply-To: a@acme.example\nSent: Friday\nTo: Ann\nSubject: x",
            "From: Acme <a@acme.example>\n\nSent: Friday\n\nTo: Ann\n\nSubject: x\n\nHi",
            "Von: Acme <a@acme.example>\nGesendet: Freitag, 20. November 2026 10:00\nAn: Ann\nBetreff: x",
            "De : Acme <a@acme.example>\nEnvoyé : vendredi 20 novembre 2026 10:00\nÀ : Ann\nObjet : x",
            "De: Acme <a@acme.example>\nEnviado el: viernes, 20 de noviembre de 2026 10:00\nPara: Ann\nAsunto: x",
            "De: Acme <a@acme.example>\nEnviada em: sexta-feira, 20 de novembro de 2026 10:00\nPara: Ann\nAssunto: x",
            "Da: Acme <a@acme.example>\nInviato: venerdì 20 novembre 2026 10:00\nA: Ann\nOggetto: x",
            "Van: Acme <a@acme.example>\nVerzonden: vrijdag 20 november 2026 10:00\nAan: Ann\nOnderwerp: x",
            "Fra: Acme <a@acme.example>\nSendt: 20. november 2026 10:00\nTil: Ann\nEmne: x",
            "Från: Acme <a@acme.example>\nSkickat: den 20 november 2026 10:00\nTill: Ann\nÄmne: x",
            "Lähettäjä: Acme <a@acme.example>\nLähetetty: perjantai 20. marraskuuta 2026 10.00\nVastaanottaja: Ann\nAihe: x",
            "Od: Acme <a@acme.example>\nWysłano: piątek, 20 listopada 2026 10:00\nDo: Ann\nTemat: x",
            "От: Acme <a@acme.example>\nОтправлено: 20 ноября 2026 г. 10:00\nКому: Ann\nТема: x",
            "Kimden: Acme <a@acme.example>\nGönderildi: 20 Kasım 2026 Cuma 10:00\nKime: Ann\nKonu: x",
            "发件人: Acme <a@acme.example>\n发送时间: 2026年11月20日 10:00\n收件人: Ann\n主题: x",
            "差出人: Acme <a@acme.example>\n送信日時: 2026年11月20日 10:00\n宛先: Ann\n件名: x",
            "보낸 사람: Acme <a@acme.example>\n보낸 날짜: 2026년 11월 20일\n받는 사람: Ann\n제목: x",
            "-------- Oprindelig besked --------\nFra: Acme\nDato: 20.11.2026",
            "-----Ursprüngliche Nachricht-----\nHallo",
            "-------- Message d'origine --------\nBonjour",
            "------------------ 原始邮件 ------------------\n你好",
            "------------------\u{a0}Original\u{a0}------------------\nHi",
            "_______________________________________________\nacme mailing list\nacme@lists.example",
        ];
        for history in rows {
            assert_eq!(fresh(&format!("Thanks, all is well.\n\n{history}\n")), "Thanks, all is well.", "{history}");
        }
    }

    #[test]
    fn what_is_passed_on_is_content() {
        let text = "FYI\n\n---------- Forwarded message ---------\nFrom: Acme <a@acme.example>\nDate: Fri\nSubject: x\nTo: Ann\n\nHi";
        assert_eq!(fresh(text), text);
        assert!(passes_on(text));
        assert!(!passes_on("Thanks\n\n-----Original Message-----\nFYI\n---------- Forwarded message ---------\nHi"));
    }
}
