//! `config.json` of an OCI bundle for Linux (OCI runtime specification 1.3.0, config.md and config-linux.md).
//!
//! Reading is lenient: unknown keys are ignored, `null` stands for an absent value or an empty list, and names (of
//! capabilities, namespaces, signals, ...) stay text; `plan` judges them all. Every type can also be written with
//! postcard, so every field is always written and none depends on another.

mod linux;
mod resources;
mod seccomp;

pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, SeccompArg, SyscallRule};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `null` or nothing for the type's default, for fields that are not `Option` themselves. Written as an `Option` that
/// is there, which JSON shows as the bare value and postcard as a tag and the value.
pub(crate) mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_some(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de> + Default,
        D: Deserializer<'de>,
    {
        Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
    }
}

/// A container as its bundle describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The version of the specification that the file follows.
    #[serde(with = "nullable")]
    pub oci_version: String,
    /// The program to start.
    pub process: Option<Process>,
    /// The root file system.
    pub root: Option<Root>,
    /// The host name in the container; needs a UTS namespace.
    pub hostname: Option<String>,
    /// The NIS domain name in the container; needs a UTS namespace.
    pub domainname: Option<String>,
    /// Mounts besides the root, in the order in which they are made.
    #[serde(with = "nullable")]
    pub mounts: Vec<Mount>,
    /// Programs that are called at points of the container's life.
    pub hooks: Option<Hooks>,
    /// Free text for tools.
    #[serde(with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// What only Linux has.
    pub linux: Option<Linux>,
}

/// A program and the rights that it runs with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Whether it gets a terminal.
    #[serde(with = "nullable")]
    pub terminal: bool,
    /// The terminal's size at the start.
    pub console_size: Option<ConsoleSize>,
    /// Ids, groups and umask.
    #[serde(with = "nullable")]
    pub user: User,
    /// The program and its arguments; the program is looked for in the PATH of `env`.
    #[serde(with = "nullable")]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(with = "nullable")]
    pub env: Vec<String>,
    /// The working directory, absolute in the container.
    #[serde(with = "nullable")]
    pub cwd: String,
    /// Capability sets; nothing leaves all of them empty.
    pub capabilities: Option<Capabilities>,
    /// Resource limits; a type may occur once.
    #[serde(with = "nullable")]
    pub rlimits: Vec<Rlimit>,
    /// Whether no execve may gain a right.
    #[serde(with = "nullable")]
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    pub apparmor_profile: Option<String>,
    /// -1000 to 1000; nothing keeps the starter's.
    pub oom_score_adj: Option<i32>,
    /// The scheduling policy.
    pub scheduler: Option<Scheduler>,
    /// The SELinux label.
    pub selinux_label: Option<String>,
    /// The I/O priority.
    pub io_priority: Option<IoPriority>,
    /// CPUs for processes that join the container (1.2).
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsoleSize {
    /// Lines.
    #[serde(with = "nullable")]
    pub height: u32,
    /// Columns.
    #[serde(with = "nullable")]
    pub width: u32,
}

/// Ids of a process, inside its user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    /// User id.
    #[serde(with = "nullable")]
    pub uid: u32,
    /// Group id.
    #[serde(with = "nullable")]
    pub gid: u32,
    /// Bits that new files lack; nothing means 0022.
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(with = "nullable")]
    pub additional_gids: Vec<u32>,
    /// Unused on Linux.
    pub username: Option<String>,
}

/// The five capability sets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Capabilities {
    /// What execve can give at most.
    #[serde(with = "nullable")]
    pub bounding: Vec<String>,
    /// What is in use.
    #[serde(with = "nullable")]
    pub effective: Vec<String>,
    /// What is handed on to files that ask for it.
    #[serde(with = "nullable")]
    pub inheritable: Vec<String>,
    /// What may be used.
    #[serde(with = "nullable")]
    pub permitted: Vec<String>,
    /// What programs without file capabilities keep.
    #[serde(with = "nullable")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`, ...
    #[serde(rename = "type", with = "nullable")]
    pub kind: String,
    /// What the soft limit may be raised to.
    #[serde(with = "nullable")]
    pub hard: u64,
    /// What is enforced.
    #[serde(with = "nullable")]
    pub soft: u64,
}

/// sched_setattr(2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Scheduler {
    /// `SCHED_OTHER`, ...
    #[serde(with = "nullable")]
    pub policy: String,
    /// -20 to 19.
    pub nice: Option<i32>,
    /// 1 to 99 for real-time policies.
    pub priority: Option<i32>,
    /// `SCHED_FLAG_RESET_ON_FORK`, ...
    #[serde(with = "nullable")]
    pub flags: Vec<String>,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: Option<u64>,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: Option<u64>,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: Option<u64>,
}

/// ioprio_set(2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE`, `IOPRIO_CLASS_IDLE`.
    #[serde(with = "nullable")]
    pub class: String,
    /// 0 (highest) to 7.
    #[serde(with = "nullable")]
    pub priority: i32,
}

/// CPU lists such as `0-3,7`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CpuAffinity {
    /// Before the process joins the cgroup.
    pub initial: Option<String>,
    /// Afterwards.
    #[serde(rename = "final")]
    pub last: Option<String>,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Root {
    /// A path, relative to the bundle unless absolute.
    #[serde(with = "nullable")]
    pub path: String,
    /// Whether the container sees it read-only.
    #[serde(with = "nullable")]
    pub readonly: bool,
}

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mount {
    /// Where, absolute in the container.
    #[serde(with = "nullable")]
    pub destination: String,
    /// The file system, `bind` or nothing.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// A device, a directory or file on the host, or a free name.
    pub source: Option<String>,
    /// Options as of mount(8), and those of the specification.
    #[serde(with = "nullable")]
    pub options: Vec<String>,
    /// User ids for an idmapped mount.
    #[serde(with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids for an idmapped mount.
    #[serde(with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs that are called at points of the container's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks {
    /// Deprecated; in the runtime's namespace, after the namespaces were made.
    #[serde(with = "nullable")]
    pub prestart: Vec<Hook>,
    /// In the runtime's namespace, before pivot_root.
    #[serde(with = "nullable")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespace, before pivot_root.
    #[serde(with = "nullable")]
    pub create_container: Vec<Hook>,
    /// In the container, before the program starts.
    #[serde(with = "nullable")]
    pub start_container: Vec<Hook>,
    /// In the runtime's namespace, after the program started.
    #[serde(with = "nullable")]
    pub poststart: Vec<Hook>,
    /// In the runtime's namespace, after the container was deleted.
    #[serde(with = "nullable")]
    pub poststop: Vec<Hook>,
}

/// One program to call; the container's state is its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hook {
    /// Absolute path.
    #[serde(with = "nullable")]
    pub path: String,
    /// Arguments, the program's name first.
    #[serde(with = "nullable")]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(with = "nullable")]
    pub env: Vec<String>,
    /// Seconds.
    pub timeout: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_lists_unknown_keys_and_absent_objects_are_accepted() {
        let text = r#"{
            "ociVersion": "1.3.0", "future": {"x": 1}, "mounts": null, "annotations": null,
            "process": {"args": ["sh"], "env": null, "cwd": "/", "capabilities": {"bounding": ["CAP_X"], "ambient": null},
                        "oomScoreAdj": -5, "execCPUAffinity": {"initial": "0-1", "final": "2"}},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/x"}],
                      "resources": {"memory": {"disableOOMKiller": true, "kernelTCP": 4}, "pids": {"limit": null},
                                    "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}]},
                                    "network": {"classID": 7}},
                      "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
                      "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW",
                                  "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]}}
        }"#;
        let spec: Spec = serde_json::from_str(text).unwrap();
        let process = spec.process.as_ref().unwrap();
        assert_eq!(process.capabilities.as_ref().unwrap().bounding, ["CAP_X"]);
        assert_eq!(process.oom_score_adj, Some(-5));
        assert_eq!(process.exec_cpu_affinity.as_ref().unwrap().last.as_deref(), Some("2"));
        let linux = spec.linux.as_ref().unwrap();
        assert_eq!(linux.namespaces[1].path.as_deref(), Some("/x"));
        assert_eq!(linux.uid_mappings[0], IdMapping { container_id: 0, host_id: 1000, size: 1 });
        let resources = linux.resources.as_ref().unwrap();
        assert_eq!(resources.memory.as_ref().unwrap().disable_oom_killer, Some(true));
        assert_eq!(resources.memory.as_ref().unwrap().kernel_tcp, Some(4));
        assert_eq!(resources.block_io.as_ref().unwrap().throttle_read_iops_device[0].rate, 5);
        assert_eq!(resources.network.as_ref().unwrap().class_id, Some(7));
        assert_eq!(linux.seccomp.as_ref().unwrap().syscalls[0].args[0].value_two, 2);
        let again: Spec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }
}
