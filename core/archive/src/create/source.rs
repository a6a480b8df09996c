//! Opens what goes into an archive.

use crate::directory::file_type;
use crate::entry::Attributes;
use crate::extract::travels;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Longest list of attribute names and longest value that Linux has (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const ATTRIBUTE_MAX: usize = 64 << 10;

/// Opens a regular file to read it; None when it is gone or something else by now.
///
/// It is opened without waiting, so that a pipe that took its place cannot block. A device that took its place cannot
/// be opened at all in the views that the storage worker gives to its children (MOUNT_ATTR_NODEV).
pub(super) fn open_file(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<OwnedFd>, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let regular = file_type(&rustix::fs::fstat(&opened)?) == FileType::RegularFile;
    Ok(regular.then_some(opened))
}

/// The attributes that may travel, sorted by name.
pub(super) fn attributes(file: BorrowedFd<'_>) -> Result<Attributes, Errno> {
    let length = match rustix::fs::flistxattr(file, &mut [0u8; 0][..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(length) => length,
        Err(errno) => return Err(errno),
    };
    let mut list = vec![0; (length * 2).clamp(256, ATTRIBUTE_MAX)];
    let length = rustix::fs::flistxattr(file, &mut list[..])?;
    let mut found = Vec::new();
    for name in list[..length].split(|b| *b == 0).filter(|name| travels(name)) {
        let mut value = vec![0; ATTRIBUTE_MAX];
        match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                found.push((name.to_vec(), value));
            }
            // Taken away meanwhile.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the file is mounted over the name in its directory. A kernel before 5.8 does not tell; there mounts of
/// single files are taken as files.
pub(super) fn is_mount(parent: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mount = |file| {
        let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        let known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
        Ok::<_, Errno>(known.then_some(found.stx_mnt_id))
    };
    let (outer, inner) = (mount(parent)?, mount(file)?);
    Ok(outer.is_some() && inner.is_some() && outer != inner)
}
