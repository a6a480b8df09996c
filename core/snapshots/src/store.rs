//! The store as a directory.

use crate::error::{StoreError, kernel};
use crate::meta::{META_MAX, PARENTS_MAX, Snapshot};
use mounts::Features;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, mkdirat, openat};
use rustix::io::Errno;
use spec::SnapshotKey;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The text of the file `format`; changing it is a break of the format.
const FORMAT: &str = "coffer snapshots 1\n";

/// Directories of the store's own, which no key can be called.
const OWN_DIRECTORIES: [&str; 4] = ["empty", "init", "tmp", "trash"];

pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The opened store.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: OwnedFd,
    pub(crate) tmp: OwnedFd,
    pub(crate) trash: OwnedFd,
    pub(crate) features: Features,
}

pub(crate) fn make_directory(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => openat(&parent, name, DIRECTORY, Mode::empty()),
        Err(errno) => Err(errno),
    }
}

/// A name that nothing else has, for `tmp` and `trash`.
pub(crate) fn fresh_name() -> Result<String, Errno> {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)?;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn read_file(at: BorrowedFd<'_>, name: &str, most: usize) -> Result<Vec<u8>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(at, name, flags, Mode::empty())?);
    let mut text = Vec::new();
    let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    file.take(most as u64 + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() > most { Err(Errno::FBIG) } else { Ok(text) }
}

pub(crate) fn write_file(at: impl AsFd, name: &str, text: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(openat(at, name, flags, Mode::RUSR | Mode::WUSR)?);
    let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    file.write_all(text.as_bytes()).map_err(io)
}

impl Store {
    /// Opens the store in the directory `path`, which is made if it is missing, and moves what a crash left in `tmp` to
    /// the trash. [`Store::empty_trash`] should be called afterwards, in the background.
    ///
    /// # Errors
    /// Another format lies there, or the directories cannot be made.
    pub fn open(path: &Path, features: Features) -> Result<Self, StoreError> {
        let failed = |step| move |source| StoreError::Open { step, source };
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(source) => return Err(failed("make its directory")(source)),
        }
        let root = rustix::fs::open(path, DIRECTORY, Mode::empty())
            .map_err(failed("open its directory"))?;
        match read_file(root.as_fd(), "format", 100) {
            Ok(text) if text == FORMAT.as_bytes() => {}
            Ok(text) => {
                let found = String::from_utf8_lossy(&text).into_owned();
                return Err(StoreError::Format { found, expected: FORMAT });
            }
            Err(Errno::NOENT) => {
                write_file(root.as_fd(), "format", FORMAT).map_err(failed("write its format"))?;
            }
            Err(source) => return Err(failed("read its format")(source)),
        }
        let make =
            |name| make_directory(root.as_fd(), name).map_err(failed("make a directory in it"));
        let empty = make("empty")?;
        for name in ["one", "two"] {
            make_directory(empty.as_fd(), name).map_err(failed("make a directory in it"))?;
        }
        let init = make("init")?;
        crate::init::fill(init.as_fd())
            .map_err(failed("make the places that every container has"))?;
        let store = Self { tmp: make("tmp")?, trash: make("trash")?, root, features };
        store.clear_tmp()?;
        Ok(store)
    }

    /// Moves what nobody finished to the trash. Only while no layer or container is being made.
    ///
    /// # Errors
    /// The directories cannot be read, or a rename fails.
    pub fn clear_tmp(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Open { step: "clear what a crash left", source };
        for name in names(self.tmp.as_fd()).map_err(failed)? {
            let trash = fresh_name().map_err(failed)?;
            rustix::fs::renameat(&self.tmp, &*name, &self.trash, &*trash).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes what is in the trash, as far as possible; what fails stays for the next time.
    ///
    /// # Errors
    /// The first of the failures.
    pub fn empty_trash(&self) -> Result<(), StoreError> {
        let names = names(self.trash.as_fd())
            .map_err(|source| StoreError::Open { step: "list its trash", source })?;
        let failures: Vec<_> = names
            .iter()
            .filter_map(|name| archive::remove_tree(self.trash.as_fd(), name).err())
            .collect();
        failures.into_iter().next().map_or(Ok(()), |error| Err(StoreError::Trash(error)))
    }

    /// What the snapshot is; None when it does not exist.
    ///
    /// # Errors
    /// Its meta file cannot be read or is damaged.
    pub fn find(&self, key: &SnapshotKey) -> Result<Option<Snapshot>, StoreError> {
        let directory = match self.directory(key) {
            Ok(directory) => directory,
            Err(StoreError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = match read_file(directory.as_fd(), "meta", META_MAX) {
            Ok(text) => text,
            Err(Errno::NOENT | Errno::FBIG | Errno::LOOP) => {
                return Err(StoreError::Damaged(key.clone()));
            }
            Err(errno) => return Err(kernel("read", key)(errno)),
        };
        Snapshot::parse(&text).map(Some).ok_or_else(|| StoreError::Damaged(key.clone()))
    }

    /// The parents of a container's snapshot, the lowest first.
    ///
    /// # Errors
    /// It does not exist, is a layer, or is damaged.
    pub fn parents(&self, key: &SnapshotKey) -> Result<Vec<SnapshotKey>, StoreError> {
        match self.find(key)? {
            Some(Snapshot::Container { parents }) => Ok(parents),
            Some(Snapshot::Layer { .. }) => {
                Err(StoreError::WrongKind { key: key.clone(), wanted: "container" })
            }
            None => Err(StoreError::Missing(key.clone())),
        }
    }

    /// The tree of a committed layer, to be read only.
    ///
    /// # Errors
    /// It does not exist or is a container.
    pub fn layer(&self, key: &SnapshotKey) -> Result<OwnedFd, StoreError> {
        self.part(key, "fs", "layer")
    }

    /// The directory with what a container changed.
    ///
    /// # Errors
    /// It does not exist or is a layer.
    pub fn upper(&self, key: &SnapshotKey) -> Result<OwnedFd, StoreError> {
        self.part(key, "upper", "container")
    }

    /// What lies below a container's own directory, the topmost first: its layers, and the places that every container
    /// has.
    ///
    /// # Errors
    /// The container or a layer does not exist.
    pub fn lowers(&self, key: &SnapshotKey) -> Result<Vec<OwnedFd>, StoreError> {
        let parents = self.parents(key)?;
        let mut lowers: Vec<OwnedFd> =
            parents.iter().rev().map(|layer| self.layer(layer)).collect::<Result<_, _>>()?;
        let init = openat(&self.root, "init", DIRECTORY, Mode::empty());
        lowers.push(init.map_err(kernel("open", key))?);
        Ok(lowers)
    }

    /// Waits until nobody else holds this container's lock, and holds it as long as the descriptor is open. Who mounts a
    /// container to write into it holds it: a second such mount would empty the work directory of the first.
    ///
    /// # Errors
    /// It does not exist.
    pub fn lock(&self, key: &SnapshotKey) -> Result<OwnedFd, StoreError> {
        let directory = self.directory(key)?;
        let exclusive = rustix::fs::FlockOperation::LockExclusive;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&directory, exclusive))
            .map_err(kernel("lock", key))?;
        Ok(directory)
    }

    fn directory(&self, key: &SnapshotKey) -> Result<OwnedFd, StoreError> {
        match openat(&self.root, key.as_str(), DIRECTORY, Mode::empty()) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT) => Err(StoreError::Missing(key.clone())),
            Err(errno) => Err(kernel("open", key)(errno)),
        }
    }

    fn part(
        &self,
        key: &SnapshotKey,
        part: &str,
        wanted: &'static str,
    ) -> Result<OwnedFd, StoreError> {
        let directory = self.directory(key)?;
        match openat(&directory, part, DIRECTORY, Mode::empty()) {
            Ok(part) => Ok(part),
            Err(Errno::NOENT) => Err(StoreError::WrongKind { key: key.clone(), wanted }),
            Err(errno) => Err(kernel("open", key)(errno)),
        }
    }

    /// Makes a container's snapshot over `parents`, the lowest first. No error when it exists with the same ones.
    ///
    /// It is not synced: a container that a power loss takes was created in the last second.
    ///
    /// # Errors
    /// A parent does not exist or is no layer, there are too many, or the name is taken.
    pub fn prepare(&self, key: &SnapshotKey, parents: &[SnapshotKey]) -> Result<(), StoreError> {
        let wanted = Snapshot::Container { parents: parents.to_vec() };
        if let Some(result) = self.existing(key, &wanted)? {
            return result;
        }
        if parents.len() > PARENTS_MAX {
            let (count, limit) = (parents.len(), PARENTS_MAX);
            return Err(StoreError::TooManyLayers { key: key.clone(), count, limit });
        }
        for parent in parents {
            self.layer(parent)?;
        }
        let failed = kernel("prepare", key);
        let name = fresh_name().map_err(&failed)?;
        self.fill_container(&name, &wanted).map_err(&failed)?;
        if self.publish(&name, key).map_err(&failed)? {
            return Ok(());
        }
        self.discard(&name);
        self.existing(key, &wanted)?.unwrap_or_else(|| Err(StoreError::Missing(key.clone())))
    }

    /// The answer when the name is taken.
    fn existing(
        &self,
        key: &SnapshotKey,
        wanted: &Snapshot,
    ) -> Result<Option<Result<(), StoreError>>, StoreError> {
        Ok(match self.find(key)? {
            None => None,
            Some(found) if found == *wanted => Some(Ok(())),
            Some(Snapshot::Container { .. }) => Some(Err(StoreError::OtherParents(key.clone()))),
            Some(Snapshot::Layer { .. }) => {
                Some(Err(StoreError::WrongKind { key: key.clone(), wanted: "container" }))
            }
        })
    }

    fn fill_container(&self, name: &str, meta: &Snapshot) -> Result<(), Errno> {
        mkdirat(&self.tmp, name, Mode::RWXU)?;
        let directory = openat(&self.tmp, name, DIRECTORY, Mode::empty())?;
        make_tree(directory.as_fd(), "upper")?;
        mkdirat(&directory, "work", Mode::RWXU)?;
        write_file(directory.as_fd(), "meta", &meta.to_text())
    }

    /// Gives a complete directory in `tmp` its key; false when the key is taken.
    pub(crate) fn publish(&self, name: &str, key: &SnapshotKey) -> Result<bool, Errno> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.tmp, name, &self.root, key.as_str(), flags) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Removes a directory in `tmp`; what cannot be removed now is left to the next start.
    pub(crate) fn discard(&self, name: &str) {
        archive::remove_tree(self.tmp.as_fd(), name.as_bytes()).ok();
    }

    /// Frees the name of a snapshot; its files go with [`Store::empty_trash`]. No error when it does not exist.
    ///
    /// # Errors
    /// The rename fails.
    pub fn remove(&self, key: &SnapshotKey) -> Result<(), StoreError> {
        let failed = kernel("remove", key);
        let trash = fresh_name().map_err(&failed)?;
        match rustix::fs::renameat(&self.root, key.as_str(), &self.trash, &*trash) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// All snapshots that exist, in the order of their keys; for each whether it is a layer. A damaged one is listed as
    /// what its directories are.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<(SnapshotKey, bool)>, StoreError> {
        let names = names(self.root.as_fd())
            .map_err(|source| StoreError::Open { step: "list its directory", source })?;
        let mut list = Vec::new();
        for name in names {
            // What is no key is the store's own, or somebody else's: not ours to show or to remove.
            let key =
                std::str::from_utf8(&name).ok().and_then(|name| SnapshotKey::parse(name).ok());
            let Some(key) = key else { continue };
            let layer = self.layer(&key).is_ok();
            list.push((key, layer));
        }
        list.sort();
        Ok(list)
    }

    /// Bytes of one snapshot on disk, as `du` counts, its parents left out.
    ///
    /// # Errors
    /// It does not exist, or cannot be walked.
    pub fn usage(&self, key: &SnapshotKey) -> Result<u64, StoreError> {
        let directory = self.directory(key)?;
        archive::disk_usage(directory.as_fd())
            .map_err(|source| StoreError::Usage { key: key.clone(), source })
    }
}

/// Makes a directory that becomes the root of a tree: 0755, whatever the umask is.
pub(crate) fn make_tree(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::RWXU)?;
    let directory = openat(parent, name, DIRECTORY, Mode::empty())?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
    Ok(directory)
}

fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for item in Dir::read_from(directory)? {
        let item = item?;
        let name = item.file_name().to_bytes();
        let own = OWN_DIRECTORIES.iter().any(|own| own.as_bytes() == name);
        if !own && name != b"." && name != b".." && name != b"format" {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// Whether something lies at `name`.
pub(crate) fn exists(parent: BorrowedFd<'_>, name: &str) -> Result<bool, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}
