//! The follower: reads from the log what became of our messages and what people did, and writes it into the books.
//!
//! Its position is never written before what it read, and every change only moves a row forward, so that reading
//! something twice changes nothing. When addresses wrote and read last is kept in mind until the position is written: a person
//! who writes ten times a second costs one row.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fairway_adapters::contract::event::{Consent, ConsentState, Follow, LinkClicked, Received, ReplyWindow, Tracked};
use fairway_adapters::contract::{State, Status, Time};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::chain::Told;
use super::{COLUMNS, Campaign};
use crate::envelope;
use crate::log::{Stored, Topic};
use crate::people::address;
use crate::people::traffic::{Noted, Traffic};
use crate::people::windows::Window;
use crate::proactive::reading::UNIT;
use crate::proactive::{Failed, Room};
use crate::store::db::{Statement, Value};
use crate::store::rank;
use crate::values;

/// What it reads.
const TOPICS: [Topic; 3] = [Topic::Status, Topic::Inbound, Topic::Signals];
/// Records of one transaction.
const BATCH: usize = 1000;
/// Addresses whose traffic is kept in mind at most, before it is noted.
const MINDED: usize = 2000;
/// How long a batch waits for more.
const PATIENCE: Duration = Duration::from_millis(50);
/// Milliseconds a campaign's goals are followed after its launch.
const FOLLOWED: i64 = 100 * 86_400_000;
/// How long the list of campaigns with goals is believed.
const BELIEVED: Duration = Duration::from_secs(1);

const DUE_STATE: &str = "UPDATE dues SET state = ?2, level = ?3, reason = coalesce(?4, reason) WHERE message = ?1 AND level < ?3";
const OPTED_OUT: &str = "UPDATE campaign_people SET opted_out = 1 WHERE address = ?1 AND message IS NOT NULL";
/// The same of people who were written to at several addresses.
const OPTED_OUT_STEP: &str = "UPDATE campaign_people SET opted_out = 1
    WHERE (campaign, number) IN (SELECT s.campaign, s.number FROM campaign_steps s WHERE s.address = ?1)";
/// Of who got nothing on purpose it counts too, from the time they would have got it: that is what they are compared with.
const GOAL: &str = "UPDATE campaign_people SET goal = ?3 WHERE address = ?1 AND campaign = ?2 AND goal IS NULL AND
    (message IS NOT NULL AND sent_at >= ?4 AND sent_at <= ?5 OR state = 'holdout' AND due >= ?4 AND due <= ?5)";
const GOAL_STEP: &str = "UPDATE campaign_people SET goal = ?3 WHERE campaign = ?2 AND goal IS NULL AND sent_at >= ?4 AND sent_at <= ?5
    AND number IN (SELECT s.number FROM campaign_steps s WHERE s.campaign = ?2 AND s.address = ?1)";

/// The body of an event: its data without what all have in common.
fn body<'a, T: Deserialize<'a>>(event: &envelope::Event<'a>) -> Option<T> {
    serde_json::from_str(event.data).ok()
}

/// What a batch changes.
#[derive(Default)]
struct Changes {
    /// Whether anything waits or waited for its time: else a state without a campaign is nobody's of ours.
    any_due: bool,
    told: Vec<Told>,
    due_states: Vec<Vec<Value>>,
    opted_out: Vec<Vec<Value>>,
    goals: Vec<Vec<Value>>,
}

/// Goals of campaigns: campaign, event, milliseconds it counts.
type Goals = Vec<(String, String, i64)>;

/// Runs until the process ends.
pub async fn run(room: Arc<Room>) {
    loop {
        if !room.parts.units.owns(UNIT) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        if let Err(e) = room.follow().await {
            tracing::error!(error = ?e, "the books of campaigns cannot be kept now; they catch up");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

impl Room {
    /// Follows as long as this node is the one to.
    async fn follow(&self) -> Result<(), Failed> {
        let mut reading = self.reading("follower", &TOPICS, None).await?;
        let (mut goals, mut looked) = (Goals::new(), None::<tokio::time::Instant>);
        let mut any_due = false;
        let mut minded = Noted::default();
        let mut chained = HashMap::new();
        while let Some(records) = reading.next(BATCH).await? {
            if !records.is_empty() && looked.is_none_or(|at| at.elapsed() > BELIEVED) {
                (goals, looked) = (self.goals().await?, Some(tokio::time::Instant::now()));
            }
            if !any_due && records.iter().any(|r| r.at.topic == Topic::Status) {
                // A row is there before its message is, so a state that finds none is nobody's of ours.
                any_due = !self.parts.db.read("SELECT 1 FROM dues LIMIT 1".into(), Vec::new()).await?.is_empty();
            }
            let mut changes = Changes { any_due, ..Changes::default() };
            records.iter().for_each(|record| learn(&mut changes, &mut minded, record, &goals));
            let mut statements = self.states(std::mem::take(&mut changes.told), &mut chained).await?;
            statements.extend(changes.statements());
            statements.retain(|s| !s.runs.is_empty());
            let place = reading.place(!statements.is_empty() || minded.len() >= MINDED);
            if place.is_some() {
                self.parts.people.note(&std::mem::take(&mut minded)).await?;
            }
            statements.extend(place);
            if !statements.is_empty() {
                self.parts.db.write(statements).await?;
            }
            if !records.is_empty() && records.len() < BATCH / 4 {
                tokio::time::sleep(PATIENCE).await; // One commit for what comes together.
            }
        }
        Ok(())
    }

    async fn goals(&self) -> Result<Goals, Failed> {
        let since = crate::clock::now().plus(-FOLLOWED);
        let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE launched_at > ?1");
        let mut goals = Goals::new();
        for row in self.parts.db.read(sql.into(), values![since.0]).await? {
            let campaign = Campaign::read(&row)?;
            let checked = campaign.plan.check()?;
            goals.extend(checked.goals.into_iter().map(|(event, within)| (campaign.id.clone(), event, within)));
        }
        Ok(goals)
    }
}

impl Changes {
    fn statements(self) -> Vec<Statement> {
        let all = [
            (DUE_STATE, self.due_states),
            (OPTED_OUT, self.opted_out.clone()),
            (OPTED_OUT_STEP, self.opted_out),
            (GOAL, self.goals.clone()),
            (GOAL_STEP, self.goals),
        ];
        all.into_iter().map(|(sql, runs)| Statement::each(sql, runs)).collect()
    }
}

fn learn(changes: &mut Changes, minded: &mut Noted, record: &Stored, goals: &Goals) {
    let Some(event) = envelope::read(record) else { return };
    mind(minded, &event, record.time);
    match &*event.kind {
        "fairway.message.status" if changes.any_due || event.data.contains("\"campaign\":") => learn_state(changes, &event),
        "fairway.contact.consent" => {
            let consent: Option<Consent<'_>> = body(&event);
            if let Some(Consent { from: Some(from), state: ConsentState::OptedOut, .. }) = consent {
                changes.opted_out.push(values![&*from.address]);
            }
        }
        "fairway.contact.unfollowed" => {
            if let Some(follow) = body::<Follow<'_>>(&event) {
                changes.opted_out.push(values![&*follow.from.address]);
            }
        }
        "fairway.message.received" if goals.iter().any(|(_, name, _)| name == "answered") => {
            if let Some(received) = body::<Received<'_>>(&event).filter(|r| r.message.history != Some(true)) {
                learn_goal(changes, goals, "answered", &received.from.address, record.time);
            }
        }
        "fairway.link.clicked" if goals.iter().any(|(_, name, _)| name == "clicked") => {
            if let Some(LinkClicked { from: Some(from), .. }) = body(&event) {
                learn_goal(changes, goals, "clicked", &from.address, record.time);
            }
        }
        "fairway.contact.tracked" if !goals.is_empty() => {
            if let Some(Tracked { from: Some(from), name, .. }) = body(&event) {
                learn_goal(changes, goals, &name, &from.address, record.time);
            }
        }
        _ => {}
    }
}

/// What of an event tells when somebody wrote or read.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    conversation: Cow<'a, str>,
    #[serde(borrow)]
    from: Option<SeenPerson<'a>>,
    message: Option<SeenMessage>,
    #[serde(borrow)]
    reply_window: Option<ReplyWindow<'a>>,
    state: Option<State>,
    recipient: Option<IgnoredAny>,
    at: Option<Time>,
}

#[derive(Deserialize)]
struct SeenPerson<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    also: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct SeenMessage {
    #[serde(default)]
    history: bool,
    #[serde(default)]
    automatic: bool,
    group: Option<IgnoredAny>,
}

/// Keeps in mind when somebody wrote to us, to us alone and themselves, what that told of their window, or read what we wrote.
fn mind(minded: &mut Noted, event: &envelope::Event<'_>, at: i64) {
    if !matches!(&*event.kind, "fairway.message.received" | "fairway.contact.read" | "fairway.message.status") {
        return;
    }
    let read = event.kind != "fairway.message.received";
    if event.kind == "fairway.message.status" && !event.data.contains("\"read\"") {
        return; // Most states are others.
    }
    let Ok(seen) = serde_json::from_str::<Seen<'_>>(event.data) else { return };
    let mut note = |address: &str, at: Time| {
        let one = if read { Traffic { read: Some(at), ..Traffic::default() } } else { Traffic { wrote: Some(at), ..Traffic::default() } };
        let known = minded.traffic.entry(address::normal(address).into_owned()).or_default();
        *known = known.joined(one);
    };
    match (&seen.from, seen.conversation.split_once('/')) {
        _ if seen.message.is_some_and(|m| m.history || m.automatic || m.group.is_some()) => {}
        (Some(person), _) if person.kind.as_deref().is_none_or(|kind| kind == "person") => {
            std::iter::once(&person.address).chain(&person.also).for_each(|address| note(address, Time(at)));
            if !read {
                let told = seen.reply_window.unwrap_or_default();
                let window = Window {
                    address: address::normal(&person.address).into_owned(),
                    told_at: Time(at),
                    closes_at: told.closes_at,
                    free_until: told.free_until,
                    closed_reason: told.closed_reason.map(Cow::into_owned),
                };
                let known = minded.windows.remove(&*seen.conversation).unwrap_or_default();
                minded.windows.insert(seen.conversation.to_string(), known.joined(window));
            }
        }
        // What a member of a group read tells nothing of a person's own conversation.
        (None, Some((_, peer))) if seen.state == Some(State::Read) && seen.recipient.is_none() => {
            note(peer.split('#').next().unwrap_or(peer), seen.at.unwrap_or(Time(at)));
        }
        _ => {}
    }
}

fn learn_state(changes: &mut Changes, event: &envelope::Event<'_>) {
    let Some(status) = body::<Status<'_>>(event) else { return };
    let attempt = u16::try_from(status.attempt.unwrap_or(0)).unwrap_or(u16::MAX);
    // Planned and accepted are 0 and 1.
    let level = 10 + rank(attempt, status.state);
    let error = status.error.as_ref();
    let reason = error.map(|e| format!("{}: {}", e.code, e.title)).or(status.reason.as_ref().map(|r| r.to_string()));
    let class = error.map(|e| e.class.word());
    let Some(campaign) = status.campaign else {
        // Of a reminder, a trigger, or of none of ours: an index says which.
        return changes.due_states.push(values![&*status.message_id, status.state.word(), level, reason]);
    };
    let (channel, peer) = event.subject.split_once('/').unwrap_or_default();
    changes.told.push(Told {
        campaign: campaign.into_owned(),
        first: status.fallback_of.unwrap_or_else(|| status.message_id.clone()).into_owned(),
        message: status.message_id.into_owned(),
        channel: channel.to_owned(),
        address: peer.split('#').next().unwrap_or(peer).to_owned(),
        state: status.state,
        level,
        reason,
        class,
        until: status.until,
        units: status.units,
    });
}

fn learn_goal(changes: &mut Changes, goals: &Goals, name: &str, address: &str, at: i64) {
    for (campaign, _, within) in goals.iter().filter(|(_, event, _)| event == name) {
        let Time(from) = Time(at).plus(-within);
        changes.goals.push(values![address, campaign.as_str(), name, from, at]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_wrote_or_read_is_kept_in_mind_once_with_the_latest_time() {
        let mut minded = Noted::default();
        let mut hear = |kind: &str, at: i64, data: serde_json::Value| {
            let data = data.to_string();
            let event = envelope::Event {
                id: "evt_1".into(),
                kind: kind.into(),
                source: "s".into(),
                subject: "".into(),
                time: "".into(),
                replaces: None,
                data: &data,
            };
            mind(&mut minded, &event, at);
        };
        let wrote = |address: &str, more: serde_json::Value| {
            let mut message = json!({ "id": "1", "parts": [] });
            message.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
            let window = json!({ "closes_at": more.get("closes_at") });
            json!({ "conversation": format!("c/{address}"), "from": { "address": address, "also": ["tel:+1 555 010 0200"] },
                "message": message, "reply_window": window })
        };
        hear("fairway.message.received", 20, wrote("viber:1", json!({ "closes_at": "1970-01-01T00:00:00.120Z" })));
        hear("fairway.message.received", 10, wrote("viber:1", json!({})));
        for more in [json!({ "history": true }), json!({ "automatic": true }), json!({ "group": { "id": "g" } })] {
            hear("fairway.message.received", 30, wrote("viber:1", more));
        }
        let bot = json!({ "conversation": "c/viber:2", "from": { "address": "viber:2", "kind": "bot" }, "message": { "id": "1" } });
        hear("fairway.message.received", 30, bot);
        let state =
            |state: &str| json!({ "conversation": "c/viber:3#t", "message_id": "m", "state": state, "at": "1970-01-01T00:00:00.040Z" });
        hear("fairway.message.status", 50, state("read"));
        hear("fairway.message.status", 60, state("delivered"));
        hear("fairway.contact.read", 70, json!({ "conversation": "c/webchat:v", "from": { "address": "webchat:v" } }));
        hear("fairway.contact.typing", 80, json!({ "conversation": "c/webchat:v", "from": { "address": "webchat:v" } }));
        let at = |wrote: Option<i64>, read: Option<i64>| Traffic { wrote: wrote.map(Time), read: read.map(Time) };
        let expected = [("tel:+15550100200", at(Some(20), None)), ("viber:1", at(Some(20), None)), ("viber:3", at(None, Some(40)))];
        let expected = expected.into_iter().chain([("webchat:v", at(None, Some(70)))]).map(|(a, t)| (a.to_owned(), t));
        assert_eq!(minded.traffic, expected.collect());
        let window = Window { address: "viber:1".into(), told_at: Time(20), closes_at: Some(Time(120)), ..Window::default() };
        assert_eq!(minded.windows, [("c/viber:1".to_owned(), window)].into(), "the latest, of who wrote themselves and to us alone");
    }
}
