//! Reading JSON as Go's `encoding/json` does, for types that derive `Deserialize` with `#[serde(default)]`.
//!
//! - a key matches a field whatever its case; an exact match wins over another one;
//! - unknown keys are ignored;
//! - `null` leaves a field as it is by default, and is the empty value elsewhere;
//! - one value only: anything but white space after it is an error.
//!
//! Nesting is bounded by the parser (128 levels); who calls bounds the size.

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::fmt;

/// Why a JSON text was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// The keys that lead to the value, outermost first; empty when the text as a whole is wrong.
    path: Vec<String>,
    cause: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for JsonError {}

impl de::Error for JsonError {
    fn custom<T: fmt::Display>(cause: T) -> Self {
        Self { path: Vec::new(), cause: cause.to_string() }
    }
}

impl JsonError {
    fn inside(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

/// Reads one JSON value from `text`.
pub fn from_slice<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, JsonError> {
    let value: Value = serde_json::from_slice(text).map_err(de::Error::custom)?;
    from_value(&value)
}

/// Reads `value`.
pub fn from_value<T: for<'de> Deserialize<'de>>(value: &Value) -> Result<T, JsonError> {
    T::deserialize(Lenient(value))
}

/// A parsed value that deserializes as Go would read it.
#[derive(Debug, Clone, Copy)]
struct Lenient<'a>(&'a Value);

static NULL_OBJECT: std::sync::LazyLock<serde_json::Map<String, Value>> =
    std::sync::LazyLock::new(serde_json::Map::new);

/// Forwards to `deserialize_any`, but `null` becomes the given empty value.
macro_rules! null_is {
    ($($method:ident => $visit:ident($empty:expr),)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            if self.0.is_null() { visitor.$visit($empty) } else { self.deserialize_any(visitor) }
        }
    )*};
}

impl<'de, 'a: 'de> Deserializer<'de> for Lenient<'a> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => {
                if let Some(number) = number.as_u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = number.as_i64() {
                    visitor.visit_i64(number)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or_default())
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { rest: items.iter(), at: 0 }),
            Value::Object(entries) => visitor.visit_map(Entries::of_map(entries)),
        }
    }

    null_is! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_i64(0),
        deserialize_i16 => visit_i64(0),
        deserialize_i32 => visit_i64(0),
        deserialize_i64 => visit_i64(0),
        deserialize_u8 => visit_u64(0),
        deserialize_u16 => visit_u64(0),
        deserialize_u32 => visit_u64(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f32 => visit_f64(0.0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_str => visit_str(""),
        deserialize_string => visit_str(""),
        deserialize_seq => visit_seq(Items { rest: [].iter(), at: 0 }),
        deserialize_map => visit_map(Entries::of_map(&NULL_OBJECT)),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        match self.0 {
            Value::Object(entries) => visitor.visit_map(Entries::of_struct(entries, fields)),
            Value::Null => visitor.visit_map(Entries::of_map(&NULL_OBJECT)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let text = self.0.as_str().unwrap_or_default();
        visitor.visit_enum(IntoDeserializer::<JsonError>::into_deserializer(text))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    at: usize,
}

impl<'de, 'a: 'de> SeqAccess<'de> for Items<'a> {
    type Error = JsonError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, JsonError> {
        let Some(item) = self.rest.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        seed.deserialize(Lenient(item)).map(Some).map_err(|error| error.inside(&at.to_string()))
    }
}

/// The entries of an object, by the key that the visitor is to see.
struct Entries<'a> {
    rest: std::vec::IntoIter<(&'a str, &'a Value)>,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> Entries<'a> {
    fn of_map(entries: &'a serde_json::Map<String, Value>) -> Self {
        let entries: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
        Self { rest: entries.into_iter(), current: None }
    }

    /// One entry for each field that has a key, under the field's own spelling; `null` leaves the default.
    fn of_struct(
        entries: &'a serde_json::Map<String, Value>,
        fields: &'static [&'static str],
    ) -> Self {
        let found: Vec<(&str, &Value)> = fields
            .iter()
            .filter_map(|field| {
                let exact = entries.get(*field);
                let value = exact.or_else(|| {
                    let mut entries = entries.iter();
                    entries.find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, v)| v)
                })?;
                (!value.is_null()).then_some((*field, value))
            })
            .collect();
        Self { rest: found.into_iter(), current: None }
    }
}

impl<'de, 'a: 'de> MapAccess<'de> for Entries<'a> {
    type Error = JsonError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, JsonError> {
        self.current = self.rest.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, JsonError> {
        let (key, value) = self.current.take().ok_or_else(|| de::Error::custom("value first"))?;
        seed.deserialize(Lenient(value)).map_err(|error: JsonError| error.inside(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{List, Map};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Sample {
        image: String,
        memory: i64,
        tty: bool,
        cmd: List<String>,
        labels: Map<String>,
        limit: Option<i64>,
        inner: Vec<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Inner {
        host_port: String,
    }

    fn read(text: &str) -> Result<Sample, JsonError> {
        from_slice(text.as_bytes())
    }

    #[test]
    fn keys_match_whatever_their_case_and_the_exact_one_wins() {
        let sample = read(r#"{"IMAGE":"a","image":"b","Image":"c","inner":[{"hostport":"80"}]}"#);
        let sample = sample.unwrap();
        assert_eq!(sample.image, "c");
        assert_eq!(sample.inner, [Inner { host_port: "80".into() }]);
    }

    #[test]
    fn null_and_unknown_keys_change_nothing() {
        let nulls = r#"{"Image":null,"Memory":null,"Tty":null,"Cmd":null,"Labels":null,"Limit":null,
            "Inner":null,"Other":{"x":[1]}}"#;
        assert_eq!(read(nulls).unwrap(), Sample::default());
        assert_eq!(read("null").unwrap(), Sample::default());
        assert_eq!(read(r#"{"Inner":[null]}"#).unwrap().inner, [Inner::default()]);
    }

    #[test]
    fn the_keys_of_a_map_keep_their_case_and_their_null_values() {
        let sample = read(r#"{"Labels":{"A":"1","a":null}}"#).unwrap();
        assert_eq!(sample.labels["A"], "1");
        assert_eq!(sample.labels["a"], "");
    }

    #[test]
    fn trailing_data_and_wrong_types_are_refused_with_their_place() {
        assert!(read(r#"{"Image":"a"} {}"#).is_err());
        let error = read(r#"{"Inner":[{},{"HostPort":80}]}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Inner.1.HostPort: invalid type: integer `80`, expected a string"
        );
    }
}
