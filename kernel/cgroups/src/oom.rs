//! Being told that a group ran out of memory.

use crate::dir::Dir;
use crate::{CgroupError, Group};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::fs::inotify;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A descriptor that becomes readable when the group ran out of memory. It also does on other events of the group's
/// memory and when the group is removed: whether a process was ended says
/// [`MemoryStats::oom_kills`](crate::MemoryStats::oom_kills).
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl OomWatch {
    /// Takes what was reported, so that the descriptor is not readable until the next event. Never blocks.
    pub fn drain(&self) {
        let mut buffer = [0; 4096];
        while matches!(rustix::io::read(&self.fd, &mut buffer), Ok(1..) | Err(Errno::INTR)) {}
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OomWatch> for OwnedFd {
    fn from(watch: OomWatch) -> Self {
        watch.fd
    }
}

impl Group {
    /// Begins to watch for the group running out of memory.
    pub fn watch_oom(&self) -> Result<OomWatch, CgroupError> {
        let fd = match (self.v1("memory"), self.v2()) {
            (Some(dir), _) => watch_v1(dir),
            (None, Some(dir)) => watch_v2(dir),
            (None, None) => Err(Errno::NOENT),
        };
        fd.map(|fd| OomWatch { fd })
            .map_err(|errno| CgroupError::Watch { group: self.path(), errno })
    }
}

/// Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control": an eventfd is registered by writing both descriptors.
fn watch_v1(dir: &Dir) -> Result<OwnedFd, Errno> {
    let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let control = dir.open_file("memory.oom_control", OFlags::RDONLY)?;
    let line = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
    dir.try_write("cgroup.event_control", &line)?;
    Ok(events)
}

/// cgroup-v2.rst: a change of memory.events is a modification of the file.
fn watch_v2(dir: &Dir) -> Result<OwnedFd, Errno> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    // inotify takes paths only; this one leads through the directory that is open.
    let path = format!("/proc/self/fd/{}/memory.events", dir.as_fd().as_raw_fd());
    inotify::add_watch(&watch, path, inotify::WatchFlags::MODIFY)?;
    Ok(watch)
}
