//! Short links on our own host, one for each person and address: `{{ "https://shop.example/spring" | link }}`.
//!
//! A link leads only to what stood in somebody's words: its code names a row that was written before the message was sent, so
//! nobody can make this host lead anywhere else. The code is derived, so writing a message again makes no other link.

use std::sync::Arc;

use fairway_adapters::contract::event::{LinkClicked, Person};
use fairway_adapters::contract::{Body, Data};
use parking_lot::Mutex;

use super::{Failed, Room};
use crate::clock;
use crate::envelope::{self, Attributes};
use crate::ids;
use crate::log::{Durability, Outcome, Topic};
use crate::store::db::Statement;
use crate::values;

/// The name under which templates see whom a message is for: the campaign's id and the person's number.
pub const WHOSE: &str = "_whose";
/// Characters of a code: 80 bits, which nobody guesses.
const CODE: usize = 16;

/// Makes links. What it made is written down by whoever asked.
pub struct Linker {
    base: String,
    secret: Vec<u8>,
    made: Mutex<Vec<Made>>,
}

struct Made {
    code: String,
    url: String,
    whose: String,
}

impl Linker {
    /// A maker of links below this address.
    pub fn new(public_url: &str, secret: &[u8]) -> Arc<Self> {
        Arc::new(Self { base: format!("{}/l/", public_url.trim_end_matches('/')), secret: secret.to_vec(), made: Mutex::default() })
    }

    /// The short link to an address for somebody; the reason when it is no address of the web.
    pub fn link(&self, url: &str, whose: &str) -> Result<String, String> {
        check(url)?;
        let hash = ids::fingerprint(&[b"link", &self.secret, whose.as_bytes(), url.as_bytes()]);
        let code = ids::text("", hash)[..CODE].to_owned();
        let short = format!("{}{code}", self.base);
        self.made.lock().push(Made { code, url: url.to_owned(), whose: whose.to_owned() });
        Ok(short)
    }

    /// The statement that writes down what was made since the last time.
    pub fn write_down(&self) -> Statement {
        let now = clock::now().0;
        let row = |made: Made| {
            let (campaign, number) = made.whose.rsplit_once(' ')?;
            Some(values![made.code, made.url, campaign, number.parse::<i64>().ok()?, now])
        };
        let runs = std::mem::take(&mut *self.made.lock()).into_iter().filter_map(row).collect();
        Statement::each(
            "INSERT INTO links (code, url, campaign, number, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            runs,
        )
    }
}

/// Whom a message is for, as templates see it.
pub fn whose(campaign: &str, number: u64) -> String {
    format!("{campaign} {number}")
}

/// Whether something is an address of the web.
pub fn check(text: &str) -> Result<(), String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() => Ok(()),
        _ => Err(format!("`{text}` is no address of the web: write https:// and a host")),
    }
}

impl Room {
    /// Where a link leads. That somebody opened it becomes an event; when the log cannot take it now, the person gets there
    /// all the same.
    pub async fn follow_link(&self, code: &str, writer: &envelope::Writer) -> Result<String, Failed> {
        let unknown = Failed::Unknown("this link leads nowhere");
        if code.len() != CODE {
            return Err(unknown);
        }
        let sql = "SELECT l.url, l.campaign, p.address, p.channel, p.message FROM links l
            LEFT JOIN campaign_people p ON p.campaign = l.campaign AND p.number = l.number WHERE l.code = ?1";
        let rows = self.parts.db.read(sql.into(), values![code]).await?;
        let row = rows.first().ok_or(unknown)?;
        let (url, campaign) = (row.text(0)?, row.text(1)?);
        if let (Some(address), Some(channel)) = (row.maybe_text(2)?, row.maybe_text(3)?) {
            self.tell_click(writer, &url, &campaign, &address, &channel, row.maybe_text(4)?.as_deref()).await;
        }
        Ok(url)
    }

    async fn tell_click(&self, writer: &envelope::Writer, url: &str, campaign: &str, address: &str, channel: &str, message: Option<&str>) {
        let Some(channel) = self.parts.channels.get().by_id.get(channel).cloned() else { return };
        let (now, conversation, facts) = (clock::now(), format!("{}/{address}", channel.id), channel.facts());
        let body = Body::LinkClicked(LinkClicked {
            from: Some(Person::at(address)),
            message_id: message.map(Into::into),
            url: url.into(),
            campaign: Some(campaign.into()),
        });
        let data = envelope::data(&Data {
            channel: (&*channel.id).into(),
            provider: facts.id.into(),
            medium: facts.mediums[0].into(),
            conversation: conversation.as_str().into(),
            received_at: now,
            body: &body,
        });
        let attributes = Attributes {
            id: ids::random(),
            kind: body.kind(),
            channel: &channel.id,
            conversation: &conversation,
            time: now,
            tenant: channel.tenant.as_deref(),
            traceparent: None,
            correlation: None,
            replaces: None,
        };
        let outcomes = self.parts.log.append(vec![writer.record(Topic::Inbound, &attributes, data)], Durability::LogOrSpool).await;
        if !outcomes.iter().all(Outcome::is_durable) {
            tracing::warn!(campaign, "that a link was opened could not be written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_derived_and_leads_only_to_the_web() {
        let linker = Linker::new("https://x.example/", b"secret");
        let link = |url: &str, whose: &str| linker.link(url, whose);
        let first = link("https://shop.example/a?b=1", "cmp_1 7").expect("a link");
        assert!(first.starts_with("https://x.example/l/") && first.len() == "https://x.example/l/".len() + CODE);
        assert_eq!(link("https://shop.example/a?b=1", "cmp_1 7"), Ok(first.clone()));
        assert_ne!(link("https://shop.example/a?b=1", "cmp_1 8"), Ok(first.clone()));
        assert_ne!(Linker::new("https://x.example", b"other").link("https://shop.example/a?b=1", "cmp_1 7"), Ok(first));
        for url in ["javascript:alert(1)", "//evil.example", "/a", "ftp://x.example/a", "https://bank.example@evil.example/", ""] {
            assert!(link(url, "cmp_1 7").is_err(), "{url}");
        }
        assert_eq!(linker.write_down().runs.len(), 3);
        assert!(linker.write_down().runs.is_empty());
    }
}
