//! Times: now, Go's way of printing them, and what users may type.

use crate::failure::Failure;
use crate::format::units;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// `2 hours ago`; the zero time gives `N/A`.
pub(crate) fn ago(seconds: i64) -> String {
    if seconds < 0 {
        return "N/A".to_owned();
    }
    format!("{} ago", units::span(now() - seconds))
}

/// As Go prints a local time: `2026-11-24 09:00:00 +0000 UTC`.
pub(crate) fn local(seconds: i64) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return String::new() };
    time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// RFC 3339 with the local offset: `2026-11-24T09:00:00Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    nanos_text(seconds, None)
}

/// RFC 3339 with nine digits of the second and the local offset.
pub(crate) fn rfc3339_nano(nanos: i64) -> String {
    nanos_text(nanos.div_euclid(1_000_000_000), Some(nanos.rem_euclid(1_000_000_000)))
}

fn nanos_text(seconds: i64, nanos: Option<i64>) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return String::new() };
    let zoned = time.to_zoned_datetime(TimeZone::system());
    let fraction = nanos.map_or_else(String::new, |nanos| format!(".{nanos:09}"));
    let offset =
        if zoned.offset().is_zero() { "Z".to_owned() } else { zoned.strftime("%:z").to_string() };
    format!("{}{fraction}{offset}", zoned.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// Seconds since 1970 of an RFC 3339 time; `None` for the zero time and for no time.
pub(crate) fn seconds_of(text: &str) -> Option<i64> {
    let seconds = text.parse::<Timestamp>().ok()?.as_second();
    (seconds > -62_135_596_800).then_some(seconds)
}

/// What the API wants for `--since` and `--until`: seconds since 1970, with a fraction. A duration is taken back from now.
pub(crate) fn moment(text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if let Ok(nanos) = crate::parse::duration::nanos(text) {
        let now = Timestamp::now().as_nanosecond() - i128::from(nanos);
        return Ok(format!(
            "{}.{:09}",
            now.div_euclid(1_000_000_000),
            now.rem_euclid(1_000_000_000)
        ));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()));
    }
    if text.contains(['-', ':']) {
        let padded = match text.len() {
            10 => format!("{text}T00:00:00"),
            13 => format!("{text}:00:00"),
            16 => format!("{text}:00"),
            _ => text.trim_end_matches('Z').to_owned(),
        };
        let zone = if text.ends_with('Z') { TimeZone::UTC } else { TimeZone::system() };
        let moment = padded
            .parse::<jiff::civil::DateTime>()
            .ok()
            .and_then(|time| time.to_zoned_datetime(zone).ok());
        return match moment {
            Some(time) => Ok(format!(
                "{}.{:09}",
                time.timestamp().as_second(),
                time.timestamp().subsec_nanosecond()
            )),
            None => Err(Failure::Plain(format!("invalid time: {text}"))),
        };
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let number = |digits: &str| digits.parse::<i64>().is_ok();
    if number(seconds) && number(fraction) {
        return Ok(text.to_owned());
    }
    let reason = "failed to parse value as time or duration";
    Err(Failure::Plain(format!("{reason}: {text:?}")))
}
