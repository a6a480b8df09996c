//! What is made in `/dev`.

use crate::text::{absolute, c_string, is_within};
use crate::{MountKind, MountPlan, NamespacePlan, PlanError};
use spec::oci::{Device, Linux};
use std::ffi::CString;
use sys::clone::Namespaces;

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// `c` or `u`.
    Character,
    /// `b`.
    Block,
    /// `p`.
    Fifo,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// Where, absolute in the container.
    pub path: CString,
    /// The directory that it is made in.
    pub parent: CString,
    /// The last component.
    pub name: CString,
    /// What it is.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether the host's node of the same path is bound instead, since mknod is impossible in a user namespace.
    pub bind: bool,
}

/// A symbolic link in `/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPlan {
    /// The directory that it is made in.
    pub parent: CString,
    /// The last component.
    pub name: CString,
    /// What it says.
    pub target: CString,
    /// A path that must exist in the container for the link to be made.
    pub requires: Option<CString>,
}

/// The nodes that every container has (config-linux.md, default devices).
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links that every container has (runtime-linux.md).
const LINKS: [(&str, &str, Option<&str>); 6] = [
    ("fd", "/proc/self/fd", None),
    ("stdin", "/proc/self/fd/0", None),
    ("stdout", "/proc/self/fd/1", None),
    ("stderr", "/proc/self/fd/2", None),
    ("ptmx", "pts/ptmx", Some("/dev/pts/ptmx")),
    ("core", "/proc/kcore", Some("/proc/kcore")),
];

/// Whether `/dev` belongs to the container: not if a directory of the host is bound there.
fn owns_dev(mounts: &[MountPlan]) -> bool {
    !mounts
        .iter()
        .any(|mount| mount.target.as_bytes() == b"/dev" && matches!(mount.kind, MountKind::Bind(_)))
}

pub(crate) fn plan(
    linux: &Linux,
    mounts: &[MountPlan],
    namespaces: &NamespacePlan,
) -> Result<(Vec<DevicePlan>, Vec<LinkPlan>), PlanError> {
    if !owns_dev(mounts) {
        return Ok((Vec::new(), Vec::new()));
    }
    let bind = namespaces.separate(Namespaces::USER);
    let mut devices = Vec::new();
    for (index, device) in linux.devices.iter().enumerate() {
        devices.push(device_plan(&format!("linux.devices[{index}]"), device, bind)?);
    }
    for (path, major, minor) in DEFAULT {
        if devices.iter().any(|device| device.path.as_bytes() == path.as_bytes()) {
            continue;
        }
        let device = Device {
            path: path.to_owned(),
            kind: "c".to_owned(),
            major: major.into(),
            minor: minor.into(),
            ..Device::default()
        };
        devices.push(device_plan(path, &device, bind)?);
    }
    let links = LINKS.iter().map(|(name, target, requires)| {
        Ok(LinkPlan {
            parent: c_string("link", "/dev")?,
            name: c_string("link", name)?,
            target: c_string("link", target)?,
            requires: requires.map(|path| c_string("link", path)).transpose()?,
        })
    });
    Ok((devices, links.collect::<Result<_, _>>()?))
}

fn device_plan(field: &str, device: &Device, bind: bool) -> Result<DevicePlan, PlanError> {
    let kind = match device.kind.as_str() {
        "c" | "u" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        "p" => DeviceKind::Fifo,
        other => return Err(PlanError::value(format!("{field}.type"), other, "one of c, u, b, p")),
    };
    let path = absolute(&format!("{field}.path"), &device.path)?;
    let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
        return Err(PlanError::value(format!("{field}.path"), &device.path, "below the root"));
    };
    if is_within(&path, "/proc") || is_within(&path, "/sys") {
        return Err(PlanError::value(format!("{field}.path"), &path, "outside /proc and /sys"));
    }
    let number = |name: &str, number: i64, bits: u32| {
        u32::try_from(number).ok().filter(|n| *n < 1 << bits).ok_or_else(|| {
            let allowed = format!("0 to {}", (1u32 << bits) - 1);
            PlanError::value(format!("{field}.{name}"), number.to_string(), allowed)
        })
    };
    let parent = if parent.is_empty() { "/" } else { parent };
    Ok(DevicePlan {
        parent: c_string(field, parent)?,
        name: c_string(field, name)?,
        path: c_string(field, &path)?,
        kind,
        major: number("major", device.major, 12)?,
        minor: number("minor", device.minor, 20)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
        bind: bind && kind != DeviceKind::Fifo,
    })
}
