//! Attributes of mounts, with the way of kernels before 5.12, which have no mount_setattr.
//!
//! There, a mount is remounted after it is attached, by its descriptor's name in the host's procfs, which is what lies at
//! `/proc` of this process until the roots are swapped. Nothing of the container runs yet.

use super::Layout;
use ::core::prelude::rust_2024::*;
use ::mounts::{Attr, Change, Extent, Propagation};
use ::rustix::fs::{StatVfsMountFlags, fstatvfs};
use ::rustix::io::Errno;
use ::rustix::mount::{MountFlags, MountPropagationFlags, mount_change, mount_remount};
use ::std::ffi::CStr;
use ::std::os::fd::{AsRawFd, BorrowedFd};
use ::sys::mount::set_attr;

/// Gives an attached mount, or it and all below, the attributes `set`.
pub(super) fn add(
    layout: &Layout<'_>,
    mount: BorrowedFd<'_>,
    extent: Extent,
    set: Attr,
) -> Result<(), Errno> {
    if layout.sets_attributes {
        let change = Change { set, ..Change::default() };
        return set_attr(mount, extent, &change).map_err(Errno::from);
    }
    remount(mount, set, Attr::empty())
}

/// Changes the attributes of one attached mount, on a kernel before 5.12.
pub(super) fn remount(mount: BorrowedFd<'_>, set: Attr, clear: Attr) -> Result<(), Errno> {
    // A remount gives the mount exactly the flags that it is told, so the present ones are told too.
    let attributes = present(mount)?.difference(clear) | set;
    let mut flags = MountFlags::BIND;
    for (attribute, flag) in [
        (Attr::RDONLY, MountFlags::RDONLY),
        (Attr::NOSUID, MountFlags::NOSUID),
        (Attr::NODEV, MountFlags::NODEV),
        (Attr::NOEXEC, MountFlags::NOEXEC),
        (Attr::NOATIME, MountFlags::NOATIME),
        (Attr::STRICTATIME, MountFlags::STRICTATIME),
        (Attr::NODIRATIME, MountFlags::NODIRATIME),
        (Attr::NOSYMFOLLOW, MountFlags::from_bits_retain(256)),
    ] {
        if attributes.contains(attribute) {
            flags |= flag;
        }
    }
    if !attributes.intersects(Attr::ATIME_MASK) {
        flags |= MountFlags::RELATIME;
    }
    with_path(mount, |path| mount_remount(path, flags, c""))
}

fn present(mount: BorrowedFd<'_>) -> Result<Attr, Errno> {
    let flags = fstatvfs(mount)?.f_flag;
    let mut attributes = Attr::empty();
    for (flag, attribute) in [
        (StatVfsMountFlags::RDONLY, Attr::RDONLY),
        (StatVfsMountFlags::NOSUID, Attr::NOSUID),
        (StatVfsMountFlags::NODEV, Attr::NODEV),
        (StatVfsMountFlags::NOEXEC, Attr::NOEXEC),
        (StatVfsMountFlags::NOATIME, Attr::NOATIME),
        (StatVfsMountFlags::NODIRATIME, Attr::NODIRATIME),
    ] {
        if flags.contains(flag) {
            attributes |= attribute;
        }
    }
    if !flags.intersects(StatVfsMountFlags::NOATIME | StatVfsMountFlags::RELATIME) {
        attributes |= Attr::STRICTATIME;
    }
    Ok(attributes)
}

/// The flag of mount(2) for a propagation.
pub(super) fn propagation_flag(propagation: Propagation, extent: Extent) -> MountPropagationFlags {
    let flag = match propagation {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Shared => MountPropagationFlags::SHARED,
    };
    match extent {
        Extent::Mount => flag,
        Extent::Tree => flag | MountPropagationFlags::REC,
    }
}

/// Sets the propagation of an attached mount, on a kernel before 5.12.
pub(super) fn propagate(
    mount: BorrowedFd<'_>,
    propagation: Propagation,
    extent: Extent,
) -> Result<(), Errno> {
    let flag = propagation_flag(propagation, extent);
    with_path(mount, |path| mount_change(path, flag))
}

/// Calls `use_path` with the name of the descriptor in procfs.
pub(super) fn with_path<T>(
    fd: BorrowedFd<'_>,
    use_path: impl FnOnce(&CStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut path = [0u8; 32];
    path[..PREFIX.len()].copy_from_slice(PREFIX);
    let mut digits = [0u8; 10];
    let mut first = digits.len();
    let mut rest = fd.as_raw_fd();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = &digits[first..];
    path[PREFIX.len()..PREFIX.len() + digits.len()].copy_from_slice(digits);
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::NAMETOOLONG)?;
    use_path(path)
}
