//! Devices: the whitelist that every container has, `--device`, `--device-cgroup-rule` and all of the host's for
//! `--privileged`.

use messages::storage::Device as HostDevice;
use spec::Failure;
use spec::oci::{Device, DeviceRule};

/// What Docker lets every container use: zero, null, urandom, random, tty, console; and not fuse. The runtime adds
/// full, ptmx and the pseudo-terminals.
const RULES: [(bool, i64, i64); 7] = [
    (true, 1, 5),
    (true, 1, 3),
    (true, 1, 9),
    (true, 1, 8),
    (true, 5, 0),
    (true, 5, 1),
    (false, 10, 229),
];

/// One `--device`, looked up on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the host has there; several when the path is a directory.
    pub found: Vec<HostDevice>,
    /// The path on the host that was asked for.
    pub on_host: String,
    /// The path in the container.
    pub in_container: String,
    /// `r`, `w`, `m`.
    pub permissions: String,
}

/// Nodes to make and rules for the cgroup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Nodes besides those that every container has.
    pub nodes: Vec<Device>,
    /// The rules in order.
    pub rules: Vec<DeviceRule>,
}

/// The devices of a container that is not privileged.
pub fn confined(wanted: &[Wanted], cgroup_rules: &[String]) -> Result<Devices, Failure> {
    let mut devices = Devices { nodes: Vec::new(), rules: default_rules() };
    for want in wanted {
        for host in &want.found {
            devices.nodes.push(node(host, place(want, host)));
            devices.rules.push(DeviceRule {
                allow: true,
                kind: Some(kind(host).to_owned()),
                major: Some(i64::from(host.major)),
                minor: Some(i64::from(host.minor)),
                access: Some(want.permissions.clone()),
            });
        }
    }
    for rule in cgroup_rules {
        devices.rules.push(parse_rule(rule)?);
    }
    Ok(devices)
}

/// The devices of a privileged container: all of the host's, and those that are wanted under another name.
pub fn privileged(host: &[HostDevice], wanted: &[Wanted]) -> Devices {
    let shown = host.iter().filter(|device| !is_containers_own(&device.path));
    let mut nodes: Vec<Device> = shown
        .map(|device| node(device, String::from_utf8_lossy(&device.path).into_owned()))
        .collect();
    for want in wanted.iter().filter(|want| want.on_host != want.in_container) {
        nodes.extend(want.found.iter().map(|device| node(device, place(want, device))));
    }
    let every = DeviceRule { allow: true, access: Some("rwm".into()), ..DeviceRule::default() };
    Devices { nodes, rules: vec![every] }
}

/// Whether a container has a device of its own there, whatever the host has.
fn is_containers_own(path: &[u8]) -> bool {
    const OWN: [&[u8]; 5] =
        [b"/dev/pts/", b"/dev/shm/", b"/dev/fd/", b"/dev/mqueue/", b"/dev/.udev/"];
    path == b"/dev/console" || OWN.iter().any(|prefix| path.starts_with(prefix))
}

fn default_rules() -> Vec<DeviceRule> {
    let nothing = DeviceRule { allow: false, access: Some("rwm".into()), ..DeviceRule::default() };
    let rules = RULES.iter().map(|(allow, major, minor)| DeviceRule {
        allow: *allow,
        kind: Some("c".into()),
        major: Some(*major),
        minor: Some(*minor),
        access: Some("rwm".into()),
    });
    std::iter::once(nothing).chain(rules).collect()
}

fn kind(device: &HostDevice) -> &'static str {
    if device.block { "b" } else { "c" }
}

/// Where a device goes: below the wanted path as it lies below the host's.
fn place(want: &Wanted, device: &HostDevice) -> String {
    let path = String::from_utf8_lossy(&device.path);
    let below = path.strip_prefix(want.on_host.trim_end_matches('/')).unwrap_or_default();
    format!("{}{below}", want.in_container.trim_end_matches('/'))
}

fn node(device: &HostDevice, path: String) -> Device {
    Device {
        path,
        kind: kind(device).to_owned(),
        major: i64::from(device.major),
        minor: i64::from(device.minor),
        file_mode: Some(device.mode & 0o7777),
        uid: Some(device.uid),
        gid: Some(device.gid),
    }
}

/// Reads `TYPE MAJOR:MINOR ACCESS`, where the numbers may be `*`: `c 13:* rwm`.
pub fn parse_rule(text: &str) -> Result<DeviceRule, Failure> {
    let wrong = || Failure::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let mut parts = text.split(' ');
    let (Some(kind), Some(numbers), Some(access), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<i64>().map(Some).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    };
    let allowed =
        (1..=3).contains(&access.len()) && access.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'));
    if !matches!(kind, "a" | "b" | "c") || !allowed {
        return Err(wrong());
    }
    Ok(DeviceRule {
        allow: true,
        kind: Some(kind.to_owned()),
        major: number(major)?,
        minor: number(minor)?,
        access: Some(access.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(path: &str, minor: u32) -> HostDevice {
        HostDevice {
            path: path.into(),
            block: true,
            major: 8,
            minor,
            mode: 0o60660,
            uid: 0,
            gid: 6,
        }
    }

    fn wanted(on_host: &str, in_container: &str, found: Vec<HostDevice>) -> Wanted {
        Wanted {
            found,
            on_host: on_host.into(),
            in_container: in_container.into(),
            permissions: "rw".into(),
        }
    }

    #[test]
    fn a_device_gets_a_node_and_a_rule_under_its_name_in_the_container() {
        let devices =
            confined(&[wanted("/dev/sda", "/dev/disk", vec![host("/dev/sda", 0)])], &[]).unwrap();
        assert_eq!(devices.nodes[0].path, "/dev/disk");
        assert_eq!(devices.nodes[0].file_mode, Some(0o660));
        assert_eq!(devices.rules.len(), 9);
        assert!(!devices.rules[0].allow && devices.rules[0].kind.is_none());
        assert_eq!(devices.rules[8].access.as_deref(), Some("rw"));
    }

    #[test]
    fn a_directory_keeps_the_names_below_it() {
        let found = vec![host("/dev/disks/a", 1), host("/dev/disks/by/b", 2)];
        let devices = confined(&[wanted("/dev/disks/", "/d", found)], &[]).unwrap();
        let paths: Vec<_> = devices.nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(paths, ["/d/a", "/d/by/b"]);
    }

    #[test]
    fn privileged_gets_the_hosts_devices_and_one_rule() {
        let same = wanted("/dev/sda", "/dev/sda", vec![host("/dev/sda", 0)]);
        let other = wanted("/dev/sdb", "/dev/x", vec![host("/dev/sdb", 1)]);
        let all = [
            host("/dev/sda", 0),
            host("/dev/sdb", 1),
            host("/dev/pts/0", 2),
            host("/dev/console", 3),
        ];
        let devices = privileged(&all, &[same, other]);
        let paths: Vec<_> = devices.nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(paths, ["/dev/sda", "/dev/sdb", "/dev/x"]);
        assert_eq!(devices.rules.len(), 1);
        assert!(devices.rules[0].allow && devices.rules[0].major.is_none());
    }

    #[test]
    fn rules_are_read_as_docker_reads_them() {
        let rule = parse_rule("c 13:* rm").unwrap();
        assert_eq!((rule.kind.as_deref(), rule.major, rule.minor), (Some("c"), Some(13), None));
        for bad in
            ["", "c 13", "x 1:1 r", "c 1:1 q", "c 1:1 rwmr", "c -1:1 r", "c 1:1 r ", "c +1:1 r"]
        {
            let failure = parse_rule(bad).unwrap_err();
            assert_eq!(failure.message, format!("invalid device cgroup rule format: '{bad}'"));
        }
    }
}
