//! Go's durations: `1h2m3.5s`.

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Nanoseconds, or Go's sentence.
pub(crate) fn nanos(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.')
            .unwrap_or(rest.len());
        let count: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest
            .find(|symbol: char| symbol.is_ascii_digit() || symbol == '.')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let unit = UNITS.iter().find(|(unit, _)| *unit == name);
        let (_, factor) =
            unit.ok_or_else(|| format!("time: unknown unit {name:?} in duration {text:?}"))?;
        total += count * factor;
        rest = &rest[end..];
    }
    if total > 9.2e18 {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let total = total.round() as i64;
    Ok(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(nanos("1h2m3.5s"), Ok(3_723_500_000_000));
        assert_eq!(nanos("0"), Ok(0));
        assert_eq!(nanos("-5ms"), Ok(-5_000_000));
        assert_eq!(nanos("5"), Err("time: missing unit in duration \"5\"".to_owned()));
        assert_eq!(nanos("5x"), Err("time: unknown unit \"x\" in duration \"5x\"".to_owned()));
        assert_eq!(nanos("x"), Err("time: invalid duration \"x\"".to_owned()));
    }
}
