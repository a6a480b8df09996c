//! Times as text: RFC 3339 in documents, several forms in filters.

use jiff::Timestamp;

/// Nanoseconds since 1970 of an RFC 3339 text; `None` for none, and for Go's zero time.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// RFC 3339 with nanoseconds in UTC.
pub(crate) fn format(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A moment as filters give it: seconds since 1970 with a fraction, RFC 3339 or a part of it, or a Go duration before
/// `now`. Without a zone it is UTC.
pub(crate) fn parse_filter(text: &str, now: i64) -> Option<i64> {
    if let Some(seconds) = parse_seconds(text) {
        return Some(seconds);
    }
    if let Some(duration) = parse_duration(text) {
        return now.checked_sub(duration);
    }
    if let Some(time) = parse(text) {
        return Some(time);
    }
    let civil: jiff::civil::DateTime = match text.len() {
        // A date with an hour, or with hour and minute.
        13 => format!("{text}:00:00").parse().ok()?,
        _ => text.trim_end_matches('Z').parse().ok()?,
    };
    parse(&format!("{civil}Z"))
}

fn parse_seconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// A Go duration (`1h30m`, `1.5s`, `100ms`) in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        rest = &rest[end..];
        total += number * unit;
    }
    // 292 years, the range of Go's durations too.
    (!text.is_empty() && total < 9.2e18).then_some((sign * total) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_times_have_all_forms_of_docker() {
        let now = 2_000_000_000_000_000_000;
        for (text, expected) in [
            ("1600000000", Some(1_600_000_000_000_000_000)),
            ("1600000000.5", Some(1_600_000_000_500_000_000)),
            ("2020-09-13T12:26:40Z", Some(1_600_000_000_000_000_000)),
            ("2020-09-13T14:26:40+02:00", Some(1_600_000_000_000_000_000)),
            ("2020-09-13T12:26:40", Some(1_600_000_000_000_000_000)),
            ("2020-09-13T12:26", Some(1_599_999_960_000_000_000)),
            ("2020-09-13T12", Some(1_599_998_400_000_000_000)),
            ("2020-09-13", Some(1_599_955_200_000_000_000)),
            ("1h30m", Some(now - 5_400_000_000_000)),
            ("1.5s", Some(now - 1_500_000_000)),
            ("", None),
            ("yesterday", None),
            ("5x", None),
        ] {
            assert_eq!(parse_filter(text, now), expected, "{text}");
        }
    }
}
