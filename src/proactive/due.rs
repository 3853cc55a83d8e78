//! What is due at a time: the messages of reminders and triggers and the steps of journeys, in one table, taken out when their
//! time has come.
//!
//! ```text
//!   waiting ──due──▶ planned ──append──▶ accepted ──follower──▶ sent, delivered, ...
//!      │                 └──── a crash leaves it planned: appended again under the same id, marked `again`
//!      └──moved, stopped──▶ gone; what had been appended and has not left is recalled by a cancel to its owner
//! ```
//!
//! Who made it is looked at in the same question that finds what is due, so a reminder that was moved a moment before its
//! time does not go. What a step of a journey leads to is written together with what the step itself comes to.
//! What is over is kept as long as messages are ([`forget`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::{Mark, Priority, SendRequest, Template as Approved, Time, event::Origin};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audiences::Person;
use super::campaigns::Order;
use super::reading::UNIT;
use super::templates::{Source, Writer};
use super::{Failed, Room, Wrong, campaigns, prices};
use crate::clock;
use crate::ids::{self, MessageId};
use crate::log::{Durability, Outcome};
use crate::orders::Order as Telling;
use crate::outbound::accept::{Act, Ready, Refused};
use crate::outbound::quota::Tally;
use crate::store::db::{Database, Row, Statement};
use crate::telemetry::{self, names};
use crate::values;

/// Messages of one transaction.
const BATCH: i64 = 500;
/// How often it looks when nothing was due.
const REST: Duration = Duration::from_millis(100);
/// How long something that failed waits.
const AGAIN: Duration = Duration::from_millis(500);
/// Writers kept at hand.
const WRITERS: usize = 1000;

/// Who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A reminder: its id is the anchor's.
    Reminder,
    /// A trigger.
    Trigger,
    /// A journey.
    Journey,
}

impl Kind {
    /// The word in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Trigger => "trigger",
            Self::Journey => "journey",
        }
    }

    fn named(word: &str) -> Self {
        match word {
            "trigger" => Self::Trigger,
            "journey" => Self::Journey,
            _ => Self::Reminder,
        }
    }
}

/// How something due ends without a message: its state, and why.
pub(super) type End = (&'static str, String);

/// Writers at hand: by maker, step of a journey, and when the maker was last changed.
type Writers = HashMap<(Kind, String, String, i64), Arc<Writer>>;

/// Something whose time has come.
pub(super) struct Due {
    pub kind: Kind,
    pub maker: String,
    pub version: i64,
    pub step: String,
    pub due: Time,
    pub address: String,
    pub data: Map<String, Value>,
    pub body: Value,
    pub source: Source,
    /// What was planned before a crash.
    planned: Option<String>,
    /// When its maker was last changed: which words.
    edited: i64,
}

/// What goes out for it, before words.
pub(super) struct Composed {
    /// To whom.
    pub person: Person,
    /// What is known besides the person.
    pub about: Map<String, Value>,
    /// Through which channels.
    pub channels: Vec<String>,
    /// Everything but words and address.
    pub request: SendRequest,
}

/// What the makers say alike.
pub(super) fn check_words(template: Option<&Approved>, parts: &[Value], channels: &[String]) -> Result<(), Wrong> {
    if channels.is_empty() {
        return Err(Wrong::at("#/channels", "missing", "name at least one channel"));
    }
    if template.is_none() && parts.is_empty() {
        return Err(Wrong::at("#/template", "missing", "say what to send: `template` or `parts`"));
    }
    Ok(())
}

/// Runs until the process ends.
pub async fn run(room: Arc<Room>) {
    let mut writers = Writers::new();
    loop {
        if !room.parts.units.owns(UNIT) {
            tokio::time::sleep(REST).await;
            continue;
        }
        match room.take_out(&mut writers).await {
            Ok(true) => {}
            Ok(false) => tokio::select! {
                () = room.changed.notified() => {}
                () = tokio::time::sleep(REST) => {}
            },
            Err(e) => {
                tracing::error!(error = ?e, "what is due cannot be taken out now; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
        if writers.len() > WRITERS {
            writers.clear();
        }
    }
}

impl Room {
    /// Takes out what is due; whether there was something.
    async fn take_out(&self, writers: &mut Writers) -> Result<bool, Failed> {
        let mut worked = self.recall().await?;
        worked |= self.extend_recurring().await?;
        worked |= self.take_in().await?;
        for (state, again) in [("planned", true), ("waiting", false)] {
            let dues = self.dues(state).await?;
            worked |= !dues.is_empty();
            self.send_dues(writers, dues, again).await?;
        }
        Ok(worked)
    }

    async fn dues(&self, state: &'static str) -> Result<Vec<Due>, Failed> {
        // A version that is not the newest is not looked for: who moves something leaves nothing waiting.
        let sql = "SELECT d.kind, d.maker, d.version, d.step, d.due, d.address, d.data, m.body, m.source, d.message, m.changed_at
            FROM dues d JOIN makers m ON m.kind = d.kind AND m.id = d.maker
            WHERE d.state = ?1 AND d.due <= ?2 AND (d.state = 'planned' OR (m.version = d.version AND m.state = 'active'))
            ORDER BY d.due LIMIT ?3";
        let rows = self.parts.db.read(sql.into(), values![state, clock::now().0, BATCH]).await?;
        let read = |row: &Row| {
            let (kind, step) = (Kind::named(&row.text(0)?), row.text(3)?);
            let source = match kind {
                Kind::Journey => row.json(8).and_then(|mut steps: BTreeMap<String, Source>| steps.remove(named_step(&step))),
                Kind::Reminder | Kind::Trigger => row.json(8),
            };
            Ok(Due {
                kind,
                maker: row.text(1)?,
                version: row.int(2)?,
                step,
                due: Time(row.int(4)?),
                address: row.text(5)?,
                data: row.json(6).unwrap_or_default(),
                body: row.json(7).unwrap_or_default(),
                source: source.unwrap_or_default(),
                planned: row.maybe_text(9)?,
                edited: row.int(10)?,
            })
        };
        rows.iter().map(read).collect::<Result<_, crate::store::Error>>().map_err(Into::into)
    }

    async fn send_dues(&self, writers: &mut Writers, dues: Vec<Due>, again: bool) -> Result<(), Failed> {
        let (mut ready, mut planned, mut ended, mut onward) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // What was planned before a crash was counted with that.
        let mut tally = Tally::default();
        if !again && !dues.is_empty() {
            let counted: Vec<_> = self.parts.channels.get().by_id.values().filter(|c| c.quota.is_some()).cloned().collect();
            tally = self.parts.acceptor.tally(&counted).await?;
        }
        for due in dues {
            let key = || values![due.kind.word(), due.maker.as_str(), due.version, due.step.as_str()];
            let (composed, after) = match due.kind {
                Kind::Reminder => (self.compose_reminder(&due), Vec::new()),
                Kind::Trigger => (self.compose_trigger(&due).await?, Vec::new()),
                Kind::Journey => self.take_step(&due).await?,
            };
            // What was planned before a crash was led on when it was planned.
            onward.extend(after.into_iter().filter(|_| !again));
            let made = match composed {
                Ok(composed) => self.make_due(writers, &due, composed).await?.and_then(|message| {
                    tally.take(&message.channel).map_err(|refused| unwritten(&refused))?;
                    Ok(message)
                }),
                Err(end) => Err(end),
            };
            match made {
                Ok(message) => {
                    // Its channel went meanwhile and another would take it: the first may have it.
                    if due.planned.as_ref().is_some_and(|id| *id != message.accepted.id.to_string()) {
                        ended.push([key(), values!["failed", "its channel was changed while it was being sent"]].concat());
                        continue;
                    }
                    let accepted = &message.accepted;
                    planned.push([key(), values![accepted.id.to_string(), accepted.channel.as_str(), clock::now().0]].concat());
                    ready.push(message);
                }
                Err((state, reason)) => ended.push([key(), values![state, reason]].concat()),
            }
        }
        let accepted: Vec<_> = planned.iter().map(|row| row[..4].to_vec()).collect();
        let of = "WHERE kind = ?1 AND maker = ?2 AND version = ?3 AND step = ?4";
        // What was moved between the question and now is not waiting any more, and may not be appended.
        let plan = format!(
            "UPDATE dues SET state = 'planned', message = ?5, channel = ?6, sent_at = ?7 {of} AND level = 0 AND (state = 'planned' OR
             (state = 'waiting' AND EXISTS (SELECT 1 FROM makers m WHERE m.kind = ?1 AND m.id = ?2 AND m.version = ?3 AND m.state = 'active')))
             RETURNING message"
        );
        let end = format!("UPDATE dues SET state = ?5, level = 1, reason = ?6 {of} AND level = 0");
        let mut statements = vec![Statement::each(plan, planned), Statement::each(end, ended)];
        statements.extend(onward);
        statements.extend(tally.counted());
        let done = self.parts.db.write(statements).await?;
        let named: Vec<String> = done.first().map_or(Ok(Vec::new()), |d| d.rows.iter().map(|r| r.text(0)).collect())?;
        ready.retain(|r: &Ready| named.contains(&r.accepted.id.to_string()));
        telemetry::counter(&names::DUE_MESSAGES, &[]).increment(ready.len() as u64);
        self.parts.acceptor.append_all(ready, again).await;
        let sql = format!("UPDATE dues SET state = 'accepted', level = 1 {of} AND level = 0 AND state = 'planned'");
        self.parts.db.write(vec![Statement::each(sql, accepted)]).await?;
        Ok(())
    }

    /// Writes the message of a due one, or says how it ends without.
    async fn make_due(&self, writers: &mut Writers, due: &Due, composed: Composed) -> Result<Result<Ready, End>, Failed> {
        let Composed { person, mut about, channels, request } = composed;
        let bound = self.parts.channels.get();
        let channels: Vec<_> = channels.iter().filter_map(|name| bound.by_id.get(name).cloned()).collect();
        let chosen = campaigns::reach::choose(Order::Preferred, &channels, &prices::Prices::default(), &person.addresses);
        let Some((channel, to)) = chosen else {
            return Ok(Err(("unreachable", "none of its channels reaches any of the addresses".into())));
        };
        let step = if due.kind == Kind::Journey { named_step(&due.step) } else { "" };
        let key = (due.kind, due.maker.clone(), step.to_owned(), due.edited);
        let writer = match writers.get(&key) {
            Some(writer) => Arc::clone(writer),
            None => {
                let writer = Arc::new(Writer::new(due.source.clone(), false)?);
                writers.insert(key, Arc::clone(&writer));
                writer
            }
        };
        about.extend(person.about());
        let written = match writer.write(person.locale.as_deref(), &channel, &to, &about) {
            Ok(written) => written,
            Err(wrong) => return Ok(Err(("unreachable", format!("{}: {}", wrong.pointer, wrong.detail)))),
        };
        let mark = Mark {
            reminder: (due.kind == Kind::Reminder).then(|| due.maker.clone()),
            trigger: (due.kind == Kind::Trigger).then(|| due.maker.clone()),
            journey: (due.kind == Kind::Journey).then(|| due.maker.clone()),
            edition: u32::try_from(due.version).unwrap_or(u32::MAX),
            zone: person.time_zone.clone(),
            ..Mark::default()
        };
        let request =
            written.into_request(SendRequest { to: Some(to), channel: Some(channel.id.to_string()), mark: Some(mark), ..request });
        let (origin, version) = match due.kind {
            Kind::Reminder => (Origin::Reminder, due.version.to_le_bytes()),
            Kind::Trigger => (Origin::Trigger, 0_i64.to_le_bytes()),
            Kind::Journey => (Origin::Journey, 0_i64.to_le_bytes()),
        };
        let act = Act::Named(&[due.kind.word().as_bytes(), due.maker.as_bytes(), &version, due.step.as_bytes()]);
        let prepared = self.parts.acceptor.prepare_uncounted(request, origin, act).await;
        Ok(prepared.map_err(|refused| unwritten(&refused)))
    }

    /// Tells the owners of messages that are wanted back; whether there were any.
    async fn recall(&self) -> Result<bool, Failed> {
        let sql = "SELECT message FROM dues WHERE recall = 1 AND message IS NOT NULL LIMIT ?1";
        let rows = self.parts.db.read(sql.into(), values![BATCH]).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let messages: Vec<String> = rows.iter().map(|r| r.text(0)).collect::<Result<_, _>>()?;
        let cancel = |id: MessageId| Telling::Cancel { id }.record(u32::from(id.unit), ids::fingerprint(&[b"recall", &id.bytes()]));
        let records: Vec<_> = messages.iter().filter_map(|id| id.parse().ok()).map(cancel).collect();
        let outcomes = self.parts.log.append(records, Durability::Log).await;
        if !outcomes.iter().all(Outcome::is_durable) {
            return Err(crate::store::Error("the log cannot take cancels now".into()).into());
        }
        let runs = messages.into_iter().map(|id| values![id]).collect();
        self.parts.db.write(vec![Statement::each("UPDATE dues SET recall = 0 WHERE message = ?1", runs)]).await?;
        Ok(true)
    }
}

/// Rows that [`forget`] lets go of in one transaction.
const FORGOTTEN: usize = 1000;
/// What is over: nothing of it is still to come but a receipt. Somebody on the way through a journey may be asked at the next step
/// what became of the ones before.
const OVER: &str = "SELECT d.maker, d.version, d.step FROM dues d WHERE d.kind = ?1 AND d.state IN ('missed', 'unreachable', 'passed',
    'sent', 'failed', 'delivered', 'read', 'expired', 'cancelled', 'suppressed') AND d.due < ?2 AND coalesce(d.sent_at, d.due) < ?2
    AND d.recall = 0 AND NOT EXISTS (SELECT 1 FROM journey_people p WHERE d.kind = 'journey' AND p.journey = d.maker
    AND p.address = d.address AND p.entry = substr(d.step, 1, 26) AND p.state = 'going') LIMIT ?3";

/// Forgets a batch of what was over before then; how many there were. What a trigger's cap still counts stays until it does not.
///
/// # Errors
/// When the store is away.
pub async fn forget(db: &dyn Database, before: Time, now: Time) -> Result<u64, crate::store::Error> {
    let mut forgotten = 0;
    for kind in [Kind::Reminder, Kind::Trigger, Kind::Journey] {
        let before = match kind {
            Kind::Trigger => before.min(now.plus(-super::triggers::longest_cap(db).await?)),
            Kind::Reminder | Kind::Journey => before,
        };
        let rows = db.read(OVER.into(), values![kind.word(), before.0, FORGOTTEN as i64]).await?;
        let key = |row: &Row| Ok(values![kind.word(), row.text(0)?, row.int(1)?, row.text(2)?]);
        let keys = rows.iter().map(key).collect::<Result<Vec<_>, crate::store::Error>>()?;
        if !keys.is_empty() {
            forgotten += keys.len() as u64;
            let sql = "DELETE FROM dues WHERE kind = ?1 AND maker = ?2 AND version = ?3 AND step = ?4";
            db.write(vec![Statement::each(sql, keys)]).await?;
        }
    }
    Ok(forgotten)
}

/// Statements that take back everything of a maker below a version: what waits is over, what lies in a lane is recalled.
pub(super) fn take_back(kind: Kind, maker: &str, below: i64, why: &str) -> Vec<Statement> {
    let row = || values![kind.word(), maker, below, why];
    let of = "WHERE kind = ?1 AND maker = ?2 AND version < ?3";
    vec![
        Statement::once(format!("UPDATE dues SET state = 'cancelled', level = 1, reason = ?4 {of} AND state = 'waiting'"), row()),
        Statement::once(
            format!("UPDATE dues SET recall = 1, reason = ?4 {of} AND state IN ('planned', 'accepted', 'scheduled', 'held')"),
            row(),
        ),
    ]
}

/// How something due ends whose message was refused.
fn unwritten(refused: &Refused) -> End {
    ("unreachable", format!("{}: {}", refused.pointer, refused.detail))
}

/// The name of the step in a row of a journey, behind the passage it belongs to.
fn named_step(step: &str) -> &str {
    step.split_once(' ').map_or(step, |(_, name)| name)
}

/// One message of a reminder or trigger, as the API shows it.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DueMessage)]
pub struct Step {
    /// The version it belongs to.
    pub version: i64,
    /// Which: an offset, with the occurrence where there are several; or the event.
    pub step: String,
    /// When it is or was due.
    #[schema(value_type = String, format = "date-time")]
    pub due: Time,
    /// Where it stands: `waiting`, `missed`, `unreachable`, or a state of its message.
    pub state: String,
    /// The address.
    pub address: String,
    /// The channel.
    pub channel: Option<String>,
    /// The message.
    pub message_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Room {
    /// The newest messages of a maker, by due time.
    pub(super) async fn steps(&self, kind: Kind, maker: &str) -> Result<Vec<Step>, Failed> {
        let sql = "SELECT version, step, due, state, address, channel, message, reason FROM dues
            WHERE kind = ?1 AND maker = ?2 ORDER BY version DESC, due LIMIT 500";
        let rows = self.parts.db.read(sql.into(), values![kind.word(), maker]).await?;
        let read = |r: &Row| {
            Ok(Step {
                version: r.int(0)?,
                step: r.text(1)?,
                due: Time(r.int(2)?),
                state: r.text(3)?,
                address: r.text(4)?,
                channel: r.maybe_text(5)?,
                message_id: r.maybe_text(6)?,
                reason: r.maybe_text(7)?,
            })
        };
        rows.iter().map(read).collect::<Result<_, crate::store::Error>>().map_err(Into::into)
    }
}

/// A request of ours before words: the lane and category that reminders and triggers have in common.
pub(super) fn request(category: fairway_adapters::contract::Category, metadata: std::collections::BTreeMap<String, String>) -> SendRequest {
    // Advertising goes behind everything else, whoever sends it.
    let marketing = category == fairway_adapters::contract::Category::Marketing;
    SendRequest { category, priority: if marketing { Priority::Bulk } else { Priority::Normal }, metadata, ..SendRequest::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::laws::{Stage, laws};

    laws! { what_is_long_over_is_forgotten_and_nothing_else }

    async fn what_is_long_over_is_forgotten_and_nothing_else(stage: Stage) {
        let db = stage.open().await;
        super::super::open_tables(&*db).await.expect("tables");
        let day = 86_400_000;
        let (now, before) = (Time(1000 * day), Time(910 * day));
        let due = |kind: &str, maker: &str, step: String, due: i64, state: &str, sent_at: Option<i64>| {
            let sql = "INSERT INTO dues (kind, maker, version, step, due, state, level, address, data, recall, sent_at)
                VALUES (?1, ?2, 1, ?3, ?4, ?5, 1, 'tel:+1', '{}', 0, ?6)";
            Statement::once(sql, values![kind, maker, step, due * day, state, sent_at.map(|at| at * day)])
        };
        let entry = |n: u128| ids::text("", n);
        let travels = |n: u128, state: &str| {
            let sql = "INSERT INTO journey_people (journey, address, entry, place, state, data, entered_at, changed_at)
                VALUES (?1, 'tel:+1', ?2, 'x', ?3, '{}', 0, 0)";
            Statement::once(sql, values![format!("jny_{n}"), entry(n), state])
        };
        let trigger = "INSERT INTO makers (kind, id, version, body, source, state, created_at, changed_at)
            VALUES ('trigger', 'trg_1', 1, ?1, '{}', 'active', 0, 0)";
        let body = serde_json::json!({ "name": "n", "on": "x", "channels": ["sms"], "cap": { "count": 1, "per": "P200D" } });
        let mut statements = vec![
            Statement::once(trigger, values![body.to_string()]),
            travels(1, "going"),
            travels(2, "done"),
            due("journey", "jny_1", format!("{} first", entry(1)), 900, "passed", None),
            due("journey", "jny_1", format!("{} first", entry(9)), 900, "passed", None),
            due("journey", "jny_2", format!("{} first", entry(2)), 900, "delivered", Some(900)),
            due("reminder", "late", "-P1D".into(), 900, "delivered", Some(950)),
            due("reminder", "young", "-P1D".into(), 911, "missed", None),
            due("trigger", "trg_1", "counts".into(), 900, "sent", Some(900)),
            due("trigger", "trg_1", "counts no more".into(), 799, "sent", Some(799)),
        ];
        for state in ["waiting", "planned", "accepted", "scheduled", "held", "sending", "in_doubt"] {
            statements.push(due("reminder", "open", state.into(), 1, state, Some(1)));
        }
        for (n, state) in ["missed", "unreachable", "sent", "failed", "delivered", "read", "expired", "cancelled"].iter().enumerate() {
            for round in 0..150 {
                statements.push(due("reminder", "over", format!("{n} {round}"), 1, state, None));
            }
        }
        db.write(statements).await.expect("written");
        let mut batches = Vec::new();
        loop {
            match forget(&*db, before, now).await.expect("forgotten") {
                0 => break,
                some => batches.push(some),
            }
        }
        // 1,200 of the reminder, one of the trigger, two of the journeys.
        assert_eq!(batches, [1003, 200]);
        let left = db.read("SELECT maker, step FROM dues".into(), Vec::new()).await.expect("read");
        let text = |r: &Row| format!("{} {}", r.text(0).expect("text"), r.text(1).expect("text"));
        let mut left: Vec<String> = left.iter().map(text).collect();
        left.sort();
        let open = ["accepted", "held", "in_doubt", "planned", "scheduled", "sending", "waiting"].map(|state| format!("open {state}"));
        let mut expected = vec![format!("jny_1 {} first", entry(1)), "late -P1D".into(), "young -P1D".into(), "trg_1 counts".into()];
        expected.extend(open);
        expected.sort();
        assert_eq!(left, expected);
    }
}
