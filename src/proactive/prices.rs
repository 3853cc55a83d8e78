//! What a message costs, from `prices.toml` beside the configuration file: for forecasts and budgets, never for billing.
//!
//! Amounts are kept in millionths, so that adding up a million of them is exact.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Wrong;
use crate::channels::Channel;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// ISO 4217.
    #[serde(default)]
    pub currency: String,
    /// Prices; the most particular one counts: channel before provider, the longer prefix before the shorter.
    #[serde(default)]
    price: Vec<Price>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    channel: Option<String>,
    provider: Option<String>,
    #[serde(default)]
    prefix: String,
    /// For each unit the provider charges (a segment, a message), as a decimal number.
    amount: String,
}

impl Prices {
    /// Where the file lies.
    pub fn path(config: &Path) -> PathBuf {
        config.with_file_name("prices.toml")
    }

    /// Reads the file; without one nothing has a price.
    pub fn load(path: &Path) -> Result<Self, Wrong> {
        let wrong = |why: String| Wrong::at("#/budget", "prices_invalid", format!("{}: {why}", path.display()));
        match std::fs::read_to_string(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(wrong(e.to_string())),
            Ok(text) => Self::parse(&text).map_err(wrong),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let prices: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        if !prices.price.is_empty() && prices.currency.len() != 3 {
            return Err("say the currency: currency = \"EUR\"".into());
        }
        for price in &prices.price {
            if price.channel.is_some() == price.provider.is_some() {
                return Err("a price is for a `channel` or a `provider`".into());
            }
            millionths(&price.amount).ok_or_else(|| format!("`{}` is no amount; write \"0.0742\"", price.amount))?;
        }
        Ok(prices)
    }

    /// Millionths for each unit that goes to an address through a channel; `None` where the file does not say.
    pub fn of(&self, channel: &Channel, to: &str) -> Option<i64> {
        let fits = |p: &&Price| {
            let whose = p.channel.as_deref() == Some(&*channel.id) || p.provider.as_deref() == Some(channel.facts().id);
            whose && to.starts_with(&p.prefix)
        };
        let best = self.price.iter().filter(fits).max_by_key(|p| (p.channel.is_some(), p.prefix.len()))?;
        millionths(&best.amount)
    }
}

/// A decimal amount in millionths.
pub fn millionths(text: &str) -> Option<i64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || part.len() > 6 || !digits(whole) || !digits(part) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(format!("{part:0<6}").parse().ok()?)
}

/// Millionths as a decimal amount with at least two places.
pub fn decimal(millionths: i64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    let shortest = text.find('.').map_or(text.len(), |at| at + 3);
    let end = text.trim_end_matches('0').len().max(shortest);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive() {
        for (text, number, back) in [("0.0742", 74_200, "0.0742"), ("500", 500_000_000, "500.00"), ("9.5", 9_500_000, "9.50")] {
            assert_eq!(millionths(text), Some(number));
            assert_eq!(decimal(number), back);
        }
        for text in ["", ".5", "1,5", "-1", "0.0000001", "1e3"] {
            assert_eq!(millionths(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_says_nonsense_is_refused() {
        assert!(Prices::parse("currency = \"EUR\"\n[[price]]\nprovider = \"x\"\nprefix = \"tel:+39\"\namount = \"0.07\"\n").is_ok());
        for text in ["[[price]]\nprovider = \"x\"\namount = \"1\"\n", "currency = \"EUR\"\n[[price]]\namount = \"1\"\n", "prices = 1"] {
            assert!(Prices::parse(text).is_err(), "{text}");
        }
    }
}
