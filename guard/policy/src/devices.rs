//! Device numbers: which nodes a specification may make or open.

use crate::Policy;
use spec::oci::{Device, DeviceRule};
use spec::{Class, Failure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Directories below a listed one that are searched for nodes.
const DEPTH: usize = 4;

/// The numbers of the device nodes that the policy lists.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    /// All devices, because `/dev` as a whole is listed.
    Any,
    /// Block or not, major, minor.
    These(BTreeSet<(bool, i64, i64)>),
}

impl Default for Numbers {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Numbers {
    /// What nodes lie at and below these paths now. A path at which nothing lies allows nothing.
    pub(crate) fn look_up(paths: &[PathBuf]) -> Self {
        if paths.iter().any(|path| Path::new("/dev").starts_with(path)) {
            return Self::Any;
        }
        let mut found = BTreeSet::new();
        for path in paths {
            collect(path, DEPTH, &mut found);
        }
        Self::These(found)
    }

    fn contains(&self, block: bool, major: i64, minor: i64) -> bool {
        match self {
            Self::Any => true,
            Self::These(set) => set.contains(&(block, major, minor)),
        }
    }
}

fn collect(path: &Path, depth: usize, found: &mut BTreeSet<(bool, i64, i64)>) {
    let Ok(stat) = rustix::fs::lstat(path) else { return };
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    if kind.is_block_device() || kind.is_char_device() {
        let major = rustix::fs::major(stat.st_rdev).into();
        let minor = rustix::fs::minor(stat.st_rdev).into();
        found.insert((kind.is_block_device(), major, minor));
    } else if kind.is_dir() && depth > 0 {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            collect(&entry.path(), depth - 1, found);
        }
    }
}

/// The nodes that every container has: (block, major, minor); -1 stands for all minors.
const DEFAULT_NODES: [(bool, i64, i64); 9] = [
    (false, 1, 3),    // null
    (false, 1, 5),    // zero
    (false, 1, 7),    // full
    (false, 1, 8),    // random
    (false, 1, 9),    // urandom
    (false, 5, 0),    // tty
    (false, 5, 1),    // console
    (false, 5, 2),    // ptmx
    (false, 136, -1), // pts
];

fn is_default(block: bool, major: i64, minor: i64) -> bool {
    DEFAULT_NODES.iter().any(|&(b, m, n)| b == block && m == major && (n == -1 || n == minor))
}

impl Policy {
    /// A node that the container shall have in its `/dev`.
    pub(crate) fn check_device(&self, device: &Device) -> Result<(), Failure> {
        if device.kind == "p" {
            return Ok(());
        }
        let block = device.kind == "b";
        let known = is_default(block, device.major, device.minor);
        if known || self.device_numbers.contains(block, device.major, device.minor) {
            return Ok(());
        }
        Err(forbidden(&format!(
            "device {} ({} {}:{})",
            device.path, device.kind, device.major, device.minor
        )))
    }

    /// A line of the container's device list.
    pub(crate) fn check_device_rule(&self, rule: &DeviceRule) -> Result<(), Failure> {
        let access = rule.access.as_deref().unwrap_or("rwm");
        // Making a node gives nothing as long as it may not be opened; all containers may.
        if !rule.allow || access.chars().all(|letter| letter == 'm') {
            return Ok(());
        }
        let kind = rule.kind.as_deref().unwrap_or("a");
        let everything = matches!(self.device_numbers, Numbers::Any) && self.privileged;
        let allowed = match (kind, rule.major, rule.minor) {
            ("b" | "c", Some(major), minor) if major >= 0 => {
                let block = kind == "b";
                let minor = minor.unwrap_or(-1);
                is_default(block, major, minor) || self.device_numbers.contains(block, major, minor)
            }
            _ => everything,
        };
        if allowed {
            return Ok(());
        }
        let number = |n: Option<i64>| n.filter(|n| *n >= 0).map_or("*".into(), |n| n.to_string());
        Err(forbidden(&format!(
            "device rule {kind} {}:{} {access}",
            number(rule.major),
            number(rule.minor)
        )))
    }
}

fn forbidden(what: &str) -> Failure {
    Failure::new(Class::Forbidden, format!("{what} is not allowed: the policy forbids it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: &str, major: i64, minor: i64, access: &str) -> DeviceRule {
        DeviceRule {
            allow: true,
            kind: Some(kind.into()),
            major: Some(major),
            minor: Some(minor),
            access: Some(access.into()),
        }
    }

    #[test]
    fn what_every_container_has_is_allowed_by_every_policy() {
        let policy = Policy::of("devices = []\nprivileged = false");
        policy.check_device_rule(&rule("c", 1, 3, "rwm")).unwrap();
        policy.check_device_rule(&rule("c", 136, -1, "rwm")).unwrap();
        policy.check_device_rule(&rule("a", -1, -1, "m")).unwrap();
    }

    #[test]
    fn a_rule_for_all_devices_needs_a_policy_that_allows_privileged() {
        Policy::default().check_device_rule(&rule("a", -1, -1, "rwm")).unwrap();
        let policy = Policy::of("privileged = false");
        let failure = policy.check_device_rule(&rule("a", -1, -1, "rwm")).unwrap_err();
        assert_eq!(failure.message, "device rule a *:* rwm is not allowed: the policy forbids it");
    }

    #[test]
    fn a_node_of_a_listed_path_is_allowed_by_its_number() {
        let policy = Policy::of("devices = [\"/dev/kmsg\"]");
        policy.check_device_rule(&rule("c", 1, 11, "r")).unwrap();
        assert!(policy.check_device_rule(&rule("b", 8, 0, "r")).is_err());
        let disk = Device {
            path: "/dev/x".into(),
            kind: "b".into(),
            major: 8,
            minor: 0,
            ..Device::default()
        };
        assert!(policy.check_device(&disk).is_err());
    }
}
