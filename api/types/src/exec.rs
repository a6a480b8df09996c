//! Execs: further programs in a running container.

use crate::list::{List, text_or_list};
use serde::{Deserialize, Serialize};

/// The body of `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    /// `user[:group]`; empty is the container's.
    pub user: String,
    /// All capabilities.
    pub privileged: bool,
    /// Give the program a terminal.
    pub tty: bool,
    /// Rows and columns of the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
    /// Connect standard input.
    pub attach_stdin: bool,
    /// Connect standard error.
    pub attach_stderr: bool,
    /// Connect standard output.
    pub attach_stdout: bool,
    /// The keys that detach: `ctrl-p,ctrl-q`.
    pub detach_keys: String,
    /// `NAME=value` on top of the container's environment.
    pub env: List<String>,
    /// The directory to start in; empty is the container's.
    pub working_dir: String,
    /// The program and its arguments.
    #[serde(deserialize_with = "text_or_list")]
    pub cmd: List<String>,
}

/// The body of `POST /exec/{id}/start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartBody {
    /// Do not connect; answer when it has started.
    pub detach: bool,
    /// The client expects a terminal.
    pub tty: bool,
    /// Rows and columns of the terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<[u32; 2]>,
}

/// What an exec runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessConfig {
    /// It has a terminal.
    pub tty: bool,
    /// The program.
    pub entrypoint: String,
    /// Its arguments, without the program.
    pub arguments: List<String>,
    /// All capabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// `user[:group]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}

/// The reply of `GET /exec/{id}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspect {
    /// The exec's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// It runs now.
    pub running: bool,
    /// Its exit status; `null` before its end.
    pub exit_code: Option<i64>,
    /// What it runs.
    pub process_config: ProcessConfig,
    /// Standard input is connected.
    pub open_stdin: bool,
    /// Standard error is connected.
    pub open_stderr: bool,
    /// Standard output is connected.
    pub open_stdout: bool,
    /// It has ended.
    pub can_remove: bool,
    /// The container's id.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// The detach keys' bytes in base64; empty when they are the default.
    pub detach_keys: String,
    /// The process id on the host; 0 before the start.
    pub pid: i64,
}
