//! The device rules that a container has whatever its specification says.

use spec::oci::{DeviceRule, Resources};

/// Major and minor number of what every container may use: null, zero, full, tty, random, urandom, ptmx and the
/// pseudo-terminals (runtime specification, "Default Devices"; runc's `AllowedDevices`).
const DEFAULT: [(i64, Option<i64>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (5, Some(0)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(2)),
    (136, None),
];

/// The limits of a new container. What no rule speaks of is denied: a list that somebody left empty must not give all
/// devices of the host to a process that may make nodes.
pub fn with_default_devices(resources: Option<&Resources>) -> Resources {
    let mut resources = resources.cloned().unwrap_or_default();
    let rule = |allow, kind: Option<&str>, major, minor, access: &str| DeviceRule {
        allow,
        kind: kind.map(str::to_owned),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    let mut rules = vec![rule(false, None, None, None, "rwm")];
    rules.append(&mut resources.devices);
    // A node that cannot be opened harms nobody, and archives with nodes can be unpacked.
    rules.extend(["c", "b"].map(|kind| rule(true, Some(kind), None, None, "m")));
    let default = DEFAULT.iter().copied();
    rules.extend(default.map(|(major, minor)| rule(true, Some("c"), Some(major), minor, "rwm")));
    resources.devices = rules;
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rules_only_the_default_devices_are_allowed() {
        let rules = with_default_devices(None).devices;
        assert!(!rules[0].allow && rules[0].kind.is_none());
        let opened = rules.iter().filter(|rule| rule.access.as_deref() != Some("m"));
        let numbers: Vec<_> = opened.skip(1).map(|rule| (rule.major, rule.minor)).collect();
        assert_eq!(numbers.len(), 8);
        assert!(numbers.contains(&(Some(1), Some(3))));
    }
}
