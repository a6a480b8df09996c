//! Errors, with the group and the file that they are about.

use rustix::io::Errno;
use std::time::Duration;

/// Why something could not be done with a group.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The host's hierarchies cannot be found.
    #[error("find cgroups: {0}")]
    Detect(&'static str),
    /// A name that is not one safe path component, or a path that is not made of such.
    #[error("invalid cgroup name {0:?}")]
    Name(String),
    /// A limit that the kernel has no way to express.
    #[error("invalid {field}: {cause}")]
    Limit {
        /// The field of the resources.
        field: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// A limit needs a controller that the host does not offer.
    #[error("set {file} of cgroup {group}: the controller {controller} is not available")]
    NoController {
        /// The group.
        group: String,
        /// The file that would be written.
        file: String,
        /// The controller.
        controller: String,
    },
    /// A file of a group cannot be written.
    #[error("write {value:?} to {file} of cgroup {group}")]
    Write {
        /// The group.
        group: String,
        /// The file.
        file: String,
        /// What was written, cut to 80 characters.
        value: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A file of a group cannot be read.
    #[error("read {file} of cgroup {group}")]
    Read {
        /// The group.
        group: String,
        /// The file.
        file: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A file of a group has a form that is not known.
    #[error("read {file} of cgroup {group}: unexpected content")]
    Content {
        /// The group.
        group: String,
        /// The file.
        file: String,
    },
    /// The memory limit is below what the group uses now.
    #[error("set the memory limit of cgroup {group} to {limit} bytes: {usage} bytes are in use")]
    MemoryInUse {
        /// The group.
        group: String,
        /// The limit.
        limit: String,
        /// What is used, in bytes.
        usage: u64,
    },
    /// The limit of memory, or of memory and swap, is not above what the group uses now, and the resources ask that this
    /// is looked at (`checkBeforeUpdate`): cgroup v2 would end processes.
    #[error("set {what} of cgroup {group} to {limit} bytes: {usage} bytes are in use")]
    WouldEndProcesses {
        /// `the memory limit` or `the limit of memory and swap`.
        what: &'static str,
        /// The group.
        group: String,
        /// The limit, in bytes.
        limit: i64,
        /// What is used, in bytes.
        usage: u64,
    },
    /// A group that exists already has processes.
    #[error("create cgroup {group}: it exists and has processes, of which one is {pid}")]
    Occupied {
        /// The group.
        group: String,
        /// One of the processes.
        pid: i32,
    },
    /// A group that exists already is frozen.
    #[error("create cgroup {group}: it exists and is frozen")]
    Frozen {
        /// The group.
        group: String,
    },
    /// The owner of a group cannot be changed.
    #[error("give {file} of cgroup {group} to uid {uid}")]
    Delegate {
        /// The group.
        group: String,
        /// The file, `.` for the directory.
        file: String,
        /// The new owner.
        uid: u32,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A group's directory cannot be made.
    #[error("create cgroup {group}")]
    Create {
        /// The group.
        group: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A group's directory cannot be opened.
    #[error("open cgroup {group}")]
    Open {
        /// The group.
        group: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// A group's directory cannot be removed.
    #[error("remove cgroup {group}")]
    Remove {
        /// The group.
        group: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
    /// Something did not happen in time.
    #[error("{what} cgroup {group}: not done within {after:?}")]
    Deadline {
        /// What was asked: `freeze`, `kill`, ...
        what: &'static str,
        /// The group.
        group: String,
        /// The time that was given.
        after: Duration,
    },
    /// The program that filters devices cannot be loaded or attached.
    #[error("filter the devices of cgroup {group}")]
    DeviceProgram {
        /// The group.
        group: String,
        /// The failed call.
        #[source]
        source: Box<sys::Error>,
    },
    /// Memory exhaustion cannot be watched.
    #[error("watch cgroup {group} for memory exhaustion")]
    Watch {
        /// The group.
        group: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
}

impl CgroupError {
    /// The error class.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::Name(_) | Self::Limit { .. } => spec::Class::InvalidArgument,
            Self::NoController { .. } => spec::Class::NotImplemented,
            Self::MemoryInUse { .. }
            | Self::WouldEndProcesses { .. }
            | Self::Occupied { .. }
            | Self::Frozen { .. } => spec::Class::Conflict,
            Self::Write { errno: Errno::INVAL | Errno::RANGE, .. } => spec::Class::InvalidArgument,
            Self::Open { errno: Errno::NOENT, .. } => spec::Class::NotFound,
            Self::Create { errno: Errno::EXIST, .. } => spec::Class::Conflict,
            Self::Deadline { .. } => spec::Class::DeadlineExceeded,
            _ => spec::Class::Internal,
        }
    }
}
