//! What ties a container to its host: `HostConfig` and the resource limits.

use crate::is_default;
use crate::list::{List, Map};
use crate::mount::Mount;
use crate::network::PortBinding;
use serde::{Deserialize, Serialize};

/// What to do when the container ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// Empty or `no`, `always`, `unless-stopped`, `on-failure`.
    pub name: String,
    /// With `on-failure`: how often at most; 0 is without bound.
    pub maximum_retry_count: i64,
}

/// Where the container's output is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// The driver; empty is the engine's default.
    #[serde(rename = "Type")]
    pub driver: String,
    /// The driver's options.
    pub config: Map<String>,
}

/// A device's share of block I/O.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WeightDevice {
    /// The device file.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A device's limit of block I/O.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleDevice {
    /// The device file.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A device file of the host that the container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// The path on the host.
    pub path_on_host: String,
    /// The path in the container.
    pub path_in_container: String,
    /// Some of `rwm`.
    pub cgroup_permissions: String,
}

/// A request to a device driver, for instance for graphics cards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceRequest {
    /// The driver; empty chooses by capability.
    pub driver: String,
    /// How many; -1 is all.
    pub count: i64,
    /// The devices by the driver's ids.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: List<String>,
    /// Alternatives, each a list of capabilities that must all be there.
    pub capabilities: List<List<String>>,
    /// The driver's options.
    pub options: Map<String>,
}

/// A limit of `setrlimit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// The name in lower case without `RLIMIT_`: `nofile`.
    pub name: String,
    /// The hard limit; -1 is none.
    pub hard: i64,
    /// The soft limit; -1 is none.
    pub soft: i64,
}

/// Defines a struct with the given fields and all resource limits, which `HostConfig` and the update share.
macro_rules! with_resources {
    ($(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name {
            $($fields)*
            /// Relative weight against other containers.
            pub cpu_shares: i64,
            /// Limit of memory in bytes.
            pub memory: i64,
            /// Limit of CPU in units of 10⁻⁹ CPUs.
            pub nano_cpus: i64,
            /// The cgroup under which the container's own is made.
            pub cgroup_parent: String,
            /// Relative weight of block I/O, 10 to 1000.
            pub blkio_weight: u16,
            /// Weights per device.
            pub blkio_weight_device: $crate::List<$crate::host::WeightDevice>,
            /// Limits of bytes read per second.
            pub blkio_device_read_bps: $crate::List<$crate::host::ThrottleDevice>,
            /// Limits of bytes written per second.
            pub blkio_device_write_bps: $crate::List<$crate::host::ThrottleDevice>,
            /// Limits of reads per second.
            #[serde(rename = "BlkioDeviceReadIOps")]
            pub blkio_device_read_iops: $crate::List<$crate::host::ThrottleDevice>,
            /// Limits of writes per second.
            #[serde(rename = "BlkioDeviceWriteIOps")]
            pub blkio_device_write_iops: $crate::List<$crate::host::ThrottleDevice>,
            /// The period of the CFS quota in microseconds.
            pub cpu_period: i64,
            /// CPU time per period in microseconds.
            pub cpu_quota: i64,
            /// The period of the realtime quota in microseconds.
            pub cpu_realtime_period: i64,
            /// Realtime CPU time per period in microseconds.
            pub cpu_realtime_runtime: i64,
            /// The CPUs that may be used: `0-2,4`.
            pub cpuset_cpus: String,
            /// The memory nodes that may be used.
            pub cpuset_mems: String,
            /// Devices of the host.
            pub devices: $crate::List<$crate::host::DeviceMapping>,
            /// Rules for the device cgroup: `c 1:3 rwm`.
            pub device_cgroup_rules: $crate::List<String>,
            /// Requests to device drivers.
            pub device_requests: $crate::List<$crate::host::DeviceRequest>,
            /// Soft limit of memory in bytes.
            pub memory_reservation: i64,
            /// Limit of memory and swap together in bytes; -1 is none.
            pub memory_swap: i64,
            /// 0 to 100; -1 and `null` leave it to the host.
            pub memory_swappiness: Option<i64>,
            /// Do not end processes when memory is short.
            pub oom_kill_disable: Option<bool>,
            /// Limit of tasks; 0 and below is none.
            pub pids_limit: Option<i64>,
            /// Limits of `setrlimit`.
            pub ulimits: $crate::List<$crate::host::Ulimit>,
            /// Windows only.
            pub cpu_count: i64,
            /// Windows only.
            pub cpu_percent: i64,
            /// Windows only.
            #[serde(rename = "IOMaximumIOps")]
            pub io_maximum_iops: u64,
            /// Windows only.
            #[serde(rename = "IOMaximumBandwidth")]
            pub io_maximum_bandwidth: u64,
        }
    };
}
pub(crate) use with_resources;

with_resources! {
    /// What ties a container to this host.
    pub struct HostConfig {
        /// `source:destination[:options]`.
        pub binds: List<String>,
        /// A file that the client wrote the id to; only shown.
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        /// Where output is kept.
        pub log_config: LogConfig,
        /// `default`, `bridge`, `host`, `none`, `container:<id>` or a network's name.
        pub network_mode: String,
        /// Published ports by `port/protocol`.
        pub port_bindings: Map<List<PortBinding>>,
        /// What to do at the end.
        pub restart_policy: RestartPolicy,
        /// Remove the container at its end.
        pub auto_remove: bool,
        /// The driver of anonymous volumes.
        pub volume_driver: String,
        /// `container[:ro|:rw]` whose volumes to take over.
        pub volumes_from: List<String>,
        /// Rows and columns of the terminal at the start.
        pub console_size: [u32; 2],
        /// For the runtime.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub annotations: Map<String>,
        /// Capabilities to add; `ALL`.
        pub cap_add: List<String>,
        /// Capabilities to take away; `ALL`.
        pub cap_drop: List<String>,
        /// Empty, `private` or `host`.
        pub cgroupns_mode: String,
        /// Name servers.
        pub dns: List<String>,
        /// Options of `resolv.conf`.
        pub dns_options: List<String>,
        /// Search domains.
        pub dns_search: List<String>,
        /// `name:address` lines for `hosts`.
        pub extra_hosts: List<String>,
        /// Additional groups.
        pub group_add: List<String>,
        /// Empty, `none`, `private`, `shareable`, `host` or `container:<id>`.
        pub ipc_mode: String,
        /// `container:<id>` whose cgroup to use.
        pub cgroup: String,
        /// `container:alias`.
        pub links: List<String>,
        /// Preference of the killer of processes when memory is short, -1000 to 1000.
        pub oom_score_adj: i64,
        /// Empty, `host` or `container:<id>`.
        pub pid_mode: String,
        /// All capabilities and devices.
        pub privileged: bool,
        /// Publish every exposed port at a free one of the host.
        pub publish_all_ports: bool,
        /// The root file system is read-only.
        pub readonly_rootfs: bool,
        /// `seccomp=`, `apparmor=`, `label=`, `no-new-privileges`, ...
        pub security_opt: List<String>,
        /// Options of the storage driver.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub storage_opt: Map<String>,
        /// Options of tmpfs mounts by destination.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub tmpfs: Map<String>,
        /// Empty or `host`.
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        /// Empty or `host`.
        pub userns_mode: String,
        /// Bytes of `/dev/shm`; 0 is the default.
        pub shm_size: i64,
        /// Kernel parameters of the container's namespaces.
        #[serde(skip_serializing_if = "Map::is_empty")]
        pub sysctls: Map<String>,
        /// The runtime's name.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub runtime: String,
        /// Windows only.
        pub isolation: String,
        /// Mounts in the long form.
        #[serde(skip_serializing_if = "List::is_empty")]
        pub mounts: List<Mount>,
        /// Paths that are hidden; `null` is the default set.
        pub masked_paths: List<String>,
        /// Paths that are read-only; `null` is the default set.
        pub readonly_paths: List<String>,
        /// Run a small init as process 1; `null` is the engine's default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub init: Option<bool>,
    }
}

/// The driver of a volume, in a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    /// The driver's name.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Its options.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub options: Map<String>,
}
