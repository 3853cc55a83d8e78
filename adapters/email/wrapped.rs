//! Files that a mail carries inside something else: in its words, as programs sent them before MIME (uuencode, as POSIX describes it), or
//! in the parcel that Outlook makes of all files for another Outlook (`winmail.dat`, [MS-OXTNEF]).
//!
//! No library for either was found, and what is needed of them is short. What cannot be read to its end stays as it came.
//!
//! [MS-OXTNEF]: https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxtnef

use super::letter::{Attached, decoded};

/// A file of no stated kind.
const BINARY: &str = "application/octet-stream";

/// A text without the files in it, and those.
pub(super) fn in_words(text: &str) -> (String, Vec<Attached>) {
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut words, mut files, mut at) = (Vec::with_capacity(lines.len()), Vec::new(), 0);
    while let Some(line) = lines.get(at) {
        match encoded(&lines[at..]) {
            Some((file, count)) => {
                files.push(file);
                at += count;
            }
            None => {
                words.push(*line);
                at += 1;
            }
        }
    }
    (words.join("\n"), files)
}

/// The file that begins on the first of these lines, and how many it takes.
fn encoded(lines: &[&str]) -> Option<(Attached, usize)> {
    let (mode, name) = lines.first()?.strip_prefix("begin ")?.split_once(' ')?;
    if !(3..=4).contains(&mode.len()) || !mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return None;
    }
    let mut bytes = Vec::new();
    for (at, line) in lines.iter().enumerate().skip(1) {
        let line = line.trim_end_matches('\r');
        if line.trim_end() == "end" && !bytes.is_empty() {
            let file = Attached { filename: Some(name.trim().to_owned()), mime_type: BINARY.to_owned(), bytes };
            return Some((file, at + 1));
        }
        bytes.extend(octets(line.as_bytes())?);
    }
    None
}

/// What one line encodes: how many octets, then four characters for every three. Spaces at its end may have been lost.
fn octets(line: &[u8]) -> Option<Vec<u8>> {
    if !line.iter().all(|c| (0x20..=0x60).contains(c)) {
        return None;
    }
    let value = |c: &u8| c.wrapping_sub(0x20) & 0x3f;
    let Some((count, rest)) = line.split_first() else { return Some(Vec::new()) };
    let count = usize::from(value(count));
    let whole = count.div_ceil(3) * 4;
    // One character more is some programs' check sum.
    if rest.len() > whole + 1 || rest.len() + 3 < whole {
        return None;
    }
    let sextet = |at: usize| rest.get(at).map_or(0, |c| u32::from(value(c)));
    let mut out = Vec::with_capacity(whole);
    for at in (0..whole).step_by(4) {
        let group = (at..at + 4).fold(0_u32, |group, at| (group << 6) | sextet(at));
        out.extend_from_slice(&group.to_be_bytes()[1..]);
    }
    out.truncate(count);
    Some(out)
}

/// The files in Outlook's parcel; any other file is itself, and so is a parcel of something else.
pub(super) fn unpacked(file: Attached) -> Vec<Attached> {
    let kinds = ["application/ms-tnef", "application/vnd.ms-tnef"];
    let named = file.filename.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat"));
    let parcel = named || kinds.iter().any(|kind| file.mime_type.eq_ignore_ascii_case(kind));
    let mut files = parcel.then(|| parcel_of(&file.bytes)).flatten().unwrap_or_default();
    let count = files.len();
    files.retain(|file| !file.bytes.is_empty());
    // What has no octets is a message or an object, and lies in the parcel alone.
    if files.is_empty() || files.len() < count {
        files.push(file);
    }
    files
}

/// What a parcel begins with.
const SIGNATURE: u32 = 0x223E_9F78;

/// A file begins with how it is shown.
const RENDERING: u32 = 0x0006_9002;
/// Its short name.
const TITLE: u32 = 0x0001_8010;
/// Its octets.
const DATA: u32 = 0x0006_800F;
/// All else about it, as properties.
const PROPERTIES: u32 = 0x0006_9005;

/// The property with a file's octets, where they are no attribute.
const CONTENT: u16 = 0x3701;
/// The property with its whole name.
const LONG_NAME: u16 = 0x3707;
/// The property with its kind.
const KIND: u16 = 0x370E;

fn parcel_of(bytes: &[u8]) -> Option<Vec<Attached>> {
    let mut parcel = Octets(bytes);
    if parcel.u32()? != SIGNATURE {
        return None;
    }
    parcel.take(2)?;
    let mut files: Vec<Attached> = Vec::new();
    // Attributes of the message, 1, and of its files, 2. What stands behind the last is filling.
    while let Some(1 | 2) = parcel.0.first() {
        parcel.take(1)?;
        let (id, length) = (parcel.u32()?, parcel.size()?);
        let data = parcel.take(length)?;
        parcel.take(2)?;
        match (id, files.last_mut()) {
            (RENDERING, _) => files.push(Attached { filename: None, mime_type: BINARY.to_owned(), bytes: Vec::new() }),
            (TITLE, Some(file)) => file.filename = file.filename.take().or_else(|| words(data, false)),
            (DATA, Some(file)) => file.bytes = data.to_vec(),
            (PROPERTIES, Some(file)) => properties(data, file).unwrap_or_default(),
            _ => {}
        }
    }
    Some(files)
}

/// Reads what a file's properties say of it, as far as they can be read.
fn properties(data: &[u8], file: &mut Attached) -> Option<()> {
    let mut data = Octets(data);
    for _ in 0..data.u32()? {
        let (kind, id) = (data.u16()?, data.u16()?);
        if id >= 0x8000 {
            // Its number says nothing; it has a number or a name of its own.
            data.take(16)?;
            let length = if data.u32()? == 0 { 4 } else { data.size()? };
            data.padded(length)?;
        }
        let width = match kind & 0x0FFF {
            0x0D | 0x1E | 0x1F | 0x102 => None,
            0x05..=0x07 | 0x14 | 0x40 => Some(8),
            0x48 => Some(16),
            _ => Some(4),
        };
        let several = width.is_none() || kind & 0x1000 != 0;
        let count = if several { data.u32()? } else { 1 };
        for _ in 0..count {
            let length = width.map_or_else(|| data.size(), Some)?;
            let value = data.padded(length)?;
            match id {
                LONG_NAME => file.filename = words(value, kind == 0x1F).or_else(|| file.filename.take()),
                KIND => file.mime_type = words(value, kind == 0x1F).unwrap_or_else(|| BINARY.to_owned()).to_lowercase(),
                CONTENT if kind == 0x102 && file.bytes.is_empty() => file.bytes = value.to_vec(),
                _ => {}
            }
        }
    }
    Some(())
}

/// Words up to their end, in UTF-16 or in octets.
fn words(value: &[u8], wide: bool) -> Option<String> {
    let text = if wide {
        let units: Vec<u16> =
            value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0).collect();
        String::from_utf16_lossy(&units)
    } else {
        decoded(value.split(|octet| *octet == 0).next().unwrap_or_default(), None)
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// What is left of some octets.
struct Octets<'o>(&'o [u8]);

impl<'o> Octets<'o> {
    fn take(&mut self, count: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many, and what fills them up to a multiple of four, which the last may lack.
    fn padded(&mut self, count: usize) -> Option<&'o [u8]> {
        let taken = self.take(count)?;
        let filling = (count.next_multiple_of(4) - count).min(self.0.len());
        self.take(filling)?;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<(String, Vec<u8>)>) {
        let (words, files) = in_words(text);
        (words, files.into_iter().map(|file| (file.filename.unwrap_or_default(), file.bytes)).collect())
    }

    #[test]
    fn a_file_in_the_words_is_taken_out() {
        let (words, files) = read("Here:\nbegin 644 cat.txt\n#0V%T\n`\nend\nBye");
        assert_eq!((&*words, files), ("Here:\nBye", vec![("cat.txt".to_owned(), b"Cat".to_vec())]));
    }

    #[test]
    fn words_that_only_look_like_a_file_stay() {
        for text in
            ["begin 100 times\nend", "begin 644 x\n#0V%T\nand then\nend", "begin 644 x\n#0V%T\n`", "begin now\n#0V%T\nend", "HELLO\nend"]
        {
            assert_eq!(read(text), (text.to_owned(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_stays_a_parcel() {
        let parcel = |bytes: &[u8]| Attached { filename: Some("winmail.dat".into()), mime_type: BINARY.into(), bytes: bytes.to_vec() };
        let mut whole = SIGNATURE.to_le_bytes().to_vec();
        whole.extend([1, 0]);
        for (id, data) in [(RENDERING, &[0; 14][..]), (TITLE, &b"A.TXT\0"[..]), (DATA, &b"words"[..])] {
            whole.push(2);
            whole.extend(id.to_le_bytes());
            whole.extend(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
            whole.extend(data);
            whole.extend([0, 0]);
        }
        let named = |bytes: &[u8]| {
            unpacked(parcel(bytes)).into_iter().map(|file| (file.filename.unwrap_or_default(), file.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(named(&whole), [("A.TXT".to_owned(), b"words".to_vec())]);
        let cut = &whole[..whole.len() - 1];
        assert_eq!(named(cut), [("winmail.dat".to_owned(), cut.to_vec())]);
        assert_eq!(named(b"no parcel"), [("winmail.dat".to_owned(), b"no parcel".to_vec())]);
    }
}
