//! What a start is given besides its plan: only descriptors, so that nobody resolves a path again.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use sys::clone::Namespaces;

/// Descriptors of a container's first process.
#[derive(Debug)]
pub struct Descriptors {
    /// The root file system.
    pub rootfs: Rootfs,
    /// For each mount of the plan, the source if it is a bind mount.
    pub sources: Vec<Option<Source>>,
    /// Namespaces that are joined, each by its file, or several by a pidfd (5.8).
    pub joins: Vec<(Namespaces, OwnedFd)>,
    /// Standard streams; a terminal if the plan says so.
    pub stdio: Stdio,
    /// The cgroup.
    pub cgroup: CgroupJoin,
}

/// The root file system.
#[derive(Debug)]
pub enum Rootfs {
    /// A mount that is attached nowhere.
    Detached(OwnedFd),
    /// A directory of this mount namespace, which is bound with what is mounted below.
    Directory(OwnedFd),
    /// The same with its path, without symbolic links: for a starter that may not copy mounts (rootless), and for hooks,
    /// which find the root there.
    Path {
        /// Absolute.
        path: CString,
        /// The directory at the path.
        directory: OwnedFd,
    },
}

/// The source of a bind mount.
#[derive(Debug)]
pub enum Source {
    /// A file or directory of this mount namespace, O_PATH will do.
    File(OwnedFd),
    /// A mount that is attached nowhere, and is used itself.
    Detached(OwnedFd),
    /// A file or directory of this mount namespace with its path: for a starter that may not copy mounts (rootless).
    Path {
        /// Absolute.
        path: CString,
        /// What is at the path, O_PATH will do.
        file: OwnedFd,
    },
}

/// Standard streams.
#[derive(Debug)]
pub enum Stdio {
    /// Standard input, output and error.
    Files([OwnedFd; 3]),
    /// A terminal of the container; its other side is [`crate::Created::console`].
    Terminal,
}

/// How the process gets into its cgroup.
#[derive(Debug)]
pub enum CgroupJoin {
    /// The directory of a group of version 2; the process starts in it (CLONE_INTO_CGROUP, 5.7).
    V2(OwnedFd),
    /// The `tasks` files of groups of version 1, open for writing: the child writes `0` to each before it makes its
    /// cgroup namespace. A single thread that moves itself does not take the lock that makes a write to `cgroup.procs`
    /// wait for an RCU grace period of several milliseconds.
    V1 {
        /// The `tasks` files.
        tasks: Vec<OwnedFd>,
        /// The directory in the version 2 beside them, if there is one.
        unified: Option<OwnedFd>,
    },
    /// It stays in its parent's.
    None,
}

impl From<cgroups::Join> for CgroupJoin {
    fn from(join: cgroups::Join) -> Self {
        match join {
            cgroups::Join::V2(directory) => Self::V2(directory),
            cgroups::Join::V1 { tasks, unified } => Self::V1 { tasks, unified },
        }
    }
}
