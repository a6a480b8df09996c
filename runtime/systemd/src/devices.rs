//! Rules on devices as the manager's `DevicePolicy` and `DeviceAllow`.
//!
//! On v2 the manager attaches a program of its own beside ours, and on v1 it writes the list of the group anew whenever
//! it likes: so it must know the rules, and know them as narrowly as we do.

use crate::error::SystemdError;
use crate::properties::Property;
use crate::wire::Value;
use cgroups::devices::{Devices, Kind, MKNOD, Policy, READ, WRITE, check};
use spec::oci::DeviceRule;

/// The properties for `rules`; none without rules. `table` is `/proc/devices`, in which drivers have their names.
pub(crate) fn properties(rules: &[DeviceRule], table: &str) -> Result<Vec<Property>, SystemdError> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let limit = |source: cgroups::CgroupError| SystemdError::Group {
        unit: "the unit".to_owned(),
        source: Box::new(source),
    };
    let policy = check(rules).and_then(|rules| Policy::of(&rules)).map_err(limit)?;
    // An empty list empties what was there before.
    let mut allow = Vec::new();
    if !policy.allow {
        for (devices, access) in &policy.exceptions {
            allow.extend(
                names(devices, table).into_iter().map(|name| {
                    Value::Struct(vec![Value::Text(name), Value::text(letters(*access))])
                }),
            );
        }
    }
    let word = if policy.allow { "auto" } else { "strict" };
    Ok(vec![
        Property::new("DevicePolicy", Value::text(word)),
        Property::new("DeviceAllow", Value::list("(ss)", allow)),
    ])
}

fn letters(access: u8) -> String {
    let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    letters.into_iter().filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect()
}

/// A device by its number; all of a driver by the names of the driver; all of a kind. The manager knows no minor number
/// of every driver, and drivers without a name here have no devices either.
fn names(devices: &Devices, table: &str) -> Vec<String> {
    let kind = if devices.kind == Kind::Block { "block" } else { "char" };
    match (devices.major, devices.minor) {
        (Some(major), Some(minor)) => vec![format!("/dev/{kind}/{major}:{minor}")],
        (Some(major), None) => drivers(table, devices.kind, major)
            .into_iter()
            .map(|driver| format!("{kind}-{driver}"))
            .collect(),
        (None, None) => vec![format!("{kind}-*")],
        (None, Some(_)) => Vec::new(),
    }
}

/// The drivers with the major number `number`: lines as `  1 mem`, below `Character devices:` or `Block devices:`.
fn drivers(table: &str, kind: Kind, number: u32) -> Vec<String> {
    let mut here = false;
    let mut names = Vec::new();
    for line in table.lines() {
        if line.ends_with("devices:") {
            here = line.starts_with(if kind == Kind::Block { "Block" } else { "Character" });
        } else if let Some((first, name)) = line.trim().split_once(' ')
            && here
            && first.parse() == Ok(number)
            && !names.iter().any(|other| other == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Character devices:
  1 mem
  5 /dev/tty
  5 /dev/console
136 pts

Block devices:
  1 ramdisk
  8 sd
";

    fn rule(allow: bool, kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
        DeviceRule {
            allow,
            kind: Some(kind.into()),
            major: (major >= 0).then_some(major),
            minor: (minor >= 0).then_some(minor),
            access: Some(access.into()),
        }
    }

    fn shown(rules: &[DeviceRule]) -> Vec<String> {
        let properties = properties(rules, TABLE).unwrap();
        let Some(Property { value: Value::List(_, allow), .. }) = properties.get(1) else {
            return Vec::new();
        };
        let word = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        let mut lines = vec![word(&properties[0].value)];
        lines.extend(allow.iter().map(|entry| match entry {
            Value::Struct(fields) => format!("{} {}", word(&fields[0]), word(&fields[1])),
            _ => String::new(),
        }));
        lines
    }

    #[test]
    fn allowed_devices_are_named_by_number_driver_or_kind() {
        let rules = [
            rule(false, "a", -1, -1, "rwm"),
            rule(true, "c", 1, 3, "rwm"),
            rule(true, "c", 136, -1, "rw"),
            rule(true, "c", 5, -1, "r"),
            rule(true, "b", -1, -1, "m"),
            rule(true, "c", 250, -1, "r"),
        ];
        assert_eq!(
            shown(&rules),
            [
                "strict",
                "block-* m",
                "/dev/char/1:3 rwm",
                "char-/dev/tty r",
                "char-/dev/console r",
                "char-pts rw"
            ]
        );
    }

    #[test]
    fn where_all_are_allowed_nothing_is_listed_and_no_rules_change_nothing() {
        assert_eq!(shown(&[rule(true, "a", -1, -1, "rwm")]), ["auto"]);
        assert_eq!(shown(&[rule(false, "a", -1, -1, "rwm")]), ["strict"]);
        assert!(properties(&[], TABLE).unwrap().is_empty());
    }
}
