//! The places that every container has, whatever its image.

use crate::store::{make_directory, write_file};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Directories, each after the one that it lies in (Docker's init layer).
const DIRECTORIES: [(&str, &str); 6] =
    [("", "dev"), ("dev", "pts"), ("dev", "shm"), ("", "etc"), ("", "proc"), ("", "sys")];

/// Empty files: what is mounted over, and the mark by which programs know that they are in a container.
const FILES: [(&str, &str); 5] = [
    ("", ".dockerenv"),
    ("dev", "console"),
    ("etc", "hostname"),
    ("etc", "hosts"),
    ("etc", "resolv.conf"),
];

/// Makes what is missing, with Docker's modes.
pub(crate) fn fill(init: BorrowedFd<'_>) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o755);
    let open = |directory: &str| {
        let path = if directory.is_empty() { "." } else { directory };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(init, path, flags, Mode::empty())
    };
    rustix::fs::fchmod(init, mode)?;
    for (parent, name) in DIRECTORIES {
        rustix::fs::fchmod(make_directory(open(parent)?, name)?, mode)?;
    }
    for (parent, name) in FILES {
        let parent = open(parent)?;
        match write_file(&parent, name, "") {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let file = openat(&parent, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::fchmod(file, mode)?;
    }
    match rustix::fs::symlinkat("/proc/mounts", open("etc")?, "mtab") {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}
