//! Mounts that come from the host.

use super::attributes;
use super::layout::copy;
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Change, Extent, Propagation};
use ::plan::BindPlan;
use ::rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use ::rustix::io::Errno;
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ::sys::mount::set_attr;

/// A file or directory of the host that is mounted in the container.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A mount that the starter made, attached nowhere.
    Detached(BorrowedFd<'a>),
    /// A path that this process opens itself, since its starter had no right to copy mounts: a copy can only be made of
    /// what is in the copier's own mount namespace.
    Path(Place<'a>),
}

/// A path of the host and the file that the starter found there.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a CStr,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// A mount that is attached nowhere.
pub(super) enum Mounted<'a> {
    Given(BorrowedFd<'a>),
    Copied(OwnedFd),
}

impl AsFd for Mounted<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Given(fd) => *fd,
            Self::Copied(fd) => fd.as_fd(),
        }
    }
}

impl Place<'_> {
    /// The file, which must still be the one that the starter found: ESTALE otherwise.
    pub(super) fn open(self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = openat(CWD, self.path, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        match (stat.st_dev, stat.st_ino) == (self.device, self.inode) {
            true => Ok(fd),
            false => Err(Errno::STALE),
        }
    }
}

impl<'a> Origin<'a> {
    /// The mount, and whether it was copied just now and so lacks its attributes.
    pub(super) fn mount(self, extent: Extent) -> Result<Mounted<'a>, Errno> {
        match self {
            Self::Detached(fd) => Ok(Mounted::Given(fd)),
            Self::Path(place) => copy(place.open()?.as_fd(), extent).map(Mounted::Copied),
        }
    }
}

/// A tree of the host, all of it with `attributes`, for what cannot be made here.
pub(super) fn host_tree(
    sets_attributes: bool,
    path: &CStr,
    attributes: Attr,
    attach: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = openat(CWD, path, flags, Mode::empty())?;
    let mount = copy(fd.as_fd(), Extent::Tree)?;
    let private = Some(Propagation::Private);
    if sets_attributes {
        let change = Change { set: attributes, propagation: private, ..Change::default() };
        set_attr(&mount, Extent::Tree, &change).map_err(Errno::from)?;
        return attach(mount.as_fd());
    }
    attach(mount.as_fd())?;
    attributes::propagate(mount.as_fd(), Propagation::Private, Extent::Tree)?;
    attributes::remount(mount.as_fd(), attributes, Attr::empty())
}

/// Propagation and attributes of a bind mount's copy, before it is attached.
pub(crate) fn set_attributes(bind: &BindPlan, mount: BorrowedFd<'_>) -> Result<(), Errno> {
    let set = |extent, change: &Change<'_>| set_attr(mount, extent, change).map_err(Errno::from);
    let propagated = |kind| Change { propagation: Some(kind), ..Change::default() };
    let tree = bind.tree;
    let change = Change { set: tree.set, clear: tree.clear, ..Change::default() };
    // The copy of a shared mount is shared too: left so, what is mounted in the container would appear on the host.
    match bind.propagation {
        (kind, Extent::Tree) => {
            set(Extent::Tree, &Change { propagation: Some(kind), ..change })?;
        }
        // The mount alone is to stay a peer of its source; making it private first would make it one of nobody.
        (Propagation::Shared, Extent::Mount) => {
            if !change.set.is_empty() || !change.clear.is_empty() {
                set(Extent::Tree, &change)?;
            }
            set(Extent::Mount, &propagated(Propagation::Shared))?;
        }
        (Propagation::Slave, Extent::Mount) => {
            set(Extent::Tree, &Change { propagation: Some(Propagation::Slave), ..change })?;
        }
        (kind, Extent::Mount) => {
            set(Extent::Tree, &Change { propagation: Some(Propagation::Private), ..change })?;
            set(Extent::Mount, &propagated(kind))?;
        }
    }
    if !bind.own.set.is_empty() || !bind.own.clear.is_empty() {
        let own = Change { set: bind.own.set, clear: bind.own.clear, ..Change::default() };
        set(Extent::Mount, &own)?;
    }
    Ok(())
}
