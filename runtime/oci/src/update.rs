//! Changing limits.

use crate::pause::existing;
use crate::runtime::Runtime;
use crate::{Error, Id, Status};
use cgroups::Resources;

impl Runtime {
    /// Changes the limits of a container; what is not set stays.
    pub fn update(&self, id: &Id, resources: &Resources) -> Result<(), Error> {
        let container = self.container(id)?;
        if container.status()? == Status::Stopped {
            return Err(Error::NotRunning);
        }
        let group = existing(container.group()?)?;
        if container.record.cgroup.as_ref().is_some_and(|place| place.systemd) {
            return self.update_scope(&container, &group, resources);
        }
        Ok(group.update(resources)?)
    }
}

/// Reads limits from JSON, in the form of `linux.resources`.
pub fn parse_resources(object: &str, text: &[u8]) -> Result<Resources, Error> {
    crate::field::read(object, text)
}

/// Reads a number of bytes with an optional unit of powers of 1024 (`512m`, `1.5GiB`), or `-1` for no limit.
pub fn parse_size(field: &str, text: &str) -> Result<i64, Error> {
    let wrong =
        || Error::value(field, text, "a number of bytes with or without b, k, m, g, t, or -1");
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    let bytes = match number.parse::<i64>() {
        Ok(whole) => whole.checked_mul(1 << shift),
        Err(_) => {
            let bytes = number.parse::<f64>().map_err(|_| wrong())? * (1i64 << shift) as f64;
            (bytes.is_finite() && bytes < i64::MAX as f64).then_some(bytes as i64)
        }
    };
    bytes.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("100", 100),
            ("512m", 512 << 20),
            ("1.5G", 3 << 29),
            ("2kb", 2048),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(parse_size("f", text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "x", "1x", "-2", "9999999999999999999", "99999999p", "1..2"] {
            assert!(parse_size("f", bad).is_err(), "{bad}");
        }
    }
}
