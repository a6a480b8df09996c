//! mount_setattr (5.12): the attributes of a mount, or of a whole tree, in one step.

use crate::raw::check;
use crate::{Arg, Result};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

bitflags::bitflags! {
    /// MOUNT_ATTR_* of linux/mount.h. Of the access-time bits, exactly one is set, and RELATIME is zero.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Attr: u64 {
        /// Read-only.
        const RDONLY = 0x1;
        /// Set-user-id bits are ignored.
        const NOSUID = 0x2;
        /// Device nodes cannot be opened.
        const NODEV = 0x4;
        /// Nothing can be executed.
        const NOEXEC = 0x8;
        /// Access times are never updated.
        const NOATIME = 0x10;
        /// Access times are always updated.
        const STRICTATIME = 0x20;
        /// The mask of the access-time bits; must be cleared whenever one of them is set.
        const ATIME_MASK = 0x70;
        /// Access times of directories are not updated.
        const NODIRATIME = 0x80;
        /// Ids are mapped by a user namespace.
        const IDMAP = 0x0010_0000;
        /// Symbolic links are not followed (5.14).
        const NOSYMFOLLOW = 0x0020_0000;
    }
}

/// Where mounts under this one are propagated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Nowhere.
    Private,
    /// Nowhere, and the mount cannot be bound.
    Unbindable,
    /// From its master only.
    Slave,
    /// To and from its peers.
    Shared,
}

impl Propagation {
    /// The MS_* bit of mount(2).
    pub fn bits(self) -> u64 {
        match self {
            Self::Private => 1 << 18,
            Self::Unbindable => 1 << 17,
            Self::Slave => 1 << 19,
            Self::Shared => 1 << 20,
        }
    }
}

/// The change that [`set_attr`] makes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'fd> {
    /// Attributes that the mount gets.
    pub set: Attr,
    /// Attributes that the mount loses.
    pub clear: Attr,
    /// The new propagation, if it changes.
    pub propagation: Option<Propagation>,
    /// The user namespace whose maps the mount gets; the mount must be detached and not yet mapped.
    pub idmap: Option<BorrowedFd<'fd>>,
}

/// Whether a change is for one mount or also for all mounts below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One mount.
    Mount,
    /// The mount and all below it (AT_RECURSIVE).
    Tree,
}

#[repr(C)]
struct RawAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes the mount that the descriptor `mount` names (AT_EMPTY_PATH).
pub fn set_attr(mount: impl AsFd, extent: Extent, change: &Change<'_>) -> Result<()> {
    set_attr_at(mount.as_fd(), c"", extent, libc::AT_EMPTY_PATH, change)
}

/// Changes the mount at the absolute `path`; for `/` of the caller only, since a path may be replaced meanwhile.
pub fn set_attr_path(path: &CStr, extent: Extent, change: &Change<'_>) -> Result<()> {
    set_attr_at(rustix::fs::CWD, path, extent, libc::AT_SYMLINK_NOFOLLOW, change)
}

fn set_attr_at(
    dir: BorrowedFd<'_>,
    path: &CStr,
    extent: Extent,
    flags: libc::c_int,
    change: &Change<'_>,
) -> Result<()> {
    let mut set = change.set.bits();
    if change.idmap.is_some() {
        set |= Attr::IDMAP.bits();
    }
    let raw = RawAttr {
        attr_set: set,
        attr_clr: change.clear.bits(),
        propagation: change.propagation.map_or(0, Propagation::bits),
        userns_fd: change.idmap.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = if extent == Extent::Tree { flags | libc::AT_RECURSIVE } else { flags };
    // SAFETY: the path is a C string and `raw` a mount_attr of the given size; the kernel reads both only.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawAttr>(),
        )
    };
    let args = [dir.into(), Arg::Hex(flags as u64), Arg::Hex(raw.attr_set), Arg::Hex(raw.attr_clr)];
    check("mount_setattr", &args, ret).map(drop)
}
