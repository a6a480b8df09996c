//! `--filter name=value` as the API takes it.

use crate::failure::Failure;
use std::collections::BTreeMap;

/// The JSON of the filters; empty without any.
pub(crate) fn json(given: &[String]) -> Result<String, Failure> {
    let mut filters: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::flag(
                "filter",
                text,
                "bad format of filter (expected name=value)",
            ));
        };
        filters
            .entry(name.trim().to_lowercase())
            .or_default()
            .insert(value.trim().to_owned(), true);
    }
    if filters.is_empty() { Ok(String::new()) } else { Ok(serde_json::to_string(&filters)?) }
}
