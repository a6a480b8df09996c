//! Containers as they are shown: `inspect` and `list`.

use crate::container::Config;
use crate::host::HostConfig;
use crate::image::Descriptor;
use crate::list::{List, Map};
use crate::network::{EndpointSettings, PortBinding};
use crate::{is_default, time};
use serde::{Deserialize, Serialize};

/// One health check that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthResult {
    /// When it began, RFC 3339.
    pub start: String,
    /// When it ended, RFC 3339.
    pub end: String,
    /// 0 healthy, everything else not.
    pub exit_code: i64,
    /// What it printed, cut to 4096 bytes.
    pub output: String,
}

/// The health of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Consecutive failures.
    pub failing_streak: i64,
    /// The last five checks, oldest first.
    pub log: List<HealthResult>,
}

/// The health of a container in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthSummary {
    /// `none`, `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Consecutive failures.
    pub failing_streak: i64,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub status: String,
    /// Also true while paused or restarting.
    pub running: bool,
    /// Its processes are frozen.
    pub paused: bool,
    /// It waits for its next start.
    pub restarting: bool,
    /// A process was ended for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Its removal failed.
    pub dead: bool,
    /// The process id on the host; 0 when not running.
    pub pid: i64,
    /// The last exit status.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// RFC 3339; [`time::ZERO`] before the first start.
    pub started_at: String,
    /// RFC 3339; [`time::ZERO`] before the first end.
    pub finished_at: String,
    /// Only with a health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            status: "created".into(),
            running: false,
            paused: false,
            restarting: false,
            oom_killed: false,
            dead: false,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            started_at: time::ZERO.into(),
            finished_at: time::ZERO.into(),
            health: None,
        }
    }
}

/// A mount of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// `bind`, `volume`, `tmpfs` or `image`.
    #[serde(rename = "Type", skip_serializing_if = "is_default")]
    pub kind: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The path on the host; empty for tmpfs.
    pub source: String,
    /// The path in the container.
    pub destination: String,
    /// The volume's driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// The options as given: `z`, `ro`.
    pub mode: String,
    /// It is writable.
    #[serde(rename = "RW")]
    pub rw: bool,
    /// The propagation; empty for volumes.
    pub propagation: String,
}

/// A container's network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSettings {
    /// The id of the network namespace's sandbox.
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    /// Where the namespace is mounted.
    pub sandbox_key: String,
    /// Published ports; `null` for a port that is only exposed. `{}` when not running.
    pub ports: Map<List<PortBinding>>,
    /// By the network's name.
    pub networks: Map<EndpointSettings>,
}

/// What a storage driver says of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverData {
    /// `LowerDir`, `MergedDir`, `UpperDir`, `WorkDir`.
    pub data: Map<String>,
    /// The driver.
    pub name: String,
}

/// The reply of `GET /containers/{id}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspect {
    /// 64 hexadecimal digits.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it does now.
    pub state: State,
    /// The image's id.
    pub image: String,
    /// The file mounted at `/etc/resolv.conf`.
    pub resolv_conf_path: String,
    /// The file mounted at `/etc/hostname`.
    pub hostname_path: String,
    /// The file mounted at `/etc/hosts`.
    pub hosts_path: String,
    /// The log file; empty with a driver that has none.
    pub log_path: String,
    /// With a leading slash.
    pub name: String,
    /// How often it was restarted by its policy.
    pub restart_count: i64,
    /// The storage driver.
    pub driver: String,
    /// `linux`.
    pub platform: String,
    /// SELinux label of its mounts.
    pub mount_label: String,
    /// SELinux label of its processes.
    pub process_label: String,
    /// AppArmor profile.
    pub app_armor_profile: String,
    /// Execs that run; `null` when there is none.
    #[serde(rename = "ExecIDs")]
    pub exec_ids: List<String>,
    /// What ties it to the host.
    pub host_config: HostConfig,
    /// The directories of its layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<DriverData>,
    /// Bytes of the writable layer; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    /// Bytes of all layers; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    /// Its mounts.
    pub mounts: Vec<MountPoint>,
    /// What is the same wherever it runs.
    pub config: Config,
    /// Its network.
    pub network_settings: NetworkSettings,
    /// The manifest of its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_manifest_descriptor: Option<Descriptor>,
}

/// A port of a container in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Port {
    /// The host's address; empty for a port that is only exposed.
    #[serde(rename = "IP", skip_serializing_if = "is_default")]
    pub ip: String,
    /// The port in the container.
    pub private_port: u16,
    /// The port on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub public_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The part of `HostConfig` in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryHostConfig {
    /// As in [`HostConfig`].
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: String,
    /// As in [`HostConfig`].
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
}

/// The part of `NetworkSettings` in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SummaryNetworkSettings {
    /// By the network's name.
    pub networks: Map<EndpointSettings>,
}

/// One container of `GET /containers/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Summary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// With leading slashes; the own name and `/other/alias` of links.
    pub names: Vec<String>,
    /// The image as the client named it, or its id when that name now means another one.
    pub image: String,
    /// The image's id.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// The manifest of its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_manifest_descriptor: Option<Descriptor>,
    /// Program and arguments, joined by spaces.
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Published and exposed ports.
    pub ports: Vec<Port>,
    /// Bytes of the writable layer; only when asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub size_rw: i64,
    /// Bytes of all layers; only when asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub size_root_fs: i64,
    /// Labels; `{}` when there is none.
    pub labels: Map<String>,
    /// As [`State::status`].
    pub state: String,
    /// For people: `Up 3 seconds (healthy)`.
    pub status: String,
    /// A part of it.
    pub host_config: SummaryHostConfig,
    /// Only with a health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSummary>,
    /// A part of it.
    pub network_settings: SummaryNetworkSettings,
    /// Its mounts.
    pub mounts: Vec<MountPoint>,
}
