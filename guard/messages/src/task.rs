//! Requests to the task worker: it forks a shim for each container and each exec, and works on their cgroups.
//!
//! The worker is one thread; a request that could wait is handled in a forked child that answers by itself. What a
//! request asks for on the host (host namespaces, added capabilities, devices, no seccomp, privileged) is read from
//! the OCI specification in it and checked against the policy here, whatever the api worker checked before.

use crate::{Fd, shim};
use serde::{Deserialize, Serialize};
use spec::{ContainerId, ExecId, oci};

/// A container to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The container.
    pub id: ContainerId,
    /// All that the runtime specification knows about it. Mount sources, the root and joined namespaces are not taken
    /// from paths in it but from the descriptors below; `linux.seccomp` is ignored, see `seccomp`.
    pub spec: oci::Spec,
    /// The root file system: a mount that is attached nowhere.
    pub rootfs: Fd,
    /// For each of `spec.mounts`, the bind source; `None` for a file system that the kernel makes.
    pub mount_sources: Vec<Option<Fd>>,
    /// The network namespace; without it the specification asks for the host's, or `joins` has one.
    pub netns: Option<Fd>,
    /// Namespaces of other containers that are joined.
    pub joins: Vec<Join>,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// The parent of the container's cgroup, relative; `docker` when not set.
    pub cgroup_parent: Option<String>,
    /// Run our init as the first process (`--init`).
    pub init: bool,
    /// How stdin, stdout and stderr are connected.
    pub stdio: Stdio,
    /// Where the output is kept.
    pub log: Log,
    /// Clients that were attached before the start; they miss no byte.
    pub attaches: Vec<(shim::Attach, Fd)>,
    /// The shim's end of a SEQPACKET pair; the other end is the first connection to the shim ([`shim`]).
    pub channel: Fd,
}

/// A process to start in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The container.
    pub id: ContainerId,
    /// The exec.
    pub exec: ExecId,
    /// The process: arguments, environment, user, capabilities, rlimits, directory, terminal.
    pub process: oci::Process,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// How stdin, stdout and stderr are connected.
    pub stdio: Stdio,
    /// The clients that are attached from the start.
    pub attaches: Vec<(shim::Attach, Fd)>,
    /// The shim's end of a SEQPACKET pair.
    pub channel: Fd,
}

/// A namespace of another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which kind of namespace.
    pub kind: Namespace,
    /// The container whose first process is in it; it must run.
    pub container: ContainerId,
}

/// The kinds of namespaces that a container can share with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// Network.
    Network,
    /// Process ids.
    Pid,
    /// System V and POSIX message queues, shared memory.
    Ipc,
    /// Host name.
    Uts,
}

/// The system call filter of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Seccomp {
    /// The built-in default profile, resolved for the process's capabilities.
    Default,
    /// None; the policy may forbid it.
    Unconfined,
    /// A profile in Docker's JSON format or the OCI one, as text; the policy may forbid it.
    Profile(String),
}

/// How the standard streams of a process are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// A terminal of this size (columns, rows; zero for the default) instead of pipes.
    pub terminal: Option<(u16, u16)>,
    /// Keep stdin open for clients to write to; otherwise it is `/dev/null`.
    pub open_stdin: bool,
    /// Close stdin for good when the first client that was attached to it leaves.
    pub stdin_once: bool,
}

/// Where a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Log {
    /// Nowhere.
    None,
    /// JSON lines as Docker writes them.
    JsonFile {
        /// The directory that the file is in; the shim creates and rotates the files there, owned like the directory.
        directory: Fd,
        /// The file's name, without any `/`: `<id>-json.log`.
        name: String,
        /// Bytes after which the file is rotated.
        max_size: Option<u64>,
        /// How many files are kept, the current one counted; at least 1.
        max_files: u32,
        /// The value of `attrs` in each line (labels, environment, tag), empty for none.
        attributes: Vec<(String, String)>,
    },
}

/// What may be asked of the task worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Starts a container. Legal when no task of this id exists.
    Launch(Box<Launch>),
    /// Starts a process in a container that runs and is not paused.
    Exec(Box<Exec>),
    /// A new connection to the shim of a container or exec, for an engine that was restarted.
    Connect {
        /// The container.
        id: ContainerId,
        /// One of its execs instead of the container itself.
        exec: Option<ExecId>,
    },
    /// Sends a signal to the container's first process, or an exec's. A process that has ended is [`spec::Class::Conflict`].
    Signal {
        /// The container.
        id: ContainerId,
        /// One of its execs instead.
        exec: Option<ExecId>,
        /// The signal's number, 1 to 64.
        signal: i32,
    },
    /// Stops all processes of the container until [`Request::Thaw`].
    Freeze {
        /// The container.
        id: ContainerId,
    },
    /// Lets the processes of the container go on.
    Thaw {
        /// The container.
        id: ContainerId,
    },
    /// Changes limits of a running container.
    Update {
        /// The container.
        id: ContainerId,
        /// What is set is changed, what is not set stays.
        resources: Box<oci::Resources>,
    },
    /// The ids of all processes in the container, as the host sees them.
    Processes {
        /// The container.
        id: ContainerId,
    },
    /// The output of the host's `ps` for the container's processes.
    Top {
        /// The container.
        id: ContainerId,
        /// Arguments of `ps`; `-ef` when empty.
        arguments: Vec<String>,
    },
    /// A pidfd of the container's first process.
    OpenInit {
        /// The container.
        id: ContainerId,
    },
    /// The network namespace of the container's first process, for the network worker, which may not look into other
    /// processes.
    OpenNetwork {
        /// The container.
        id: ContainerId,
    },
    /// Memory, cpu, pids and block I/O as the cgroup counts them.
    Statistics {
        /// The container.
        id: ContainerId,
    },
    /// Kills what is left of a container or exec and removes its cgroup and run-time state. No error when it is gone.
    Delete {
        /// The container.
        id: ContainerId,
        /// One of its execs instead of the container with all its execs.
        exec: Option<ExecId>,
    },
    /// All tasks that exist, as the kernel and their state files show.
    List,
}

/// One task that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// The container.
    pub id: ContainerId,
    /// The exec, when it is one.
    pub exec: Option<ExecId>,
    /// The process, as the host sees it; 0 once it has ended.
    pub pid: i32,
    /// When it was started: nanoseconds since 1970.
    pub started_at: i64,
    /// How it ended, if it has and the shim could write it down.
    pub exit: Option<shim::Exit>,
    /// Whether its shim answers; without one, the task has died with its shim.
    pub shim_alive: bool,
    /// Whether it is frozen.
    pub frozen: bool,
}

/// What the cgroup of a container counts; zero where the kernel does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Bytes of memory in use.
    pub memory_usage: u64,
    /// The most bytes that were in use at once.
    pub memory_max_usage: u64,
    /// Bytes; `u64::MAX` for no limit.
    pub memory_limit: u64,
    /// The lines of `memory.stat`.
    pub memory_stat: Vec<(String, u64)>,
    /// Nanoseconds of processor time.
    pub cpu_usage: u64,
    /// Nanoseconds of it in the kernel.
    pub cpu_kernel: u64,
    /// Nanoseconds of it in user space.
    pub cpu_user: u64,
    /// Nanoseconds on each processor (cgroup v1 only).
    pub cpu_per: Vec<u64>,
    /// Enforcement periods, throttled ones among them, nanoseconds throttled.
    pub cpu_throttling: (u64, u64, u64),
    /// Processes and threads.
    pub pids: u64,
    /// Their limit; 0 for none.
    pub pids_limit: u64,
    /// Block I/O: major, minor, operation (`read`, `write`, ...), bytes.
    pub io_bytes: Vec<(u32, u32, String, u64)>,
    /// Block I/O: major, minor, operation, count.
    pub io_operations: Vec<(u32, u32, String, u64)>,
    /// How often the kernel killed for want of memory.
    pub oom_kills: u64,
}

/// What the task worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// A process runs.
    Started {
        /// As the host sees it.
        pid: i32,
        /// Nanoseconds since 1970.
        at: i64,
        /// What could not be given and was left out, for the user.
        warnings: Vec<String>,
    },
    /// A connection to a shim.
    Channel {
        /// A SEQPACKET socket.
        channel: Fd,
    },
    /// A process.
    Init {
        /// The pidfd.
        pidfd: Fd,
    },
    /// A network namespace.
    Network {
        /// The namespace (`/proc/PID/ns/net`).
        netns: Fd,
    },
    /// Process ids.
    Processes(Vec<i32>),
    /// The output of `ps`.
    Top {
        /// Its standard output.
        output: String,
    },
    /// Figures of the cgroup.
    Statistics(Box<Statistics>),
    /// Tasks.
    Tasks(Vec<TaskInfo>),
}

impl crate::Request for Request {
    type Reply = Reply;

    fn verb(&self) -> &'static str {
        match self {
            Self::Launch(_) => "start container",
            Self::Exec(_) => "start exec",
            Self::Connect { .. } => "connect to shim",
            Self::Signal { .. } => "signal container",
            Self::Freeze { .. } => "pause container",
            Self::Thaw { .. } => "unpause container",
            Self::Update { .. } => "update container",
            Self::Processes { .. } => "list processes",
            Self::Top { .. } => "run ps",
            Self::OpenInit { .. } => "open container",
            Self::OpenNetwork { .. } => "open network namespace",
            Self::Statistics { .. } => "read statistics",
            Self::Delete { .. } => "delete task",
            Self::List => "list tasks",
        }
    }

    fn idempotent(&self) -> bool {
        !matches!(self, Self::Launch(_) | Self::Exec(_) | Self::Signal { .. })
    }

    fn deadline(&self) -> std::time::Duration {
        crate::SHORT
    }
}
