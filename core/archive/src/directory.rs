//! Directories by descriptor: lookups that cannot leave a root, sorted listings, and a walk of any depth.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Opening a directory to list it or to work in it.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often a lookup is tried again that a concurrent rename disturbed (openat2(2), EAGAIN).
const LOOKUPS: usize = 128;

/// How many directories a walk keeps open at once, however deep the tree is.
const OPEN_LEVELS: usize = 64;

/// Opens `path` as if `root` were the root of the file system: symbolic links before the last component are followed
/// inside it, absolute ones too, and `..` stops at it. Links of /proc are never followed.
pub(crate) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..LOOKUPS {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a directory for listing as if `root` were the root of the file system; the last component is not followed.
///
/// # Errors
/// Nothing is there, it is no directory, or the kernel refuses.
pub fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    open_in_root(root, path, DIRECTORY)
}

/// Opens the directory `name` in `parent`; refuses a symbolic link, and another mount with EXDEV.
pub(crate) fn open_child(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(parent, name, DIRECTORY, Mode::empty(), resolve)
}

/// What lies at `name` in `parent`, a symbolic link not followed; None when nothing does.
pub(crate) fn stat(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file type of a stat.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether this is overlayfs' mark of a deleted file: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The names in a directory in the order of their bytes, `.` and `..` left out.
pub(crate) fn names(directory: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for item in Dir::read_from(directory)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// One thing that a walk comes by.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// The directory that it lies in.
    pub(crate) parent: BorrowedFd<'a>,
    /// Its name there.
    pub(crate) name: &'a [u8],
    /// Its path from the walk's root.
    pub(crate) path: &'a [u8],
    /// What it is.
    pub(crate) stat: Stat,
}

struct Level {
    directory: Option<OwnedFd>,
    identity: (u64, u64),
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of the path of this directory.
    path: usize,
}

impl Level {
    fn new(directory: OwnedFd, path: usize) -> Result<Self, Errno> {
        let names = names(&directory)?.into_iter();
        let stat = rustix::fs::fstat(&directory)?;
        let identity = (stat.st_dev, stat.st_ino);
        Ok(Self { directory: Some(directory), identity, names, path })
    }
}

/// Visits all that lies below `root` in the order of the names, each directory before what it holds. It enters no
/// other mount and follows no link; what vanishes meanwhile is left out.
///
/// `visit` says for a directory whether to enter it. A directory that is moved away while the walk is deep inside it
/// ends the walk with EAGAIN.
pub(crate) fn walk<E: From<Errno>>(
    root: BorrowedFd<'_>,
    mut visit: impl FnMut(&Node<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut path = Vec::new();
    let mut levels = vec![Level::new(open_child(root, b".")?, 0)?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.next() else {
            leave(&mut levels)?;
            continue;
        };
        let Some(parent) = level.directory.as_ref() else { return Err(Errno::AGAIN.into()) };
        path.truncate(level.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let Some(stat) = stat(parent.as_fd(), &name)? else { continue };
        let node = Node { parent: parent.as_fd(), name: &name, path: &path, stat };
        let enter = visit(&node)? && file_type(&stat) == FileType::Directory;
        if !enter {
            continue;
        }
        match open_child(parent.as_fd(), &name) {
            Ok(directory) => levels.push(Level::new(directory, path.len())?),
            // A mount, or no longer a directory.
            Err(Errno::XDEV | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(outer) = levels.len().checked_sub(OPEN_LEVELS + 1) {
            levels[outer].directory = None;
        }
    }
    Ok(())
}

/// Ends the innermost level; the one around it is opened again by `..` if it had been closed.
fn leave(levels: &mut Vec<Level>) -> Result<(), Errno> {
    let Some(inner) = levels.pop() else { return Ok(()) };
    let (Some(outer), Some(directory)) = (levels.last_mut(), inner.directory) else {
        return Ok(());
    };
    if outer.directory.is_some() {
        return Ok(());
    }
    let reopened = rustix::fs::openat(&directory, "..", DIRECTORY, Mode::empty())?;
    let stat = rustix::fs::fstat(&reopened)?;
    if (stat.st_dev, stat.st_ino) != outer.identity {
        return Err(Errno::AGAIN);
    }
    outer.directory = Some(reopened);
    Ok(())
}
