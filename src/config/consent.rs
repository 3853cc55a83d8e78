//! What the file says about consent: how far a STOP reaches, the hours marketing keeps, and how much of it one person gets.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::units::Rate;

/// `[consent]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// How far a STOP reaches.
    pub reach: Reach,
    /// Whether words such as STOP and START, as a person's whole message, opt out and in.
    pub words: bool,
}

/// How far a STOP reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The channel it came to.
    #[default]
    Channel,
    /// Every channel that writes to the same address.
    Address,
}

/// What a channel needs before marketing may go out through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Nobody who opted out.
    #[default]
    OptOut,
    /// Only who opted in.
    OptIn,
}

/// `[channels.NAME.opt_out]`: what a person who says a word is answered. Leave out what the provider answers itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptOut {
    /// Whether words opt out on this channel; what `[consent]` says where it is left out.
    pub words: Option<bool>,
    /// The one confirmation of a STOP.
    pub confirmation: Option<String>,
    /// The answer to a START.
    pub welcome: Option<String>,
    /// The answer to HELP.
    pub help: Option<String>,
}

/// `[quiet_hours]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When marketing may go out, by the person's own clock.
    pub marketing: Hours,
    /// Whether the narrower hours of countries and US states are kept too.
    pub tables: bool,
}

/// Hours of a day: `["08:00", "21:00"]`, or `"off"` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// At any time.
    Off,
    /// From this minute of the day until before that one.
    Between(u16, u16),
}

impl Hours {
    /// Reads `08:00` and `21:00`.
    pub fn between(from: &str, to: &str) -> Result<Self, String> {
        let minutes = |text: &str| -> Option<u16> {
            let (hours, minutes) = text.split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60 || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
        };
        match (minutes(from), minutes(to)) {
            (Some(from), Some(to)) if from < to => Ok(Self::Between(from, to)),
            _ => Err(format!("`{from}` to `{to}` are not hours of one day; write [\"08:00\", \"21:00\"] or \"off\"")),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Between(from, to) => write!(f, "{:02}:{:02} to {:02}:{:02}", from / 60, from % 60, to / 60, to % 60),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match OneOrMore::deserialize(deserializer) {
            Ok(OneOrMore::One(word)) if word == "off" => Ok(Self::Off),
            Ok(OneOrMore::More(span)) if span.len() == 2 => Self::between(&span[0], &span[1]).map_err(de::Error::custom),
            _ => Err(de::Error::custom("expected two times of a day or a word; write [\"08:00\", \"21:00\"] or \"off\"")),
        }
    }
}

impl JsonSchema for Hours {
    fn schema_name() -> Cow<'static, str> {
        "Hours".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [
            { "const": "off" },
            { "type": "array", "items": { "type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$" }, "minItems": 2, "maxItems": 2 },
        ], "examples": [["08:00", "21:00"]] })
    }
}

/// `[caps]`: how much of a kind one person gets, across all channels, campaigns and callers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Marketing: `"3/7d"`, or several of them. What is more waits.
    #[serde(default)]
    pub marketing: Rates,
}

/// One rate or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(pub Vec<Rate>);

impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = match OneOrMore::deserialize(deserializer)
            .map_err(|_| de::Error::custom("expected a rate, such as 3/7d, or a list of them"))?
        {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        };
        all.iter().map(|text| text.parse().map_err(de::Error::custom)).collect::<Result<_, _>>().map(Self)
    }
}

impl JsonSchema for Rates {
    fn schema_name() -> Cow<'static, str> {
        "Rates".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<Rate>();
        schemars::json_schema!({ "oneOf": [one, { "type": "array", "items": one }], "examples": ["3/7d"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_caps_read_what_people_write() {
        let read = |text: &str| serde_json::from_str::<Hours>(text);
        assert_eq!(read(r#"["08:00", "21:30"]"#).expect("hours"), Hours::Between(480, 1290));
        assert_eq!(read(r#"["00:00", "24:00"]"#).expect("hours"), Hours::Between(0, 1440));
        assert_eq!(read(r#""off""#).expect("off"), Hours::Off);
        assert_eq!(Hours::Between(480, 1290).to_string(), "08:00 to 21:30");
        for bad in [r#"["21:00", "08:00"]"#, r#"["8"]"#, r#""on""#, r#"["25:00", "26:00"]"#, "7"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let rates: Rates = serde_json::from_str(r#"["3/7d", "1/24h"]"#).expect("rates");
        assert_eq!(rates.0.len(), 2);
        assert!(serde_json::from_str::<Rates>(r#""3""#).is_err());
    }
}
