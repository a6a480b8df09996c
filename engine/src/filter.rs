//! The `filters` of list, prune and events: keys with values.

use spec::Failure;
use std::collections::BTreeMap;

/// What `filters=` asked for. Values of one key are alternatives, keys must all match; labels must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Filters out of keys and their values; a key without values is as good as none.
    pub fn new(entries: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(entries.into_iter().filter(|(_, values)| !values.is_empty()).collect())
    }

    /// Fails for a key that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Failure::invalid(format!("Invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// The values of a key; none when it was not given.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether nothing was asked for, so that everything matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key was given.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// True when the key was not given, or one of its values is `value`.
    pub fn exact(&self, key: &str, value: &str) -> bool {
        !self.has(key) || self.get(key).iter().any(|wanted| wanted == value)
    }

    /// True when the key was not given, or `matches` holds for one of its values.
    pub fn any(&self, key: &str, matches: impl FnMut(&String) -> bool) -> bool {
        !self.has(key) || self.get(key).iter().any(matches)
    }

    /// True when the key was not given, or one of its values is found in `text` as an unanchored regular expression;
    /// a value that is no expression is compared as it is.
    pub fn regex(&self, key: &str, text: &str) -> bool {
        self.any(key, |wanted| match regex_lite::Regex::new(wanted) {
            Ok(expression) => expression.is_match(text),
            Err(_) => wanted == text,
        })
    }

    /// True when all `label` values are among the labels and none of `label!`.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        };
        self.get("label").iter().all(has) && !self.get("label!").iter().any(has)
    }

    /// The one value of a key that means yes or no; fails for another value or a second one.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Failure> {
        let wrong =
            || Failure::invalid(format!("Invalid filter '{key}=[{}]'", self.get(key).join(" ")));
        match self.get(key) {
            [] => Ok(None),
            [one] => match one.as_str() {
                "1" | "true" | "True" | "TRUE" | "t" | "T" => Ok(Some(true)),
                "0" | "false" | "False" | "FALSE" | "f" | "F" => Ok(Some(false)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

/// The instant that the `until` filter names, in nanoseconds since 1970; `now` is what a duration counts back from.
pub fn until(filters: &Filters, now: i64) -> Result<Option<i64>, Failure> {
    match filters.get("until") {
        [] => Ok(None),
        [text] => instant(text, now).map(Some).ok_or_else(|| {
            Failure::invalid(format!("failed to parse value as time or duration: {text:?}"))
        }),
        _ => Err(Failure::invalid("more than one until filter specified")),
    }
}

/// Reads an instant: seconds since 1970 with an optional fraction, a date or time of RFC 3339 (UTC when no zone is
/// given), or a Go duration (`1h30m`) before `now`.
pub fn instant(text: &str, now: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if let Ok(seconds) = whole.parse::<i64>()
        && fraction.bytes().all(|b| b.is_ascii_digit())
        && fraction.len() <= 9
    {
        let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
        return seconds.checked_mul(1_000_000_000)?.checked_add(nanos);
    }
    if let Some(before) = go_duration(text) {
        return now.checked_sub(before);
    }
    let nanos = |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).ok();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return nanos(at);
    }
    let plain = text.strip_suffix('Z').unwrap_or(text);
    let civil = plain
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| plain.parse::<jiff::civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    nanos(jiff::tz::Offset::UTC.to_timestamp(civil).ok()?)
}

/// Nanoseconds of a Go duration: numbers with a unit each.
fn go_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number * UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?.1;
        rest = &rest[end..];
    }
    (total < i64::MAX as f64).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(entries: &[(&str, &[&str])]) -> Filters {
        let owned = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
        Filters::new(entries.iter().map(|(key, values)| ((*key).to_owned(), owned(values))))
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert_eq!(
            filters(&[("colour", &["red"])]).only(&["label"]).unwrap_err().message,
            "Invalid filter 'colour'"
        );
        assert!(filters(&[("label", &["a"])]).only(&["label"]).is_ok());
    }

    #[test]
    fn labels_must_all_match_and_negated_ones_must_not() {
        let labels =
            BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        assert!(filters(&[("label", &["a=1", "b"])]).labels(&labels));
        assert!(!filters(&[("label", &["a=1", "c"])]).labels(&labels));
        assert!(!filters(&[("label!", &["a"])]).labels(&labels));
        assert!(filters(&[("label!", &["a=2"])]).labels(&labels));
    }

    #[test]
    fn names_match_as_unanchored_expressions() {
        assert!(filters(&[("name", &["x", "^/we"])]).regex("name", "/web"));
        assert!(!filters(&[("name", &["^web$"])]).regex("name", "/web"));
        assert!(filters(&[("name", &["a["])]).regex("name", "a["));
    }

    #[test]
    fn a_flag_is_one_word() {
        assert_eq!(filters(&[("dangling", &["true"])]).flag("dangling").unwrap(), Some(true));
        assert_eq!(filters(&[]).flag("dangling").unwrap(), None);
        assert!(filters(&[("dangling", &["maybe"])]).flag("dangling").is_err());
    }

    #[test]
    fn instants_are_seconds_times_or_durations() {
        const SECOND: i64 = 1_000_000_000;
        assert_eq!(instant("5", 0), Some(5 * SECOND));
        assert_eq!(instant("5.000000001", 0), Some(5 * SECOND + 1));
        assert_eq!(instant("1h30m", 5400 * SECOND), Some(0));
        assert_eq!(instant("1.5s", 0), Some(-1_500_000_000));
        assert_eq!(instant("1970-01-02", 0), Some(86_400 * SECOND));
        assert_eq!(instant("1970-01-01T00:00:01", 0), Some(SECOND));
        assert_eq!(instant("1970-01-01T01:00:00+01:00", 0), Some(0));
        for bad in ["", "yesterday", "1x", "1.2.3", "h"] {
            assert_eq!(instant(bad, 0), None, "{bad}");
        }
    }
}
