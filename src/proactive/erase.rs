//! Erasing people from what this room keeps: uploaded lists and frozen audiences, the books of campaigns with the steps of their
//! chains and short links, what is due, journeys.
//!
//! Rows that are counted stay, so that every report still adds up; what tells who somebody is goes. A list keeps the number of its
//! row, with an address that no channel reaches.

use std::collections::BTreeSet;

use super::due::Kind;
use super::saved::nowhere;
use crate::people::address::normal;
use crate::store::db::{Database, Statement};
use crate::store::{self, db::Value};
use crate::values;

/// The scheme that stands for the address of who was erased.
pub(super) const SCHEME: &str = "erased";
/// Why nothing of theirs goes, and what takes the place of reasons, which may quote an address.
pub(super) const WHY: &str = "the person was erased";
/// Rows of one transaction.
const TOGETHER: usize = 1000;

const LISTED: &str =
    "UPDATE audience_people SET address = 'erased:' || CAST(number AS TEXT), addresses = 'erased:' || CAST(number AS TEXT),
    name = NULL, locale = NULL, zone = NULL, attributes = '{}' WHERE audience = ?1 AND number = ?2";
const BOOKED: &str = "UPDATE campaign_people SET address = 'erased:' || CAST(number AS TEXT),
    reason = CASE WHEN reason IS NULL THEN NULL ELSE ?2 END WHERE address = ?1";
const STEPPED: &str = "UPDATE campaign_steps SET address = 'erased:' || CAST(number AS TEXT),
    reason = CASE WHEN reason IS NULL THEN NULL ELSE ?2 END WHERE address = ?1";
/// Where they stand in books; asked before the books forget it.
const PLACES: &str = "SELECT p.campaign, p.number FROM campaign_people p WHERE p.address = ?1
    UNION SELECT s.campaign, s.number FROM campaign_steps s WHERE s.address = ?1";
/// Where a link leads may tell who somebody is: it was written for them.
const LINKS: &str = "DELETE FROM links WHERE campaign = ?1 AND number = ?2";
/// What lies in a lane is taken back; what waits is over.
const DUE: &str = "UPDATE dues SET address = 'erased:', data = '{}', reason = ?2,
    recall = CASE WHEN state IN ('planned', 'accepted', 'scheduled', 'held') THEN 1 ELSE recall END,
    level = CASE WHEN state = 'waiting' THEN 1 ELSE level END, state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END";
/// Anchors that somebody is reminded of.
const ANCHORS: &str = "SELECT a.maker FROM maker_addresses a WHERE a.address = ?1 AND a.kind = 'reminder'";

/// Where a person stands in lists, and every address that those have for them.
struct Known {
    rows: BTreeSet<(String, i64)>,
    addresses: BTreeSet<String>,
}

async fn known(db: &dyn Database, contacts: &[String], addresses: &[String]) -> Result<Known, store::Error> {
    let mut all: BTreeSet<String> = addresses.iter().flat_map(|a| [a.clone(), normal(a).into_owned()]).collect();
    all.extend(contacts.iter().map(|contact| nowhere(contact)));
    let mut rows = BTreeSet::new();
    for address in all.clone() {
        // Somebody's second address is in no index: the lists are read through. Erasures are few.
        let sql = "SELECT p.audience, p.number, p.addresses FROM audience_people p WHERE ' ' || p.addresses || ' ' LIKE ?1 ESCAPE '!'";
        for row in db.read(sql.into(), values![format!("% {} %", escaped(&address))]).await? {
            let known = row.text(2)?;
            // `LIKE` takes letters of both cases for one.
            if known.split(' ').any(|a| a == address) {
                all.extend(known.split(' ').map(str::to_owned));
                rows.insert((row.text(0)?, row.int(1)?));
            }
        }
    }
    Ok(Known { rows, addresses: all })
}

/// The addresses of a person, with those that only lists know: what was written to them goes with the rest.
///
/// # Errors
/// When the store is away.
pub async fn addresses(db: &dyn Database, contacts: &[String], addresses: Vec<String>) -> Result<Vec<String>, store::Error> {
    let mut all = known(db, contacts, &addresses).await?.addresses;
    all.retain(|address| !contacts.iter().any(|contact| *address == nowhere(contact)));
    Ok(all.into_iter().collect())
}

/// Erases a person who is known as these contacts and by these addresses; how many rows of lists they stood in. Doing it again changes
/// nothing.
///
/// # Errors
/// When the store is away; what was not erased then is erased by the next try.
pub async fn forget(db: &dyn Database, contacts: &[String], addresses: &[String]) -> Result<u64, store::Error> {
    let Known { rows: listed, addresses: all } = known(db, contacts, addresses).await?;
    let count = listed.len() as u64;
    let rows: Vec<Vec<Value>> = listed.into_iter().map(|(list, number)| values![list, number]).collect();
    for some in rows.chunks(TOGETHER) {
        db.write(vec![Statement::each(LISTED, some.to_vec())]).await?;
    }
    for address in &all {
        let of = |sql: String| Statement::once(sql, values![address.as_str(), WHY]);
        let places = db.read(PLACES.into(), values![address.as_str()]).await?;
        let places = places.iter().map(|row| Ok(values![row.text(0)?, row.int(1)?])).collect::<Result<_, store::Error>>()?;
        let mut statements = vec![
            Statement::each(LINKS, places),
            of(BOOKED.to_owned()),
            of(STEPPED.to_owned()),
            of(format!("{DUE} WHERE address = ?1")),
            Statement::once("DELETE FROM journey_people WHERE address = ?1", values![address.as_str()]),
        ];
        for row in db.read(ANCHORS.into(), values![address.as_str()]).await? {
            let anchor: Value = row.text(0)?.into();
            let reminder = Kind::Reminder.word();
            statements
                .push(Statement::once(format!("{DUE} WHERE kind = ?1 AND maker = ?3"), vec![reminder.into(), WHY.into(), anchor.clone()]));
            for table in ["makers WHERE kind = ?1 AND id = ?2", "maker_addresses WHERE kind = ?1 AND maker = ?2"] {
                statements.push(Statement::once(format!("DELETE FROM {table}"), vec![reminder.into(), anchor.clone()]));
            }
        }
        db.write(statements).await?;
    }
    Ok(count)
}

/// A text that `LIKE ... ESCAPE '!'` finds as it is.
fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::laws::{Stage, laws};

    laws! { who_is_erased_stands_in_no_row_and_the_counts_stay }

    const TABLES: [&str; 8] =
        ["audience_people", "campaign_people", "campaign_steps", "links", "makers", "maker_addresses", "dues", "journey_people"];

    async fn who_is_erased_stands_in_no_row_and_the_counts_stay(stage: Stage) {
        let db = stage.open().await;
        super::super::open_tables(&*db).await.expect("tables");
        let person = |audience: &str, number: i64, addresses: &str, name: &str| {
            let sql = "INSERT INTO audience_people (audience, number, address, addresses, name, locale, zone, attributes)
                VALUES (?1, ?2, ?3, ?4, ?5, 'it', 'Europe/Rome', '{\"city\":\"Trieste\"}')";
            Statement::once(sql, values![audience, number, addresses.split(' ').next().unwrap_or_default(), addresses, name])
        };
        let booked = |number: i64, state: &str, address: &str| {
            let sql = "INSERT INTO campaign_people (campaign, number, due, variant, state, level, address, reason, opted_out)
                VALUES ('cmp_1', ?1, 0, '', ?2, 1, ?3, ?4, 0)";
            Statement::once(sql, values![number, state, address, format!("{address} is not known")])
        };
        let due = |kind: &str, maker: &str, step: &str, state: &str, address: &str| {
            let sql = "INSERT INTO dues (kind, maker, version, step, due, state, level, address, message, data, recall)
                VALUES (?1, ?2, 1, ?3, 0, ?4, 0, ?5, 'msg_x', ?6, 0)";
            Statement::once(sql, values![kind, maker, step, state, address, format!("{{\"person\":\"{address}\"}}")])
        };
        let maker = |id: &str, address: &str| {
            let sql = "INSERT INTO makers (kind, id, version, body, source, state, created_at, changed_at)
                VALUES ('reminder', ?1, 1, ?2, '{}', 'active', 0, 0)";
            let whose = "INSERT INTO maker_addresses (address, kind, maker) VALUES (?2, 'reminder', ?1)";
            [Statement::once(sql, values![id, format!("to {address}")]), Statement::once(whose, values![id, address])]
        };
        let step = |message: &str, number: i64, step: i64, address: &str| {
            let sql = "INSERT INTO campaign_steps (message, campaign, number, step, channel, address, state, level, weight, reason, cost)
                VALUES (?1, 'cmp_1', ?2, ?3, 'c', ?4, 'failed', 20, 0, ?5, 0)";
            Statement::once(sql, values![message, number, step, address, format!("{address} is not known")])
        };
        let link = |code: &str, number: i64, whose: &str| {
            let sql = "INSERT INTO links (code, url, campaign, number, created_at) VALUES (?1, ?2, 'cmp_1', ?3, 0)";
            Statement::once(sql, values![code, format!("https://shop.example/?for={whose}"), number])
        };
        let travels = |address: &str| {
            let sql = "INSERT INTO journey_people (journey, address, entry, place, state, data, entered_at, changed_at)
                VALUES ('jny_1', ?1, 'e', 'hello', 'going', '{}', 0, 0)";
            Statement::once(sql, values![address])
        };
        let (ana, mail, other) = ("viber:a_a=", "mailto:ana@example.org", "viber:aXa=");
        let mut statements = vec![
            person("aud_1", 1, other, "Bea"),
            person("aud_1", 2, &format!("{mail} {ana} tel:+15550100200"), "Ana"),
            person("cmp_1", 7, ana, "Ana"),
            person("cmp_2", 8, "contact:c-1", "Ana"),
            person("cmp_2", 9, "contact:c-0", "Ana, before she was known to be the same"),
            booked(1, "sent", other),
            booked(2, "failed", mail),
            step("msg_1", 1, 0, other),
            step("msg_2", 2, 0, ana),
            step("msg_3", 2, 1, mail),
            link("one", 1, other),
            link("two", 2, mail),
            due("trigger", "trg_1", "evt_1", "waiting", ana),
            due("journey", "jny_1", "e hello", "accepted", ana),
            due("reminder", "visit-1", "-P1D", "waiting", ana),
            due("reminder", "visit-2", "-P1D", "waiting", other),
            travels(ana),
            travels(other),
        ];
        statements.extend(maker("visit-1", ana));
        statements.extend(maker("visit-2", other));
        db.write(statements).await.expect("written");

        // One of her addresses is known only by a list; a row that both lead to counts once.
        let (names, asked) = (["c-1".to_owned(), "c-0".to_owned()], vec![ana.to_owned(), "tel:+15550100200".to_owned()]);
        let all = addresses(&*db, &names, asked.clone()).await.expect("read");
        assert_eq!(all, [mail, "tel:+15550100200", ana]);
        assert_eq!(forget(&*db, &names, &asked).await.expect("erased"), 4);
        assert_eq!(forget(&*db, &names, &asked).await.expect("erased twice"), 0);
        let mut rows = Vec::new();
        for table in TABLES {
            let found = db.read(format!("SELECT * FROM {table}").into(), Vec::new()).await.expect("read");
            rows.push(found.len());
            let text = format!("{found:?}");
            assert!(!text.contains(ana) && !text.contains(mail) && !text.contains("Ana"), "{table}: {text}");
            assert!(text.contains(other), "{table} keeps whom nobody asked to erase: {text}");
        }
        assert_eq!(rows, [5, 2, 3, 1, 1, 1, 4, 1]);
        let states = db.read("SELECT kind, state, recall FROM dues WHERE address = 'erased:' ORDER BY kind".into(), Vec::new()).await;
        let states: Vec<_> = states.expect("read").iter().map(|r| (r.text(0), r.text(1), r.int(2))).collect();
        let expected = [("journey", "accepted", 1), ("reminder", "cancelled", 0), ("trigger", "cancelled", 0)];
        assert_eq!(states, expected.map(|(kind, state, recall)| (Ok(kind.to_owned()), Ok(state.to_owned()), Ok(recall))));
    }
}
