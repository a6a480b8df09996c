//! Times in log lines: RFC 3339 in UTC with up to nine digits of fraction.

/// Seconds since 1970 and nanoseconds; ordered as time.
pub type Instant = (i64, u32);

/// Reads `2026-01-02T03:04:05.123Z`; `None` for anything else.
pub fn parse(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || bytes[bytes.len() - 1] != b'Z' {
        return slow(text);
    }
    let number = |from: usize, to: usize| -> Option<i64> {
        bytes[from..to]
            .iter()
            .try_fold(0, |sum: i64, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return None;
    }
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = days * 86_400 + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    let fraction = &bytes[19..bytes.len() - 1];
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let value = number(20, bytes.len() - 1)?;
            value * 10_i64.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    Some((seconds, u32::try_from(nanos).ok()?))
}

fn slow(text: &str) -> Option<Instant> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some((at.as_second(), u32::try_from(at.subsec_nanosecond()).ok()?))
}

/// Days since 1970-01-01 in the Gregorian calendar; years start in March so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Appends the time with exactly nine digits of fraction, as `docker logs --timestamps` shows it.
pub fn append_fixed(out: &mut Vec<u8>, text: &str) {
    let Some(body) = text.strip_suffix('Z').filter(|body| body.len() >= 19) else {
        out.extend_from_slice(text.as_bytes());
        return;
    };
    out.extend_from_slice(&body.as_bytes()[..19]);
    out.push(b'.');
    let fraction = body.as_bytes()[19..].strip_prefix(b".").unwrap_or_default();
    out.extend_from_slice(&fraction[..fraction.len().min(9)]);
    out.extend(std::iter::repeat_n(b'0', 9 - fraction.len().min(9)));
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_agrees_with_the_calendar() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.5Z",
            "2026-11-24T08:39:40.123456789Z",
            "2100-03-01T00:00:00.000000001Z",
        ] {
            let expected: jiff::Timestamp = text.parse().unwrap();
            let (seconds, nanos) = parse(text).unwrap();
            assert_eq!(
                (seconds, nanos as i32),
                (expected.as_second(), expected.subsec_nanosecond()),
                "{text}"
            );
        }
        assert_eq!(parse("2026-11-24T10:39:40+02:00"), parse("2026-11-24T08:39:40Z"));
        for bad in
            ["", "Z", "2026-11-24 08:39:40Z", "2026-11-24T08:39:40.Z", "2026-11-24T08:39:4xZ"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn shown_times_have_nine_digits() {
        for (text, shown) in [
            ("2026-11-24T08:39:40Z", "2026-11-24T08:39:40.000000000Z"),
            ("2026-11-24T08:39:40.12Z", "2026-11-24T08:39:40.120000000Z"),
        ] {
            let mut out = Vec::new();
            append_fixed(&mut out, text);
            assert_eq!(out, shown.as_bytes());
        }
    }
}
