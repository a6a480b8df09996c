//! What the running kernel can do with mounts, found by trying.

use crate::userns::{self, IdRange};
use crate::{Attr, Change, Detached, Extent, FsContext};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::AsFd;

/// The answers of one probe; a value does not change while the kernel runs. A way is chosen by these before the first
/// effect, never by the failure of another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// fsopen, fsmount, open_tree, move_mount (5.2) work with the caller's rights.
    pub detached_mounts: bool,
    /// mount_setattr (5.12). Without it nothing can be made read-only before it is attached.
    pub set_attributes: bool,
    /// A detached mount can be attached onto a detached one (6.15).
    pub attach_to_detached: bool,
    /// A detached mount can be cloned (6.15).
    pub clone_detached: bool,
    /// Overlay takes its layers as descriptors (6.13).
    pub overlay_layer_fds: bool,
    /// tmpfs can be idmapped (6.3); ext4, xfs and btrfs can from 5.12 to 5.15, overlay layers from 5.19.
    pub idmapped_tmpfs: bool,
}

impl Features {
    /// Tries each call on file systems of its own and leaves nothing behind.
    pub fn probe() -> Self {
        let Ok(first) = tmpfs() else { return Self::default() };
        let read_only = Change { set: Attr::RDONLY, ..Change::default() };
        let set_attributes =
            tmpfs().is_ok_and(|mount| mount.set(Extent::Mount, &read_only).is_ok());
        Self {
            detached_mounts: true,
            set_attributes,
            attach_to_detached: tmpfs().is_ok_and(|second| second.attach(&first).is_ok()),
            clone_detached: Detached::clone_of(&first, Extent::Mount).is_ok(),
            overlay_layer_fds: layer_fds(),
            idmapped_tmpfs: set_attributes && idmapped(),
        }
    }
}

fn tmpfs() -> Result<Detached, crate::Error> {
    FsContext::open(c"tmpfs")?.mount(Attr::empty())
}

fn layer_fds() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(root) = openat(CWD, c"/", flags, Mode::empty()) else { return false };
    FsContext::open(c"overlay")
        .is_ok_and(|context| context.set_fd(c"lowerdir+", root.as_fd()).is_ok())
}

fn idmapped() -> bool {
    let shifted = [IdRange { inside: 0, outside: 100_000, count: 1 }];
    let (Ok(mount), Ok(namespace)) = (tmpfs(), userns::with_maps(&shifted, &shifted)) else {
        return false;
    };
    let change = Change { idmap: Some(namespace.as_fd()), ..Change::default() };
    mount.set(Extent::Mount, &change).is_ok()
}
