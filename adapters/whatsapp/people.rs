//! The people a delivery names: `contacts[]` beside its messages.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::Who;
use crate::contract::{Extra, Person, Raw, Text, adapter};
use crate::kit::borrow::{Maybe, Word};
use crate::kit::object::Object;

/// One of `contacts[]`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Contact<'a> {
    #[serde(borrow)]
    profile: Maybe<Profile<'a>>,
    #[serde(borrow)]
    wa_id: Word<'a>,
    #[serde(borrow)]
    user_id: Word<'a>,
    #[serde(borrow)]
    parent_user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    identity_key_hash: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Profile<'a> {
    #[serde(borrow)]
    name: Word<'a>,
    #[serde(borrow)]
    username: Word<'a>,
}

impl<'a> Contact<'a> {
    /// Whom it is about.
    pub(super) fn who(&self) -> Who<'a> {
        Who::of(self.wa_id.0.clone(), self.user_id.0.clone())
    }

    /// Keeps what has no place of its own in a person.
    pub(super) fn keep(&self, extra: &mut Extra<'a>) {
        adapter::keep(extra, "parent_user_id", self.parent_user_id.map(Raw::borrowed));
        adapter::keep(extra, "identity_key_hash", self.identity_key_hash.map(Raw::borrowed));
    }

    /// Adds name and handle.
    pub(super) fn describe(&self, person: &mut Person<'a>) {
        let Some(profile) = &self.profile.0 else { return };
        person.name = profile.name.words().cloned();
        person.username = profile.username.words().map(|name| bare(name.clone())).filter(|name| !name.is_empty());
    }
}

/// A handle without its `@`.
fn bare(name: Text<'_>) -> Text<'_> {
    match name {
        Text::Borrowed(name) => Text::Borrowed(name.trim_start_matches('@')),
        Text::Owned(name) => Text::Owned(name.trim_start_matches('@').to_owned()),
    }
}

/// The person in a pair of fields such as `from` and `from_user_id`.
pub(super) fn who<'a>(object: &Object<'a>, number: &str, id: &str) -> Who<'a> {
    Who::of(object.text(number), object.text(id))
}
