//! Who is who: a number (`+15557772222`), a business-scoped id (`US.4401`), or a group.

use std::borrow::Cow;

use crate::contract::{Person, Text};
use crate::kit::{address, object::Object};

/// Where a message can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// E.164 with `+`: without it the business number's own country code would be put before it.
    Phone(String),
    /// A business-scoped id.
    User(String),
    /// A group's id.
    Group(String),
}

impl Target {
    /// Reads `whatsapp:...`, a number with or without `+`.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let id = address::id(address, "whatsapp").or_else(|| address::id(address, "tel"))?;
        let id = id.trim();
        if let Some(phone) = phone(id) {
            return Some(Self::Phone(phone));
        }
        if id.starts_with('+') || id.is_empty() || id.contains(char::is_whitespace) {
            return None;
        }
        Some(if is_user(id) { Self::User(id.to_owned()) } else { Self::Group(id.to_owned()) })
    }
}

/// A number as E.164, from digits with or without `+` and the usual ornaments.
pub(super) fn phone(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+ -().".contains(&b));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number = format!("+{digits}");
    (plain && (5..=15).contains(&digits.len()) && address::is_e164(&number)).then_some(number)
}

/// Two letters of a country, a dot, and the rest (`US.4401`, `US.ENT.4401`).
pub(super) fn is_user(id: &str) -> bool {
    let bytes = id.as_bytes();
    bytes.len() > 3 && bytes[..2].iter().all(u8::is_ascii_uppercase) && bytes[2] == b'.'
}

/// The address of whatever the id is.
pub(super) fn of(id: &str) -> String {
    match phone(id) {
        Some(phone) => format!("whatsapp:{phone}"),
        None => address::address("whatsapp", id),
    }
}

/// One of `contacts[]`.
pub(super) struct Contact<'a> {
    name: Option<Text<'a>>,
    username: Option<Text<'a>>,
    wa_id: Option<Text<'a>>,
    user_id: Option<Text<'a>>,
    pub(super) parent_user_id: Option<Text<'a>>,
    pub(super) identity_key_hash: Option<Text<'a>>,
}

impl<'a> Contact<'a> {
    pub(super) fn read(contact: &Object<'a>) -> Self {
        let profile = contact.object("profile").unwrap_or_default();
        Self {
            name: profile.words("name"),
            username: profile.words("username"),
            wa_id: contact.words("wa_id"),
            user_id: contact.words("user_id"),
            parent_user_id: contact.words("parent_user_id"),
            identity_key_hash: contact.words("identity_key_hash"),
        }
    }
}

/// The one of `contacts[]` that is meant; the only one when none matches.
pub(super) fn contact<'c, 'a>(contacts: &'c [Contact<'a>], phone: Option<&str>, user: Option<&str>) -> Option<&'c Contact<'a>> {
    let same = |known: &Option<Text<'_>>, id: Option<&str>| known.is_some() && known.as_deref() == id;
    let found = contacts.iter().find(|c| same(&c.user_id, user) || same(&c.wa_id, phone));
    found.or_else(|| contacts.first().filter(|_| contacts.len() == 1 && (phone.is_none() || user.is_none())))
}

/// The person behind a number and an id, either of which may be missing; `None` when nothing is known.
///
/// The stable id is the address, and the number stands beside it.
pub(super) fn person<'a>(phone_id: Option<Text<'a>>, user: Option<Text<'a>>, contacts: &[Contact<'a>]) -> Option<Person<'a>> {
    // The business-scoped id has been seen in place of the number.
    let (phone_id, user) = match phone_id {
        Some(id) if is_user(&id) => (None, user.or(Some(id))),
        id => (id, user),
    };
    let known = contact(contacts, phone_id.as_deref(), user.as_deref());
    let user = user.or_else(|| known.and_then(|c| c.user_id.clone()));
    let phone_id = phone_id.or_else(|| known.and_then(|c| c.wa_id.clone()));
    let number = phone_id.as_deref().and_then(phone);
    let mut also = Vec::new();
    let address = match (&user, &number, &phone_id) {
        (Some(user), number, _) => {
            also.extend(number.iter().map(|n| Cow::Owned(format!("whatsapp:{n}"))));
            address::address("whatsapp", user)
        }
        (None, Some(number), _) => format!("whatsapp:{number}"),
        (None, None, Some(id)) => address::address("whatsapp", id),
        (None, None, None) => return None,
    };
    also.extend(number.map(|n| Cow::Owned(format!("tel:{n}"))));
    let username = known.and_then(|c| c.username.clone()).map(|name| match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim_start_matches('@')),
        Cow::Owned(name) => Cow::Owned(name.trim_start_matches('@').to_owned()),
    });
    Some(Person {
        address: Cow::Owned(address),
        name: known.and_then(|c| c.name.clone()),
        username,
        locale: None,
        kind: Some(Cow::Borrowed("person")),
        also,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart() {
        let phone = Some(Target::Phone("+15557772222".into()));
        assert_eq!(Target::parse("whatsapp:+15557772222"), phone);
        assert_eq!(Target::parse("whatsapp:15557772222"), phone);
        assert_eq!(Target::parse("whatsapp:US.4401"), Some(Target::User("US.4401".into())));
        assert_eq!(Target::parse("whatsapp:Y2FwaV9ncm91cDox"), Some(Target::Group("Y2FwaV9ncm91cDox".into())));
        for bad in ["whatsapp:", "whatsapp:+12ab", "messenger:1", "whatsapp:+0123456"] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }
}
