//! People on the way out: the same columns that an import reads.

use super::Contact;

/// The header of a CSV export.
pub const HEADER: &str = "id,name,addresses,locale,time_zone,country,region,attributes\n";

/// A contact as a row of CSV. A guessed zone is left out, so that importing it does not make it a fact.
pub fn csv(contact: &Contact, out: &mut Vec<u8>) {
    let reachable = contact.addresses.iter().filter(|a| a.gone_at.is_none());
    let addresses: Vec<&str> = reachable.map(|a| a.address.as_str()).collect();
    let zone = contact.time_zone.as_deref().filter(|_| !contact.time_zone_guessed).unwrap_or_default();
    let attributes =
        if contact.attributes.is_empty() { String::new() } else { serde_json::to_string(&contact.attributes).unwrap_or_default() };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let row = [
        contact.id.clone(),
        text(&contact.name),
        addresses.join(" "),
        text(&contact.locale),
        zone.to_owned(),
        text(&contact.country),
        text(&contact.region),
        attributes,
    ];
    let mut writer = csv::WriterBuilder::new().from_writer(out);
    // Writing into memory cannot fail.
    let _ = writer.write_record(row.iter().map(|cell| harmless(cell).into_owned()));
    let _ = writer.flush();
}

/// A cell that a spreadsheet would take for a formula gets a space in front; an import takes it away again. A phone number is none.
fn harmless(cell: &str) -> std::borrow::Cow<'_, str> {
    let formula = cell.starts_with(['=', '-', '@', '\t']) || cell.starts_with('+') && !cell[1..].chars().all(|c| c.is_ascii_digit());
    if formula { format!(" {cell}").into() } else { cell.into() }
}

/// A contact as a line of NDJSON.
pub fn ndjson(contact: &Contact, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(&mut *out, contact);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Address;

    #[test]
    fn a_row_is_quoted_and_no_formula() {
        let contact = Contact {
            id: "c-1".into(),
            name: Some("=HYPERLINK(\"x\")".into()),
            time_zone: Some("Europe/Berlin".into()),
            time_zone_guessed: true,
            addresses: vec![Address { address: "tel:+15550100200".into(), ..Address::default() }],
            ..Contact::default()
        };
        let mut out = Vec::new();
        csv(&contact, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), "c-1,\" =HYPERLINK(\"\"x\"\")\",tel:+15550100200,,,,,\n");
    }
}
