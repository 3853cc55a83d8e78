//! Where something stands in a body: JSON Pointer (RFC 6901) with `*` for every item of a list, and what must stand there.
//!
//! `/a/b` begins at the item that a rule looks at, `#/a/b` at the whole body. Values are found in the delivery's own text,
//! level by level, and borrowed from it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, value::RawValue};

use crate::contract::Text;
use crate::kit::object::{self, Object};

/// What a rule looks at.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The whole body.
    pub body: &'a RawValue,
    /// The item of the body that the rule is about: the body itself where the rule names no `each`.
    pub item: &'a RawValue,
}

/// A place in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    whole: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A member, or an item by its number.
    Name(String),
    /// Every item of a list.
    Every,
}

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (whole, path) = match text.strip_prefix('#') {
            Some(path) => (true, path),
            None => (false, text),
        };
        if !path.is_empty() && !path.starts_with('/') {
            return Err(format!("`{text}` is no JSON Pointer; begin with `/`, such as `/{text}`, or with `#/` for the whole body"));
        }
        let steps = path.split('/').skip(1).map(step).collect::<Option<_>>();
        let steps = steps.ok_or_else(|| format!("in `{text}` a `~` stands alone; write `~0` for `~` and `~1` for `/`"))?;
        Ok(Self { whole, steps })
    }

    /// Everything it leads to, in the order of the body.
    pub(super) fn all<'a>(&self, place: Place<'a>) -> Vec<&'a RawValue> {
        let mut found = vec![if self.whole { place.body } else { place.item }];
        for step in &self.steps {
            found = found.into_iter().flat_map(|raw| step.into(raw)).collect();
        }
        found.retain(|raw| raw.get() != "null");
        found
    }

    /// The first thing it leads to; null is nothing.
    pub(super) fn first<'a>(&self, place: Place<'a>) -> Option<&'a RawValue> {
        self.all(place).into_iter().next()
    }

    /// A text or a number there that is not empty.
    pub(super) fn text<'a>(&self, place: Place<'a>) -> Option<Text<'a>> {
        self.all(place).into_iter().find_map(|raw| object::text(raw).or_else(|| flag(raw)).filter(|text| !text.is_empty()))
    }

    /// A number there, however it is written.
    pub(super) fn number(&self, place: Place<'_>) -> Option<f64> {
        self.text(place)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Looks into an answer, which has no items.
    pub(super) fn answer<'a>(&self, body: &'a RawValue) -> Option<Text<'a>> {
        self.text(Place { body, item: body })
    }
}

/// A step with its `~1` and `~0` undone; `None` for a `~` that means nothing.
fn step(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::Every);
    }
    let plain = text.replace("~1", "").replace("~0", "");
    (!plain.contains('~')).then(|| Step::Name(text.replace("~1", "/").replace("~0", "~")))
}

impl Step {
    fn into<'a>(&self, raw: &'a RawValue) -> Vec<&'a RawValue> {
        let list = || serde_json::from_str::<Vec<&'a RawValue>>(raw.get()).unwrap_or_default();
        match (self, raw.get().as_bytes().first()) {
            (Self::Every, Some(b'[')) => list(),
            (Self::Name(name), Some(b'[')) => name.parse().ok().and_then(|at: usize| list().into_iter().nth(at)).into_iter().collect(),
            (Self::Name(name), Some(b'{')) => Object::parse(raw.get()).and_then(|object| object.raw(name)).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn flag(raw: &RawValue) -> Option<Text<'_>> {
    matches!(raw.get(), "true" | "false").then(|| Cow::Borrowed(raw.get()))
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl JsonSchema for Pointer {
    fn schema_name() -> Cow<'static, str> {
        "Pointer".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(#?(/.*)?)$" })
    }
}

/// What must stand somewhere.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged, expecting = "expected a value, a list of values of which one must stand there, or { exists = true }")]
pub enum Wanted {
    /// Whether anything stands there.
    There {
        /// `false`: nothing may stand there.
        exists: bool,
    },
    /// One of these.
    Any(Vec<Value>),
    /// This.
    One(Value),
}

/// A condition: all of these.
pub type When = std::collections::BTreeMap<Pointer, Wanted>;

/// Whether all of it holds.
pub(super) fn holds(when: &When, place: Place<'_>) -> bool {
    when.iter().all(|(pointer, wanted)| {
        let found = pointer.all(place);
        match wanted {
            Wanted::There { exists } => *exists != found.is_empty(),
            Wanted::Any(values) => found.iter().any(|raw| values.iter().any(|value| same(raw, value))),
            Wanted::One(value) => found.iter().any(|raw| same(raw, value)),
        }
    })
}

/// Equal, whether a number is written as one or as a text.
fn same(raw: &RawValue, value: &Value) -> bool {
    match value {
        Value::String(wanted) => object::text(raw).or_else(|| flag(raw)).is_some_and(|text| text == wanted.as_str()),
        Value::Number(wanted) => object::text(raw).is_some_and(|text| text == wanted.to_string().as_str()),
        other => serde_json::from_str::<Value>(raw.get()).is_ok_and(|found| found == *other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pointer: &str, json: &str) -> Vec<String> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let item: &RawValue = serde_json::from_str(r#"{"own":1}"#).expect("JSON");
        let found = Pointer::parse(pointer).expect("a pointer").all(Place { body: raw, item });
        found.into_iter().map(|raw| raw.get().to_owned()).collect()
    }

    #[test]
    fn it_finds_what_rfc_6901_finds() {
        // Section 5 of the RFC.
        let json = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let table = [
            ("#/foo", "[\"bar\",\"baz\"]"),
            ("#/foo/0", "\"bar\""),
            ("#/", "0"),
            ("#/a~1b", "1"),
            ("#/c%d", "2"),
            ("#/i\\j", "5"),
            ("#/k\"l", "6"),
            ("#/ ", "7"),
            ("#/m~0n", "8"),
        ];
        for (pointer, found) in table {
            assert_eq!(all(pointer, json), [found], "{pointer}");
        }
        assert_eq!((all("#", json).len(), all("/own", json)), (1, vec!["1".to_owned()]));
        assert!(all("#/foo/2", json).is_empty() && all("#/foo/x", json).is_empty() && all("#/a~1b/c", json).is_empty());
    }

    #[test]
    fn a_star_is_every_item() {
        let json = r#"{"a":[{"b":[{"c":1},{"c":null}]},5,{"b":[{"c":"x"}]}]}"#;
        assert_eq!(all("#/a/*/b/*/c", json), ["1", "\"x\""]);
        assert!(all("#/a/*/b/*/d", json).is_empty() && all("#/*", json).is_empty());
    }

    #[test]
    fn what_is_no_pointer_is_told() {
        assert!(Pointer::parse("id").expect_err("no slash").contains("such as `/id`"));
        assert!(Pointer::parse("/a~2b").expect_err("a tilde").contains("~0"));
    }

    #[test]
    fn conditions_compare_values_not_spellings() {
        let holds = |when: &str, json: &str| {
            let body: &RawValue = serde_json::from_str(json).expect("JSON");
            let when: When = serde_json::from_str(when).expect("conditions");
            super::holds(&when, Place { body, item: body })
        };
        let json = r#"{"kind":"in","n":7,"ok":true,"no":null,"list":[{"t":"a"},{"t":"b"}]}"#;
        for good in [
            r#"{"/kind":"in"}"#,
            r#"{"/kind":["out","in"]}"#,
            r#"{"/n":7}"#,
            r#"{"/n":"7"}"#,
            r#"{"/ok":true,"/no":{"exists":false}}"#,
            r#"{"/list/*/t":"b"}"#,
            "{}",
        ] {
            assert!(holds(good, json), "{good}");
        }
        for bad in [r#"{"/kind":"out"}"#, r#"{"/kind":"in","/n":8}"#, r#"{"/no":{"exists":true}}"#, r#"{"/ok":"yes"}"#, r#"{"/n":[]}"#] {
            assert!(!holds(bad, json), "{bad}");
        }
    }
}
