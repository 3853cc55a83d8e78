//! Who somebody is on WhatsApp: a business-scoped id that stays, a phone number that may be hidden, a group.

use crate::contract::{Person, Text, Time};
use crate::kit::address;
use crate::kit::borrow::Word;

/// Phone digits as E.164; `None` for anything that is not a phone number.
pub(super) fn phone(digits: &str) -> Option<String> {
    let digits: String = digits.chars().filter(|c| !matches!(c, '+' | ' ' | '-' | '(' | ')')).collect();
    let number = format!("+{digits}");
    address::is_e164(&number).then_some(number)
}

/// Whether it is a business-scoped user id: a country, a dot, then letters and digits (`US.4401`, `US.ENT.4401`).
pub(super) fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else { return false };
    let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=128).contains(&rest.len())
        && rest.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// What a payload says about one person. Either may be missing; ids have been seen where numbers belong.
#[derive(Clone, Debug, Default)]
pub(super) struct Who<'a> {
    user_id: Option<Text<'a>>,
    phone: Option<String>,
}

impl<'a> Who<'a> {
    /// From the fields for the number and the id, whichever way round they were filled.
    pub(super) fn of(number: Option<Text<'a>>, id: Option<Text<'a>>) -> Self {
        let mut who = Self::default();
        for text in [id, number].into_iter().flatten() {
            if is_user_id(&text) {
                who.user_id.get_or_insert(text);
            } else if let Some(phone) = phone(&text) {
                who.phone.get_or_insert(phone);
            }
        }
        who
    }

    /// What the other source adds.
    pub(super) fn or(self, other: Self) -> Self {
        Self { user_id: self.user_id.or(other.user_id), phone: self.phone.or(other.phone) }
    }

    /// Whether both name the same person, as far as both say.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.user_id, &other.user_id) {
            (Some(a), Some(b)) => a == b,
            _ => self.phone.is_some() && self.phone == other.phone,
        }
    }

    /// The address: the id that stays, else the number.
    pub(super) fn address(&self) -> Option<String> {
        let id = self.user_id.as_deref().or(self.phone.as_deref())?;
        Some(address::address("whatsapp", id))
    }

    /// The person, with the number beside the id.
    pub(super) fn person(&self) -> Option<Person<'a>> {
        let mut also = Vec::new();
        if let Some(phone) = &self.phone {
            if self.user_id.is_some() {
                also.push(format!("whatsapp:{phone}").into());
            }
            also.push(format!("tel:{phone}").into());
        }
        Some(Person { address: self.address()?.into(), also, ..Person::default() })
    }
}

/// Whom a message goes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// A number, with its `+`: without it Meta would put our own country before it.
    Phone(String),
    /// A business-scoped id.
    User(String),
    /// A group.
    Group(String),
}

impl Target {
    /// Reads an address. Numbers and ids are accepted with and without `+`.
    pub(super) fn parse(to: &str) -> Option<Self> {
        let id = address::id(to, "whatsapp").or_else(|| address::id(to, "tel"))?;
        let bare = id.strip_prefix('+').unwrap_or(&id);
        if is_user_id(bare) {
            return Some(Self::User(bare.to_owned()));
        }
        if let Some(phone) = phone(&id) {
            return Some(Self::Phone(phone));
        }
        let known = |b: u8| b.is_ascii_alphanumeric() || b"_-=@.".contains(&b);
        (bare.len() == id.len() && bare.len() > 15 && bare.bytes().all(known)).then(|| Self::Group(bare.to_owned()))
    }
}

/// A point in time in seconds; milliseconds have been seen elsewhere on this platform and cannot be mistaken for them.
pub(super) fn time(word: &str) -> Option<Time> {
    let number: i64 = word.trim().parse().ok().filter(|n| *n > 0)?;
    Some(if number >= 100_000_000_000 { Time(number) } else { Time::from_secs(number) })
}

/// The same of a field.
pub(super) fn time_of(word: &Word<'_>) -> Option<Time> {
    time(word.or_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stands_before_the_number() {
        let both = Who::of(Some("15557772222".into()), Some("US.4401".into())).person().expect("somebody");
        assert_eq!((&*both.address, both.also.len()), ("whatsapp:US.4401", 2));
        let number = Who::of(Some("15557772222".into()), None).person().expect("somebody");
        assert_eq!((&*number.address, number.also), ("whatsapp:+15557772222", vec![Text::from("tel:+15557772222")]));
        assert_eq!(Who::of(Some("DE.99".into()), None).address().as_deref(), Some("whatsapp:DE.99"));
        assert_eq!(Who::of(Some("".into()), None).address(), None);
    }

    #[test]
    fn every_kind_of_address_is_told_apart() {
        assert_eq!(Target::parse("whatsapp:15550100200"), Some(Target::Phone("+15550100200".into())));
        assert_eq!(Target::parse("whatsapp:+US.ENT.4401"), Some(Target::User("US.ENT.4401".into())));
        assert_eq!(Target::parse("whatsapp:Y2FwaV9ncm91cDox"), Some(Target::Group("Y2FwaV9ncm91cDox".into())));
        for bad in ["whatsapp:", "whatsapp:ana", "sms:12345", "whatsapp:+0", "whatsapp:+1555123456789012345"] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }
}
