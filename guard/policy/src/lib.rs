//! What containers may get of the host: a file that only root can write, checked by the workers with privilege.
//!
//! The api worker asks; whoever it asks for, the storage worker checks each host path and the task worker checks each
//! specification against the same [`Policy`] before anything happens. This crate never opens what it judges and never
//! changes a request: the answer is yes, or a sentence that names what is forbidden.
//!
//! The file (`/etc/docker/policy.toml`); all keys are optional and the values here are the default, what Docker allows:
//!
//! ```toml
//! host-paths = ["/"]              # may be bound, with all below
//! host-paths-read-only = []       # may be bound read-only, with all below
//! host-paths-denied = []          # may not be bound, whatever the two lists above say
//! devices = ["/dev"]              # device nodes, with all below
//! host-namespaces = ["cgroup", "ipc", "network", "pid", "user", "uts"]
//! capabilities = ["ALL"]          # besides the fourteen default ones
//! privileged = true               # all devices, writable /sys and /proc/sys, no masked paths
//! seccomp-unconfined = true
//! seccomp-profiles = true         # other profiles than the built-in one
//! shared-propagation = true       # mounts made in a container may appear on the host
//! bridges = []                    # bridges of the host that networks may use, besides the default one
//! network-parents = ["ALL"]       # links of the host that macvlan and ipvlan networks may be put over
//! ```
//!
//! Reading order: [`Policy`] (the rules, and [`Policy::load`]), its `check_` methods ([`Policy::check_bind`],
//! [`Policy::check_device_path`], [`Policy::check_launch`], [`Policy::check_exec`],
//! [`Policy::check_host_namespace`]), [`PolicyError`].

#![forbid(unsafe_code)]

mod devices;
mod kernel;
mod launch;
mod load;
mod paths;

pub use load::{DEFAULT_PATH, PolicyError};

use devices::Numbers;
use serde::Deserialize;
use std::path::PathBuf;

/// The rules. [`Policy::default`] allows what Docker allows.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    host_paths: Vec<PathBuf>,
    host_paths_read_only: Vec<PathBuf>,
    host_paths_denied: Vec<PathBuf>,
    devices: Vec<PathBuf>,
    host_namespaces: Vec<String>,
    capabilities: Vec<String>,
    privileged: bool,
    seccomp_unconfined: bool,
    seccomp_profiles: bool,
    shared_propagation: bool,
    bridges: Vec<String>,
    network_parents: Vec<String>,
    /// The numbers of the nodes in `devices`, looked up when the file was read.
    #[serde(skip)]
    device_numbers: Numbers,
}

impl Default for Policy {
    fn default() -> Self {
        let namespaces = ["cgroup", "ipc", "network", "pid", "user", "uts"];
        Self {
            host_paths: vec!["/".into()],
            host_paths_read_only: vec![],
            host_paths_denied: vec![],
            devices: vec!["/dev".into()],
            host_namespaces: namespaces.map(str::to_owned).to_vec(),
            capabilities: vec!["ALL".into()],
            privileged: true,
            seccomp_unconfined: true,
            seccomp_profiles: true,
            shared_propagation: true,
            bridges: vec![],
            network_parents: vec!["ALL".into()],
            device_numbers: Numbers::Any,
        }
    }
}

impl Policy {
    /// Bridges of the host, made by somebody else, that networks may use.
    pub fn bridges(&self) -> &[String] {
        &self.bridges
    }

    /// Links of the host that macvlan and ipvlan networks may be put over; `None` for all.
    pub fn network_parents(&self) -> Option<&[String]> {
        let all = self.network_parents.iter().any(|name| name == "ALL");
        (!all).then_some(self.network_parents.as_slice())
    }
}
