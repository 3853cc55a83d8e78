//! Credentials. Their one promise: no way of printing them shows them.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize, Serializer};

/// A credential. `Debug`, `Display` and `Serialize` write `***`.
#[derive(Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The credential itself, for the one place that signs or sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true, "minLength": 1 })
    }
}

/// One credential or several: the first is used, all are accepted (rotation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// A single credential.
    pub fn one(text: impl Into<String>) -> Self {
        Self(vec![Secret::new(text)])
    }

    /// The credential we sign with; empty text when there is none.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", Secret::reveal)
    }

    /// All that are accepted, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Secret::reveal)
    }

    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|s| s.reveal().is_empty())
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a secret or a list of secrets")]
        enum OneOrMany {
            One(Secret),
            Many(Vec<Secret>),
        }
        Ok(Self(match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(secret) => vec![secret],
            OneOrMany::Many(secrets) => secrets,
        }))
    }
}

impl schemars::JsonSchema for Secrets {
    fn schema_name() -> Cow<'static, str> {
        "Secrets".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "writeOnly": true,
            "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 } }]
        })
    }
}
