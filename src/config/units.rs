//! Quantities with units, as people write them in the configuration.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time: `500ms`, `10s`, `5m`, `24h`, `7d`, `5y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Whole milliseconds.
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a time span; write a number and a unit: 500ms, 10s, 5m, 24h, 7d, 5y");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => 1.0,
            "s" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3600e3,
            "d" => 86_400e3,
            "w" => 7.0 * 86_400e3,
            "y" => 365.0 * 86_400e3,
            _ => return Err(wrong()),
        };
        Ok(Self(Duration::from_millis((number * millis) as u64)))
    }
}

/// An amount of memory: `512 KiB`, `4 MiB`, `20 GiB`, `10 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write a number and a unit: 512 KiB, 4 MiB, 20 GiB");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "kib" => 1 << 10,
            "mb" => 1_000_000,
            "mib" => 1 << 20,
            "gb" => 1_000_000_000,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        Ok(Self((number * factor as f64) as u64))
    }
}

/// A pace: `80/s`, `1/6s`, `10000/24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In any window of this length.
    pub window: Duration,
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate; write a count, a slash and a span: 80/s, 1/6s, 10000/24h");
        let (count, window) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|c| *c > 0).ok_or_else(wrong)?;
        let window = window.trim();
        let window = if window.starts_with(|c: char| c.is_ascii_digit()) { window.to_owned() } else { format!("1{window}") };
        let Span(window) = window.parse().map_err(|_| wrong())?;
        if window.is_zero() {
            return Err(wrong());
        }
        Ok(Self { count, window })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.window.as_millis();
        match ms {
            1000 => write!(f, "{}/s", self.count),
            _ if ms.is_multiple_of(3_600_000) => write!(f, "{}/{}h", self.count, ms / 3_600_000),
            _ if ms.is_multiple_of(1000) => write!(f, "{}/{}s", self.count, ms / 1000),
            _ => write!(f, "{}/{ms}ms", self.count),
        }
    }
}

/// A country: ISO 3166-1 alpha-2, in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountryCode(pub [u8; 2]);

impl FromStr for CountryCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let letters: Option<[u8; 2]> = text.as_bytes().try_into().ok().filter(|t: &[u8; 2]| t.iter().all(u8::is_ascii_uppercase));
        letters.map(Self).ok_or_else(|| format!("`{text}` is not a country; write its two letters (ISO 3166-1): DE, US, BR"))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

macro_rules! from_text {
    ($type:ident, $pattern:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

from_text!(Span, r"^[0-9.]+ *(ms|s|m|min|h|d|w|y)$", "7d");
from_text!(Bytes, r"^[0-9.]+ *([KkMmGgTt]i?[Bb]|[Bb])?$", "4 MiB");
from_text!(CountryCode, r"^[A-Z]{2}$", "DE");
from_text!(Rate, r"^[0-9]+ */ *[0-9.]*(ms|s|m|min|h|d)$", "80/s");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_what_people_write() {
        assert_eq!("7d".parse::<Span>().map(Span::millis), Ok(604_800_000));
        assert_eq!("4 MiB".parse::<Bytes>(), Ok(Bytes(4 << 20)));
        for (text, count, ms) in [("80/s", 80, 1000), ("1/6s", 1, 6000), ("10000/24h", 10_000, 86_400_000)] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!((rate.count, rate.window.as_millis()), (count, ms));
            assert_eq!(rate.to_string(), text);
        }
        for bad in ["", "7", "x", "1/0s", "0/s", "80"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
