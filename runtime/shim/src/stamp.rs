//! Time as Docker writes it into logs: RFC 3339 in UTC, nanoseconds without trailing zeros (Go's `RFC3339Nano`).

use rustix::time::{ClockId, clock_gettime};

const NANOS: i64 = 1_000_000_000;

/// Nanoseconds since 1970 now.
pub fn now() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec.saturating_mul(NANOS).saturating_add(time.tv_nsec)
}

/// Nanoseconds of a clock that is never set back, for deadlines.
pub(crate) fn monotonic() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.saturating_mul(NANOS).saturating_add(time.tv_nsec)
}

/// Appends the time `nanos` since 1970, which must lie in the years 0 to 9999.
pub(crate) fn append(out: &mut Vec<u8>, nanos: i64) {
    let seconds = nanos.div_euclid(NANOS);
    let fraction = nanos.rem_euclid(NANOS);
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    digits(out, year, 4);
    for (separator, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', second / 3600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(separator);
        digits(out, value, 2);
    }
    if fraction != 0 {
        out.push(b'.');
        digits(out, fraction, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

fn digits(out: &mut Vec<u8>, value: i64, count: usize) {
    let end = out.len() + count;
    out.resize(end, b'0');
    let mut rest = value;
    for place in out.iter_mut().rev().take(count) {
        *place = b'0' + (rest % 10).unsigned_abs() as u8;
        rest /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Counted in eras of 400
/// years that begin on 1 March, so that the leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_507_200_123_456_789, "2026-11-24T08:00:00.123456789Z"),
            (1_795_507_200_120_000_000, "2026-11-24T08:00:00.12Z"),
            (951_782_399_000_000_001, "2000-02-28T23:59:59.000000001Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999999999Z"),
            (4_102_444_800_000_000_000, "2100-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] {
            let mut out = Vec::new();
            append(&mut out, nanos);
            assert_eq!(String::from_utf8(out).unwrap(), text, "{nanos}");
        }
    }
}
