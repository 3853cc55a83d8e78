//! Until when providers let us write freely, conversation by conversation, as people's last messages told. Told by whoever follows the
//! log, together with what addresses did ([`super::traffic`]); hearing something twice, or late, changes nothing.

use std::collections::BTreeMap;

use fairway_adapters::contract::Time;

use super::People;
use crate::store::Error;
use crate::store::db::Statement;
use crate::values;

/// What a person's last message told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The person's address, in its normal form: the window goes with it when the person is erased.
    pub address: String,
    /// When it was told.
    pub told_at: Time,
    /// When it closes.
    pub closes_at: Option<Time>,
    /// Until when what we write costs nothing.
    pub free_until: Option<Time>,
    /// Why it is closed, when it is.
    pub closed_reason: Option<String>,
}

impl Window {
    /// Whether the provider lets us write freely now, as far as is known.
    pub fn is_open(&self, now: Time) -> bool {
        self.closed_reason.is_none() && self.closes_at.is_none_or(|end| end > now)
    }

    /// What is known after another message. It need not tell again until when what an earlier one opened costs nothing.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let (older, newer) = if self.told_at <= other.told_at { (self, other) } else { (other, self) };
        Self { free_until: newer.free_until.or(older.free_until), ..newer }
    }

    fn tells(&self) -> bool {
        self.closes_at.is_some() || self.free_until.is_some() || self.closed_reason.is_some()
    }
}

const NOTE: &str = "INSERT INTO reply_windows (conversation, address, told_at, closes_at, free_until, closed_reason) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (conversation) DO UPDATE SET address = excluded.address, told_at = excluded.told_at, \
    closes_at = excluded.closes_at, free_until = coalesce(excluded.free_until, reply_windows.free_until), \
    closed_reason = excluded.closed_reason WHERE reply_windows.told_at <= excluded.told_at";
/// A message that tells of none ends what an earlier one told: there is none any more.
const END: &str = "DELETE FROM reply_windows WHERE conversation = ?1 AND told_at <= ?2";

/// What writes down the windows of these conversations.
pub(super) fn statements(windows: &BTreeMap<String, Window>) -> [Statement; 2] {
    // In one order, so that two nodes that write the same rows never wait for each other.
    let (told, ended): (Vec<_>, Vec<_>) = windows.iter().partition(|(_, window)| window.tells());
    let time = |t: Option<Time>| t.map(|t| t.0);
    let row = |(conversation, w): (&String, &Window)| {
        let (closes_at, free_until) = (time(w.closes_at), time(w.free_until));
        values![conversation.as_str(), w.address.as_str(), w.told_at.0, closes_at, free_until, w.closed_reason.clone()]
    };
    let ended = ended.into_iter().map(|(conversation, w)| values![conversation.as_str(), w.told_at.0]).collect();
    [Statement::each(NOTE, told.into_iter().map(row).collect()), Statement::each(END, ended)]
}

impl People {
    /// The window of a conversation, where one was told.
    pub async fn window(&self, conversation: &str) -> Result<Option<Window>, Error> {
        let sql = "SELECT address, told_at, closes_at, free_until, closed_reason FROM reply_windows WHERE conversation = ?1";
        let rows = self.db.read(sql.into(), values![conversation]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Window {
            address: row.text(0)?,
            told_at: Time(row.int(1)?),
            closes_at: row.maybe_int(2)?.map(Time),
            free_until: row.maybe_int(3)?.map(Time),
            closed_reason: row.maybe_text(4)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Put;
    use crate::people::traffic::Noted;
    use crate::store::laws::{Stage, laws};

    laws! { the_last_message_tells_the_window_and_it_goes_with_its_person }

    async fn the_last_message_tells_the_window_and_it_goes_with_its_person(stage: Stage) {
        let people = People::open(stage.open().await).await.expect("tables");
        let told = |told_at: i64, closes_at: Option<i64>, free_until: Option<i64>| Window {
            address: "viber:1".into(),
            told_at: Time(told_at),
            closes_at: closes_at.map(Time),
            free_until: free_until.map(Time),
            closed_reason: None,
        };
        let note = async |conversation: &str, window: Window| {
            let windows = BTreeMap::from([(conversation.to_owned(), window)]);
            people.note(&Noted { windows, ..Noted::default() }).await.expect("written");
        };
        note("a/viber:1", told(10, Some(110), Some(300))).await;
        note("a/viber:1", told(20, Some(120), None)).await;
        note("a/viber:1", told(15, Some(115), None)).await;
        note("b/viber:1", told(5, None, None)).await;
        let window = people.window("a/viber:1").await.expect("read").expect("it was told");
        assert_eq!(window, told(20, Some(120), Some(300)));
        assert_eq!(told(10, Some(110), Some(300)).joined(told(20, Some(120), None)), window, "in memory as in the table");
        assert_eq!(told(20, Some(120), None).joined(told(10, Some(110), Some(300))), window);
        assert!(window.is_open(Time(119)) && !window.is_open(Time(120)));
        assert!(!Window { closed_reason: Some("another app owns it".into()), ..window }.is_open(Time(1)));
        assert_eq!(people.window("b/viber:1").await.expect("read"), None, "of a provider without one nothing is kept");
        note("a/viber:1", told(19, None, None)).await;
        assert!(people.window("a/viber:1").await.expect("read").is_some(), "what comes late changes nothing");
        note("c/viber:1", told(30, Some(130), None)).await;
        note("a/viber:1", told(30, None, None)).await;
        assert_eq!(people.window("a/viber:1").await.expect("read"), None);
        people.put(vec![Put { id: Some("c-1".into()), addresses: vec!["viber:1".into()], ..Put::default() }]).await.expect("written");
        people.forget("c-1", &["viber:1".into()]).await.expect("forgotten");
        assert_eq!(people.window("c/viber:1").await.expect("read"), None, "who is forgotten leaves nothing behind");
    }
}
