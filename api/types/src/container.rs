//! Containers: what a client sends to make one, and the small replies. What is shown is in [`crate::inspect`].

use crate::host::{HostConfig, RestartPolicy};
use crate::lenient;
use crate::list::{Empty, List, Map, text_or_list};
use crate::{is_default, network};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// How to check that a container is healthy. Times are nanoseconds; 0 means «as in the image, else the default».
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", args...]` or `["CMD-SHELL", command]`; empty inherits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: i64,
    /// Time after which a check counts as failed, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: i64,
    /// Time after the start in which failures do not count, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub start_period: i64,
    /// Time between two checks in the start period, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub start_interval: i64,
    /// Consecutive failures after which the container is unhealthy.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: i64,
}

/// What is the same wherever the container runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// The host name; empty is the id's first 12 digits.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
    /// `user[:group]`, by name or number.
    pub user: String,
    /// Attach to standard input at the start.
    pub attach_stdin: bool,
    /// Attach to standard output at the start.
    pub attach_stdout: bool,
    /// Attach to standard error at the start.
    pub attach_stderr: bool,
    /// `port/protocol` keys of the ports that the program listens on.
    #[serde(skip_serializing_if = "Map::is_null")]
    pub exposed_ports: Map<Empty>,
    /// Give the program a terminal.
    pub tty: bool,
    /// Keep standard input open though nobody is attached.
    pub open_stdin: bool,
    /// Close standard input when the first client detaches.
    pub stdin_once: bool,
    /// `NAME=value`; a name alone takes the variable away.
    pub env: List<String>,
    /// The command, or the arguments of the entry point.
    #[serde(deserialize_with = "text_or_list")]
    pub cmd: List<String>,
    /// How to check health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// The command is already escaped (Windows).
    #[serde(skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// The image as the client named it.
    pub image: String,
    /// Paths in the container that get an anonymous volume.
    pub volumes: Map<Empty>,
    /// The directory in which the program starts.
    pub working_dir: String,
    /// The program and its first arguments. `[]` clears the image's, `null` keeps it.
    #[serde(deserialize_with = "text_or_list")]
    pub entrypoint: List<String>,
    /// No network at all.
    #[serde(skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    /// The hardware address of the first endpoint; only sent by clients before 1.44.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Instructions for images built from this one.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub on_build: List<String>,
    /// Labels.
    pub labels: Map<String>,
    /// The signal that asks the program to end; empty is SIGTERM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds from that signal to SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of the shell form of RUN, CMD and ENTRYPOINT.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub shell: List<String>,
}

/// The networks of a new container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// By the network's name or id.
    pub endpoints_config: Map<Option<network::EndpointSettings>>,
}

/// The body of `POST /containers/create`: the keys of [`Config`], and two more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreateBody {
    /// What is the same wherever the container runs.
    #[serde(flatten)]
    pub config: Config,
    /// What ties the container to this host.
    #[serde(rename = "HostConfig")]
    pub host_config: HostConfig,
    /// The networks.
    #[serde(rename = "NetworkingConfig")]
    pub networking_config: NetworkingConfig,
}

impl<'de> Deserialize<'de> for CreateBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct Rest {
            host_config: HostConfig,
            networking_config: NetworkingConfig,
        }
        let body = Value::deserialize(deserializer)?;
        let config = lenient::from_value(&body).map_err(serde::de::Error::custom)?;
        let rest: Rest = lenient::from_value(&body).map_err(serde::de::Error::custom)?;
        Ok(Self {
            config,
            host_config: rest.host_config,
            networking_config: rest.networking_config,
        })
    }
}

/// The reply of `POST /containers/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateReply {
    /// The new container's id.
    pub id: String,
    /// What was not done as asked; never `null`.
    pub warnings: Vec<String>,
}

/// The reply of `POST /containers/{id}/update`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateReply {
    /// What was not done as asked.
    pub warnings: List<String>,
}

/// The reply of `GET /containers/{id}/top`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TopReply {
    /// One row per process, in the order of the titles.
    pub processes: Vec<Vec<String>>,
    /// The columns' titles.
    pub titles: Vec<String>,
}

/// One changed path of `GET /containers/{id}/changes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChangeItem {
    /// 0 modified, 1 added, 2 deleted.
    pub kind: u8,
    /// The path in the container.
    pub path: String,
}

/// Why waiting ended without the container's own exit status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WaitError {
    /// One sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The reply of `POST /containers/{id}/wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WaitReply {
    /// Set when the container could not be removed after its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitError>,
    /// The exit status: 0 to 255.
    pub status_code: i64,
}

/// What `X-Docker-Container-Path-Stat` says of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStat {
    /// The last component.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `FileMode` bits: directory 1<<31, symbolic link 1<<27, device 1<<26, named pipe 1<<25, socket 1<<24,
    /// setuid 1<<23, setgid 1<<22, character device 1<<21, sticky 1<<20, permissions 0o777.
    pub mode: u32,
    /// Last change, RFC 3339.
    pub mtime: String,
    /// Where a symbolic link leads, as a path in the container; empty for other files.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

/// The reply of `POST /containers/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneReply {
    /// Ids; `null` when there was none.
    pub containers_deleted: List<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}

crate::host::with_resources! {
    /// The body of `POST /containers/{id}/update`: what is 0, empty or `null` stays as it is.
    pub struct UpdateBody {
        /// The new restart policy; with an empty name the old one stays.
        pub restart_policy: RestartPolicy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_body_is_read_with_old_spellings_and_text_commands() {
        let body: CreateBody = lenient::from_slice(
            br#"{"image":"busybox","Cmd":"true","Entrypoint":null,"hostConfig":{"memory":5,
                "PortBindings":{"80/tcp":null}},"NetworkingConfig":{"EndpointsConfig":{"n":null}}}"#,
        )
        .unwrap();
        assert_eq!(body.config.image, "busybox");
        assert_eq!(*body.config.cmd, ["true"]);
        assert!(body.config.entrypoint.is_null());
        assert_eq!(body.host_config.memory, 5);
        assert!(body.host_config.port_bindings["80/tcp"].is_null());
        assert_eq!(body.networking_config.endpoints_config["n"], None);
    }

    #[test]
    fn an_empty_config_shows_the_nulls_that_docker_shows() {
        let text = serde_json::to_string(&Config::default()).unwrap();
        assert_eq!(
            text,
            r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"#
                .to_owned()
                + r#""AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"#
                + r#""Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"Labels":null}"#
        );
    }
}
