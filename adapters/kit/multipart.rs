//! Reading `multipart/form-data`: deliveries that bring files, and the twins that take uploads.

use percent_encoding::percent_decode_str;

/// One field as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The field's name.
    pub name: String,
    /// The file's name, when it is a file.
    pub filename: Option<String>,
    /// Its media type, when the part names one.
    pub mime_type: Option<String>,
    /// The value, or the file's bytes.
    pub value: Vec<u8>,
}

impl Piece {
    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

/// The fields of a body whose content type names its boundary; `None` when it is not such a body.
pub fn read(content_type: &str, body: &[u8]) -> Option<Vec<Piece>> {
    const KIND: &str = "multipart/form-data";
    content_type.get(..KIND.len()).filter(|kind| kind.eq_ignore_ascii_case(KIND))?;
    let line = format!("--{}", parameter(content_type, "boundary")?);
    let (mut pieces, mut from) = (Vec::new(), None);
    for at in positions(body, line.as_bytes()) {
        // A boundary has a line of its own; what only begins like one is content. Some programs end lines with a bare line feed.
        let behind = &body[at + line.len()..];
        let last = behind.is_empty() || behind.starts_with(b"--");
        let end = behind.iter().position(|byte| *byte == b'\n').filter(|end| behind[..*end].iter().all(u8::is_ascii_whitespace));
        if at > 0 && body[at - 1] != b'\n' || !last && end.is_none() {
            continue;
        }
        if let Some(from) = from {
            pieces.push(piece(body.get(from..at)?)?);
        }
        from = end.filter(|_| !last).map(|end| at + line.len() + end + 1);
    }
    (!pieces.is_empty() || positions(body, line.as_bytes()).next().is_some()).then_some(pieces)
}

fn piece(piece: &[u8]) -> Option<Piece> {
    let blank = |gap: &'static [u8]| positions(piece, gap).next().map(|at| (at, at + gap.len()));
    let (split, content) = [blank(b"\r\n\r\n"), blank(b"\n\n")].into_iter().flatten().min()?;
    let (head, value) = (String::from_utf8_lossy(&piece[..split]), &piece[content..]);
    let disposition = head.lines().find(|l| l.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = value.strip_suffix(b"\n").map_or(value, |value| value.strip_suffix(b"\r").unwrap_or(value));
    Some(Piece {
        name: parameter(disposition, "name")?,
        filename: parameter(disposition, "filename"),
        mime_type: head.lines().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        }),
        value: value.to_vec(),
    })
}

fn positions<'b>(body: &'b [u8], wanted: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    body.windows(wanted.len().max(1)).enumerate().filter(move |(_, w)| *w == wanted).map(|(at, _)| at)
}

/// `; name="value"` of a header, or what stands before it: `; name*=utf-8''value` (RFC 8187), which RFC 7578 forbids and
/// Python's `requests` writes for names beyond ASCII.
fn parameter(header: &str, name: &str) -> Option<String> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = header.split(|c| {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        c == ';' && !quoted
    });
    let parts: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
    let find = |wanted: &str| parts.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
    let extended = find(&format!("{name}*")).and_then(|value| value.splitn(3, '\'').nth(2));
    match extended {
        Some(value) => Some(percent_decode_str(value).decode_utf8_lossy().into_owned()),
        None => find(name).map(|value| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value).replace("\\\"", "\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_texts_and_files() {
        let body = b"--x1\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n5\r\n--x1\r\ncontent-disposition: form-data; name=\"photo\"; \
                     filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n\x89PNG\r\n\x00\r\n--x1--\r\n";
        let pieces = read("multipart/form-data; boundary=x1", body).expect("multipart");
        assert_eq!((pieces[0].name.as_str(), pieces[0].text().as_str(), &pieces[0].filename), ("chat_id", "5", &None));
        assert_eq!((pieces[1].filename.as_deref(), &pieces[1].value[..]), (Some("a.png"), &b"\x89PNG\r\n\x00"[..]));
        assert!(read("application/json", body).is_none());
    }

    #[test]
    fn it_reads_what_programs_make_of_it() {
        let kind = "Multipart/Form-Data; charset=utf-8; boundary=\"x1\"";
        let body = b"--x1\nContent-Disposition: form-data; name=\"text\"\n\nsee --x1 and\n--x12\n\n--x1\nContent-Disposition: form-data; name=\"a\"; \
                     filename=\"a; \\\"b\\\".txt\"\n\n1\n--x1\nContent-Disposition: form-data; name=\"b\"; filename*=utf-8''%C3%A9.txt\n\n\n--x1--\n";
        let pieces = read(kind, body).expect("multipart");
        assert_eq!(pieces[0].text(), "see --x1 and\n--x12\n");
        assert_eq!(pieces[1].filename.as_deref(), Some("a; \"b\".txt"));
        assert_eq!((pieces[2].filename.as_deref(), &pieces[2].value[..]), (Some("é.txt"), &b""[..]));
        let latin = b"--x1\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\xe9.txt\"\r\n\r\n1\r\n--x1--";
        assert_eq!(read(kind, latin).map(|pieces| pieces.len()), Some(1));
    }
}
