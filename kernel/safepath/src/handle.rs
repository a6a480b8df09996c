//! A file that was resolved.

use crate::Error;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// An O_PATH descriptor: it names one file whatever happens to its path, and must be reopened to be read or written.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// The handle that `fd` already is; `fd` should be an O_PATH descriptor.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// What fstat says about the file.
    pub fn stat(&self) -> Result<Stat, Error> {
        fstat(&self.0).map_err(|errno| Error::path("stat", Path::new(""), errno))
    }

    /// The kind of the file; a symbolic link that was resolved without following it is one.
    pub fn file_type(&self) -> Result<FileType, Error> {
        self.stat().map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// Device and inode numbers: equal for two handles of one file.
    pub fn identity(&self) -> Result<(u64, u64), Error> {
        self.stat().map(|stat| (stat.st_dev, stat.st_ino))
    }

    /// Opens the file itself with `flags`, through this process's own descriptor table, so that no path of the image is
    /// resolved again. A symbolic link is ELOOP.
    pub fn reopen(&self, flags: OFlags) -> Result<OwnedFd, Error> {
        let own = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let flags = flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
        openat(CWD, own, flags, Mode::empty())
            .map_err(|errno| Error::path("reopen", Path::new(""), errno))
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
