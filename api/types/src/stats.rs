//! One sample of `GET /containers/{id}/stats`. Fields that the host cannot tell stay at their default.

use crate::list::{List, Map};
use crate::{is_default, time};
use serde::{Deserialize, Serialize};

macro_rules! sample {
    ($(#[$meta:meta])* $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name { $($fields)* }
    };
}

sample! {
    /// How often the quota held the container up.
    ThrottlingData {
        /// Periods that ended.
        pub periods: u64,
        /// Periods in which it was held up.
        pub throttled_periods: u64,
        /// Nanoseconds it was held up.
        pub throttled_time: u64,
    }
}
sample! {
    /// CPU time of the container, in nanoseconds.
    CpuUsage {
        /// All.
        pub total_usage: u64,
        /// Per CPU; cgroup v1 only.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub percpu_usage: Vec<u64>,
        /// In the kernel.
        pub usage_in_kernelmode: u64,
        /// In programs.
        pub usage_in_usermode: u64,
    }
}
sample! {
    /// CPU.
    CpuStats {
        /// The container's.
        pub cpu_usage: CpuUsage,
        /// CPU time of the host in nanoseconds.
        #[serde(skip_serializing_if = "is_default")]
        pub system_cpu_usage: u64,
        /// CPUs of the host.
        #[serde(skip_serializing_if = "is_default")]
        pub online_cpus: u32,
        /// The quota's effect.
        pub throttling_data: ThrottlingData,
    }
}
sample! {
    /// Memory in bytes.
    MemoryStats {
        /// Now.
        #[serde(skip_serializing_if = "is_default")]
        pub usage: u64,
        /// At most; cgroup v1 only.
        #[serde(skip_serializing_if = "is_default")]
        pub max_usage: u64,
        /// The lines of `memory.stat`.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub stats: Map<u64>,
        /// How often the limit was hit.
        #[serde(skip_serializing_if = "is_default")]
        pub failcnt: u64,
        /// The limit, or the host's memory.
        #[serde(skip_serializing_if = "is_default")]
        pub limit: u64,
    }
}
sample! {
    /// One counter of a block device.
    BlkioEntry {
        /// The device's major number.
        pub major: u64,
        /// The device's minor number.
        pub minor: u64,
        /// `read` or `write`.
        pub op: String,
        /// Bytes or operations.
        pub value: u64,
    }
}
sample! {
    /// Block I/O.
    BlkioStats {
        /// Bytes.
        pub io_service_bytes_recursive: List<BlkioEntry>,
        /// Operations.
        pub io_serviced_recursive: List<BlkioEntry>,
        /// Operations that wait.
        pub io_queue_recursive: List<BlkioEntry>,
        /// Nanoseconds of service.
        pub io_service_time_recursive: List<BlkioEntry>,
        /// Nanoseconds of waiting.
        pub io_wait_time_recursive: List<BlkioEntry>,
        /// Operations that were merged.
        pub io_merged_recursive: List<BlkioEntry>,
        /// Milliseconds of use.
        pub io_time_recursive: List<BlkioEntry>,
        /// Sectors.
        pub sectors_recursive: List<BlkioEntry>,
    }
}
sample! {
    /// Windows only.
    StorageStats {}
}
sample! {
    /// One network interface.
    NetworkStats {
        /// Bytes received.
        pub rx_bytes: u64,
        /// Packets received.
        pub rx_packets: u64,
        /// Errors at receipt.
        pub rx_errors: u64,
        /// Packets dropped at receipt.
        pub rx_dropped: u64,
        /// Bytes sent.
        pub tx_bytes: u64,
        /// Packets sent.
        pub tx_packets: u64,
        /// Errors at sending.
        pub tx_errors: u64,
        /// Packets dropped at sending.
        pub tx_dropped: u64,
    }
}
sample! {
    /// Tasks.
    PidsStats {
        /// Now.
        #[serde(skip_serializing_if = "is_default")]
        pub current: u64,
        /// The limit; left out when there is none.
        #[serde(skip_serializing_if = "is_default")]
        pub limit: u64,
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The container's id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The container's name with a leading slash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `linux`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_type: String,
    /// When, RFC 3339.
    pub read: String,
    /// CPU now.
    pub cpu_stats: CpuStats,
    /// Memory now.
    pub memory_stats: MemoryStats,
    /// By interface.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub networks: Map<NetworkStats>,
    /// Tasks now.
    pub pids_stats: PidsStats,
    /// Block I/O.
    pub blkio_stats: BlkioStats,
    /// Windows only.
    pub num_procs: u32,
    /// Windows only.
    pub storage_stats: StorageStats,
    /// When the sample before was taken, RFC 3339.
    pub preread: String,
    /// CPU at the sample before.
    pub precpu_stats: CpuStats,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            os_type: String::new(),
            read: time::ZERO.into(),
            cpu_stats: CpuStats::default(),
            memory_stats: MemoryStats::default(),
            networks: Map::default(),
            pids_stats: PidsStats::default(),
            blkio_stats: BlkioStats::default(),
            num_procs: 0,
            storage_stats: StorageStats::default(),
            preread: time::ZERO.into(),
            precpu_stats: CpuStats::default(),
        }
    }
}
