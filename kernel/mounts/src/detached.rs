//! A mount that is attached nowhere, or was not until a moment ago.

use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use sys::mount::{Change, Extent, set_attr};

/// A mount by its descriptor. All methods are free of allocation.
#[derive(Debug)]
pub struct Detached(OwnedFd);

impl Detached {
    /// The mount whose root `fd` names: the answer of fsmount or open_tree, here or in another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A copy of what is mounted at `source` (a file or directory, O_PATH will do), attached nowhere: a bind mount's
    /// source. With [`Extent::Tree`] mounts below come along; one of a namespace file makes attaching fail with ELOOP.
    /// Cloning out of a detached mount needs kernel 6.15.
    pub fn clone_of(source: impl AsFd, extent: Extent) -> Result<Self, Errno> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        if extent == Extent::Tree {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        open_tree(source, c"", flags).map(Self)
    }

    /// Changes attributes of the mount.
    pub fn set(&self, extent: Extent, change: &Change<'_>) -> Result<(), Errno> {
        set_attr(&self.0, extent, change).map_err(Errno::from)
    }

    /// Attaches the mount over the file that `target` names, by descriptors only. The descriptor then names the
    /// attached mount. Attaching onto a detached mount needs kernel 6.15.
    pub fn attach(&self, target: impl AsFd) -> Result<(), Errno> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&self.0, c"", target, c"", flags)
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes the topmost mount at `mounted` away, busy or not (MNT_DETACH). umount2 takes no descriptor, so the path goes
/// through this process's own descriptor table. Allocates.
pub fn unmount(mounted: impl AsFd) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", mounted.as_fd().as_raw_fd());
    rustix::mount::unmount(path, UnmountFlags::DETACH)
}
