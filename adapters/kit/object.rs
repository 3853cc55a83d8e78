//! JSON objects read field by field: each field gets its type when it is asked for, so one that has changed its type is
//! absent and nothing else suffers. Names and plain strings borrow from the delivery.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::contract::{Raw, Text};

/// The fields of one JSON object, in order, their values not yet read.
#[derive(Clone, Debug, Default)]
pub struct Object<'a>(pub Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` for any other JSON.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Reads the object a text begins with, whatever follows it.
    pub fn first(text: &'a str) -> Option<Self> {
        serde_json::Deserializer::from_str(text).into_iter::<Self>().next()?.ok()
    }

    /// A field as it came; `None` when absent or null.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
    }

    /// A field as it came, to keep.
    pub fn kept(&self, name: &str) -> Option<Raw<'a>> {
        self.raw(name).map(Raw::borrowed)
    }

    /// The object without these fields (credentials), as JSON to keep. What is left is copied.
    pub fn without(&self, names: &[&str]) -> Raw<'static> {
        struct Rest<'o, 'a>(&'o Object<'a>, &'o [&'o str]);
        impl serde::Serialize for Rest<'_, '_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.0.iter().filter(|(name, _)| !self.1.contains(&&**name)).map(|(name, raw)| (name, raw)))
            }
        }
        Raw::of(&Rest(self, names))
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A string, or a number as its digits.
    pub fn text(&self, name: &str) -> Option<Text<'a>> {
        text(self.raw(name)?)
    }

    /// A string that is not empty.
    pub fn words(&self, name: &str) -> Option<Text<'a>> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// An integer, also when it is written as a string or with a fraction of zero.
    pub fn int(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?;
        let text = text.trim();
        text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
    }

    /// A number, also when it is written as a string.
    pub fn float(&self, name: &str) -> Option<f64> {
        self.text(name)?.trim().parse().ok().filter(|f: &f64| f.is_finite())
    }

    /// True when the field says so in any of the usual ways.
    pub fn flag(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| matches!(raw.get(), "true" | "1" | "\"true\"" | "\"1\""))
    }

    /// An object.
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.raw(name)?.get())
    }

    /// A list of objects; items of other types are left out.
    pub fn objects(&self, name: &str) -> Vec<Self> {
        self.list(name).into_iter().filter_map(|raw| Self::parse(raw.get())).collect()
    }

    /// A list; empty when it is none.
    pub fn list(&self, name: &str) -> Vec<&'a RawValue> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

/// JSON without the fields of these names, however deep: reply handles and tokens are not published.
pub fn without<'a>(raw: &'a RawValue, names: &[&str]) -> Raw<'a> {
    let json = raw.get();
    if !names.iter().any(|name| json.contains(name)) {
        return Raw::borrowed(raw);
    }
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    strip(&mut value, names);
    Raw::of(&value)
}

fn strip(value: &mut serde_json::Value, names: &[&str]) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|inside| strip(inside, names));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|inside| strip(inside, names)),
        _ => {}
    }
}

/// A JSON string or number as text; borrowed when nothing in it is escaped.
pub fn text(raw: &RawValue) -> Option<Text<'_>> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' if !json.contains('\\') => Some(Cow::Borrowed(&json[1..json.len() - 1])),
        b'"' => serde_json::from_str(json).ok().or_else(|| halves(json)).map(Cow::Owned),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(json)),
        _ => None,
    }
}

/// A string with half a surrogate pair in it: somebody cut an emoji in two. The half becomes a replacement character.
fn halves(json: &str) -> Option<String> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            // Three bytes make one half.
            Ok(String::from_utf8_lossy(bytes).replace("\u{fffd}\u{fffd}\u{fffd}", "\u{fffd}"))
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).ok()
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A field's name, borrowed when nothing in it is escaped.
struct Name<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Letters;
        impl<'de> Visitor<'de> for Letters {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_field_hurts_only_itself() {
        let object =
            Object::parse(r#"{"id":"42","n":7.0,"who":{"a\u0062c":1},"list":[{"x":1},5],"no":null,"t":"a\nb"}"#).expect("an object");
        assert_eq!((object.int("id"), object.int("n"), object.int("who")), (Some(42), Some(7), None));
        assert_eq!(object.object("who").and_then(|who| who.int("abc")), Some(1));
        assert_eq!((object.objects("list").len(), object.has("no"), object.text("t").as_deref()), (1, false, Some("a\nb")));
        assert!(matches!(object.text("id"), Some(Cow::Borrowed("42"))));
        assert!(Object::parse("[1]").is_none());
        assert_eq!(object.without(&["id", "n", "who", "list", "no"]).get(), r#"{"t":"a\nb"}"#);
        let cut = Object::parse(r#"{"t":"hi \ud83d","u":"\u00e4 \ud83d\ude00"}"#).expect("an object");
        assert_eq!(cut.text("t").as_deref(), Some("hi \u{fffd}"));
        assert_eq!(cut.text("u").as_deref(), Some("ä 😀"));
    }
}
