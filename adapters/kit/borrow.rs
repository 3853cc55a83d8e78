//! Fields of a typed struct that borrow from the delivery and forgive: a field whose type has changed is absent, and
//! nothing around it suffers. For one pass over a common delivery; `object` is for what is looked at piece by piece.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};

use crate::contract::Text;

/// Text that really borrows (serde's own `Cow` copies unless it is told otherwise). Takes a number for its digits; null,
/// and whatever else is no text, leaves it empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word<'a>(pub Option<Text<'a>>);

impl<'a> Word<'a> {
    /// The text, when there is some.
    pub fn some(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// The text with its own lifetime, when there is some.
    pub fn words(&self) -> Option<&Text<'a>> {
        self.0.as_ref().filter(|text| !text.is_empty())
    }

    /// The text to keep, when there is some.
    pub fn take(&self) -> Option<Text<'a>> {
        self.0.clone().filter(|text| !text.is_empty())
    }

    /// The text, or an empty one.
    pub fn or_empty(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// An integer, however it was written.
    pub fn int(&self) -> Option<i64> {
        let text = self.0.as_deref()?.trim();
        text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
    }

    /// True when it says so in any of the usual ways.
    pub fn flag(&self) -> bool {
        matches!(self.0.as_deref(), Some("true" | "1"))
    }
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
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Word(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                skip_map(map).map(|()| Word(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                skip_seq(seq).map(|()| Word(None))
            }
        }
        deserializer.deserialize_any(Letters)
    }
}

/// An object, or nothing when there is something else in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maybe<T>(pub Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for Maybe<T> {
    type Target = Option<T>;
    fn deref(&self) -> &Option<T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape(PhantomData)).map(|found: Found<T, T>| match found {
            Found::Map(value) => Self(Some(value)),
            _ => Self(None),
        })
    }
}

/// A list, empty when there is something else in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape(PhantomData)).map(|found: Found<IgnoredAny, T>| match found {
            Found::List(items) => Self(items),
            _ => Self(Vec::new()),
        })
    }
}

enum Found<M, S> {
    Map(M),
    List(Vec<S>),
    Other,
}

struct Shape<M, S>(PhantomData<(M, S)>);

impl<'de, M: Deserialize<'de>, S: Deserialize<'de>> Visitor<'de> for Shape<M, S> {
    type Value = Found<M, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(Found::Map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Found::List(items))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Found::Other)
    }
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Deserialize, Default)]
    #[serde(default, bound = "'de: 'a")]
    struct Person<'a> {
        name: Word<'a>,
        age: Word<'a>,
        nick: Word<'a>,
        kids: List<Maybe<Person<'a>>>,
        raw: Option<&'a RawValue>,
    }

    #[test]
    fn it_borrows_and_forgives() {
        let json = r#"{"name":"Ana","age":7,"nick":{"x":[1]},"kids":[{"name":["odd"]},5,{"name":"B\u0062","raw":{"a": 1}}],"more":1}"#;
        let ana: Person<'_> = serde_json::from_str(json).expect("any JSON object will do");
        assert!(matches!(ana.name.0, Some(Cow::Borrowed("Ana"))));
        assert_eq!((ana.age.int(), ana.nick.some(), ana.kids.len()), (Some(7), None, 3));
        let last = ana.kids[2].as_ref().expect("an object");
        assert_eq!((last.name.some(), last.raw.map(RawValue::get)), (Some("Bb"), Some(r#"{"a": 1}"#)));
        assert!(ana.kids[1].is_none() && ana.kids[0].as_ref().is_some_and(|k| k.name.some().is_none()));
        let odd: Person<'_> = serde_json::from_str(r#"{"name":null,"kids":"none"}"#).expect("still an object");
        assert!(odd.name.some().is_none() && odd.kids.is_empty());
    }
}
