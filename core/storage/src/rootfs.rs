//! The root file system that a request is about, as a mount that is attached nowhere and on which no device can be
//! opened and no set-uid program gains anything.

use crate::layers::failure;
use crate::worker::Storage;
use messages::Fd;
use messages::storage::Root;
use mounts::{Attr, Detached, Extent};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use safepath::walk::{self, Last};
use snapshots::Store;
use spec::{Class, ContainerId, Failure};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use sys::clone::Namespaces;
use transport::Descriptors;

/// What a root file system is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// To be looked at, with what is mounted in it.
    Read,
    /// To be written, with what is mounted in it.
    Write,
    /// To be read without what is mounted in it.
    WithoutMounts,
}

/// An opened root file system.
#[derive(Debug)]
pub(crate) struct View {
    mount: Detached,
    /// A stopped container's lock while it is written.
    _lock: Option<OwnedFd>,
}

impl From<Detached> for View {
    fn from(mount: Detached) -> Self {
        Self { mount, _lock: None }
    }
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

fn internal(what: &str, error: &dyn std::error::Error) -> Failure {
    let failure = Failure::from_error(Class::Internal, error);
    Failure::internal(format!("open root file system: {what}: {failure}"))
}

/// Opens the root of a root file system.
pub(crate) fn open(
    storage: &Storage,
    root: &Root,
    fds: &mut Descriptors,
    purpose: Use,
) -> Result<View, Failure> {
    match root {
        Root::Image { layers } => Ok(storage.store.mount_layers(layers).map_err(failure)?.into()),
        Root::Stopped { key, mounts } => {
            let lock = match purpose {
                Use::Write => Some(storage.store.lock(key).map_err(failure)?),
                Use::Read | Use::WithoutMounts => None,
            };
            let view = match purpose {
                Use::Write => storage.store.mount_view(key),
                Use::Read | Use::WithoutMounts => storage.store.mount_read(key),
            };
            let mut mount = view.map_err(failure)?;
            if !mounts.is_empty() && purpose != Use::WithoutMounts {
                mount = with_mounts(storage, mount, mounts, fds, purpose)?;
            }
            Ok(View { mount, _lock: lock })
        }
        Root::Running { id, pidfd } => Ok(running(&storage.store, id, &fds.take(*pidfd)?)?.into()),
    }
}

/// Attaches to a stopped container's view what its container would see there. The job gets a mount table of its own for
/// that, which goes with it.
fn with_mounts(
    storage: &Storage,
    view: Detached,
    mounts: &[(Vec<u8>, Fd)],
    fds: &mut Descriptors,
    purpose: Use,
) -> Result<Detached, Failure> {
    let mut sources = Vec::with_capacity(mounts.len());
    for (target, fd) in mounts {
        let source = fds.take(*fd)?;
        check_source(storage, &source, purpose)?;
        // Copied before the mount table changes: afterwards the source belongs to another one.
        let copy = Detached::clone_of(&source, Extent::Tree)
            .map_err(|errno| internal("copy a mount", &errno))?;
        let restricted = storage.store.restrict(&copy, Extent::Tree, Attr::empty());
        restricted.map_err(|errno| internal("restrict a mount", &errno))?;
        let stat =
            rustix::fs::fstat(&source).map_err(|errno| internal("look at a mount", &errno))?;
        let directory = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        sources.push((target, directory, copy));
    }
    // Outer ones first, so that inner ones are attached to them.
    sources.sort_by_key(|(target, ..)| target.iter().filter(|b| **b == b'/').count());
    attach_privately(storage, &view).map_err(|errno| internal("attach it", &errno))?;
    for (target, directory, copy) in sources {
        let shown = archive::escape(target);
        let path = CString::new(target.clone())
            .map_err(|_| Failure::invalid(format!("mount target {shown} contains a zero byte")))?;
        let last = if directory { Last::Directory } else { Last::File };
        let place = match purpose {
            Use::Write => walk::ensure(view.as_fd(), &path, last, 0o755),
            _ => walk::resolve(view.as_fd(), &path),
        };
        match place {
            Ok(place) => copy
                .attach(place)
                .map_err(|errno| internal(&format!("attach to {shown}"), &errno))?,
            // Never started, so the place does not exist yet; there is nothing to read below it.
            Err(Errno::NOENT) if purpose == Use::Read => {}
            Err(errno) => return Err(internal(&format!("open {shown}"), &errno)),
        }
    }
    Ok(view)
}

/// Attaches the view in a mount table that only this process has. The descriptor then names the attached mount.
fn attach_privately(storage: &Storage, view: &Detached) -> Result<(), Errno> {
    sys::clone::unshare(Namespaces::MOUNT)?;
    rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Any directory would do; it is looked up again because the one opened before lies in the other table.
    let place = storage.data_root.join("snapshots/empty/one");
    let place = CString::new(place.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    view.attach(rustix::fs::open(&*place, flags, Mode::empty())?)
}

/// Whether a mount's source may be shown to who asks: a volume, or what the policy allows. Where it is says the kernel.
fn check_source(storage: &Storage, source: &OwnedFd, purpose: Use) -> Result<(), Failure> {
    let path = real_path(source).map_err(|errno| internal("look at a mount", &errno))?;
    let volumes = storage.data_root.join("volumes");
    let inside = |path: &[u8]| {
        path.strip_prefix(volumes.as_os_str().as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    };
    if inside(&path) {
        return Ok(());
    }
    storage.policy.check_bind(&path, purpose != Use::Write)
}

/// The path at which the kernel sees an open file.
pub(crate) fn real_path(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::readlink(link, Vec::new())?.into_bytes())
}

/// A copy of a running container's mounts, as its first process sees them.
fn running(store: &Store, id: &ContainerId, pidfd: &OwnedFd) -> Result<Detached, Failure> {
    let gone = || {
        let message = format!("container {} does not run", id.short());
        Failure::new(Class::Conflict, message)
    };
    let pid = pid_of(pidfd).ok_or_else(gone)?;
    // A pidfd whose process still lives afterwards proves that the number was its own all the time.
    let check = || {
        let cgroups = std::fs::read(format!("/proc/{pid}/cgroup")).map_err(|_| gone())?;
        if sys::pidfd::has_ended(pidfd).map_err(|error| internal("ask for its end", &error))? {
            return Err(gone());
        }
        if !is_in_cgroup(&cgroups, id) {
            let message = format!("container {}: the process is not in its cgroup", id.short());
            return Err(Failure::new(Class::Forbidden, message));
        }
        Ok(())
    };
    // Nothing of a process that is not the container's is opened, and what was opened is still the container's.
    check()?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let open = |path: String, flags| {
        rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::SRCH => gone(),
            errno => internal("enter the container", &errno),
        })
    };
    let root = open(format!("/proc/{pid}/root"), flags | OFlags::DIRECTORY)?;
    let table = open(format!("/proc/{pid}/ns/mnt"), OFlags::RDONLY | OFlags::CLOEXEC)?;
    let own = open("/proc/self/ns/mnt".to_owned(), OFlags::RDONLY | OFlags::CLOEXEC)?;
    check()?;
    copy_root(store, &root, &table, &own)
        .map_err(|errno| internal("copy the container's mounts", &errno))
}

/// Mounts can be copied only from within their table, so the job goes there and comes back.
fn copy_root(
    store: &Store,
    root: &OwnedFd,
    table: &OwnedFd,
    own: &OwnedFd,
) -> Result<Detached, Errno> {
    sys::clone::setns(table, Namespaces::MOUNT)?;
    let copy = Detached::clone_of(root, Extent::Tree)
        .and_then(|copy| store.restrict(&copy, Extent::Tree, Attr::empty()).map(|()| copy));
    sys::clone::setns(own, Namespaces::MOUNT)?;
    copy
}

/// The process id behind a pidfd, as this process counts.
fn pid_of(pidfd: &OwnedFd) -> Option<u32> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Whether one of a process's cgroups is the container's: a component of its path is the id, or ends with it as
/// systemd's scopes do (`docker-<id>.scope`).
fn is_in_cgroup(cgroups: &[u8], id: &ContainerId) -> bool {
    let id = id.as_str();
    String::from_utf8_lossy(cgroups).lines().any(|line| {
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        path.split('/')
            .any(|part| part == id || part.strip_suffix(".scope").is_some_and(|p| p.ends_with(id)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_a_container_only_by_its_whole_id() {
        let id = ContainerId::parse(&"ab".repeat(32)).unwrap();
        for (text, is) in [
            (format!("4:memory:/coffer/{id}\n0::/\n"), true),
            (format!("0::/system.slice/docker-{id}.scope\n"), true),
            (format!("0::/coffer/{id}/inner\n"), true),
            (format!("0::/coffer/{}\n", &id.as_str()[..63]), false),
            (format!("0::/coffer/x{id}\n"), false),
            ("0::/\n".to_owned(), false),
        ] {
            assert_eq!(is_in_cgroup(text.as_bytes(), &id), is, "{text}");
        }
    }

    #[test]
    fn a_pidfd_tells_its_process_and_nothing_else_does() {
        let own = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(pid_of(&pidfd), Some(std::process::id()));
        assert_eq!(pid_of(&std::fs::File::open("/dev/null").unwrap().into()), None);
    }
}
