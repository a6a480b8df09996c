//! Requests to the storage worker: layers, snapshots, mounts, volumes, copies into and out of root file systems.
//!
//! Paths inside a root file system are bytes: they come from images. Relative and absolute ones are resolved inside
//! the root, symbolic links too, and can never lead out of it.

use crate::Fd;
use serde::{Deserialize, Serialize};
use spec::{ContainerId, Digest, SnapshotKey, VolumeName};

/// The root file system that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// A container that does not run: its snapshot, with these file systems mounted over it.
    Stopped {
        /// The container's writable snapshot.
        key: SnapshotKey,
        /// Where in the container, and the directory or file (O_PATH) that lies there.
        mounts: Vec<(Vec<u8>, Fd)>,
    },
    /// A container that runs: the file systems as its first process sees them.
    Running {
        /// The container. The worker checks that the process is in its cgroup.
        id: ContainerId,
        /// A pidfd of its first process, from [`crate::task::Request::OpenInit`].
        pidfd: Fd,
    },
    /// An image, read-only.
    Image {
        /// Its layers, lowest first.
        layers: Vec<SnapshotKey>,
    },
}

/// How a tar archive is written into a root file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyIn {
    /// Refuse to put a directory where something else is, and the reverse.
    pub no_overwrite_dir_non_dir: bool,
    /// Keep the archive's owners; otherwise all belongs to root.
    pub keep_owners: bool,
}

/// What may be asked of the storage worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Unpacks a layer in a child that has no privilege beyond the layer, checks its digest, and makes it visible.
    /// No error when the layer exists. Legal at any time.
    Unpack {
        /// The layer's chain id.
        key: SnapshotKey,
        /// The blob: gzip, zstd or plain tar, told apart by content. Read from its start.
        blob: Fd,
        /// The digest of the uncompressed tar.
        diff_id: Digest,
        /// Bytes that the tar may unpack to.
        limit: u64,
    },
    /// Makes the writable snapshot of a container. No error when it exists with the same parents.
    Prepare {
        /// The container.
        key: SnapshotKey,
        /// Committed layers, lowest first; all must exist.
        parents: Vec<SnapshotKey>,
    },
    /// Mounts a container's snapshot, attached nowhere: it disappears with its last descriptor.
    Mount {
        /// The container.
        key: SnapshotKey,
    },
    /// Removes a layer or a container's snapshot; its name is free at once, its files go in the background. No error
    /// when it is gone.
    Remove {
        /// The snapshot.
        key: SnapshotKey,
    },
    /// All snapshots that exist.
    List,
    /// Bytes on disk of one snapshot, its parents not counted.
    Usage {
        /// The snapshot.
        key: SnapshotKey,
    },
    /// What a container changed, as `docker diff` shows it.
    Changes {
        /// The container.
        key: SnapshotKey,
    },
    /// Writes what a container changed as a layer tar.
    DiffTar {
        /// The container.
        key: SnapshotKey,
        /// Where the tar goes (a pipe's or file's writing end).
        out: Fd,
    },
    /// Writes a committed layer as a layer tar (for `save` when the blob was dropped).
    LayerTar {
        /// The layer.
        key: SnapshotKey,
        /// Where the tar goes.
        out: Fd,
    },
    /// Writes a whole root file system as a tar, mounts left out.
    ExportTar {
        /// The container or image.
        root: Root,
        /// Where the tar goes.
        out: Fd,
    },
    /// What lies at a path; its last component is not followed.
    Stat {
        /// The container.
        root: Root,
        /// The path in it.
        path: Vec<u8>,
    },
    /// Writes one file or directory as a tar whose entries begin with the path's last component.
    CopyOut {
        /// The container.
        root: Root,
        /// The path in it. A trailing `/.` means the content without the directory itself.
        path: Vec<u8>,
        /// Where the tar goes.
        out: Fd,
    },
    /// Unpacks a tar, already decompressed, into an existing directory.
    CopyIn {
        /// The container.
        root: Root,
        /// The directory in it.
        path: Vec<u8>,
        /// The archive.
        archive: Fd,
        /// How.
        options: CopyIn,
        /// Bytes that the tar may unpack to.
        limit: u64,
    },
    /// Opens a regular file for reading (`/etc/passwd`); refuses all else, and a file over the limit.
    OpenFile {
        /// The container.
        root: Root,
        /// The path in it.
        path: Vec<u8>,
        /// Bytes.
        limit: u64,
    },
    /// Opens a path of the host as a bind source (O_PATH). The policy says which paths may be opened.
    OpenHostPath {
        /// An absolute path, cleaned.
        path: Vec<u8>,
        /// Make a directory there when nothing exists (`-v`); otherwise a missing path is an error (`--mount`).
        create_directory: bool,
        /// Whether the container gets it read-only; the policy may allow only that.
        read_only: bool,
        /// What the mount that it lies on must pass on.
        passes: Passes,
    },
    /// What device node lies at a path of the host; a directory answers all device nodes below it. The policy says
    /// which may be asked for.
    HostDevice {
        /// An absolute path, cleaned.
        path: Vec<u8>,
    },
    /// Makes a volume's directory. No error when it exists.
    VolumeCreate {
        /// The volume.
        name: VolumeName,
    },
    /// Removes a volume with its files. No error when it is gone.
    VolumeRemove {
        /// The volume.
        name: VolumeName,
    },
    /// Opens a volume's directory as a bind source (O_PATH).
    VolumeOpen {
        /// The volume.
        name: VolumeName,
        /// Copy what the container's root file system has at this path into the volume when it is empty.
        copy_up: Option<(SnapshotKey, Vec<u8>)>,
    },
    /// All volumes that exist.
    VolumeList,
    /// Bytes on disk of one volume.
    VolumeUsage {
        /// The volume.
        name: VolumeName,
    },
}

/// What a mount passes on, for a bind mount whose propagation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Passes {
    /// Nothing is needed.
    Anything,
    /// What is mounted on the host appears in the container: it is shared or a slave.
    ToContainers,
    /// And the other way round: it is shared.
    BothWays,
}

/// One line of `docker diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The absolute path.
    pub path: Vec<u8>,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// It exists below too, and differs.
    Modified,
    /// It is new.
    Added,
    /// It exists only below.
    Deleted,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// The last component of the path that was asked for.
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// `st_mode`.
    pub mode: u32,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// Where a symbolic link leads, resolved inside the root.
    pub link_target: Vec<u8>,
    /// Whether the path lies on a read-only file system.
    pub read_only: bool,
}

/// One device node of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its path on the host.
    pub path: Vec<u8>,
    /// True for a block device, false for a character device.
    pub block: bool,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// One snapshot that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its name.
    pub key: SnapshotKey,
    /// Whether it is a committed layer; a container's otherwise.
    pub committed: bool,
}

/// What the storage worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// A layer was unpacked, or existed.
    Unpacked {
        /// Bytes of the unpacked files' content.
        size: u64,
    },
    /// A mount, attached nowhere.
    Mount {
        /// The mount's root.
        mount: Fd,
    },
    /// A file, or a bind source.
    Opened {
        /// The open file (O_PATH for a bind source).
        file: Fd,
        /// Whether it is a directory.
        directory: bool,
    },
    /// Snapshots.
    Snapshots(Vec<SnapshotInfo>),
    /// Volumes.
    Volumes(Vec<VolumeName>),
    /// Bytes on disk, as `du` counts.
    Usage {
        /// Bytes.
        bytes: u64,
    },
    /// What a container changed, in the order of the paths.
    Changes(Vec<Change>),
    /// A tar was written.
    Written {
        /// Bytes.
        bytes: u64,
    },
    /// What lies at a path.
    Stat(PathStat),
    /// Device nodes of the host.
    Devices(Vec<Device>),
}

impl crate::Request for Request {
    type Reply = Reply;

    fn verb(&self) -> &'static str {
        match self {
            Self::Unpack { .. } => "unpack layer",
            Self::Prepare { .. } => "prepare snapshot",
            Self::Mount { .. } => "mount snapshot",
            Self::Remove { .. } => "remove snapshot",
            Self::List => "list snapshots",
            Self::Usage { .. } => "measure snapshot",
            Self::Changes { .. } => "list changes",
            Self::DiffTar { .. } => "write difference",
            Self::LayerTar { .. } => "write layer",
            Self::ExportTar { .. } => "export root file system",
            Self::Stat { .. } => "stat path",
            Self::CopyOut { .. } => "copy out",
            Self::CopyIn { .. } => "copy in",
            Self::OpenFile { .. } => "open file",
            Self::OpenHostPath { .. } => "open host path",
            Self::HostDevice { .. } => "look up host device",
            Self::VolumeCreate { .. } => "create volume",
            Self::VolumeRemove { .. } => "remove volume",
            Self::VolumeOpen { .. } => "open volume",
            Self::VolumeList => "list volumes",
            Self::VolumeUsage { .. } => "measure volume",
        }
    }

    fn idempotent(&self) -> bool {
        // A stream that was half written cannot be written again.
        !matches!(
            self,
            Self::DiffTar { .. }
                | Self::LayerTar { .. }
                | Self::ExportTar { .. }
                | Self::CopyOut { .. }
                | Self::CopyIn { .. }
        )
    }

    fn deadline(&self) -> std::time::Duration {
        match self {
            Self::Unpack { .. }
            | Self::Changes { .. }
            | Self::DiffTar { .. }
            | Self::LayerTar { .. }
            | Self::ExportTar { .. }
            | Self::CopyOut { .. }
            | Self::CopyIn { .. }
            | Self::VolumeOpen { .. }
            | Self::Usage { .. }
            | Self::VolumeUsage { .. } => crate::STREAM,
            _ => crate::SHORT,
        }
    }
}
