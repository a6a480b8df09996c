//! What is found out about the host once.

use crate::LaunchError;
use mounts::{Attr, Change, Detached, Extent, Propagation};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, minor, openat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use sys::caps::{self, CapSet};

/// What the null device gets before it covers a masked file. Without mount_setattr the child does it afterwards.
const COVER: Change<'static> = Change {
    set: Attr::RDONLY.union(Attr::NOSUID).union(Attr::NOEXEC),
    clear: Attr::empty(),
    propagation: Some(Propagation::Private),
    idmap: None,
};

/// The starter's rights, a verified `/dev/null` and the starter's cgroup namespace; made once per process.
#[derive(Debug)]
pub struct Host {
    null: OwnedFd,
    /// The cgroup namespace of containers that have none of their own.
    cgroup_namespace: OwnedFd,
    /// Whether the starter may copy mounts. Where it may not (rootless), the container's process does, in a user namespace.
    pub(crate) copies_mounts: bool,
    /// Whether the kernel has mount_setattr (5.12).
    pub(crate) sets_attributes: bool,
    /// What a container without a user namespace can have at most.
    pub(crate) own_caps: CapSet,
    /// What the kernel knows.
    pub(crate) known_caps: CapSet,
}

impl Host {
    /// Opens and verifies the host's `/dev/null`, reads the caller's capabilities, and tries mount_setattr.
    pub fn open() -> Result<Self, LaunchError> {
        let failed = |errno| LaunchError::new("open", "/dev/null", errno);
        let null = open_device(c"/dev/null", FileType::CharacterDevice, (1, 3)).map_err(failed)?;
        let own = caps::get().map_err(|e| LaunchError::new("read", "capabilities", e))?;
        let own_caps = own.permitted.and(caps::bounding());
        let (copies_mounts, sets_attributes) = match Detached::clone_of(&null, Extent::Mount) {
            Ok(probe) => match probe.set(Extent::Mount, &COVER) {
                Ok(()) => (true, true),
                Err(Errno::NOSYS) => (true, false),
                Err(errno) => return Err(failed(errno)),
            },
            // Without rights the kernel refuses a change of what is not a mount in any case, but not with ENOSYS.
            Err(Errno::PERM) => {
                let nothing = Change::default();
                let tried = sys::mount::set_attr(&null, Extent::Mount, &nothing);
                (false, !tried.is_err_and(|error| error.errno() == Errno::NOSYS))
            }
            Err(errno) => return Err(failed(errno)),
        };
        let path = "/proc/self/ns/cgroup";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let cgroup_namespace = openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| LaunchError::new("open", path, errno))?;
        let known_caps = caps::supported();
        Ok(Self { null, cgroup_namespace, copies_mounts, sets_attributes, own_caps, known_caps })
    }

    /// The null device for masks: a mount, or where the starter cannot make one, the file.
    pub(crate) fn null(&self) -> Result<Result<Detached, OwnedFd>, LaunchError> {
        match self.copies_mounts {
            true => self.null_mount().map(Ok),
            false => copy_of(&self.null, "null device").map(Err),
        }
    }

    /// A descriptor of the starter's cgroup namespace.
    pub(crate) fn cgroup_namespace(&self) -> Result<OwnedFd, LaunchError> {
        copy_of(&self.cgroup_namespace, "cgroup namespace")
    }

    /// What the starter cannot give, of `wanted`: to be left out with a warning. A new user namespace has everything
    /// that the kernel knows.
    pub fn missing(&self, wanted: CapSet, new_user_namespace: bool) -> CapSet {
        wanted.minus(if new_user_namespace { self.known_caps } else { self.own_caps })
    }

    /// A read-only mount of the null device, attached nowhere: what covers a masked file (CVE-2025-31133: it is our
    /// descriptor, opened on the host and verified, not whatever lies at `/dev/null` in the container).
    fn null_mount(&self) -> Result<Detached, LaunchError> {
        let failed = |errno| LaunchError::new("bind", "/dev/null", errno);
        let mount = Detached::clone_of(&self.null, Extent::Mount).map_err(failed)?;
        if self.sets_attributes {
            mount.set(Extent::Mount, &COVER).map_err(failed)?;
        }
        Ok(mount)
    }
}

fn copy_of(fd: &OwnedFd, object: &str) -> Result<OwnedFd, LaunchError> {
    fd.try_clone().map_err(|error| {
        LaunchError::new("copy", object, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// The device node at `path` of the host, as O_PATH; ENODEV if it is another one.
pub(crate) fn open_device(
    path: &std::ffi::CStr,
    kind: FileType,
    number: (u32, u32),
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    let found = (major(stat.st_rdev), minor(stat.st_rdev));
    match FileType::from_raw_mode(stat.st_mode) == kind && found == number {
        true => Ok(fd),
        false => Err(Errno::NODEV),
    }
}
