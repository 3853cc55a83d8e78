//! Building blocks for structs that read a delivery in one pass and borrow from it: a field of a strange type is absent
//! and hurts nothing else. For objects whose fields are not known beforehand see [`super::object`].

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};

use crate::contract::Text;

/// A string, or a number as its digits; anything else is nothing. Borrowed when nothing in it is escaped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Word<'a>(pub Option<Text<'a>>);

impl<'a> Word<'a> {
    /// The text, when there is some.
    pub fn words(&self) -> Option<&Text<'a>> {
        self.0.as_ref().filter(|text| !text.is_empty())
    }

    /// The text, or nothing.
    pub fn get(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// An object of known fields; anything else is nothing. The fields' own types must be as patient as these.
#[derive(Clone, Debug, PartialEq)]
pub struct Maybe<T>(pub Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A list; anything else is an empty one.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Reads past a list or an object that is not wanted.
macro_rules! skip {
    (seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (map) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Letters;
        impl<'de> Visitor<'de> for Letters {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }
            skip!(visit_bool: bool);
            skip!(seq);
            skip!(map);
        }
        deserializer.deserialize_any(Letters)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Maybe<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Maybe(Some(value)))
            }
            skip!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
            skip!(seq);
        }
        deserializer.deserialize_any(Fields(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
            skip!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
            skip!(map);
        }
        deserializer.deserialize_any(Items(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Thing<'a> {
        #[serde(borrow)]
        id: Word<'a>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        #[serde(borrow)]
        more: List<Maybe<Thing<'a>>>,
    }

    #[test]
    fn a_strange_field_hurts_only_itself() {
        let text = r#"{"id":"a","raw":{"x":[1]},"more":[{"id":7},null,"no",{"id":{"x":1},"more":5},{"id":"\u00e4"}]}"#;
        let thing: Maybe<Thing<'_>> = serde_json::from_str(text).expect("JSON");
        let thing = thing.0.expect("an object");
        assert!(matches!(thing.id.0, Some(Cow::Borrowed("a"))));
        assert_eq!(thing.raw.map(RawValue::get), Some(r#"{"x":[1]}"#));
        let ids: Vec<Option<&str>> = thing.more.0.iter().map(|t| t.0.as_ref().and_then(|t| t.id.0.as_deref())).collect();
        assert_eq!(ids, [Some("7"), None, None, None, Some("ä")]);
        for other in ["5", "[]", "null", "true", "\"x\""] {
            assert!(serde_json::from_str::<Maybe<Thing<'_>>>(other).expect("JSON").0.is_none(), "{other}");
        }
    }
}
