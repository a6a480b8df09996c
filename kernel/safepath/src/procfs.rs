//! A procfs that nobody can mount over.

use crate::{Error, walk};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstatfs, openat};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The root of a procfs.
///
/// The container's `/proc` may have a volume or a link in its place, which would swallow or redirect what is written
/// to it (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881). A detached one is attached nowhere, so nothing can be.
#[derive(Debug)]
pub struct ProcHandle(OwnedFd);

impl ProcHandle {
    /// A new procfs of the caller's pid namespace, attached nowhere (fsopen, 5.2). EPERM in a user namespace where the
    /// visible procfs has parts mounted over. Allocates nothing.
    pub fn detached() -> Result<Self, Errno> {
        let context = fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let fd = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Self::verified(fd)
    }

    /// As [`Self::host`], with the kernel's error number only. Allocates nothing.
    pub fn present() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::verified(openat(CWD, c"/proc", flags, Mode::empty())?)
    }

    /// The procfs at the host's `/proc`.
    pub fn host() -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, c"/proc", flags, Mode::empty())
            .map_err(|errno| Error::path("open", std::path::Path::new("/proc"), errno))?;
        Self::verified(fd).map_err(|_| Error::NotProcfs)
    }

    fn verified(fd: OwnedFd) -> Result<Self, Errno> {
        if is_procfs(fd.as_fd())? { Ok(Self(fd)) } else { Err(Errno::NODEV) }
    }

    /// Opens `path`, relative: no other mount and no magic link on the way; `self` works. Allocates nothing.
    pub fn open(&self, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let fd = walk::resolve_with(self.0.as_fd(), path, flags, how)?;
        if is_procfs(fd.as_fd())? { Ok(fd) } else { Err(Errno::XDEV) }
    }

    /// Writes `value` to the existing file `path` in one write. Allocates nothing.
    pub fn write(&self, path: &CStr, value: &[u8]) -> Result<(), Errno> {
        let fd = self.open(path, OFlags::WRONLY)?;
        match rustix::io::write(&fd, value)? {
            written if written == value.len() => Ok(()),
            _ => Err(Errno::IO),
        }
    }
}

impl AsFd for ProcHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_procfs(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    fstatfs(fd).map(|stat| stat.f_type == PROC_SUPER_MAGIC)
}
