//! Files of people, row by row: CSV with a header, or NDJSON.
//!
//! CSV columns: `id`, `name`, `locale`, `time_zone`, `country`, `region`; `address` (any number of such columns), `addresses`
//! (several, separated by spaces), or a scheme (`tel`, `mailto`, `whatsapp`, ...; `email` and `phone` are understood);
//! `attributes` (a JSON object). Every other column is an attribute of its name.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::Put;

/// Rows read at a time: as many as one transaction takes.
const ROWS: usize = 4000;
/// The longest line of NDJSON.
const LINE: u64 = 1 << 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// RFC 4180 with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BadRow {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column or field.
    pub column: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// A row with its line: what it says, or the column that is wrong and why.
pub type Row = (u64, Result<Put, (String, String)>);

/// A file that is read in chunks.
pub enum File {
    /// CSV: the reader, what its columns say, and by how much it counts lines too low.
    Csv(Box<csv::Reader<fs::File>>, Vec<Column>, u64),
    /// NDJSON: the file, the place behind the last whole line, and its number.
    Ndjson(BufReader<fs::File>, u64, u64),
}

/// What a CSV column says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// A field of its own.
    Field(&'static str),
    /// An address in full.
    Address,
    /// Several addresses.
    Addresses,
    /// An address of this scheme without it.
    Scheme(String),
    /// All attributes.
    Attributes,
    /// One attribute.
    Attribute(String),
}

const FIELDS: [&str; 6] = ["id", "name", "locale", "time_zone", "country", "region"];

fn is_scheme(name: &str) -> bool {
    matches!(name, "tel" | "mailto") || fairway_adapters::PROVIDERS.iter().any(|p| p.facts.schemes.contains(&name))
}

fn column(name: &str) -> Column {
    let name = name.trim();
    let lower = name.to_ascii_lowercase();
    if let Some(field) = FIELDS.iter().find(|f| **f == lower) {
        return Column::Field(field);
    }
    match lower.as_str() {
        "address" => Column::Address,
        "addresses" => Column::Addresses,
        "email" => Column::Scheme("mailto".into()),
        "phone" => Column::Scheme("tel".into()),
        "attributes" => Column::Attributes,
        scheme if is_scheme(scheme) => Column::Scheme(lower),
        _ => Column::Attribute(name.to_owned()),
    }
}

impl File {
    /// Opens a file to go on at this place, behind this line. The error is a sentence.
    pub fn open(path: &Path, format: Format, place: u64, line: u64) -> Result<Self, String> {
        let mut file = fs::File::open(path).map_err(|e| format!("the uploaded file cannot be opened: {e}"))?;
        match format {
            Format::Ndjson => {
                file.seek(SeekFrom::Start(place)).map_err(|e| e.to_string())?;
                Ok(Self::Ndjson(BufReader::new(file), place, line))
            }
            Format::Csv => {
                // A reader counts the `\n` of `\r\n` with the row behind it.
                let lag = u64::from(ends_crlf(&mut file).map_err(|e| e.to_string())?);
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
                let header = reader.headers().map_err(|e| format!("the header cannot be read: {e}"))?;
                let columns: Vec<Column> = header.iter().map(column).collect();
                if !columns.iter().any(|c| !matches!(c, Column::Attribute(_) | Column::Attributes)) {
                    return Err("the header names neither `id` nor an address: the first line must hold the names of the columns".into());
                }
                if place > 0 {
                    let mut at = csv::Position::new();
                    at.set_byte(place).set_line(line);
                    reader.seek(at).map_err(|e| e.to_string())?;
                }
                Ok(Self::Csv(Box::new(reader), columns, lag))
            }
        }
    }

    /// Where the next chunk begins.
    pub fn place(&self) -> (u64, u64) {
        match self {
            Self::Csv(reader, ..) => (reader.position().byte(), reader.position().line()),
            Self::Ndjson(_, place, line) => (*place, *line),
        }
    }

    /// The next rows; none at the end.
    pub fn rows(&mut self) -> Result<Vec<Row>, String> {
        match self {
            Self::Csv(reader, columns, lag) => csv_rows(reader, columns, *lag),
            Self::Ndjson(reader, place, line) => ndjson_rows(reader, place, line),
        }
    }
}

/// Whether the first line ends in `\r\n`. The file is left at its beginning.
fn ends_crlf(file: &mut fs::File) -> std::io::Result<bool> {
    let mut first = Vec::new();
    BufReader::new(&mut *file).take(LINE).read_until(b'\n', &mut first)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(first.ends_with(b"\r\n"))
}

fn csv_rows(reader: &mut csv::Reader<fs::File>, columns: &[Column], lag: u64) -> Result<Vec<Row>, String> {
    let mut rows = Vec::with_capacity(ROWS);
    let mut record = csv::ByteRecord::new();
    while rows.len() < ROWS {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line) + lag;
                rows.push((line, csv_row(&record, columns)));
            }
            Ok(false) => break,
            Err(e) => return Err(format!("the file cannot be read on: {e}")),
        }
    }
    Ok(rows)
}

fn csv_row(record: &csv::ByteRecord, columns: &[Column]) -> Result<Put, (String, String)> {
    if record.len() > columns.len() {
        return Err((String::new(), format!("the row has {} columns, the header {}", record.len(), columns.len())));
    }
    let mut put = Put::default();
    for (bytes, column) in record.iter().zip(columns) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err((name(column), "the text is not UTF-8".into()));
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        match column {
            Column::Field(field) => {
                let slot = match *field {
                    "id" => &mut put.id,
                    "name" => &mut put.name,
                    "locale" => &mut put.locale,
                    "time_zone" => &mut put.time_zone,
                    "country" => &mut put.country,
                    _ => &mut put.region,
                };
                *slot = Some(text.to_owned());
            }
            Column::Address => put.addresses.push(text.to_owned()),
            Column::Addresses => put.addresses.extend(text.split_whitespace().map(str::to_owned)),
            Column::Scheme(scheme) if text.starts_with(&format!("{scheme}:")) => put.addresses.push(text.to_owned()),
            Column::Scheme(scheme) => put.addresses.push(format!("{scheme}:{text}")),
            Column::Attributes => match serde_json::from_str::<Map<String, Json>>(text) {
                Ok(map) => put.attributes.extend(map),
                Err(e) => return Err((name(column), format!("expected a JSON object: {e}"))),
            },
            Column::Attribute(name) => {
                put.attributes.insert(name.clone(), text.into());
            }
        }
    }
    Ok(put)
}

fn name(column: &Column) -> String {
    match column {
        Column::Field(field) => (*field).to_owned(),
        Column::Address => "address".into(),
        Column::Addresses => "addresses".into(),
        Column::Scheme(scheme) => scheme.clone(),
        Column::Attributes => "attributes".into(),
        Column::Attribute(name) => name.clone(),
    }
}

fn ndjson_rows(reader: &mut BufReader<fs::File>, place: &mut u64, line: &mut u64) -> Result<Vec<Row>, String> {
    let mut rows = Vec::with_capacity(ROWS);
    let mut text = Vec::new();
    while rows.len() < ROWS {
        text.clear();
        let read = reader.by_ref().take(LINE + 1).read_until(b'\n', &mut text).map_err(|e| format!("the file cannot be read on: {e}"))?;
        if read == 0 {
            break;
        }
        *line += 1;
        *place += read as u64;
        if read as u64 > LINE {
            rows.push((*line, Err((String::new(), "a line has at most 1 MiB".into()))));
            // The rest of it is passed over.
            while text.last() != Some(&b'\n') {
                text.clear();
                let more = reader.by_ref().take(LINE).read_until(b'\n', &mut text).map_err(|e| e.to_string())?;
                *place += more as u64;
                if more == 0 {
                    break;
                }
            }
            continue;
        }
        let row = text.trim_ascii();
        if row.is_empty() {
            continue;
        }
        let put = serde_path_to_error::deserialize::<_, Put>(&mut serde_json::Deserializer::from_slice(row));
        rows.push((*line, put.map_err(|e| (e.path().to_string(), e.inner().to_string()))));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn csv_rows_become_people_and_bad_ones_name_their_column() {
        let text = "\u{feff}id,name,phone,email,Tier,attributes\r\nc-1,\"Ana, B\",+15550100200,ana@example.org,gold,\"{\"\"age\"\": 3}\"\r\nc-2,,,,,\r\n\
            c-3,x,,,,not json\r\nc-4,a,b,c,d,,too many\r\n";
        let file = file(text);
        let mut open = File::open(file.path(), Format::Csv, 0, 0).expect("opens");
        let rows = open.rows().expect("rows");
        let (line, ana) = &rows[0];
        let ana = ana.as_ref().expect("fine");
        assert_eq!((*line, ana.name.as_deref()), (2, Some("Ana, B")));
        assert_eq!(ana.addresses, ["tel:+15550100200", "mailto:ana@example.org"]);
        assert_eq!(Json::from(ana.attributes.clone()), serde_json::json!({ "Tier": "gold", "age": 3 }));
        assert_eq!(rows[1].1.as_ref().expect("fine").id.as_deref(), Some("c-2"));
        assert_eq!((rows[2].0, rows[2].1.as_ref().expect_err("bad").0.as_str()), (4, "attributes"));
        assert!(rows[3].1.is_err());
        assert!(File::open(self::file("a,b\n1,2\n").path(), Format::Csv, 0, 0).is_err(), "nobody could be told apart");
    }

    #[test]
    fn a_file_goes_on_where_it_stopped() {
        let csv: String = std::iter::once("id,name\n".to_owned()).chain((0..2500).map(|i| format!("c-{i},\"n\n{i}\"\n"))).collect();
        let ndjson: String = (0..2500).map(|i| format!("{{\"id\":\"c-{i}\"}}\n\n")).collect();
        for (format, text) in [(Format::Csv, csv), (Format::Ndjson, ndjson)] {
            let file = file(&text);
            let (mut place, mut ids) = ((0, 0), Vec::new());
            loop {
                let mut open = File::open(file.path(), format, place.0, place.1).expect("opens");
                let rows = open.rows().expect("rows");
                place = open.place();
                if rows.is_empty() {
                    break;
                }
                ids.extend(rows.into_iter().map(|(line, row)| (line, row.expect("fine").id.expect("an id"))));
            }
            assert_eq!(ids.len(), 2500, "{format:?}");
            let lines_of_a_row = if format == Format::Csv { (2, 2) } else { (2, 1) };
            assert!(
                ids.iter()
                    .enumerate()
                    .all(|(i, (line, id))| { *id == format!("c-{i}") && *line == i as u64 * lines_of_a_row.0 + lines_of_a_row.1 }),
                "{format:?}: {:?}",
                &ids[1998..2002]
            );
        }
    }

    #[test]
    fn ndjson_errors_name_the_field() {
        let file = file("{\"id\": 7}\n{\"nam\": \"x\"}\nnot json\n{\"id\":\"a\"}");
        let rows = File::open(file.path(), Format::Ndjson, 0, 0).and_then(|mut f| f.rows()).expect("rows");
        let errors: Vec<_> = rows.iter().filter_map(|(line, r)| Some((*line, r.as_ref().err()?.0.as_str()))).collect();
        assert_eq!(errors[0], (1, "id"));
        assert_eq!((errors.len(), rows.len()), (3, 4));
    }
}
