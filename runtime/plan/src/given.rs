//! What the plan's maker has opened or compiled already.

use sys::clone::Namespaces;
use sys::seccomp::FilterFlags;

/// Descriptions of descriptors and other things that stand beside the specification.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    /// For each of the specification's mounts, what kind of file its source descriptor names; `None` where there is
    /// none because the kernel makes the file system.
    pub sources: Vec<Option<SourceKind>>,
    /// Namespaces that are joined by descriptors. Paths in the specification are never opened.
    pub joined: Namespaces,
    /// What a mount of type `cgroup` shows.
    pub cgroups: CgroupView,
    /// The compiled system call filter.
    pub filter: Option<Filter>,
    /// The name of the new session keyring; without it the starter's stays.
    pub keyring: Option<String>,
    /// Whether the bundle is the administrator's own, who may name programs, interfaces and file systems of the host:
    /// hooks, `netDevices`, `intelRdt` (which the caller does), types of mounts beyond the closed list, inheritable
    /// capabilities. A service that takes bundles from others leaves it false.
    pub administrator: bool,
    /// Whether SELinux is enabled, so that mounts can be labelled.
    pub selinux: bool,
}

/// What kind of file a bind source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A directory; the target is one too.
    Directory,
    /// Anything else; the target is a file.
    File,
}

/// The cgroup file systems of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CgroupView {
    /// One cgroup v2.
    #[default]
    Unified,
    /// Hierarchies of version 1, and perhaps a version 2 without most controllers beside them.
    Legacy(Vec<Hierarchy>),
}

/// One hierarchy of version 1, or the version 2 beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory below `/sys/fs/cgroup`: `cpu,cpuacct`, `systemd`, `unified`.
    pub directory: String,
    /// The controllers, or `name=systemd`; empty for version 2.
    pub options: Vec<String>,
}

/// A compiled system call filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `struct sock_filter` records, 8 bytes each.
    pub program: Vec<u8>,
    /// How it is loaded.
    pub flags: FilterFlags,
}
