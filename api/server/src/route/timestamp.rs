//! Points in time in queries: seconds since 1970 with up to nine digits of a fraction.

use spec::Failure;

/// Seconds since 1970 and nanoseconds.
pub(crate) type Timestamp = (i64, u32);

/// Reads `1136073600.000000001`; empty is none. `what` names the value in the refusal.
pub(crate) fn parse(what: &str, text: &str) -> Result<Option<Timestamp>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |cause: String| {
        let text: String = text.chars().take(100).collect();
        Failure::invalid(format!("invalid value for {what}: invalid timestamp {text:?}: {cause}"))
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = seconds
        .parse::<i64>()
        .map_err(|_| refused(format!("invalid seconds {seconds:?}: invalid syntax")))?;
    if fraction.len() > 20 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused("invalid nanoseconds".into()));
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds = digits.parse().map_err(|_| refused("invalid nanoseconds".into()))?;
    Ok(Some((seconds, nanoseconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_may_be_short_long_or_missing() {
        let read = |text| parse("'since'", text).unwrap();
        assert_eq!(read(""), None);
        assert_eq!(read("5"), Some((5, 0)));
        assert_eq!(read("-5.5"), Some((-5, 500_000_000)));
        assert_eq!(read("1.000000001"), Some((1, 1)));
        assert_eq!(read("1.12345678999"), Some((1, 123_456_789)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["x", "1.x", "1.-1", "2024-01-01", "1.000000000000000000000"] {
            assert!(parse("'since'", text).is_err(), "{text}");
        }
        let message = parse("'since'", "x").unwrap_err().message;
        assert_eq!(
            message,
            "invalid value for 'since': invalid timestamp \"x\": invalid seconds \"x\": invalid syntax"
        );
    }
}
