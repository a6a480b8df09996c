//! The `linux.resources` object of a bundle: limits of a cgroup.

use super::nullable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// Which devices may be used; the last rule that fits decides.
    #[serde(with = "nullable")]
    pub devices: Vec<DeviceRule>,
    /// Memory.
    pub memory: Option<Memory>,
    /// CPU time and placement.
    pub cpu: Option<Cpu>,
    /// Number of tasks.
    pub pids: Option<Pids>,
    /// Block devices.
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    /// Huge pages.
    #[serde(with = "nullable")]
    pub hugepage_limits: Vec<HugepageLimit>,
    /// Network marks (v1).
    pub network: Option<Network>,
    /// RDMA by device name.
    #[serde(with = "nullable")]
    pub rdma: BTreeMap<String, Rdma>,
    /// Files of cgroup v2 and what is written to them.
    #[serde(with = "nullable")]
    pub unified: BTreeMap<String, String>,
}

/// One rule on devices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    #[serde(with = "nullable")]
    pub allow: bool,
    /// `a`, `c` or `b`; `a` if absent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Major number; any if absent.
    pub major: Option<i64>,
    /// Minor number; any if absent.
    pub minor: Option<i64>,
    /// Some of `r`, `w`, `m`.
    pub access: Option<String>,
}

/// Memory; bytes unless said, -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    /// Kernel memory; ignored by kernels from 5.16.
    pub kernel: Option<i64>,
    /// Kernel TCP memory (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// Whether processes wait instead of being killed (v1).
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    /// Whether children count too (v1).
    pub use_hierarchy: Option<bool>,
    /// Whether a limit below the present use is refused.
    pub check_before_update: Option<bool>,
}

/// CPU time and placement; microseconds unless said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cpu {
    /// Relative weight, 2 to 262144.
    pub shares: Option<u64>,
    /// Time in each period; -1 is unlimited.
    pub quota: Option<i64>,
    /// Time that may be saved up.
    pub burst: Option<u64>,
    /// Length of a period.
    pub period: Option<u64>,
    /// Real-time part of each real-time period (v1).
    pub realtime_runtime: Option<i64>,
    /// Length of a real-time period (v1).
    pub realtime_period: Option<u64>,
    /// CPU list.
    pub cpus: Option<String>,
    /// NUMA node list.
    pub mems: Option<String>,
    /// 1 for SCHED_IDLE.
    pub idle: Option<i64>,
}

/// Number of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// At most so many; -1 is unlimited.
    pub limit: Option<i64>,
}

/// Block devices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockIo {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000 (v1, CFQ).
    pub leaf_weight: Option<u16>,
    /// Weights by device.
    #[serde(with = "nullable")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes per second read.
    #[serde(with = "nullable")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    /// Bytes per second written.
    #[serde(with = "nullable")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    /// Reads per second.
    #[serde(rename = "throttleReadIOPSDevice", with = "nullable")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    /// Writes per second.
    #[serde(rename = "throttleWriteIOPSDevice", with = "nullable")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

/// The weight of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WeightDevice {
    /// Major number.
    #[serde(with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(with = "nullable")]
    pub minor: i64,
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000 (v1, CFQ).
    pub leaf_weight: Option<u16>,
}

/// The rate of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Major number.
    #[serde(with = "nullable")]
    pub major: i64,
    /// Minor number.
    #[serde(with = "nullable")]
    pub minor: i64,
    /// Bytes or operations per second.
    #[serde(with = "nullable")]
    pub rate: u64,
}

/// The limit of one huge page size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HugepageLimit {
    /// `2MB`, `1GB`, ...
    #[serde(with = "nullable")]
    pub page_size: String,
    /// Bytes.
    #[serde(with = "nullable")]
    pub limit: u64,
}

/// Network marks (v1).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// The class of packets.
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    /// Priorities by interface.
    #[serde(with = "nullable")]
    pub priorities: Vec<InterfacePriority>,
}

/// The priority of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfacePriority {
    /// The interface's name.
    #[serde(with = "nullable")]
    pub name: String,
    /// Its priority.
    #[serde(with = "nullable")]
    pub priority: u32,
}

/// RDMA limits of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rdma {
    /// At most so many handles.
    pub hca_handles: Option<u32>,
    /// At most so many objects.
    pub hca_objects: Option<u32>,
}
