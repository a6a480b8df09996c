//! Sizes and durations for people, with docker's rounding and words.

/// 1000-based with up to four significant digits: `1.984MB`.
pub(crate) fn size(bytes: f64) -> String {
    sized(bytes, 4, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// 1000-based with up to three significant digits: `1.98MB`.
pub(crate) fn short_size(bytes: f64) -> String {
    sized(bytes, 3, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// 1024-based with up to four significant digits: `23.54GiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    sized(bytes, 4, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

fn sized(bytes: f64, digits: usize, base: f64, units: &[&str]) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value >= base && unit < units.len() - 1 {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// Go's `%.4g` for numbers below a million.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let exponent_limit = i32::try_from(digits).unwrap_or(4);
    if exponent < -4 || exponent >= exponent_limit {
        let mantissa = scientific.split('e').next().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(exponent_limit - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A time span in words: `About a minute`.
pub(crate) fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_docker_rounds() {
        assert_eq!(size(0.0), "0B");
        assert_eq!(size(1_984_000.0), "1.984MB");
        assert_eq!(short_size(1_984_000.0), "1.98MB");
        assert_eq!(size(999_999.0), "1000kB");
        assert_eq!(short_size(999_900.0), "1e+03kB");
        assert_eq!(size(1000.0), "1kB");
        assert_eq!(binary_size(25_275_000_000.0), "23.54GiB");
    }

    #[test]
    fn spans_are_in_docker_s_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (48 * 3600, "2 days"),
            (14 * 24 * 3600, "2 weeks"),
            (60 * 24 * 3600, "2 months"),
            (800 * 24 * 3600, "2 years"),
        ] {
            assert_eq!(span(seconds), words, "{seconds}");
        }
    }
}
