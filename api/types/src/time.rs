//! Go's texts for points in time.

/// Go's zero time: «never».
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// Seconds since 1970 of [`ZERO`].
pub const ZERO_SECONDS: i64 = -62_135_596_800;

/// RFC 3339 in UTC with as many digits of the second's fraction as are needed (Go's `RFC3339Nano`).
///
/// `seconds` since 1970, plus `nanoseconds` below one thousand million. Years outside 1 to 9999 become [`ZERO`].
pub fn rfc3339_nano(seconds: i64, nanoseconds: u32) -> String {
    if nanoseconds == 0 {
        return rfc3339(seconds);
    }
    let base = rfc3339(seconds);
    let fraction = format!("{:09}", nanoseconds.min(999_999_999));
    format!("{}.{}Z", base.trim_end_matches('Z'), fraction.trim_end_matches('0'))
}

/// RFC 3339 in UTC with exactly nine digits of the second's fraction, as in front of log lines.
pub fn rfc3339_fixed(seconds: i64, nanoseconds: u32) -> String {
    format!("{}.{:09}Z", rfc3339(seconds).trim_end_matches('Z'), nanoseconds.min(999_999_999))
}

/// RFC 3339 in UTC without a fraction of the second.
pub fn rfc3339(seconds: i64) -> String {
    const LAST: i64 = 253_402_300_799;
    if !(ZERO_SECONDS..=LAST).contains(&seconds) {
        return ZERO.to_owned();
    }
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day counted from 1970-01-01: counts from 0000-03-01, so that the leap day is the year's last.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let in_era = day.rem_euclid(146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lose_their_trailing_zeros() {
        assert_eq!(rfc3339_nano(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_nano(951_782_400, 120_000_000), "2000-02-29T00:00:00.12Z");
        assert_eq!(rfc3339_nano(1_700_000_000, 1), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(rfc3339_fixed(1_700_000_000, 0), "2023-11-14T22:13:20.000000000Z");
    }

    #[test]
    fn the_zero_time_and_times_out_of_range_are_gos_zero() {
        assert_eq!(rfc3339(ZERO_SECONDS), ZERO);
        assert_eq!(rfc3339(i64::MAX), ZERO);
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }
}
