//! One reader for all units of a node: on Kafka every reader is a client of its own, and sixty-four would be too many.

use std::{collections::HashMap, time::Duration};

use tokio::sync::mpsc;

use super::Event;
use crate::log::{Position, Reader, Stored, Topic};

/// The topics a unit may read.
const TOPICS: [Topic; 5] = [Topic::OutUrgent, Topic::OutNormal, Topic::OutBulk, Topic::Orders, Topic::Ledger];
/// Records read at a time.
const READ: usize = 1024;

enum Command {
    Join(u32, mpsc::UnboundedSender<Event>),
    Leave(u32),
    Assign(Position),
    Pause(Topic, u32),
}

/// Reads for all units; each says what it wants. Cloning shares the reader.
#[derive(Clone)]
pub struct Feeder(mpsc::UnboundedSender<Command>);

impl Feeder {
    /// Starts reading with this reader, which is assigned nothing yet.
    pub fn start(reader: Box<dyn Reader>) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        tokio::spawn(run(reader, receiver));
        Self(commands)
    }

    pub(super) fn join(&self, unit: u32, events: mpsc::UnboundedSender<Event>) {
        let _ = self.0.send(Command::Join(unit, events));
    }

    /// Reads nothing more for this unit.
    pub fn leave(&self, unit: u32) {
        let _ = self.0.send(Command::Leave(unit));
    }

    pub(super) fn assign(&self, from: Position) {
        let _ = self.0.send(Command::Assign(from));
    }

    pub(super) fn pause(&self, topic: Topic, unit: u32) {
        let _ = self.0.send(Command::Pause(topic, unit));
    }
}

async fn run(mut reader: Box<dyn Reader>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut units: HashMap<u32, mpsc::UnboundedSender<Event>> = HashMap::new();
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(Command::Join(unit, events)) => {
                    units.insert(unit, events);
                }
                Some(Command::Leave(unit)) => {
                    units.remove(&unit);
                    TOPICS.into_iter().for_each(|topic| reader.release(topic, unit));
                }
                Some(Command::Assign(at)) => reader.assign(at),
                Some(Command::Pause(topic, unit)) => reader.pause(topic, unit),
                None => return,
            },
            read = reader.next(READ) => match read {
                Ok(records) => hand_over(&units, records),
                Err(e) => {
                    tracing::warn!(error = %e, "lanes cannot be read now");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

fn hand_over(units: &HashMap<u32, mpsc::UnboundedSender<Event>>, records: Vec<Stored>) {
    let mut by_unit: HashMap<u32, Vec<Stored>> = HashMap::new();
    for record in records {
        by_unit.entry(record.at.partition).or_default().push(record);
    }
    for (unit, records) in by_unit {
        if let Some(events) = units.get(&unit) {
            let _ = events.send(Event::Fed(records));
        }
    }
}
