//! Ulimits, devices' limits and restart policies.

use crate::parse::{duration, size};
use api_types::host::{RestartPolicy, ThrottleDevice, Ulimit, WeightDevice};
use spec::linux::LIMITS;

/// `name=soft[:hard]`.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) =
        text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !LIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(limits)?, number(limits)?),
    };
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

/// `path:weight`.
pub(crate) fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    match weight.parse::<u16>() {
        Ok(weight @ (0 | 10..=1000)) => Ok(WeightDevice { path: path.to_owned(), weight }),
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

/// `path:rate`, a rate of bytes with a unit or a plain number.
pub(crate) fn throttle(text: &str, bytes: bool) -> Result<ThrottleDevice, String> {
    let (path, rate) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    let unit = if bytes {
        "<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
    } else {
        "<number>. Number must be a positive integer"
    };
    let wrong =
        || format!("invalid rate for device: {text}. The correct format is <device-path>:{unit}");
    let rate = if bytes {
        size::bytes(rate).ok().and_then(|rate| u64::try_from(rate).ok())
    } else {
        rate.parse().ok()
    };
    Ok(ThrottleDevice { path: path.to_owned(), rate: rate.ok_or_else(wrong)? })
}

const SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// `name=value` of a setting that a namespace has for itself.
pub(crate) fn sysctl(text: &str) -> Result<(), String> {
    let allowed = text.split_once('=').is_some_and(|(name, _)| {
        SYSCTLS.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
    });
    if allowed { Ok(()) } else { Err(format!("sysctl '{text}' is not allowed")) }
}

/// `name[:retries]`.
pub(crate) fn restart(text: &str) -> Result<RestartPolicy, String> {
    if text.is_empty() {
        return Ok(RestartPolicy::default());
    }
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".into());
    }
    let maximum_retry_count = match count {
        None => 0,
        Some(count) => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

/// A duration that the engine takes only from a millisecond on.
pub(crate) fn health_span(text: &str, flag: &str) -> Result<i64, String> {
    let nanos = duration::nanos(text)?;
    if nanos < 0 { Err(format!("--{flag} cannot be negative")) } else { Ok(nanos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulimit_has_a_soft_and_a_hard_part() {
        let limit = ulimit("nofile=100:200").unwrap();
        assert_eq!((limit.soft, limit.hard), (100, 200));
        assert_eq!(ulimit("nofile=5").unwrap().hard, 5);
        assert_eq!(ulimit("no=1").unwrap_err(), "invalid ulimit type: no");
        assert_eq!(ulimit("nofile").unwrap_err(), "invalid ulimit argument: nofile");
        assert!(ulimit("nofile=2:1").is_err());
    }

    #[test]
    fn a_restart_policy_may_count() {
        assert_eq!(restart("on-failure:3").unwrap().maximum_retry_count, 3);
        assert_eq!(restart("foo").unwrap().name, "foo");
        assert!(restart("on-failure:x").is_err());
        assert!(restart(":3").is_err());
    }
}
