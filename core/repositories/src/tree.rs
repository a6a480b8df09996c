//! The directory of a store: every path is resolved below it, and never through a symbolic link.
//!
//! What becomes visible becomes so by one rename or link of a file that is already on the disk, and the directory is
//! synced before the caller is told.

use crate::Error;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Timestamps,
};
use rustix::io::Errno;
use rustix::time::Timespec;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often an operation is tried again when the collector has removed an empty directory below it.
const TRIES: usize = 16;

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    pub(crate) links: u64,
}

impl Stat {
    fn of(stat: &rustix::fs::Stat) -> Self {
        let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Self {
            size: stat.st_size.cast_unsigned(),
            modified: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds),
            links: stat.st_nlink,
        }
    }

    /// Whether it was last touched more than `age` ago.
    pub(crate) fn older_than(&self, age: Duration) -> bool {
        SystemTime::now().duration_since(self.modified).is_ok_and(|since| since > age)
    }
}

#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

impl Tree {
    /// Opens `root`, made if missing.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(Error::io("create", root))?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(Error::io("open", root))?;
        Ok(Self { root: fd, path: root.to_owned() })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<Option<OwnedFd>, Error> {
        let beneath =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), beneath) {
            Ok(fd) => Ok(Some(fd)),
            // NOTDIR: a parent is a file, so there is nothing below it.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::LOOP | Errno::NXIO | Errno::XDEV) => Err(Error::Foreign(self.path(path))),
            Err(error) => Err(Error::io("open", self.path(path))(error)),
        }
    }

    /// Opens a regular file with `flags`; `None` when there is none.
    pub(crate) fn file(&self, path: &str, flags: OFlags) -> Result<Option<File>, Error> {
        // NONBLOCK: a named pipe that somebody put here must not hold us.
        let Some(fd) = self.resolve(path, flags | OFlags::NONBLOCK)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&fd).map_err(Error::io("open", self.path(path)))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(File::from(fd))),
            _ => Err(Error::Foreign(self.path(path))),
        }
    }

    /// Reads a whole regular file of at most `limit` bytes.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(path, OFlags::RDONLY)? else { return Ok(None) };
        let size = file.metadata().map_err(Error::io("read", self.path(path)))?.len();
        if size > limit {
            return Err(Error::Damaged(self.path(path)));
        }
        let mut bytes = Vec::with_capacity(size as usize + 1);
        std::io::Read::read_to_end(&mut std::io::Read::take(file, limit + 1), &mut bytes)
            .map_err(Error::io("read", self.path(path)))?;
        Ok(Some(bytes))
    }

    /// What is known of a regular file; `None` when there is none.
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let Some(fd) = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)? else {
            return Ok(None);
        };
        let stat = rustix::fs::fstat(&fd).map_err(Error::io("look up", self.path(path)))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(Stat::of(&stat))),
            _ => Err(Error::Foreign(self.path(path))),
        }
    }

    /// Gives a file the present time, if it is there.
    pub(crate) fn touch(&self, path: &str) -> Result<bool, Error> {
        let Some(file) = self.file(path, OFlags::RDONLY)? else { return Ok(false) };
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now })
            .map_err(Error::io("touch", self.path(path)))?;
        Ok(true)
    }

    /// Opens a directory; `None` when there is none.
    pub(crate) fn directory(&self, path: &str) -> Result<Option<OwnedFd>, Error> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a directory, made with its parents if missing.
    pub(crate) fn ensure(&self, path: &str) -> Result<OwnedFd, Error> {
        for _ in 0..TRIES {
            if let Some(fd) = self.directory(path)? {
                return Ok(fd);
            }
            let (parent, name) = split(path);
            let parent = self.ensure(parent)?;
            match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
                Ok(()) => {
                    rustix::fs::fsync(&parent).map_err(Error::io("sync", self.path(path)))?;
                }
                Err(Errno::EXIST | Errno::NOENT) => {}
                Err(error) => return Err(Error::io("create", self.path(path))(error)),
            }
        }
        // It exists and yet is no directory.
        Err(Error::Foreign(self.path(path)))
    }

    /// Does something in the directory of `path`, made if missing, and syncs it. `act` gets the directory and the
    /// last part of `path`; it is tried again when the directory was removed in between.
    fn place(
        &self,
        doing: &'static str,
        path: &str,
        mut act: impl FnMut(&OwnedFd, &str) -> Result<(), Errno>,
    ) -> Result<Placed, Error> {
        let (parent, name) = split(path);
        for _ in 0..TRIES {
            let directory = self.ensure(parent)?;
            match act(&directory, name) {
                Ok(()) => {
                    rustix::fs::fsync(&directory).map_err(Error::io("sync", self.path(parent)))?;
                    return Ok(Placed::New);
                }
                Err(Errno::EXIST) => return Ok(Placed::Old),
                Err(Errno::MLINK) => return Ok(Placed::TooManyLinks),
                // The directory is gone, or the source is, which then is so the next time too.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Error::io(doing, self.path(path))(error)),
            }
        }
        Err(Error::io(doing, self.path(path))(Errno::NOENT))
    }

    /// Moves the file `from` to `to`. With `replace`, over what is there.
    pub(crate) fn rename(&self, from: &str, to: &str, replace: bool) -> Result<Placed, Error> {
        let (parent, source) = split(from);
        let Some(parent) = self.directory(parent)? else {
            return Err(Error::io("move", self.path(from))(Errno::NOENT));
        };
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        self.place("move to", to, |directory, name| {
            rustix::fs::renameat_with(&parent, source, directory, name, flags)
        })
    }

    /// Gives the file `from` the further name `to`.
    pub(crate) fn link(&self, from: &str, to: &str) -> Result<Placed, Error> {
        let (parent, source) = split(from);
        let Some(parent) = self.directory(parent)? else {
            return Err(Error::io("link", self.path(from))(Errno::NOENT));
        };
        self.place("link to", to, |directory, name| {
            rustix::fs::linkat(&parent, source, directory, name, AtFlags::empty())
        })
    }

    /// Creates an empty file for reading and writing, that must not be there yet.
    pub(crate) fn create(&self, path: &str) -> Result<File, Error> {
        let (parent, name) = split(path);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut tries = 0;
        loop {
            let directory = self.ensure(parent)?;
            match rustix::fs::openat(&directory, name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok(File::from(fd)),
                Err(Errno::NOENT) if tries < TRIES => tries += 1,
                Err(error) => return Err(Error::io("create", self.path(path))(error)),
            }
        }
    }

    /// Writes `bytes` to a new file below `tmp`, synced; answers its path. [`Tree::rename`] makes it visible.
    pub(crate) fn stage(&self, bytes: &[&[u8]]) -> Result<Staged<'_>, Error> {
        let path = format!("tmp/{}", crate::random_id("make a name in", &self.path("tmp"))?);
        let mut file = self.create(&path)?;
        let staged = Staged { tree: self, path };
        for part in bytes {
            file.write_all(part).map_err(Error::io("write", self.path(&staged.path)))?;
        }
        file.sync_data().map_err(Error::io("sync", self.path(&staged.path)))?;
        Ok(staged)
    }

    /// Removes a file; false when there was none. The directory is synced when `durable`.
    pub(crate) fn remove(&self, path: &str, durable: bool) -> Result<bool, Error> {
        let (parent, name) = split(path);
        let Some(directory) = self.directory(parent)? else { return Ok(false) };
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) if durable => {
                rustix::fs::fsync(&directory).map_err(Error::io("sync", self.path(parent)))?;
                Ok(true)
            }
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("remove", self.path(path))(error)),
        }
    }

    /// Removes a directory if it is empty; false when it is not, or not there.
    pub(crate) fn prune(&self, path: &str) -> Result<bool, Error> {
        let (parent, name) = split(path);
        let Some(directory) = self.directory(parent)? else { return Ok(false) };
        match rustix::fs::unlinkat(&directory, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(Error::io("remove", self.path(path))(error)),
        }
    }

    /// Calls `each` with the names in a directory that are UTF-8 (others are none of ours); false when there is no
    /// such directory.
    pub(crate) fn each(&self, path: &str, mut each: impl FnMut(&str)) -> Result<bool, Error> {
        let Some(directory) = self.directory(path)? else { return Ok(false) };
        for entry in Dir::new(directory).map_err(Error::io("list", self.path(path)))? {
            let entry = entry.map_err(Error::io("list", self.path(path)))?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => each(name),
            }
        }
        Ok(true)
    }

    /// All names in a directory, sorted; none when it is not there.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.each(path, |name| names.push(name.to_owned()))?;
        names.sort_unstable();
        Ok(names)
    }
}

/// How a file got its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It has it now.
    New,
    /// Another file had the name before, and has it still.
    Old,
    /// The file system allows the file no further name.
    TooManyLinks,
}

/// A file below `tmp`; removed when dropped, unless it was moved away.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    tree: &'a Tree,
    pub(crate) path: String,
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // What cannot be removed now, the collector removes.
        self.tree.remove(&self.path, false).unwrap_or_default();
    }
}

/// The directory and the last part of a path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_reached_through_a_planted_link() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        std::os::unix::fs::symlink(outside.path(), directory.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a/secret", directory.path().join("b")).unwrap();
        assert!(matches!(tree.read("a/secret", 10), Err(Error::Foreign(_))));
        assert!(matches!(tree.read("b", 10), Err(Error::Foreign(_))));
        assert!(matches!(tree.stat("b"), Err(Error::Foreign(_))));
        assert!(matches!(tree.ensure("a/new"), Err(Error::Foreign(_))));
        assert!(matches!(tree.create("a/new"), Err(Error::Foreign(_))));
        assert!(matches!(tree.remove("a/secret", true), Err(Error::Foreign(_))));
        assert!(matches!(tree.read("../x", 10), Err(Error::Foreign(_))));
        assert!(outside.path().join("secret").exists());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_in_a_files_place_holds_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        rustix::fs::mknodat(
            CWD,
            directory.path().join("p"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(matches!(tree.read("p", 10), Err(Error::Foreign(_))));
    }

    #[test]
    fn what_is_staged_is_seen_only_after_its_rename() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        let staged = tree.stage(&[b"a", b"b"]).unwrap();
        assert_eq!(tree.rename(&staged.path, "x/y", false).unwrap(), Placed::New);
        drop(staged);
        assert_eq!(tree.read("x/y", 10).unwrap().unwrap(), b"ab");
        drop(tree.stage(&[b"c"]).unwrap());
        assert!(tree.names("tmp").unwrap().is_empty());
    }
}
