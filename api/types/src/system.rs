//! The engine itself: version, info and disk usage.

use crate::is_default;
use crate::list::{Empty, List, Map};
use crate::{image, inspect, volume};
use serde::{Deserialize, Serialize};

/// What the headers of `/_ping` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ping {
    /// `linux`.
    pub os: String,
    /// The engine's version, for the `Server` header.
    pub engine_version: String,
    /// Experimental features are on.
    pub experimental: bool,
    /// `1` or `2`: which builder clients should use.
    pub builder_version: String,
    /// `inactive`, `active/worker`, ...
    pub swarm: String,
}

/// The product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlatformInfo {
    /// Its name.
    pub name: String,
}

/// A part of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ComponentVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// More.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String>,
}

/// The reply of `GET /version`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    /// The product.
    pub platform: PlatformInfo,
    /// The engine's version.
    pub version: String,
    /// The newest API version.
    pub api_version: String,
    /// The oldest API version.
    #[serde(rename = "MinAPIVersion", skip_serializing_if = "is_default")]
    pub min_api_version: String,
    /// `linux`.
    pub os: String,
    /// In Go's words.
    pub arch: String,
    /// The parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentVersion>,
    /// The commit it was built from.
    #[serde(skip_serializing_if = "is_default")]
    pub git_commit: String,
    /// The compiler's version.
    #[serde(skip_serializing_if = "is_default")]
    pub go_version: String,
    /// Of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub kernel_version: String,
    /// Experimental features are on.
    #[serde(skip_serializing_if = "is_default")]
    pub experimental: bool,
    /// When it was built, RFC 3339.
    #[serde(skip_serializing_if = "is_default")]
    pub build_time: String,
}

/// The drivers that can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PluginsInfo {
    /// Of volumes.
    pub volume: List<String>,
    /// Of networks.
    pub network: List<String>,
    /// Of authorization; `null` when there is none.
    pub authorization: List<String>,
    /// Of logs.
    pub log: List<String>,
}

/// The commit of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// The commit, or `N/A`.
    #[serde(rename = "ID")]
    pub id: String,
}

/// One registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Mirrors of it; never `null`.
    pub mirrors: Vec<String>,
    /// TLS is verified.
    pub secure: bool,
    /// It is Docker Hub.
    pub official: bool,
}

/// How registries are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryConfig {
    /// Networks whose registries need no TLS.
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Vec<String>,
    /// By registry.
    pub index_configs: Map<IndexInfo>,
    /// Mirrors of Docker Hub; never `null`.
    pub mirrors: Vec<String>,
}

/// A runtime that can be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Its program.
    #[serde(skip_serializing_if = "is_default")]
    pub path: String,
    /// Arguments for it.
    #[serde(rename = "runtimeArgs", skip_serializing_if = "List::is_empty")]
    pub runtime_args: List<String>,
    /// What it says of itself.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub status: Map<String>,
}

/// This node's part in a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Swarm {
    /// Empty when in no swarm.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Empty when in no swarm.
    pub node_addr: String,
    /// `inactive`, ...
    pub local_node_state: String,
    /// It is a manager.
    pub control_available: bool,
    /// Why it failed.
    pub error: String,
    /// `null` when in no swarm.
    pub remote_managers: List<Empty>,
}

impl Default for Swarm {
    fn default() -> Self {
        Self {
            node_id: String::new(),
            node_addr: String::new(),
            local_node_state: "inactive".into(),
            control_available: false,
            error: String::new(),
            remote_managers: List::default(),
        }
    }
}

/// The firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FirewallInfo {
    /// `nftables` or `iptables`.
    pub driver: String,
    /// More.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info: Vec<[String; 2]>,
}

/// A pool that networks get their subnets from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddressPool {
    /// The pool.
    pub base: String,
    /// Bits of the prefix of each subnet.
    pub size: u8,
}

/// The reply of `GET /info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    /// The engine's own id.
    #[serde(rename = "ID")]
    pub id: String,
    /// All containers.
    pub containers: i64,
    /// Those that run.
    pub containers_running: i64,
    /// Those that are paused.
    pub containers_paused: i64,
    /// The others.
    pub containers_stopped: i64,
    /// Images.
    pub images: i64,
    /// The storage driver.
    pub driver: String,
    /// What it says of itself.
    pub driver_status: Vec<[String; 2]>,
    /// The drivers that can be used.
    pub plugins: PluginsInfo,
    /// Memory can be limited.
    pub memory_limit: bool,
    /// Swap can be limited.
    pub swap_limit: bool,
    /// The CFS period can be set.
    pub cpu_cfs_period: bool,
    /// The CFS quota can be set.
    pub cpu_cfs_quota: bool,
    /// CPU shares can be set.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// CPU sets can be set.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// Tasks can be limited.
    pub pids_limit: bool,
    /// The host routes IPv4.
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    /// Debugging is on.
    pub debug: bool,
    /// Open files of the engine.
    #[serde(rename = "NFd")]
    pub n_fd: i64,
    /// The killer for want of memory can be turned off.
    pub oom_kill_disable: bool,
    /// Tasks of the engine.
    #[serde(rename = "NGoroutines")]
    pub n_goroutines: i64,
    /// RFC 3339.
    pub system_time: String,
    /// The default log driver.
    pub logging_driver: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup_version: String,
    /// Clients that read events.
    #[serde(rename = "NEventsListener")]
    pub n_events_listener: i64,
    /// Of the host.
    pub kernel_version: String,
    /// The host's distribution.
    pub operating_system: String,
    /// Its version.
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// In the kernel's words: `x86_64`.
    pub architecture: String,
    /// Where a login goes by default.
    pub index_server_address: String,
    /// How registries are reached.
    pub registry_config: RegistryConfig,
    /// CPUs.
    #[serde(rename = "NCPU")]
    pub ncpu: i64,
    /// Bytes.
    pub mem_total: i64,
    /// Swarm only.
    pub generic_resources: List<Empty>,
    /// The data root.
    pub docker_root_dir: String,
    /// Proxy of HTTP.
    pub http_proxy: String,
    /// Proxy of HTTPS.
    pub https_proxy: String,
    /// What needs no proxy.
    pub no_proxy: String,
    /// The host's name.
    pub name: String,
    /// The engine's labels.
    pub labels: Vec<String>,
    /// Experimental features are on.
    pub experimental_build: bool,
    /// The engine's version.
    pub server_version: String,
    /// By name.
    pub runtimes: Map<Runtime>,
    /// The default one.
    pub default_runtime: String,
    /// This node's part in a swarm.
    pub swarm: Swarm,
    /// Containers outlive the engine.
    pub live_restore_enabled: bool,
    /// Windows only.
    pub isolation: String,
    /// The program that `--init` runs.
    pub init_binary: String,
    /// Of the content and snapshot layer.
    pub containerd_commit: Commit,
    /// Of the runtime.
    pub runc_commit: Commit,
    /// Of the init program.
    pub init_commit: Commit,
    /// `name=seccomp,profile=builtin`, ...
    pub security_options: Vec<String>,
    /// Pools of subnets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_address_pools: Vec<AddressPool>,
    /// The firewall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_backend: Option<FirewallInfo>,
    /// Where descriptions of devices are read.
    #[serde(rename = "CDISpecDirs")]
    pub cdi_spec_dirs: Vec<String>,
    /// What the user should know; `null` when nothing.
    pub warnings: List<String>,
}

macro_rules! usage {
    ($(#[$meta:meta])* $name:ident of $item:ty) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name {
            /// Objects that are in use.
            #[serde(skip_serializing_if = "is_default")]
            pub active_count: i64,
            /// The objects; only when asked for.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub items: Vec<$item>,
            /// Bytes that a prune would free.
            #[serde(skip_serializing_if = "is_default")]
            pub reclaimable: i64,
            /// Objects.
            #[serde(skip_serializing_if = "is_default")]
            pub total_count: i64,
            /// Bytes.
            #[serde(skip_serializing_if = "is_default")]
            pub total_size: i64,
        }
    };
}

usage! {
    /// Disk usage of images.
    ImageUsage of image::Summary
}
usage! {
    /// Disk usage of containers.
    ContainerUsage of inspect::Summary
}
usage! {
    /// Disk usage of volumes.
    VolumeUsage of volume::Volume
}
usage! {
    /// Disk usage of the build cache.
    BuildCacheUsage of CacheRecord
}

/// One record of the build cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CacheRecord {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// `regular`, `source.local`, ...
    #[serde(rename = "Type")]
    pub kind: String,
    /// For people.
    pub description: String,
    /// A build uses it.
    pub in_use: bool,
    /// Something else uses its data.
    pub shared: bool,
    /// Bytes.
    pub size: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; `null` when never.
    pub last_used_at: Option<String>,
    /// How often it was used.
    pub usage_count: i64,
}

/// The reply of `GET /system/df`; what was not asked for is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// Of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_usage: Option<ImageUsage>,
    /// Of containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_usage: Option<ContainerUsage>,
    /// Of volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usage: Option<VolumeUsage>,
    /// Of the build cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_cache_usage: Option<BuildCacheUsage>,
}
