//! Removes trees that strangers made.

use crate::directory::{file_type, names, open_child, stat};
use crate::name::escape;
use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How deep a removal goes before it moves what is deeper up to the top, so that it needs few descriptors and little
/// stack for any depth.
const LEVELS: usize = 64;

/// Why something could not be removed; what was removed before stays removed.
#[derive(Debug, thiserror::Error)]
#[error("remove {name}")]
pub struct RemoveError {
    /// The name, escaped, in its directory.
    pub name: String,
    /// What the kernel said.
    #[source]
    pub source: Errno,
}

fn failed(name: &[u8]) -> impl FnOnce(Errno) -> RemoveError {
    move |source| RemoveError { name: escape(name), source }
}

/// Takes away the flags that keep root from removing something (immutable, append-only).
fn unlock(file: BorrowedFd<'_>) -> bool {
    let locks = IFlags::IMMUTABLE | IFlags::APPEND;
    match rustix::fs::ioctl_getflags(file) {
        Ok(flags) if flags.intersects(locks) => {
            rustix::fs::ioctl_setflags(file, flags.difference(locks)).is_ok()
        }
        _ => false,
    }
}

/// Unlocks a directory and what lies in it under `name`; true when that changed anything.
fn unlock_both(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    let parent_unlocked = unlock(parent);
    let found = stat(parent, name).ok().flatten();
    // Only these two have the flags, and opening a device or a pipe could have effects.
    let lockable =
        found.is_some_and(|s| matches!(file_type(&s), FileType::RegularFile | FileType::Directory));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let child = lockable.then(|| rustix::fs::openat(parent, name, flags, Mode::empty()));
    let child_unlocked = matches!(child, Some(Ok(child)) if unlock(child.as_fd()));
    parent_unlocked || child_unlocked
}

/// Removes one name, unlocked if need be; true when it is gone, false when it is a directory that is not empty.
fn unlink(parent: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<bool, Errno> {
    let mut unlocked = false;
    loop {
        match rustix::fs::unlinkat(parent, name, flags) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::ISDIR | Errno::NOTEMPTY) => return Ok(false),
            Err(Errno::PERM) if !unlocked && unlock_both(parent, name) => unlocked = true,
            Err(error) => return Err(error),
        }
    }
}

/// Removes `name` in `parent` and, if it is a directory, all that lies below it, of any depth.
///
/// Follows no symbolic link, enters no other mount, and clears immutable and append-only flags. No error when nothing
/// is there. Can be cut off and called again.
///
/// # Errors
/// The kernel refuses, for instance because something is a mount point.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), RemoveError> {
    if unlink(parent, name, AtFlags::empty()).map_err(failed(name))? {
        return Ok(());
    }
    let top = open_child(parent, name).map_err(failed(name))?;
    let mut removal = Removal { top: top.as_fd(), moved: 0 };
    loop {
        let before = removal.moved;
        removal.empty(top.as_fd(), 0)?;
        // What was moved up while the top was listed is new there.
        if removal.moved == before {
            break;
        }
    }
    match unlink(parent, name, AtFlags::REMOVEDIR).map_err(failed(name))? {
        true => Ok(()),
        false => Err(failed(name)(Errno::NOTEMPTY)),
    }
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// How many directories were moved up.
    moved: u64,
}

impl Removal<'_> {
    fn empty(&mut self, directory: BorrowedFd<'_>, level: usize) -> Result<(), RemoveError> {
        for name in names(directory).map_err(failed(b"."))? {
            if unlink(directory, &name, AtFlags::empty()).map_err(failed(&name))? {
                continue;
            }
            if level == LEVELS {
                self.move_up(directory, &name).map_err(failed(&name))?;
                continue;
            }
            let child: OwnedFd = open_child(directory, &name).map_err(failed(&name))?;
            self.empty(child.as_fd(), level + 1)?;
            drop(child);
            if !unlink(directory, &name, AtFlags::REMOVEDIR).map_err(failed(&name))? {
                return Err(failed(&name)(Errno::NOTEMPTY));
            }
        }
        Ok(())
    }

    fn move_up(&mut self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let mut unlocked = false;
        loop {
            self.moved += 1;
            let new = format!(".removed-{}", self.moved);
            let moved =
                rustix::fs::renameat_with(directory, name, self.top, &*new, RenameFlags::NOREPLACE);
            match moved {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(Errno::PERM) if !unlocked && unlock_both(directory, name) => unlocked = true,
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remove_tree_follows_no_link_and_clears_immutable_flags() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join("tree/a/b")).unwrap();
        std::fs::create_dir(path.join("kept")).unwrap();
        std::fs::write(path.join("kept/file"), "kept").unwrap();
        std::os::unix::fs::symlink(path.join("kept"), path.join("tree/a/link")).unwrap();
        std::fs::write(path.join("tree/a/b/locked"), "x").unwrap();
        for locked in ["tree/a/b/locked", "tree/a/b"] {
            let file = std::fs::File::open(path.join(locked)).unwrap();
            rustix::fs::ioctl_setflags(&file, IFlags::IMMUTABLE).unwrap();
        }
        assert!(std::fs::remove_file(path.join("tree/a/b/locked")).is_err());
        let root = std::fs::File::open(path).unwrap();
        remove_tree(root.as_fd(), b"tree").unwrap();
        assert_eq!(names(&root).unwrap(), [b"kept"]);
        assert_eq!(std::fs::read(path.join("kept/file")).unwrap(), b"kept");
        remove_tree(root.as_fd(), b"tree").unwrap();
    }
}
