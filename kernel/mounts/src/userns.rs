//! User namespaces that only hold id maps, for idmapped mounts and for containers.

use crate::Error;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use safepath::ProcHandle;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use sys::clone::{CloneArgs, Cloned, Namespaces, clone3};

/// A range of ids: `inside` and up in the namespace are `outside` and up in its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the namespace.
    pub inside: u32,
    /// The first id in the parent namespace.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The most ranges of one map (UID_GID_MAP_MAX_EXTENTS, 4.15).
pub const MOST_RANGES: usize = 340;

/// A namespace file of a new user namespace with these maps. Needs CAP_SETUID and CAP_SETGID over the outside ids. The
/// process that made it exist is gone when this returns; the descriptor keeps it.
pub fn with_maps(uids: &[IdRange], gids: &[IdRange]) -> Result<OwnedFd, Error> {
    let args = CloneArgs { namespaces: Namespaces::USER, ..CloneArgs::default() };
    // SAFETY: the child makes system calls without memory only, until it is killed.
    let cloned = unsafe { clone3(&args) };
    match cloned.map_err(|e| Error::new("make", "user namespace", e.errno()))? {
        Cloned::Child => wait_for_the_end(),
        Cloned::Parent { pid, pidfd } => {
            let opened = write_maps(pid, uids, gids).and_then(|()| open_namespace(pid));
            let ended = sys::pidfd::send_signal(&pidfd, 9).and_then(|()| sys::pidfd::wait(&pidfd));
            let namespace = opened?;
            ended.map_err(|e| Error::new("end holder of", "user namespace", e.errno()))?;
            Ok(namespace)
        }
    }
}

/// The child: it holds the namespace until it is killed, or its parent is.
fn wait_for_the_end() -> ! {
    let armed = sys::process::set_parent_death_signal(9);
    while armed.is_ok() {
        // A poll of nothing ends with a signal only.
        let _interrupted = rustix::event::poll(&mut [], None);
    }
    sys::process::exit(1)
}

/// Writes both maps of the process `pid`, whose user namespace has none yet.
pub fn write_maps(pid: i32, uids: &[IdRange], gids: &[IdRange]) -> Result<(), Error> {
    let proc = ProcHandle::host().map_err(|_| Error::new("open", "/proc", Errno::NODEV))?;
    for (file, ranges) in [("uid_map", uids), ("gid_map", gids)] {
        let mut text = String::new();
        for range in ranges {
            text += &format!("{} {} {}\n", range.inside, range.outside, range.count);
        }
        let path = CString::new(format!("{pid}/{file}"))
            .map_err(|_| Error::new("write", file, Errno::INVAL))?;
        proc.write(&path, text.as_bytes()).map_err(|errno| Error::new("write", file, errno))?;
    }
    Ok(())
}

fn open_namespace(pid: i32) -> Result<OwnedFd, Error> {
    let path = format!("/proc/{pid}/ns/user");
    openat(CWD, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::new("open", path, errno))
}
