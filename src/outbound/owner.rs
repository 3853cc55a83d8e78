//! Who owns which unit: tenures come from the log; a gained unit is read back from its ledger and then run by its own task.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use fairway_adapters::contract::Time;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::ledger::Entry;
use super::replay::Replay;
use super::unit::{self, Ask, Feeder};
use crate::clock;
use crate::ids;
use crate::log::{Durability, EventLog, Outcome, Position, Positions, Tenure, Topic};
use crate::telemetry::{self, names};

/// Departures are read back at least so far, in milliseconds.
const MINUTE: i64 = 60_000;

/// The units this node runs, for whoever wants to ask their owner.
#[derive(Clone)]
pub struct Units(watch::Sender<Owners>);

type Owners = BTreeMap<u32, mpsc::UnboundedSender<Ask>>;

impl Default for Units {
    fn default() -> Self {
        Self(watch::Sender::new(Owners::new()))
    }
}

impl Units {
    /// Asks the owner of a unit, if this node is it.
    pub fn ask(&self, unit: u32, ask: Ask) -> bool {
        self.0.borrow().get(&unit).is_some_and(|owner| owner.send(ask).is_ok())
    }

    /// Whether this node owns a unit.
    pub fn owns(&self, unit: u32) -> bool {
        self.0.borrow().contains_key(&unit)
    }

    /// How many units this node owns.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Waits until units come or go, at most so long.
    pub async fn changed(&self, within: Duration) {
        let mut changes = self.0.subscribe();
        let _ = tokio::time::timeout(within, changes.changed()).await;
    }

    fn change(&self, change: impl FnOnce(&mut Owners)) {
        self.0.send_modify(change);
    }
}

/// Runs units as their tenures come and go, until `stop` turns true; then lets every unit finish what is under way.
pub async fn run(parts: Arc<unit::Parts>, units: Units, mut stop: watch::Receiver<bool>) {
    let mut tenures = parts.log.tenures();
    let mut running: HashMap<u32, (watch::Sender<bool>, JoinHandle<()>)> = HashMap::new();
    let gauge = telemetry::gauge(&names::UNITS_OWNED, &[]);
    let feeder = Feeder::start(parts.log.reader());
    loop {
        let tenure = tokio::select! {
            tenure = tenures.recv() => tenure,
            _ = async { stop.wait_for(|s| *s).await.map_or((), |_| ()) } => None,
        };
        let Some(first) = tenure else { break };
        // Units come in crowds; one pass over the ledger serves all of them.
        let mut gained = Vec::new();
        let mut next = Some(first);
        while let Some(tenure) = next {
            match tenure {
                Tenure::Gained(unit) => gained.push(unit),
                Tenure::Lost(unit) => {
                    gained.retain(|u| *u != unit);
                    units.change(|owners| drop(owners.remove(&unit)));
                    if let Some((stop, task)) = running.remove(&unit) {
                        let _ = stop.send(true);
                        // What it would still write would stand behind the next owner's record, and so be void.
                        task.abort();
                        feeder.leave(unit);
                    }
                }
            }
            next = tenures.try_recv().ok();
        }
        if !gained.is_empty() {
            let replays = loop {
                match replay(&parts, &gained).await {
                    Ok(replays) => break replays,
                    Err(e) => {
                        tracing::error!(error = %e, "the ledger cannot be read; outbound waits");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            };
            for (unit, replay) in replays {
                let (stop_unit, stopped) = watch::channel(false);
                let (asks, inbox) = mpsc::unbounded_channel();
                units.change(|owners| drop(owners.insert(unit, asks)));
                let task = tokio::spawn(unit::run(Arc::clone(&parts), feeder.clone(), unit, replay, inbox, stopped));
                running.insert(unit, (stop_unit, task));
            }
        }
        gauge.set(running.len() as f64);
    }
    units.change(Owners::clear);
    for (stop, _) in running.values() {
        let _ = stop.send(true);
    }
    for (_, task) in running.into_values() {
        let _ = task.await;
    }
}

/// Begins a tenure of each unit and reads its ledger up to there.
async fn replay(parts: &unit::Parts, units: &[u32]) -> Result<Vec<(u32, Replay)>, String> {
    let log = &*parts.log;
    let tenure = ids::random() as u64;
    let now = clock::now();
    let records = units.iter().map(|u| Entry::Owner { tenure, at: now }.record(*u, tenure)).collect();
    let outcomes = log.append(records, Durability::Log).await;
    let mut owners = BTreeMap::new();
    for (unit, outcome) in units.iter().zip(outcomes) {
        match outcome {
            Outcome::Durable(Some(offset)) => owners.insert(*unit, offset),
            other => return Err(format!("the owner record of unit {unit} is not durable: {other:?}")),
        };
    }
    if log.health().kind == "kafka" {
        // What an owner before us has confirmed may still leave for a second.
        tokio::time::sleep(Duration::from_millis(super::ledger::LEAVE_WITHIN as u64)).await;
    }
    // Each unit's departures are read as far back as its limits remember, so that none is exceeded by a restart.
    let mut places: BTreeMap<Time, Positions> = BTreeMap::new();
    let since: BTreeMap<u32, Time> = owners.keys().map(|unit| (*unit, now.plus(-unit::memory(parts, *unit).max(MINUTE)))).collect();
    for time in since.values() {
        if !places.contains_key(time) {
            places.insert(*time, log.since(Topic::Ledger, time.0).await.map_err(|e| e.to_string())?);
        }
    }
    let begins = log.begins(Topic::Ledger).await.map_err(|e| e.to_string())?;
    let mut from = Positions::new();
    let mut replays = BTreeMap::new();
    for (unit, owner_at) in &owners {
        let checkpoint = checkpoint(log, *unit).await?;
        let begin = begins.get(unit).copied().unwrap_or(0);
        let told_from = checkpoint.map_or(begin, |c| c.1);
        let start = told_from.min(places[&since[unit]].get(unit).copied().unwrap_or(*owner_at)).clamp(begin, *owner_at);
        from.insert(*unit, start);
        let (lanes, orders) = checkpoint.map_or(([0; 3], 0), |c| (c.0, c.2));
        replays.insert(*unit, Replay { tenure, owner_at: *owner_at, lanes, orders, told_from, ..Replay::default() });
    }
    let mut reader = log.reader();
    for (unit, offset) in &from {
        reader.assign(Position { topic: Topic::Ledger, partition: *unit, offset: *offset });
    }
    let mut left = owners.len();
    while left > 0 {
        for record in reader.next(10_000).await.map_err(|e| e.to_string())? {
            let unit = record.at.partition;
            let (Some(replay), Some(owner_at)) = (replays.get_mut(&unit), owners.get(&unit)) else { continue };
            if record.at.offset < *owner_at {
                match Entry::decode_with_tenure(&record.value) {
                    Some((written_in, entry)) => replay.take(record.at.offset, written_in, entry, since[&unit]),
                    None => {
                        return Err(format!("a ledger record of unit {unit} was written by a newer version of Fairway; use that version"));
                    }
                }
            } else if record.at.offset == *owner_at {
                left -= 1;
                reader.release(Topic::Ledger, unit);
            }
        }
    }
    Ok(replays.into_iter().collect())
}

/// The checkpoint that the committed position of a unit points at: lane offsets, ledger position, orders.
async fn checkpoint(log: &dyn EventLog, unit: u32) -> Result<Option<([u64; 3], u64, u64)>, String> {
    let committed = log.committed(&format!("ledger/{unit}")).await.map_err(|e| e.to_string())?;
    let Some(offset) = committed.get(&unit).copied() else { return Ok(None) };
    let mut reader = log.reader();
    reader.assign(Position { topic: Topic::Ledger, partition: unit, offset });
    let read = reader.next(1).await.map_err(|e| e.to_string())?;
    Ok(match read.first().map(|r| Entry::decode(&r.value)) {
        Some(Some(Entry::Checkpoint { lanes, orders, ledger, .. })) => Some((lanes, ledger, orders)),
        _ => None,
    })
}
