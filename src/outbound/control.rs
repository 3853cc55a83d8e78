//! Commands to a channel's owner, wherever it is: kept in the store, told to the owner here, and to the other nodes by the log.

use bytes::Bytes;
use fairway_adapters::contract::{Priority, Time};
use serde::{Deserialize, Serialize};

use super::owner::Units;
use super::unit::{Ask, pause_setting, throttle_setting};
use crate::config::units::Rate;
use crate::log::{Durability, EventLog, Headers, Outcome, Record, Stored, Topic};
use crate::store::{self, Store};

/// What a channel's owner is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Hold outbound until then; `None` lets it go.
    Pause {
        /// The channel.
        channel: String,
        /// Its unit.
        unit: u32,
        /// One lane of it; all where absent.
        #[serde(default)]
        lane: Option<Priority>,
        /// Until when.
        until: Option<Time>,
    },
    /// Another limit for the channel's sender; `None` gives the configured one back.
    Throttle {
        /// The channel.
        channel: String,
        /// Its unit.
        unit: u32,
        /// The limit.
        rate: Option<Rate>,
        /// Until when; for good where absent.
        until: Option<Time>,
    },
}

impl Command {
    /// Reads a record of `control`.
    pub fn read(record: &Stored) -> Option<Self> {
        serde_json::from_slice(&record.value).ok()
    }

    /// Tells the owner, if it is on this node.
    pub fn tell(self, units: &Units) {
        match self {
            Self::Pause { channel, unit, lane, until } => units.ask(unit, Ask::Pause(channel, lane, until)),
            Self::Throttle { channel, unit, rate, until } => units.ask(unit, Ask::Throttle(channel, rate, until)),
        };
    }

    /// The setting that keeps it for a new owner, and what stands there; nothing when there is nothing to keep.
    fn setting(&self) -> (String, String) {
        match self {
            Self::Pause { channel, lane, until, .. } => (pause_setting(channel, *lane), until.map_or(String::new(), |t| t.0.to_string())),
            Self::Throttle { channel, rate, until, .. } => {
                let kept = rate.as_ref().map(|rate| serde_json::to_string(&(rate, until)).unwrap_or_default());
                (throttle_setting(channel), kept.unwrap_or_default())
            }
        }
    }

    /// Puts it in force: for good in the store, at once here, and within a second on every other node.
    ///
    /// # Errors
    /// When the store is away; then nothing has changed.
    pub async fn give(self, store: &dyn Store, log: &dyn EventLog, units: &Units) -> Result<(), store::Error> {
        let (name, value) = self.setting();
        store.put_setting(&name, value).await?;
        let record = Record {
            topic: Topic::Control,
            partition: 0,
            key: Bytes::from(name),
            headers: Headers::default(),
            value: Some(serde_json::to_vec(&self).unwrap_or_default().into()),
        };
        // The owner here need not wait for a log that is slow.
        self.tell(units);
        let told = log.append(vec![record], Durability::Log).await;
        if !told.iter().all(Outcome::is_durable) {
            tracing::warn!("a command was not told to the other nodes now; they find it when they next own the channel");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_back_as_it_was_given() {
        let rate: Rate = "80/s".parse().expect("a rate");
        for command in [
            Command::Pause { channel: "shop".into(), unit: 3, lane: Some(Priority::Bulk), until: None },
            Command::Throttle { channel: "shop".into(), unit: 3, rate: Some(rate), until: Some(Time(5)) },
        ] {
            let text = serde_json::to_string(&command).expect("JSON");
            assert_eq!(serde_json::from_str::<Command>(&text).expect("a command"), command);
        }
    }
}
