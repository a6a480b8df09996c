//! Copying a directory of the image into a tmpfs that will cover it (`tmpcopyup`).

use ::core::mem::MaybeUninit;
use ::core::prelude::rust_2024::*;
use ::rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid, chownat, fchmod, fchown, fstat,
    mkdirat, mknodat, openat, readlinkat_raw, statat, symlinkat,
};
use ::rustix::io::{Errno, read, write};
use ::std::ffi::CStr;
use ::std::os::fd::{AsFd, BorrowedFd};

/// How deep directories may lie in each other.
const DEEPEST: usize = 64;

/// Copies all that is in the directory `from` to `to`, with kinds, modes and owners. Symbolic links are copied as such
/// and never followed. ELOOP: directories lie too deep in each other.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let from = openat(from, c".", flags, Mode::empty())?;
    copy_directory(from.as_fd(), to, 0)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
    if depth > DEEPEST {
        return Err(Errno::LOOP);
    }
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(from, &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, depth)?;
        }
    }
    Ok(())
}

fn copy_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    depth: usize,
) -> Result<(), Errno> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let nofollow = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            mkdirat(to, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | nofollow;
            let inner = openat(from, name, flags, Mode::empty())?;
            let made = openat(to, name, flags, Mode::empty())?;
            copy_directory(inner.as_fd(), made.as_fd(), depth + 1)?;
            own(made.as_fd(), &stat)
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | nofollow;
            let source = openat(from, name, flags, Mode::empty())?;
            // What was looked at may have been exchanged meanwhile.
            if FileType::from_raw_mode(fstat(&source)?.st_mode) != FileType::RegularFile {
                return Err(Errno::STALE);
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | nofollow;
            let made = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
            copy_bytes(source.as_fd(), made.as_fd())?;
            own(made.as_fd(), &stat)
        }
        FileType::Symlink => {
            let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
            let (target, _) = match readlinkat_raw(from, name, &mut buffer) {
                // It is no link any more.
                Err(Errno::INVAL) => return Err(Errno::STALE),
                other => other?,
            };
            let mut text = [0u8; 4097];
            text[..target.len()].copy_from_slice(target);
            let text = CStr::from_bytes_until_nul(&text).map_err(|_| Errno::INVAL)?;
            symlinkat(text, to, name)?;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
        kind => {
            mknodat(to, name, kind, mode, stat.st_rdev)?;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
    }
}

/// Owner first: changing it clears the bits that let a program gain rights.
fn own(made: BorrowedFd<'_>, stat: &Stat) -> Result<(), Errno> {
    fchown(made, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(made, Mode::from_raw_mode(stat.st_mode))
}

fn copy_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut buffer = [0u8; 16384];
    loop {
        let length = match read(from, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            match write(to, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
