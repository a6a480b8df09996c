//! Puts a directory, or one file, into an archive.
//!
//! Names are sorted by their bytes within each directory and a directory stands before what it holds, so that one
//! tree gives one archive. A file with several names is stored once and linked afterwards. Sockets are left out, as
//! are other mounts. A file that changes while it is read is cut or filled with zeros to the size it had when it was
//! opened.
//!
//! From an overlay's upper directory a layer is made: a character device 0:0 named `x` becomes `.wh.x`, a directory
//! that hides those below gets a `.wh..wh..opq`.

mod source;
#[cfg(test)]
mod tests;

use crate::changes::is_opaque;
use crate::directory::{self, Node, file_type, is_whiteout};
use crate::entry::{Entry, Kind, Time};
use crate::name::{PATH_MAX, escape, join};
use crate::write::{WriteError, Writer};
use crate::{OPAQUE_NAME, WHITEOUT_PREFIX};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// What the names in a directory mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout<'a> {
    /// What they say.
    Plain,
    /// An overlay's upper directory, or a committed layer. The opaque directories are read from their attribute,
    /// which needs CAP_SYS_ADMIN.
    Overlay,
    /// The same, with the opaque directories as paths from the directory's root: for who may not read the attribute.
    OverlayKnown(&'a BTreeSet<Vec<u8>>),
}

/// How an archive is made.
#[derive(Debug, Clone, Copy)]
pub struct CreateOptions<'a> {
    /// What the names mean.
    pub layout: Layout<'a>,
    /// Leave out fractions of seconds, as Docker does: an extended header less for each entry.
    pub whole_seconds: bool,
    /// The name of the first entry, under which all others lie. Empty: what the directory holds, without the directory
    /// itself. `.` is an entry for the directory and names that begin with `./`.
    pub name: &'a [u8],
}

/// What was put into an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Created {
    /// Entries.
    pub entries: u64,
    /// What an archive cannot hold: sockets, and in a layer names that begin with `.wh.`.
    pub skipped: u64,
}

/// Why an archive could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The archive cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A name would be longer than any program could extract.
    #[error("archive {path}: the name is longer than 4095 bytes")]
    TooLong {
        /// The beginning of the name, escaped.
        path: String,
    },
    /// The kernel refused to read something.
    #[error("archive {path}")]
    Read {
        /// The path, escaped.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refused to go through the directory.
    #[error("list directory to archive")]
    Walk(#[from] Errno),
}

/// Archives `file` in `parent`: a directory with all that it holds, or anything else alone. The end of the archive is
/// left to the caller.
///
/// # Errors
/// Something cannot be read, or the archive cannot be written.
pub fn create<W: Write>(
    writer: &mut Writer<W>,
    parent: BorrowedFd<'_>,
    file: &[u8],
    options: CreateOptions<'_>,
) -> Result<Created, CreateError> {
    let mut creation =
        Creation { writer, options, first_names: HashMap::new(), created: Created::default() };
    let found = rustix::fs::statat(parent, file, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .map_err(read_error(file))?;
    let node = Node { parent, name: file, path: b"", stat: found };
    if file_type(&found) != FileType::Directory {
        creation.put(&node)?;
        return Ok(creation.created);
    }
    if !options.name.is_empty() {
        creation.put(&node)?;
    }
    let root = rustix::fs::openat(parent, file, directory::DIRECTORY, rustix::fs::Mode::empty())
        .map_err(read_error(file))?;
    if creation.is_opaque(root.as_fd(), b"")? {
        creation.put_opaque(b"", &found)?;
    }
    directory::walk(root.as_fd(), |node| creation.put(node))?;
    Ok(creation.created)
}

fn read_error(path: &[u8]) -> impl FnOnce(Errno) -> CreateError {
    move |errno| CreateError::Read { path: escape(path), source: errno.into() }
}

struct Creation<'a, W> {
    writer: &'a mut Writer<W>,
    options: CreateOptions<'a>,
    /// The name under which a file with several names was stored.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    created: Created,
}

impl<W: Write> Creation<'_, W> {
    /// Puts one node; true when it is a directory to enter.
    fn put(&mut self, node: &Node<'_>) -> Result<bool, CreateError> {
        let stat = &node.stat;
        let layer = self.options.layout != Layout::Plain;
        if layer && is_whiteout(stat) {
            let name = [WHITEOUT_PREFIX, node.name].concat();
            let path = join(crate::name::split(node.path).0, &name);
            return self.append(&self.entry(&path, Kind::File, 0o600, stat)).map(|()| false);
        }
        // In a layer such a name would delete another file.
        if layer && node.name.starts_with(WHITEOUT_PREFIX) {
            self.created.skipped += 1;
            return Ok(false);
        }
        match file_type(stat) {
            FileType::Directory => self.put_directory(node),
            FileType::RegularFile => self.put_file(node).map(|()| false),
            FileType::Symlink => self.put_symlink(node).map(|()| false),
            FileType::CharacterDevice => self.put_node(node, Kind::CharDevice).map(|()| false),
            FileType::BlockDevice => self.put_node(node, Kind::BlockDevice).map(|()| false),
            FileType::Fifo => self.put_node(node, Kind::Fifo).map(|()| false),
            _ => {
                self.created.skipped += 1;
                Ok(false)
            }
        }
    }

    fn put_directory(&mut self, node: &Node<'_>) -> Result<bool, CreateError> {
        let mut entry = self.entry_of(node, Kind::Directory);
        match directory::open_child(node.parent, node.name) {
            Ok(opened) => {
                entry.attributes =
                    source::attributes(opened.as_fd()).map_err(read_error(node.path))?;
                let opaque = self.is_opaque(opened.as_fd(), node.path)?;
                self.append(&entry)?;
                if opaque {
                    self.put_opaque(node.path, &node.stat)?;
                }
                Ok(true)
            }
            // A mount: the empty directory under it is what belongs to this tree.
            Err(Errno::XDEV) => self.append(&entry).map(|()| false),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(errno) => Err(read_error(node.path)(errno)),
        }
    }

    fn put_file(&mut self, node: &Node<'_>) -> Result<(), CreateError> {
        let mut entry = self.entry_of(node, Kind::File);
        if self.put_link(node, &mut entry)? {
            return Ok(());
        }
        let opened = match source::open_file(node.parent, node.name) {
            Ok(Some(opened)) => opened,
            // It vanished, or is something else now.
            Ok(None) => return Ok(()),
            Err(errno) => return Err(read_error(node.path)(errno)),
        };
        let stat = rustix::fs::fstat(&opened).map_err(read_error(node.path))?;
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        entry.attributes = source::attributes(opened.as_fd()).map_err(read_error(node.path))?;
        if source::is_mount(node.parent, opened.as_fd()).map_err(read_error(node.path))? {
            // A file that is bound over this one: what lies below is not to be seen, but its name belongs to the tree.
            entry.size = 0;
        }
        self.created.entries += 1;
        Ok(self.writer.append_with(&entry, std::fs::File::from(opened))?)
    }

    fn put_symlink(&mut self, node: &Node<'_>) -> Result<(), CreateError> {
        let mut entry = self.entry_of(node, Kind::Symlink);
        if self.put_link(node, &mut entry)? {
            return Ok(());
        }
        match rustix::fs::readlinkat(node.parent, node.name, Vec::new()) {
            Ok(target) => entry.link = target.into_bytes(),
            Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
            Err(errno) => return Err(read_error(node.path)(errno)),
        }
        self.append(&entry)
    }

    fn put_node(&mut self, node: &Node<'_>, kind: Kind) -> Result<(), CreateError> {
        let mut entry = self.entry_of(node, kind);
        if self.put_link(node, &mut entry)? {
            return Ok(());
        }
        if kind != Kind::Fifo {
            let device = node.stat.st_rdev;
            entry.device = (rustix::fs::major(device), rustix::fs::minor(device));
        }
        self.append(&entry)
    }

    /// Puts a hard link when the node was stored under another name before; otherwise remembers its name.
    fn put_link(&mut self, node: &Node<'_>, entry: &mut Entry) -> Result<bool, CreateError> {
        if node.stat.st_nlink < 2 {
            return Ok(false);
        }
        let identity = (node.stat.st_dev, node.stat.st_ino);
        let Some(first) = self.first_names.get(&identity) else {
            self.first_names.insert(identity, entry.name.clone());
            return Ok(false);
        };
        entry.kind = Kind::HardLink;
        entry.link.clone_from(first);
        self.append(entry).map(|()| true)
    }

    fn is_opaque(&self, opened: BorrowedFd<'_>, path: &[u8]) -> Result<bool, CreateError> {
        match self.options.layout {
            Layout::Plain => Ok(false),
            Layout::Overlay => is_opaque(opened).map_err(read_error(path)),
            Layout::OverlayKnown(paths) => Ok(paths.contains(path)),
        }
    }

    fn put_opaque(&mut self, path: &[u8], stat: &Stat) -> Result<(), CreateError> {
        let entry = self.entry(&join(path, OPAQUE_NAME), Kind::File, 0o600, stat);
        self.append(&entry)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), CreateError> {
        if entry.name.len() > PATH_MAX {
            return Err(CreateError::TooLong { path: escape(&entry.name) });
        }
        self.created.entries += 1;
        Ok(self.writer.append(entry)?)
    }

    fn entry_of(&self, node: &Node<'_>, kind: Kind) -> Entry {
        self.entry(node.path, kind, node.stat.st_mode & 0o7777, &node.stat)
    }

    fn entry(&self, path: &[u8], kind: Kind, mode: u32, stat: &Stat) -> Entry {
        let mut entry = Entry::new(join(self.options.name, path), kind, mode);
        (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
        let nanos = if self.options.whole_seconds { 0 } else { stat.st_mtime_nsec as u32 };
        entry.modified = Time { seconds: stat.st_mtime, nanos };
        entry
    }
}
