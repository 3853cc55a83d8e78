//! Texts and JSON with `{{holes}}` in them. A hole that is a whole text keeps the type of what fills it; JSON is filled as a
//! tree and never written as text, so that nothing a person says can change its shape.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::contract::SettingsError;
use crate::contract::settings::nearest;
use crate::kit::crypto;

/// A text with holes.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Hole { name: String, filter: Filter },
}

/// What is done with what fills a hole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filter {
    /// Nothing.
    Plain,
    /// Only its digits: `+1 555` becomes `1555`.
    Digits,
    /// A JSON number, where it is one.
    Number,
    /// Base64 of it, as `Authorization: Basic` wants it.
    Base64,
}

/// What fills holes; what is absent empties them.
pub(super) type Values = BTreeMap<String, Value>;

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((hole, after)) = after.split_once("}}") else {
                return Err("a `{{` without its `}}`; close it, such as `{{to}}`".into());
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, filter) = hole.trim().split_once(':').unwrap_or((hole.trim(), ""));
            pieces.push(Piece::Hole { name: name.trim().to_owned(), filter: self::filter(filter.trim())? });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The names of its holes.
    pub(super) fn holes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole { name, .. } => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether it begins with this letter, whatever fills it.
    pub(super) fn begins_with(&self, letter: char) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with(letter))
    }

    /// Whether a credential stands in it.
    pub(super) fn is_secret(&self) -> bool {
        self.holes().any(Self::secret)
    }

    /// Whether what fills a hole of this name is a credential.
    pub(super) fn secret(name: &str) -> bool {
        name.starts_with("credentials.") || name == "login"
    }

    /// Filled; `None` when something in it is absent.
    pub(super) fn fill(&self, values: &Values) -> Option<Value> {
        if let [Piece::Hole { name, filter }] = self.0.as_slice() {
            return values.get(name).and_then(|value| filter.apply(value));
        }
        self.text(values, &|text| Cow::Borrowed(text)).map(Value::String)
    }

    /// Filled as text, what fills it being written by `write`; `None` when something in it is absent.
    pub(super) fn text(&self, values: &Values, write: &dyn for<'t> Fn(&'t str) -> Cow<'t, str>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Hole { name, filter } => match filter.apply(values.get(name)?)? {
                    Value::String(text) => out.push_str(&write(&text)),
                    other => out.push_str(&write(&other.to_string())),
                },
            }
        }
        Some(out)
    }

    /// The pieces that a signature covers, one after the other.
    pub(super) fn signed<'v>(&'v self, value: &dyn Fn(&str) -> Option<&'v [u8]>) -> Option<Vec<&'v [u8]>> {
        let piece = |piece: &'v Piece| match piece {
            Piece::Text(text) => Some(text.as_bytes()),
            Piece::Hole { name, .. } => value(name),
        };
        self.0.iter().map(piece).collect()
    }

    /// An error that names the key, unless all its holes are known here.
    pub(super) fn check(&self, key: &str, known: &[&str]) -> Result<(), SettingsError> {
        match self.holes().find(|hole| !known.contains(hole)) {
            Some(hole) => Err(SettingsError::new(key, format!("`{{{{{hole}}}}}` is not known here"), nearest(hole, known))),
            None => Ok(()),
        }
    }
}

fn filter(name: &str) -> Result<Filter, String> {
    Ok(match name {
        "" => Filter::Plain,
        "digits" => Filter::Digits,
        "number" => Filter::Number,
        "base64" => Filter::Base64,
        other => return Err(format!("no filter `{other}`; {}", nearest(other, &["digits", "number", "base64"]))),
    })
}

impl Filter {
    fn apply(self, value: &Value) -> Option<Value> {
        let Value::String(text) = value else { return Some(value.clone()) };
        Some(match self {
            Self::Plain => value.clone(),
            Self::Digits => text.chars().filter(char::is_ascii_digit).collect::<String>().into(),
            Self::Number => match serde_json::from_str::<Value>(text) {
                Ok(number @ Value::Number(_)) => number,
                _ => value.clone(),
            },
            Self::Base64 => crypto::base64(text.as_bytes()).into(),
        })
    }
}

/// JSON with holes.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// An object.
    Object(Vec<(String, Tree)>),
    /// A list.
    List(Vec<Tree>),
    /// A text with holes.
    Leaf(Template),
    /// What has none.
    Plain(Value),
}

impl Tree {
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Object(fields) => {
                let field = |(name, value)| Self::parse(value).map_err(|e| format!("`{name}`: {e}")).map(|tree| (name, tree));
                Self::Object(fields.into_iter().map(field).collect::<Result<_, _>>()?)
            }
            Value::Array(items) => Self::List(items.into_iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::String(text) if text.contains("{{") => Self::Leaf(Template::parse(&text)?),
            plain => Self::Plain(plain),
        })
    }

    /// Filled. What is absent takes its member with it, and an object or list that is empty then.
    /// Credentials are left as `***`, and where they belong is noted in `secrets` as JSON pointers.
    pub(super) fn fill(&self, values: &Values, at: &str, secrets: &mut Vec<(String, Template)>) -> Option<Value> {
        match self {
            Self::Plain(value) => Some(value.clone()),
            Self::Leaf(template) if template.is_secret() => {
                secrets.push((at.to_owned(), template.clone()));
                Some("***".into())
            }
            Self::Leaf(template) => template.fill(values),
            Self::Object(fields) => {
                let mut out = Map::new();
                for (name, tree) in fields {
                    let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                    if let Some(value) = tree.fill(values, &at, secrets) {
                        out.insert(name.clone(), value);
                    }
                }
                (fields.is_empty() || !out.is_empty()).then_some(Value::Object(out))
            }
            Self::List(items) => {
                let mut out = Vec::new();
                for tree in items {
                    let at = format!("{at}/{}", out.len());
                    out.extend(tree.fill(values, &at, secrets));
                }
                (items.is_empty() || !out.is_empty()).then_some(Value::Array(out))
            }
        }
    }

    /// Every text with holes in it, with its place.
    pub(super) fn leaves(&self, key: &str) -> Vec<(String, &Template)> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Leaf(template) => vec![(key.to_owned(), template)],
            Self::Object(fields) => fields.iter().flat_map(|(name, tree)| tree.leaves(&format!("{key}.{name}"))).collect(),
            Self::List(items) => items.iter().enumerate().flat_map(|(at, tree)| tree.leaves(&format!("{key}[{at}]"))).collect(),
        }
    }

    /// Whether something with this name, or below it, is put into it.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.leaves("").iter().any(|(_, template)| template.holes().any(|hole| hole == name || hole.starts_with(&format!("{name}."))))
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Tree".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(value: Value) -> Values {
        value.as_object().cloned().unwrap_or_default().into_iter().collect()
    }

    fn filled(tree: Value, with: Value) -> Value {
        Tree::parse(tree).expect("a tree").fill(&values(with), "", &mut Vec::new()).unwrap_or_default()
    }

    #[test]
    fn what_is_absent_takes_its_member_with_it() {
        let tree = json!({ "to": "{{to:digits}}", "n": "{{to:number}}", "text": "{{text}}", "m": { "url": "{{media.url}}" },
            "list": [{ "quote": "{{reply_to}}" }], "keep": {}, "fixed": [1, null], "both": "{{text}} {{reply_to}}" });
        assert_eq!(
            filled(tree.clone(), json!({ "to": "+1 555", "text": "Hi" })),
            json!({ "to": "1555", "n": "+1 555", "text": "Hi", "keep": {}, "fixed": [1, null] })
        );
        let all = json!({ "to": "17", "text": "Hi", "media.url": "u", "reply_to": "r" });
        assert_eq!(filled(tree, all)["both"], "Hi r");
        assert_eq!(
            filled(json!({ "n": "{{to:number}}", "o": "{{options}}" }), json!({ "to": "17", "options": [1] })),
            json!({ "n": 17, "o": [1] })
        );
    }

    #[test]
    fn words_cannot_change_the_shape() {
        let evil = r#"","admin":true,"x":"{{credentials.key}}"#;
        assert_eq!(
            filled(json!({ "text": "{{text}}", "k": "say {{text}}" }), json!({ "text": evil })),
            json!({ "text": evil, "k": format!("say {evil}") })
        );
    }

    #[test]
    fn credentials_are_noted_and_not_written() {
        let tree = Tree::parse(json!({ "a/b": ["{{reply_to}}", { "key": "{{credentials.key}}" }] })).expect("a tree");
        let mut secrets = Vec::new();
        assert_eq!(
            tree.fill(&values(json!({ "credentials.key": "hunter2" })), "", &mut secrets),
            Some(json!({ "a/b": [{ "key": "***" }] }))
        );
        assert_eq!(secrets[0].0, "/a~1b/0/key");
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Template::parse("a {{b").expect_err("open").contains("}}"));
        assert!(Template::parse("{{to:digit}}").expect_err("a filter").contains("did you mean `digits`?"));
        let error = Template::parse("{{txt}}").expect("a template").check("send.body.text", &["to", "text"]).expect_err("unknown");
        assert_eq!(error.to_string(), "send.body.text: `{{txt}}` is not known here; did you mean `text`?");
        assert!(Tree::parse(json!({ "a": { "b": ["{{"] } })).expect_err("deep").starts_with("`a`: `b`: "));
    }
}
