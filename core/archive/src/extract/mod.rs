//! Puts an archive's entries into a directory.
//!
//! As an image layer (OCI image specification, layer.md): `.wh.x` becomes overlayfs' mark of a deleted file, a
//! character device 0:0 named `x`; the directories that `.wh..wh..opq` makes opaque are reported instead of marked,
//! because the mark needs CAP_SYS_ADMIN, which whoever reads a stranger's archive must not have. Otherwise names mean
//! what they say.
//!
//! Every name is looked up in the root as if it were `/`, so that a symbolic link of the archive leads nowhere else,
//! and the last component is never followed. What stands in the way is removed, except that a directory stays a
//! directory. Owners, attributes, modes and times are set after the content, those of directories at the end.

mod attributes;
pub(crate) use attributes::travels;
mod error;
mod nodes;
mod parents;
#[cfg(test)]
mod tests;

pub use error::{ExtractError, Refusal};

use crate::directory::{self, file_type, is_whiteout};
use crate::entry::{Entry, Kind, Time};
use crate::name::{clean, join, split};
use crate::read::Reader;
use crate::{OPAQUE_NAME, WHITEOUT_PREFIX};
use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How names begin that only aufs had a use for; all but the opaque mark are left out, as Docker does.
const RESERVED_PREFIX: &[u8] = b".wh..wh.";

/// Where an archive is extracted.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory that no name leads out of, and at which symbolic links begin that are absolute.
    pub root: BorrowedFd<'a>,
    /// The directory in it that receives the entries, from the root; it must exist. Empty for the root itself.
    pub base: &'a [u8],
}

/// Who owns what is extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Whom the archive names.
    Archive,
    /// One owner and group for all.
    Fixed {
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// How an archive is extracted.
#[derive(Debug, Clone, Copy)]
pub struct ExtractOptions {
    /// Whether names that begin with `.wh.` delete what lower layers have.
    pub layer: bool,
    /// Refuse to put a directory where something else is, and the reverse.
    pub no_overwrite_dir_non_dir: bool,
    /// Who owns what is extracted.
    pub owners: Owners,
}

impl ExtractOptions {
    /// As an image layer.
    pub const LAYER: Self =
        Self { layer: true, no_overwrite_dir_non_dir: false, owners: Owners::Archive };

    /// As the archive says.
    pub const PLAIN: Self =
        Self { layer: false, no_overwrite_dir_non_dir: false, owners: Owners::Archive };
}

/// What was extracted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Entries.
    pub entries: u64,
    /// Bytes of the files as they are read, holes included.
    pub bytes: u64,
    /// Directories, from the root, that hide what lower layers have there. Whoever has CAP_SYS_ADMIN sets
    /// [`crate::OPAQUE_ATTRIBUTE`] on each, looking it up in the root again.
    pub opaque: Vec<Vec<u8>>,
    /// Extended attributes that are of no use in a container or that the file system does not take.
    pub skipped_attributes: u64,
}

/// Extracts all entries of an archive.
///
/// The process's umask must be 0, because devices and pipes get their modes when they are made. What was extracted
/// before an error stays: whoever must not show half an archive extracts into a directory that nobody sees yet.
///
/// # Errors
/// The archive is refused, an entry is, or the file system is full or fails.
pub fn extract<R: Read>(
    reader: &mut Reader<R>,
    place: Place<'_>,
    options: ExtractOptions,
) -> Result<Extracted, ExtractError> {
    let mut extraction = Extraction {
        root: place.root,
        base: clean(place.base).unwrap_or_default(),
        options,
        parent: None,
        directories: BTreeMap::new(),
        opaque: BTreeSet::new(),
        result: Extracted::default(),
        buffer: vec![0; 256 << 10],
    };
    while let Some(entry) = reader.next_entry()? {
        extraction.result.entries += 1;
        extraction.put(reader, &entry)?;
    }
    extraction.finish()
}

struct Extraction<'a> {
    root: BorrowedFd<'a>,
    base: Vec<u8>,
    options: ExtractOptions,
    /// The directory that was worked in last, which is most often the next one too.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Modes and times that directories get at the end.
    directories: BTreeMap<Vec<u8>, (u32, Time)>,
    opaque: BTreeSet<Vec<u8>>,
    result: Extracted,
    buffer: Vec<u8>,
}

impl Extraction<'_> {
    fn put<R: Read>(&mut self, reader: &mut Reader<R>, entry: &Entry) -> Result<(), ExtractError> {
        let refuse = |refusal| ExtractError::refused(&entry.name, refusal);
        let path = clean(&entry.name).ok_or_else(|| refuse(Refusal::OutsideRoot))?;
        if self.options.layer && self.put_whiteout(entry, &path)? {
            return Ok(());
        }
        let path = join(&self.base, &path);
        if path == self.base {
            return self.put_base(entry, path);
        }
        let (directory, name) = split(&path);
        let parent = self.parent(directory).map_err(|e| e.of(entry, "make its directory"))?;
        let found = directory::stat(parent.as_fd(), name)
            .map_err(|errno| ExtractError::failed(entry, "look it up", errno))?;
        let kept = entry.kind == Kind::HardLink && self.is_same_file(entry, found.as_ref())?;
        if !kept {
            let made = match found {
                Some(found) => self.make_room(&parent, &path, entry, &found)?,
                None => Room::Empty,
            };
            self.make(reader, &parent, &path, entry, made)?;
        }
        self.parent = Some((directory.to_vec(), parent));
        Ok(())
    }

    /// The entry `./`: the mode, owner and time of the directory itself. As a plain archive only into the whole root,
    /// since whoever copies into a directory does not mean to change it.
    fn put_base(&mut self, entry: &Entry, path: Vec<u8>) -> Result<(), ExtractError> {
        if entry.kind != Kind::Directory {
            return Err(ExtractError::refused(&entry.name, Refusal::OverRoot));
        }
        if self.options.layer {
            let opened = directory::open_in_root(self.root, &path, directory::DIRECTORY)
                .map_err(|errno| ExtractError::failed(entry, "open it", errno))?;
            self.own(opened.as_fd(), entry)?;
            self.set_attributes(opened.as_fd(), entry)?;
            self.directories.insert(path, (entry.mode, entry.modified));
        }
        Ok(())
    }

    /// Takes away what is in the way of an entry.
    fn make_room(
        &mut self,
        parent: &OwnedFd,
        path: &[u8],
        entry: &Entry,
        found: &Stat,
    ) -> Result<Room, ExtractError> {
        let was_directory = file_type(found) == FileType::Directory;
        let is_directory = entry.kind == Kind::Directory;
        if was_directory && is_directory {
            return Ok(Room::Directory);
        }
        if was_directory != is_directory && self.options.no_overwrite_dir_non_dir {
            let path = crate::escape(&[b"/", path].concat());
            let refusal = match was_directory {
                true => Refusal::OverDirectory { path },
                false => Refusal::OverNonDirectory { path },
            };
            return Err(ExtractError::refused(&entry.name, refusal));
        }
        let (_, name) = split(path);
        let failed = |errno| ExtractError::failed(entry, "replace what is there", errno);
        if was_directory {
            crate::remove_tree(parent.as_fd(), name).map_err(|error| failed(error.source))?;
            self.forget(path);
        } else {
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(failed)?;
        }
        if was_directory || file_type(found) == FileType::Symlink {
            self.parent = None;
        }
        if self.options.layer && is_whiteout(found) && is_directory {
            return Ok(Room::Opaque);
        }
        Ok(Room::Empty)
    }

    /// Forgets what was to be done to a directory that is gone, and to those below it.
    fn forget(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        // '0' is the byte after '/'.
        let end = [path, b"0"].concat();
        self.directories.remove(path);
        self.opaque.remove(path);
        let gone: Vec<_> = self
            .directories
            .range(below.clone()..end.clone())
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.directories.remove(&path);
        }
        let gone: Vec<_> = self.opaque.range(below..end).cloned().collect();
        for path in gone {
            self.opaque.remove(&path);
        }
    }

    /// Whether a hard link would replace a file by itself.
    fn is_same_file(&self, entry: &Entry, found: Option<&Stat>) -> Result<bool, ExtractError> {
        let (_, _, target) = self.link_target(entry)?;
        Ok(found.is_some_and(|f| (f.st_dev, f.st_ino) == (target.st_dev, target.st_ino)))
    }

    /// Handles names that begin with `.wh.`; true when nothing else is to be done.
    fn put_whiteout(&mut self, entry: &Entry, path: &[u8]) -> Result<bool, ExtractError> {
        let refuse = |refusal| ExtractError::refused(&entry.name, refusal);
        let (directory, name) = split(path);
        if path != OPAQUE_NAME && path.starts_with(RESERVED_PREFIX) {
            return Ok(true);
        }
        if directory.split(|b| *b == b'/').any(|part| part.starts_with(WHITEOUT_PREFIX)) {
            return Err(refuse(Refusal::BelowWhiteout));
        }
        let Some(hidden) = name.strip_prefix(WHITEOUT_PREFIX) else { return Ok(false) };
        let directory = join(&self.base, directory);
        if name == OPAQUE_NAME {
            let parent = self.parent(&directory).map_err(|e| e.of(entry, "make its directory"))?;
            self.parent = Some((directory.clone(), parent));
            self.opaque.insert(directory);
            return Ok(true);
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Ok(true);
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(refuse(Refusal::WhiteoutOfNothing));
        }
        let parent = self.parent(&directory).map_err(|e| e.of(entry, "make its directory"))?;
        let failed = |errno| ExtractError::failed(entry, "mark it as deleted", errno);
        match directory::stat(parent.as_fd(), hidden).map_err(failed)? {
            None => nodes::make_whiteout(parent.as_fd(), hidden).map_err(failed)?,
            // A whiteout hides only lower layers: what this layer has stays, and a directory shows nothing else.
            Some(found) if file_type(&found) == FileType::Directory => {
                self.opaque.insert(join(&directory, hidden));
            }
            Some(_) => {}
        }
        self.parent = Some((directory, parent));
        Ok(true)
    }

    fn finish(mut self) -> Result<Extracted, ExtractError> {
        // Inner ones first, so that the mode of an outer one cannot stand in the way.
        for (path, (mode, time)) in std::mem::take(&mut self.directories).into_iter().rev() {
            match directory::open_in_root(self.root, &path, directory::DIRECTORY) {
                Ok(directory) => attributes::set_mode_and_time(directory.as_fd(), mode, time)
                    .map_err(|errno| {
                        ExtractError::failed_at(&path, "set its mode and time", errno)
                    })?,
                // A later entry took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(ExtractError::failed_at(&path, "open it", errno)),
            }
        }
        self.result.opaque = self.opaque.into_iter().collect();
        Ok(self.result)
    }

    /// The directory and name that a hard link leads to, and what lies there.
    fn link_target(&self, entry: &Entry) -> Result<(OwnedFd, Vec<u8>, Stat), ExtractError> {
        let refuse = |refusal| ExtractError::refused(&entry.name, refusal);
        let missing = || refuse(Refusal::LinkToNothing { target: crate::escape(&entry.link) });
        let target = clean(&entry.link)
            .ok_or_else(|| refuse(Refusal::LinkOutside { target: crate::escape(&entry.link) }))?;
        let target = join(&self.base, &target);
        let (directory, name) = split(&target);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = match directory::open_in_root(self.root, directory, flags) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(missing()),
            Err(errno) => return Err(ExtractError::failed(entry, "open its target", errno)),
        };
        let found = directory::stat(parent.as_fd(), if name.is_empty() { b"." } else { name })
            .map_err(|errno| ExtractError::failed(entry, "look up its target", errno))?
            .ok_or_else(missing)?;
        if file_type(&found) == FileType::Directory {
            return Err(refuse(Refusal::LinkToDirectory { target: crate::escape(&entry.link) }));
        }
        if self.options.layer && is_whiteout(&found) {
            return Err(missing());
        }
        Ok((parent, name.to_vec(), found))
    }
}

/// What an entry finds at its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// Nothing.
    Empty,
    /// A directory that the entry, a directory too, adds to.
    Directory,
    /// Nothing any more, but lower layers' directory of this name must stay hidden.
    Opaque,
}
