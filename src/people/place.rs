//! Where a person probably lives, from a phone number or a locale: country, region, and the zones people there live in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use serde::Deserialize;

use super::address;

/// A guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1.
    pub country: &'static str,
    /// US state or Canadian province.
    pub region: Option<&'static str>,
    /// The zones people there live in, the most likely first.
    pub zones: &'static [String],
}

#[derive(Deserialize)]
struct Country {
    code: Vec<String>,
    zones: Vec<String>,
}

#[derive(Deserialize)]
struct Areas {
    zone: String,
    codes: Vec<u16>,
}

struct Atlas {
    countries: BTreeMap<String, Country>,
    /// Country by calling code; the longest that fits wins.
    codes: HashMap<String, String>,
    /// Area code: country, region, zone.
    areas: HashMap<String, (String, String, Vec<String>)>,
}

static ATLAS: LazyLock<Atlas> = LazyLock::new(|| {
    let countries: BTreeMap<String, Country> = toml::from_str(include_str!("countries.toml")).expect("the table is valid");
    let regions: BTreeMap<String, BTreeMap<String, Vec<Areas>>> = toml::from_str(include_str!("areas.toml")).expect("the table is valid");
    // Two countries share the 1: what is in no area known is taken for the larger one's, which comes later in the alphabet.
    let codes = countries.iter().flat_map(|(id, c)| c.code.iter().map(|code| (code.clone(), id.clone()))).collect();
    let mut areas = HashMap::new();
    for (country, regions) in regions {
        for (region, lists) in regions {
            for list in lists {
                for code in list.codes {
                    areas.insert(code.to_string(), (country.clone(), region.clone(), vec![list.zone.clone()]));
                }
            }
        }
    }
    Atlas { countries, codes, areas }
});

/// The zones of a country, the most likely first; empty for one that is not known.
pub fn zones(country: &str) -> &'static [String] {
    ATLAS.countries.get(country).map_or(&[], |c| &c.zones)
}

/// Where a number is from.
pub fn of_number(digits: &str) -> Option<Place> {
    if let Some(area) = digits.strip_prefix('1').and_then(|d| d.get(..3))
        && let Some((country, region, zones)) = ATLAS.areas.get(area)
    {
        return Some(Place { country, region: Some(region), zones });
    }
    let country = (1..=4.min(digits.len())).rev().find_map(|n| ATLAS.codes.get(&digits[..n]))?;
    let (id, found) = ATLAS.countries.get_key_value(country)?;
    Some(Place { country: id, region: None, zones: &found.zones })
}

/// Where a locale is spoken, when it names a region (`pt-BR`).
pub fn of_locale(locale: &str) -> Option<Place> {
    let region = locale.split(['-', '_']).skip(1).find(|part| part.len() == 2)?.to_ascii_uppercase();
    let (id, found) = ATLAS.countries.get_key_value(&region)?;
    Some(Place { country: id, region: None, zones: &found.zones })
}

/// Where a person with these addresses and this locale probably lives: the number tells more than the locale.
pub fn of<'a>(mut addresses: impl Iterator<Item = &'a str>, locale: Option<&str>) -> Option<Place> {
    addresses.find_map(|a| of_number(address::number(a)?)).or_else(|| of_locale(locale?))
}

/// Whether the time zone database knows a name.
pub fn is_zone(name: &str) -> bool {
    name.contains('/') && jiff::tz::TimeZone::get(name).is_ok() || name == "UTC"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_locales_are_somewhere() {
        for (number, country, region, zone) in [
            ("491701234567", "DE", None, "Europe/Berlin"),
            ("15125550100", "US", Some("TX"), "America/Chicago"),
            ("18505550100", "US", Some("FL"), "America/Chicago"),
            ("16045550100", "CA", Some("BC"), "America/Vancouver"),
            ("18095550100", "DO", None, "America/Santo_Domingo"),
            ("15550100200", "US", None, "America/New_York"),
            ("77011234567", "KZ", None, "Asia/Almaty"),
            ("79161234567", "RU", None, "Europe/Moscow"),
        ] {
            let place = of_number(number).expect(number);
            assert_eq!((place.country, place.region, place.zones[0].as_str()), (country, region, zone), "{number}");
        }
        assert_eq!(of_locale("pt-BR").map(|p| p.country), Some("BR"));
        assert_eq!(of_locale("zh-Hant-TW").map(|p| p.country), Some("TW"));
        assert_eq!((of_locale("pt"), of_number("99")), (None, None));
    }

    #[test]
    fn every_zone_of_the_tables_is_known() {
        let areas = ATLAS.areas.values().flat_map(|(_, _, zones)| zones);
        for zone in ATLAS.countries.values().flat_map(|c| &c.zones).chain(areas) {
            assert!(is_zone(zone), "{zone}");
        }
        assert!(!is_zone("Europe/Atlantis") && !is_zone("CET") && is_zone("UTC"));
    }
}
