//! What is remembered of a container: `state.json`.
//!
//! The file says what was asked for and where its things are, before they exist; whether they exist, and what the
//! container is doing, is asked of the kernel.

use crate::Process;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of the specification that this runtime follows.
pub const OCI_VERSION: &str = "1.3.0";

/// The content of `state.json`: the state of the specification (runtime.md, "State") with what the runtime needs beside
/// it. Its format is not an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The version of the specification.
    pub oci_version: String,
    /// The name.
    pub id: String,
    /// The first process; 0 until there is one.
    pub process: Process,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// Annotations of the specification.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its cgroup; nothing if it has none of its own.
    pub cgroup: Option<CgroupPlace>,
    /// Its class of service, if the specification asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdt: Option<ClassPlace>,
    /// Whether all its processes end with the first one, which they do in a pid namespace of its own.
    pub own_pids: bool,
}

impl Record {
    /// The state with this status.
    pub(crate) fn state(&self, status: crate::Status) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            pid: if status == crate::Status::Stopped { 0 } else { self.process.pid },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
        }
    }
}

/// What was made for a container in the file system of classes of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassPlace {
    /// The class; empty for the one at the top.
    pub class: String,
    /// Whether it goes with the container.
    pub made: bool,
    /// Whether there is a group that counts for it.
    pub monitored: bool,
}

/// Where a container's cgroup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupPlace {
    /// The groups that paths are relative to, as `/proc/self/cgroup` showed them; nothing if they begin at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The path of the group above, from there; may be empty.
    pub parent: String,
    /// The group's own name.
    pub name: String,
    /// Whether systemd made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub systemd: bool,
}

/// The state that the specification asks for, with the fields that runc adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification.
    pub oci_version: String,
    /// The name.
    pub id: String,
    /// The first process; 0 if it has ended.
    pub pid: i32,
    /// What it is doing.
    pub status: crate::Status,
    /// The bundle.
    pub bundle: PathBuf,
    /// The root file system.
    pub rootfs: PathBuf,
    /// When it was created, RFC 3339.
    pub created: String,
    /// Annotations of the specification.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who owns it; only lists say it.
    pub owner: String,
}
