//! Properties that a bundle asks for itself: annotations `org.systemd.property.<Name>` with a value in the text form of
//! GVariant, as `'inactive-or-failed'`, `true`, `uint64 5`, `['a.target']`.
//!
//! Times in seconds (`TimeoutStopSec`) are told in microseconds (`TimeoutStopUSec`), as the manager's own tools do.

use crate::error::SystemdError;
use crate::properties::Property;
use crate::wire::Value;
use std::collections::BTreeMap;

/// What the names of such annotations begin with.
pub const PREFIX: &str = "org.systemd.property.";
/// The longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// The properties in the annotations of a bundle.
pub fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, SystemdError> {
    let named =
        annotations.iter().filter_map(|(key, value)| Some((key, key.strip_prefix(PREFIX)?, value)));
    named.map(|(key, name, value)| one(key, name, value)).collect()
}

fn one(key: &str, name: &str, text: &str) -> Result<Property, SystemdError> {
    let error = |cause: &str| SystemdError::Limit {
        field: format!("annotations[{key:?}]"),
        cause: cause.to_owned(),
    };
    let good = |byte: u8| byte.is_ascii_alphabetic();
    if !(3..=64).contains(&name.len()) || !name.bytes().all(good) {
        return Err(error("the name of a property has 3 to 64 letters"));
    }
    if text.len() > MAX_VALUE {
        return Err(error("the value is longer than 4096 bytes"));
    }
    let value = parse(text.trim()).ok_or_else(|| error("the value has no form that is known"))?;
    match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
        Some(stem) => {
            let micros =
                seconds(&value).ok_or_else(|| error("the value is no number of seconds"))?;
            Ok(Property::new(format!("{stem}USec"), Value::U64(micros)))
        }
        None => Ok(Property::new(name, value)),
    }
}

fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::I32(number) => u64::try_from(*number).ok()?,
        Value::I64(number) => u64::try_from(*number).ok()?,
        Value::U32(number) => (*number).into(),
        Value::U64(number) => *number,
        _ => return None,
    };
    seconds.checked_mul(1_000_000)
}

/// A value; a number without a type has 32 bits and a sign.
fn parse(text: &str) -> Option<Value> {
    if let Some(inner) = text.strip_prefix('[') {
        return list(inner.strip_suffix(']')?);
    }
    if let Some(text) = quoted(text) {
        return Some(Value::Text(text));
    }
    let (kind, digits) = text.split_once(' ').unwrap_or(("int32", text));
    let digits = digits.trim();
    Some(match (kind, digits) {
        (_, "true") if text == "true" => Value::Bool(true),
        (_, "false") if text == "false" => Value::Bool(false),
        ("@as", "[]") => Value::list("s", Vec::new()),
        ("byte", _) => Value::Byte(u8::try_from(unsigned(digits)?).ok()?),
        ("int32", _) => Value::I32(digits.parse().ok()?),
        ("uint32", _) => Value::U32(u32::try_from(unsigned(digits)?).ok()?),
        ("int64", _) => Value::I64(digits.parse().ok()?),
        ("uint64", _) => Value::U64(unsigned(digits)?),
        ("objectpath", _) => Value::Path(quoted(digits)?),
        _ => return None,
    })
}

fn unsigned(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// Text in quotes of either kind, with a backslash before what is meant as it stands.
fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.push(letters.next()?),
            other if other == quote || other.is_control() => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// Values of one type with commas between them. Texts in lists have no commas here.
fn list(inner: &str) -> Option<Value> {
    let items: Vec<Value> =
        inner.split(',').map(|item| parse(item.trim())).collect::<Option<_>>()?;
    let of = match items.first()? {
        Value::Text(_) => "s",
        Value::U32(_) => "u",
        Value::I32(_) => "i",
        Value::U64(_) => "t",
        Value::Byte(_) => "y",
        _ => return None,
    };
    items.iter().all(|item| item.signature() == of).then_some(Value::list(of, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Property, String> {
        let annotations = [(format!("{PREFIX}{name}"), value.to_owned())].into();
        properties(&annotations).map(|mut all| all.remove(0)).map_err(|error| error.to_string())
    }

    #[test]
    fn annotations_name_properties_and_their_values() {
        let texts = |texts: &[&str]| {
            Value::list("s", texts.iter().map(|text| Value::text(*text)).collect())
        };
        let cases = [
            (
                "CollectMode",
                "'inactive-or-failed'",
                "CollectMode",
                Value::text("inactive-or-failed"),
            ),
            ("TimeoutStopUSec", "uint64 5000000", "TimeoutStopUSec", Value::U64(5_000_000)),
            ("TimeoutStopSec", "5", "TimeoutStopUSec", Value::U64(5_000_000)),
            ("KillSignal", "int32 15", "KillSignal", Value::I32(15)),
            ("After", "['a.target', \"b\"]", "After", texts(&["a.target", "b"])),
            ("Wants", "@as []", "Wants", texts(&[])),
            ("SendSIGHUP", "true", "SendSIGHUP", Value::Bool(true)),
            ("Description", r#""say \"it\"""#, "Description", Value::text("say \"it\"")),
        ];
        for (name, text, told, value) in cases {
            assert_eq!(read(name, text), Ok(Property::new(told, value)), "{name}={text}");
        }
        let others = [("org.example".to_owned(), "x".to_owned())].into();
        assert_eq!(properties(&others).unwrap(), []);
    }

    #[test]
    fn what_is_no_value_is_refused_with_the_annotation() {
        assert_eq!(
            read("CollectMode", "inactive").unwrap_err(),
            "invalid annotations[\"org.systemd.property.CollectMode\"]: the value has no form that is known"
        );
        for (name, value) in
            [("A", "1"), ("a b", "1"), ("Abc", "[1, 'x']"), ("Abc", "uint32 -1"), ("AbcSec", "'x'")]
        {
            assert!(read(name, value).is_err(), "{name}={value}");
        }
    }
}
