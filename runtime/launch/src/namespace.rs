//! Namespaces that are joined by their files.

use crate::LaunchError;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use sys::clone::Namespaces;

/// NSFS_MAGIC of linux/magic.h.
const NSFS: i64 = 0x6e73_6673;

/// The namespace file at `path` of the host, for [`crate::Descriptors::joins`]; it must be one of the kind `which`.
pub fn open_namespace(path: &Path, which: Namespaces) -> Result<OwnedFd, LaunchError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let object = || format!("namespace {:?}", path.display().to_string());
    let fd = openat(CWD, path, flags, Mode::empty())
        .map_err(|errno| LaunchError::new("open", object(), errno))?;
    match kind(&fd) {
        Ok(Some(found)) if found == which => Ok(fd),
        Ok(Some(_)) => Err(mismatch(object(), "it is a namespace of another type")),
        Ok(None) => Err(mismatch(object(), "it is no namespace")),
        Err(errno) => Err(LaunchError::new("look at", object(), errno)),
    }
}

/// Each kind is joined once, by a file of that kind. Pidfds, which stand for several, are judged by the kernel.
pub(crate) fn check(
    joins: &[(Namespaces, OwnedFd)],
    planned: Namespaces,
) -> Result<(), LaunchError> {
    let object = || "namespaces".to_owned();
    let mut given = Namespaces::empty();
    for (which, fd) in joins {
        if given.intersects(*which) {
            return Err(mismatch(object(), "one is joined twice"));
        }
        given |= *which;
        match kind(fd) {
            Ok(Some(found)) if found != *which => {
                return Err(mismatch(object(), "a file is a namespace of another type"));
            }
            Ok(_) => {}
            Err(errno) => return Err(LaunchError::new("look at", "namespaces", errno)),
        }
    }
    match given == planned {
        true => Ok(()),
        false => {
            Err(mismatch(object(), "the plan joins other namespaces than the descriptors are for"))
        }
    }
}

fn mismatch(object: String, reason: &'static str) -> LaunchError {
    LaunchError::Mismatch { object, reason }
}

/// The kind of the namespace that `fd` is a file of (NS_GET_NSTYPE, 4.11); nothing if it is no such file.
fn kind(fd: impl AsFd) -> Result<Option<Namespaces>, Errno> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    if fstatfs(fd.as_fd())?.f_type as i64 != NSFS {
        return Ok(None);
    }
    // SAFETY: the request takes no argument and touches no memory of ours.
    let bit = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE) };
    match bit {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        bit => Ok(Some(Namespaces::from_bits_retain(u64::from(bit.cast_unsigned())))),
    }
}
