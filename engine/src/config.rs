//! What the engine was told at its start: daemon.json and flags, defaults resolved by who reads them.

use api_types::host::Ulimit;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The engine's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `/var/lib/docker`: `meta/`, `content/` and `containers/` in it belong to this process.
    pub data_root: PathBuf,
    /// `/run/docker`.
    pub exec_root: PathBuf,
    /// The name of the default bridge's link: `docker0`.
    pub bridge: String,
    /// The default bridge's own address and prefix length.
    pub bip: (Ipv4Addr, u8),
    /// Bytes; the kernel's default when not set.
    pub mtu: Option<u32>,
    /// Whether containers on the default bridge may talk with each other.
    pub icc: bool,
    /// Whether packets of containers that leave the host get its address.
    pub masquerade: bool,
    /// Whether the default bridge has IPv6, too.
    pub ipv6: bool,
    /// The part of the default bridge's subnet from which containers get addresses.
    pub fixed_cidr: Option<ipnet::Ipv4Net>,
    /// The default bridge's IPv6 subnet; a unique local one when not set.
    pub fixed_cidr_v6: Option<ipnet::Ipv6Net>,
    /// Where subnets of networks come from; Docker's blocks when empty.
    pub address_pools: Vec<ipam::AddressPool>,
    /// The address of the host at which ports are published whose user names none.
    pub publish_address: IpAddr,
    /// What `host-gateway` means; the default bridge's own addresses when empty.
    pub host_gateway: Vec<IpAddr>,
    /// Name servers for containers that ask for none; the host's when empty.
    pub dns: Vec<IpAddr>,
    /// Search domains for containers that ask for none.
    pub dns_search: Vec<String>,
    /// Resolver options for containers that ask for none.
    pub dns_options: Vec<String>,
    /// The log driver of containers that ask for none: `json-file` or `none`.
    pub log_driver: String,
    /// Options of the log driver for containers that ask for none.
    pub log_options: BTreeMap<String, String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: i64,
    /// `private` or `shareable`.
    pub ipc_mode: String,
    /// `host` or `private`; as Docker does when not set: private on cgroup v2, the host's on v1.
    pub cgroupns_mode: Option<String>,
    /// The parent of containers' cgroups; `docker` when not set.
    pub cgroup_parent: Option<String>,
    /// Whether containers that do not say get our init.
    pub init: bool,
    /// Whether processes of containers never gain rights by execve.
    pub no_new_privileges: bool,
    /// The seccomp profile of containers that ask for none: the built-in one, `unconfined` or the text of one.
    pub seccomp_profile: Option<String>,
    /// Resource limits for containers that do not set them.
    pub ulimits: Vec<Ulimit>,
    /// Labels of the engine, shown in `info`.
    pub labels: Vec<String>,
    /// Seconds that stop waits before it kills.
    pub stop_timeout: i64,
    /// What is known about registries.
    pub registry: Arc<distribution::Config>,
    /// Layers that are downloaded at the same time.
    pub max_downloads: usize,
    /// Layers of one push that are uploaded at the same time.
    pub max_uploads: usize,
    /// How many events are kept for clients that ask for past ones.
    pub kept_events: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_root: "/var/lib/docker".into(),
            exec_root: "/run/docker".into(),
            bridge: "docker0".into(),
            bip: (Ipv4Addr::new(172, 17, 0, 1), 16),
            mtu: None,
            icc: true,
            masquerade: true,
            ipv6: false,
            fixed_cidr: None,
            fixed_cidr_v6: None,
            address_pools: Vec::new(),
            publish_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host_gateway: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            log_driver: "json-file".into(),
            log_options: BTreeMap::new(),
            shm_size: 64 << 20,
            ipc_mode: "private".into(),
            cgroupns_mode: None,
            cgroup_parent: None,
            init: false,
            no_new_privileges: false,
            seccomp_profile: None,
            ulimits: Vec::new(),
            labels: Vec::new(),
            stop_timeout: 10,
            registry: Arc::default(),
            max_downloads: 3,
            max_uploads: 5,
            kept_events: 256,
        }
    }
}

impl Config {
    /// Where the database is.
    pub fn meta(&self) -> PathBuf {
        self.data_root.join("meta")
    }

    /// Where blobs are.
    pub fn content(&self) -> PathBuf {
        self.data_root.join("content")
    }

    /// Where each container has a directory.
    pub fn containers(&self) -> PathBuf {
        self.data_root.join("containers")
    }

    /// The path that is shown as a volume's; only the storage worker opens it.
    pub fn volume_path(&self, name: &str) -> PathBuf {
        self.data_root.join("volumes").join(name).join("_data")
    }

    /// Forty bits that are always the same for one engine on one machine, and hardly those of another: for its unique
    /// local IPv6 addresses (RFC 4193).
    pub fn global_id(&self) -> [u8; 5] {
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = crate::ids::stable(&[&machine, &host, &self.data_root.to_string_lossy(), "ula"]);
        let digit =
            |index: usize| u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).unwrap_or(0);
        std::array::from_fn(digit)
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        &self.data_root
    }
}
