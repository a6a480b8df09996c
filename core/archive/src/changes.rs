//! What an overlay's upper directory changes in the layers below it.

use crate::OPAQUE_ATTRIBUTE;
use crate::directory::{self, DIRECTORY, Node, file_type, is_whiteout};
use rustix::fs::{FileType, Mode, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Why changes could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The kernel refused something.
    #[error("list changes")]
    Kernel(#[from] Errno),
    /// More changes than the caller allows.
    #[error("list changes: there are more than {0}")]
    TooMany(usize),
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It exists below too (kind 0 on the wire).
    Modified,
    /// It is new (kind 1).
    Added,
    /// It exists only below (kind 2).
    Deleted,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The absolute path.
    pub path: Vec<u8>,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// Whether a directory hides those below it. Needs CAP_SYS_ADMIN to be seen.
pub(crate) fn is_opaque(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut value = [0u8; 2];
    match rustix::fs::fgetxattr(directory, OPAQUE_ATTRIBUTE, &mut value) {
        Ok(length) => Ok(length == 1 && value[0] == b'y'),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
        // A value of another length is none that overlayfs knows.
        Err(Errno::RANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The directories below `root`, as paths from it, that hide those of lower layers; the root itself is the empty path.
/// Needs CAP_SYS_ADMIN.
///
/// # Errors
/// A directory cannot be read.
pub fn opaque_directories(root: BorrowedFd<'_>) -> Result<BTreeSet<Vec<u8>>, ChangeError> {
    let mut found = BTreeSet::new();
    if is_opaque(root)? {
        found.insert(Vec::new());
    }
    directory::walk(root, |node| {
        if file_type(&node.stat) != FileType::Directory {
            return Ok(false);
        }
        match directory::open_child(node.parent, node.name) {
            Ok(directory) if is_opaque(directory.as_fd())? => {
                found.insert(node.path.to_vec());
            }
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
            Err(errno) => return Err(ChangeError::from(errno)),
        }
        Ok(true)
    })?;
    Ok(found)
}

/// Lists what `upper` changes in `lowers` (the topmost first), in the order of the paths, each directory before what
/// it holds: what `docker diff` shows. A directory that only holds changes is listed as modified when something was
/// added to it or deleted from it, or its owner, mode or time differ.
///
/// Needs CAP_SYS_ADMIN to see which directories hide those below.
///
/// # Errors
/// A directory cannot be read, or there are more than `most` changes.
pub fn changes(
    upper: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    most: usize,
) -> Result<Vec<Change>, ChangeError> {
    let mut list = List { lowers, most, changes: Vec::new(), listed: HashSet::new() };
    directory::walk(upper, |node| list.visit(node))?;
    Ok(list.changes)
}

struct List<'a> {
    lowers: &'a [BorrowedFd<'a>],
    most: usize,
    changes: Vec<Change>,
    /// Directories that are in the list.
    listed: HashSet<Vec<u8>>,
}

impl List<'_> {
    fn visit(&mut self, node: &Node<'_>) -> Result<bool, ChangeError> {
        let stat = &node.stat;
        let is_directory = file_type(stat) == FileType::Directory;
        let below = lookup(self.lowers, node.path)?;
        let kind = match below {
            _ if is_whiteout(stat) => ChangeKind::Deleted,
            Some(below) if is_directory && file_type(&below) == FileType::Directory => {
                let directory = directory::open_child(node.parent, node.name)?;
                if is_opaque(directory.as_fd())? {
                    ChangeKind::Deleted
                } else if same_directory(stat, &below) {
                    return Ok(true);
                } else {
                    ChangeKind::Modified
                }
            }
            Some(_) => ChangeKind::Modified,
            None => ChangeKind::Added,
        };
        if kind != ChangeKind::Modified {
            let parent = crate::name::split(node.path).0;
            if !parent.is_empty() && !self.listed.contains(parent) {
                self.push(parent, ChangeKind::Modified, true)?;
            }
        }
        self.push(node.path, kind, is_directory)?;
        Ok(true)
    }

    fn push(&mut self, path: &[u8], kind: ChangeKind, directory: bool) -> Result<(), ChangeError> {
        if self.changes.len() == self.most {
            return Err(ChangeError::TooMany(self.most));
        }
        if directory {
            self.listed.insert(path.to_vec());
        }
        self.changes.push(Change { path: [b"/", path].concat(), kind });
        Ok(())
    }
}

fn same_directory(one: &Stat, other: &Stat) -> bool {
    let key = |s: &Stat| (s.st_mode, s.st_uid, s.st_gid, s.st_mtime, s.st_mtime_nsec);
    key(one) == key(other)
}

/// What overlayfs would show at `path` with these layers.
fn lookup(layers: &[BorrowedFd<'_>], path: &[u8]) -> Result<Option<Stat>, Errno> {
    for layer in layers {
        match lookup_in_layer(*layer, path)? {
            Found::Here(stat) => return Ok(Some(stat)),
            Found::Hidden => return Ok(None),
            Found::Below => {}
        }
    }
    Ok(None)
}

enum Found {
    Here(Stat),
    /// This layer deletes the path or covers a directory on the way to it.
    Hidden,
    /// This layer says nothing.
    Below,
}

fn lookup_in_layer(layer: BorrowedFd<'_>, path: &[u8]) -> Result<Found, Errno> {
    let mut opened: Option<OwnedFd> = None;
    let mut opaque = false;
    let mut components = path.split(|b| *b == b'/').peekable();
    while let Some(component) = components.next() {
        let at = opened.as_ref().map_or(layer, |directory| directory.as_fd());
        let Some(stat) = directory::stat(at, component)? else {
            return Ok(if opaque { Found::Hidden } else { Found::Below });
        };
        if is_whiteout(&stat) {
            return Ok(Found::Hidden);
        }
        if components.peek().is_none() {
            return Ok(Found::Here(stat));
        }
        if file_type(&stat) != FileType::Directory {
            return Ok(Found::Hidden);
        }
        let next = rustix::fs::openat(at, component, DIRECTORY, Mode::empty())?;
        opaque |= is_opaque(next.as_fd())?;
        opened = Some(next);
    }
    Ok(Found::Below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tree(root: &Path, files: &[&str], deleted: &[&str]) -> std::fs::File {
        for file in files {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "x").unwrap();
        }
        for name in deleted {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            let kind = FileType::CharacterDevice;
            let path = root.join(name);
            rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::empty(), 0).unwrap();
        }
        std::fs::File::open(root).unwrap()
    }

    #[test]
    fn what_a_layer_between_deleted_is_new_when_it_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let low = tree(&path("low"), &["d/file", "d/other", "gone/inner", "kept"], &[]);
        let middle = tree(&path("middle"), &["new"], &["d/file", "gone"]);
        let upper = tree(&path("upper"), &["d/file", "gone/inner", "new", "more/a/b"], &["kept"]);
        let lowers = [middle.as_fd(), low.as_fd()];
        let found = changes(upper.as_fd(), &lowers, 100).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|change| (std::str::from_utf8(&change.path).unwrap(), change.kind))
            .collect();
        let expected = [
            ("/d", ChangeKind::Modified),
            ("/d/file", ChangeKind::Added),
            ("/gone", ChangeKind::Added),
            ("/gone/inner", ChangeKind::Added),
            ("/kept", ChangeKind::Deleted),
            ("/more", ChangeKind::Added),
            ("/more/a", ChangeKind::Added),
            ("/more/a/b", ChangeKind::Added),
            ("/new", ChangeKind::Modified),
        ];
        assert_eq!(found, expected);
        let error = changes(upper.as_fd(), &lowers, 8).unwrap_err();
        assert_eq!(error.to_string(), "list changes: there are more than 8");
    }
}
