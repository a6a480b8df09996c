//! The filters of a list and of a prune.

use crate::record::Image;
use crate::{Error, glob, time};
use spec::Reference;
use std::collections::BTreeMap;

/// What images are wanted. Within one key one value must match, but for labels all; all keys must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    /// Made before each of these images.
    pub before: Vec<String>,
    /// Made after each of these images.
    pub since: Vec<String>,
    /// Only images without tags, or only images with one.
    pub dangling: Option<bool>,
    /// Labels that they have: `key` or `key=value`.
    pub labels: Vec<String>,
    /// Labels that they must not have, all of them together.
    pub not_labels: Vec<String>,
    /// Patterns for names.
    pub references: Vec<String>,
    /// Made before this moment, in nanoseconds since 1970.
    pub until: Option<i64>,
}

impl Filters {
    /// Reads the filters of a request. Unknown keys and values that are none are refused.
    pub fn parse(values: &BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        let mut filters = Self::default();
        for (key, values) in values {
            match &**key {
                "before" => filters.before.clone_from(values),
                "since" => filters.since.clone_from(values),
                "label" => filters.labels.clone_from(values),
                "label!" => filters.not_labels.clone_from(values),
                "reference" => filters.references.clone_from(values),
                "dangling" => filters.dangling = parse_bool(key, values)?,
                "until" => filters.until = parse_until(values)?,
                _ => return Err(Error::Filter(key.clone())),
            }
        }
        Ok(filters)
    }

    /// Whether labels and time match.
    pub(crate) fn match_image(&self, image: &Image) -> bool {
        let labels = self.labels.iter().all(|label| has_label(image, label));
        let not = !self.not_labels.is_empty()
            && self.not_labels.iter().all(|label| has_label(image, label));
        // An image without a time was made before any moment.
        let until = self.until.is_none_or(|until| image.created_at.is_none_or(|at| at < until));
        labels && !not && until
    }

    /// Whether a name matches one of the patterns, with its tag or without.
    pub(crate) fn match_name(&self, name: &Reference) -> Result<bool, Error> {
        if self.references.is_empty() {
            return Ok(true);
        }
        for pattern in &self.references {
            for text in [name.familiar(), name.familiar_name()] {
                match glob::matches(pattern, &text) {
                    Some(true) => return Ok(true),
                    Some(false) => {}
                    None => return Err(Error::Pattern(pattern.clone())),
                }
            }
        }
        Ok(false)
    }
}

fn has_label(image: &Image, label: &str) -> bool {
    match label.split_once('=') {
        Some((key, value)) => image.labels.get(key).is_some_and(|found| found == value),
        None => image.labels.contains_key(label),
    }
}

fn parse_bool(key: &str, values: &[String]) -> Result<Option<bool>, Error> {
    let mut found = None;
    for value in values {
        let value = match &**value {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
            "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
            _ => return Err(Error::Filter(format!("{key}={value}"))),
        };
        if found.is_some_and(|found| found != value) {
            return Err(Error::Filter(format!("{key}={values:?}")));
        }
        found = Some(value);
    }
    Ok(found)
}

fn parse_until(values: &[String]) -> Result<Option<i64>, Error> {
    let mut until: Option<i64> = None;
    for value in values {
        let moment = time::parse_filter(value, time::now())
            .ok_or_else(|| Error::Filter(format!("until={value}")))?;
        until = Some(until.map_or(moment, |until| until.max(moment)));
    }
    Ok(until)
}
