//! The `filters` value: JSON, as a map of lists, or as a map of maps to `true`.

use crate::query::Form;
use engine::Filters;
use serde_json::Value;
use spec::Failure;
use std::collections::BTreeMap;

/// The filters of a request.
pub(crate) fn of(form: &Form) -> Result<Filters, Failure> {
    Ok(Filters::new(parse(form.get("filters"))?))
}

/// Reads both shapes; empty is none.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let invalid = || Failure::invalid("invalid filter");
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let filters: BTreeMap<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(entries)) => entries.into_iter().collect(),
        Ok(Value::Null) => return Ok(BTreeMap::new()),
        _ => return Err(invalid()),
    };
    let texts = |values: Vec<Value>| {
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(invalid()),
        };
        values.into_iter().map(text).collect::<Result<Vec<_>, _>>()
    };
    let values = |value| match value {
        Value::Array(values) => texts(values),
        Value::Object(values) if values.values().all(Value::is_boolean) => {
            Ok(values.into_iter().map(|(key, _)| key).collect())
        }
        Value::Null => Ok(Vec::new()),
        _ => Err(invalid()),
    };
    filters.into_iter().map(|(key, value)| Ok((key, values(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_shapes_mean_the_same() {
        let expected = BTreeMap::from([("label".to_owned(), vec!["a=b".to_owned()])]);
        assert_eq!(parse(r#"{"label":{"a=b":true}}"#).unwrap(), expected);
        assert_eq!(parse(r#"{"label":["a=b"]}"#).unwrap(), expected);
        assert_eq!(parse("").unwrap(), BTreeMap::new());
        assert_eq!(parse("{}").unwrap(), BTreeMap::new());
    }

    #[test]
    fn other_shapes_are_refused() {
        for text in ["x", "[]", r#"{"a":"b"}"#, r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, "{} {}"] {
            assert_eq!(parse(text).unwrap_err().message, "invalid filter", "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_keys_and_values_survive_in_both_shapes(
            entries in prop::collection::btree_map(".*", prop::collection::btree_set(".*", 0..4), 0..4)
        ) {
            let expected: BTreeMap<String, Vec<String>> =
                entries.iter().map(|(k, v)| (k.clone(), v.iter().cloned().collect())).collect();
            let lists = serde_json::to_string(&expected).unwrap();
            prop_assert_eq!(parse(&lists).unwrap(), expected.clone());
            let maps: BTreeMap<&String, BTreeMap<&String, bool>> = entries
                .iter()
                .map(|(k, v)| (k, v.iter().map(|value| (value, true)).collect()))
                .collect();
            prop_assert_eq!(parse(&serde_json::to_string(&maps).unwrap()).unwrap(), expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            if let Err(failure) = parse(&text) {
                prop_assert_eq!(failure.message, "invalid filter");
            }
        }
    }
}
