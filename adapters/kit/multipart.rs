//! Reading `multipart/form-data`: deliveries that bring files, and the twins that take uploads.

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
    let boundary = parameter(content_type.strip_prefix("multipart/form-data")?, "boundary")?;
    let line = format!("--{boundary}");
    let mut starts = positions(body, line.as_bytes());
    let mut pieces = Vec::new();
    let mut from = starts.next()?;
    for next in starts {
        let piece = body.get(from + line.len()..next)?;
        let piece = piece.strip_prefix(b"\r\n")?;
        let split = positions(piece, b"\r\n\r\n").next()?;
        let (head, value) = (std::str::from_utf8(&piece[..split]).ok()?, &piece[split + 4..]);
        let disposition = head.lines().find(|l| l.to_ascii_lowercase().starts_with("content-disposition:"))?;
        pieces.push(Piece {
            name: parameter(disposition, "name")?,
            filename: parameter(disposition, "filename"),
            mime_type: head.lines().find_map(|l| {
                let (name, value) = l.split_once(':')?;
                name.eq_ignore_ascii_case("content-type").then(|| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            }),
            value: value.strip_suffix(b"\r\n").unwrap_or(value).to_vec(),
        });
        from = next;
    }
    Some(pieces)
}

fn positions<'b>(body: &'b [u8], wanted: &'b [u8]) -> impl Iterator<Item = usize> + 'b {
    body.windows(wanted.len().max(1)).enumerate().filter(move |(_, w)| *w == wanted).map(|(at, _)| at)
}

/// `; name="value"` of a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    let found = header.split(';').map(str::trim).find_map(|p| p.strip_prefix(name)?.strip_prefix('='))?;
    Some(found.trim_matches('"').to_owned())
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
}
