//! The `linux` object of a bundle, without resources and seccomp.

use super::{Resources, Seccomp, nullable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What only Linux has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux {
    /// User ids of the new user namespace.
    #[serde(with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of the new user namespace.
    #[serde(with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters by dotted or slashed name.
    #[serde(with = "nullable")]
    pub sysctl: BTreeMap<String, String>,
    /// Limits of the cgroup.
    pub resources: Option<Resources>,
    /// The cgroup, as the cgroup driver reads it.
    pub cgroups_path: Option<String>,
    /// Namespaces that are made or joined; a type may occur once.
    #[serde(with = "nullable")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes besides the default ones.
    #[serde(with = "nullable")]
    pub devices: Vec<Device>,
    /// Host interfaces that move into the container, by their host name (1.3).
    #[serde(with = "nullable")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// System call filter.
    pub seccomp: Option<Seccomp>,
    /// `private`, `slave`, `shared` or `unbindable`.
    pub rootfs_propagation: Option<String>,
    /// Paths that cannot be read.
    #[serde(with = "nullable")]
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    #[serde(with = "nullable")]
    pub readonly_paths: Vec<String>,
    /// The SELinux label of mounts.
    pub mount_label: Option<String>,
    /// Intel resource director technology.
    pub intel_rdt: Option<IntelRdt>,
    /// NUMA memory policy (1.3).
    pub memory_policy: Option<MemoryPolicy>,
    /// Execution domain.
    pub personality: Option<Personality>,
    /// Clock offsets of a new time namespace, by `monotonic` and `boottime`.
    #[serde(with = "nullable")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    /// The first id in the container.
    #[serde(rename = "containerID", with = "nullable")]
    pub container_id: u32,
    /// The first id outside.
    #[serde(rename = "hostID", with = "nullable")]
    pub host_id: u32,
    /// How many.
    #[serde(with = "nullable")]
    pub size: u32,
}

/// A namespace that is made, or joined if it has a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup`, `time`.
    #[serde(rename = "type", with = "nullable")]
    pub kind: String,
    /// The namespace file to join.
    pub path: Option<String>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Device {
    /// Where, absolute in the container.
    #[serde(with = "nullable")]
    pub path: String,
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type", with = "nullable")]
    pub kind: String,
    /// Major number.
    #[serde(with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(with = "nullable")]
    pub minor: i64,
    /// Permission bits; 0666 if absent.
    pub file_mode: Option<u32>,
    /// Owner; 0 if absent.
    pub uid: Option<u32>,
    /// Group; 0 if absent.
    pub gid: Option<u32>,
}

/// How an interface is called in the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetDevice {
    /// Its name there; its host name if absent.
    pub name: Option<String>,
}

/// Intel resource director technology.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IntelRdt {
    /// The class of service.
    #[serde(rename = "closID")]
    pub clos_id: Option<String>,
    /// Lines for the schemata file (1.3).
    #[serde(with = "nullable")]
    pub schemata: Vec<String>,
    /// L3 cache schema.
    pub l3_cache_schema: Option<String>,
    /// Memory bandwidth schema.
    pub mem_bw_schema: Option<String>,
    /// Whether a monitoring group is made (1.3).
    #[serde(with = "nullable")]
    pub enable_monitoring: bool,
}

/// set_mempolicy(2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryPolicy {
    /// `MPOL_BIND`, ...
    #[serde(with = "nullable")]
    pub mode: String,
    /// A list such as `0-1,3`.
    #[serde(with = "nullable")]
    pub nodes: String,
    /// `MPOL_F_STATIC_NODES`, ...
    #[serde(with = "nullable")]
    pub flags: Vec<String>,
}

/// personality(2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    #[serde(with = "nullable")]
    pub domain: String,
    /// None is defined yet.
    #[serde(with = "nullable")]
    pub flags: Vec<String>,
}

/// The offset of one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    /// Seconds.
    #[serde(with = "nullable")]
    pub secs: i64,
    /// Nanoseconds.
    #[serde(with = "nullable")]
    pub nanosecs: u32,
}
