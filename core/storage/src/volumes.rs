//! Named volumes.

use crate::enclosed::{self, Task};
use crate::layers::{Answer, failure};
use crate::paths::{Last, Request};
use crate::worker::Storage;
use messages::Fd;
use messages::storage::Reply;
use rustix::fs::{AtFlags, Dir, FlockOperation, Gid, Mode, OFlags, Uid, flock, mkdirat, openat};
use rustix::io::Errno;
use spec::{Class, Failure, SnapshotKey, VolumeName};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What containers see of a volume, and the mark that its content is not complete.
const DATA: &str = "_data";
const COPYING: &str = "copying";

/// Where removed volumes go; no volume can be called so.
const TRASH: &str = ".trash";

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of all volumes.
#[derive(Debug)]
pub(crate) struct Volumes {
    root: OwnedFd,
    trash: OwnedFd,
}

fn make(parent: impl AsFd, name: &str, mode: u32) -> Result<OwnedFd, Errno> {
    match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) => {
            let directory = openat(&parent, name, DIRECTORY, Mode::empty())?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode))?;
            Ok(directory)
        }
        Err(Errno::EXIST) => openat(&parent, name, DIRECTORY, Mode::empty()),
        Err(errno) => Err(errno),
    }
}

fn names(directory: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for item in Dir::read_from(directory)? {
        let name = item?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn failed(what: &'static str, name: &VolumeName) -> impl Fn(Errno) -> Failure {
    let name = name.clone();
    move |errno| {
        let class = if errno == Errno::NOENT { Class::NotFound } else { Class::Internal };
        if class == Class::NotFound {
            return Failure::new(class, format!("get {}: no such volume", name.as_str()));
        }
        let cause = Failure::from_error(class, &errno);
        Failure::new(class, format!("{what} {}: {cause}", name.as_str()))
    }
}

impl Volumes {
    pub(crate) fn open(data_root: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(data_root, flags, Mode::empty())?;
        let root = make(&root, "volumes", 0o711)?;
        let trash = make(&root, TRASH, 0o700)?;
        Ok(Self { root, trash })
    }

    pub(crate) fn create(&self, name: &VolumeName) -> Result<(), Failure> {
        self.make(name).map_err(failed("create volume", name))
    }

    /// A new volume is synced: what is put into it later must find it after a power loss.
    fn make(&self, name: &VolumeName) -> Result<(), Errno> {
        let volume = make(&self.root, name.as_str(), 0o711)?;
        match openat(&volume, DATA, DIRECTORY, Mode::empty()) {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                make(&volume, DATA, 0o755)?;
                rustix::fs::fsync(&volume)?;
                rustix::fs::fsync(&self.root)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Frees the name; the files go with [`Volumes::empty_trash`].
    pub(crate) fn remove(&self, name: &VolumeName) -> Result<(), Failure> {
        let mut number = 0u64;
        loop {
            let trash = format!("{}-{number}", name.as_str());
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&self.root, name.as_str(), &self.trash, &*trash, flags)
            {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::EXIST) => number += 1,
                Err(errno) => return Err(failed("remove volume", name)(errno)),
            }
        }
    }

    pub(crate) fn empty_trash(&self) -> Result<(), Failure> {
        let internal = |error: &dyn std::error::Error| Failure::from_error(Class::Internal, error);
        for name in names(&self.trash).map_err(|errno| internal(&errno))? {
            archive::remove_tree(self.trash.as_fd(), &name).map_err(|error| internal(&error))?;
        }
        Ok(())
    }

    pub(crate) fn list(&self) -> Result<Vec<VolumeName>, Failure> {
        let names = names(&self.root).map_err(|e| Failure::from_error(Class::Internal, &e))?;
        // What no volume can be called was not made here.
        let volumes = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
        let mut volumes: Vec<_> = volumes.filter_map(|name| VolumeName::parse(name).ok()).collect();
        volumes.sort();
        Ok(volumes)
    }

    pub(crate) fn usage(&self, name: &VolumeName) -> Answer {
        let data = self.data(name, DIRECTORY)?;
        let bytes = archive::disk_usage(data.as_fd())
            .map_err(|error| Failure::from_error(Class::Internal, &error))?;
        Ok((Reply::Usage { bytes }, vec![]))
    }

    fn volume(&self, name: &VolumeName) -> Result<OwnedFd, Failure> {
        openat(&self.root, name.as_str(), DIRECTORY, Mode::empty())
            .map_err(failed("open volume", name))
    }

    fn data(&self, name: &VolumeName, flags: OFlags) -> Result<OwnedFd, Failure> {
        openat(self.volume(name)?, DATA, flags, Mode::empty()).map_err(failed("open volume", name))
    }

    pub(crate) fn answer_open(&self, name: &VolumeName) -> Answer {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let data = self.data(name, flags)?;
        Ok((Reply::Opened { file: Fd(0), directory: true }, vec![data]))
    }

    /// Opens a volume, filled with what an image has at the place where it will be mounted if it is empty.
    pub(crate) fn open_with(
        &self,
        storage: &Storage,
        name: &VolumeName,
        copy_up: Option<(SnapshotKey, Vec<u8>)>,
    ) -> Answer {
        if let Some((key, path)) = copy_up {
            let volume = self.volume(name)?;
            // Two containers that start at once copy one after the other; the second finds it filled.
            flock(&volume, FlockOperation::LockExclusive).map_err(failed("lock volume", name))?;
            let data = self.data(name, DIRECTORY)?;
            if needs_content(&volume, &data).map_err(failed("fill volume", name))? {
                fill(storage, name, &volume, &data, &key, &path)?;
            }
        }
        self.answer_open(name)
    }
}

/// Whether a volume has no content; what a copy left that was cut off is removed.
fn needs_content(volume: &OwnedFd, data: &OwnedFd) -> Result<bool, Errno> {
    let cut_off = match rustix::fs::statat(volume, COPYING, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => true,
        Err(Errno::NOENT) => false,
        Err(errno) => return Err(errno),
    };
    if !cut_off {
        return Ok(names(data)?.is_empty());
    }
    for name in names(data)? {
        archive::remove_tree(data.as_fd(), &name).map_err(|error| error.source)?;
    }
    Ok(true)
}

/// Copies a directory of a container's root file system into its volume, owner and mode of the directory too.
fn fill(
    storage: &Storage,
    name: &VolumeName,
    volume: &OwnedFd,
    data: &OwnedFd,
    key: &SnapshotKey,
    path: &[u8],
) -> Result<(), Failure> {
    let view = storage.store.mount_read(key).map_err(failure)?;
    let request = Request::parse(path)?.following();
    let (source, stat) = match request.open(view.as_fd()) {
        Ok(found) => found,
        Err(failure) if failure.class == Class::NotFound => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if Last::of(&stat) != Last::Directory {
        return Ok(());
    }
    drop(source);
    let failed = failed("fill volume", name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    openat(volume, COPYING, flags, Mode::RUSR | Mode::WUSR).map_err(&failed)?;
    copy(storage, view.as_fd(), data.as_fd(), request.path())?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(data, Some(uid), Some(gid)).map_err(&failed)?;
    rustix::fs::fchmod(data, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(&failed)?;
    rustix::fs::unlinkat(volume, COPYING, AtFlags::empty()).map_err(&failed)
}

/// Two enclosed children with a pipe between them: one sees only the root file system, the other only the volume.
fn copy(
    storage: &Storage,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    path: &[u8],
) -> Result<(), Failure> {
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (reader, writer) = rustix::pipe::pipe_with(flags)
        .map_err(|errno| Failure::from_error(Class::Internal, &errno))?;
    let pack =
        Task::Create { directory: path.to_vec(), file: b".".to_vec(), name: vec![], opaque: None };
    let unpack = Task::Extract {
        base: vec![],
        no_overwrite_dir_non_dir: false,
        root_owns: false,
        limit: u64::MAX,
    };
    let what = "copy image content into volume";
    let packing = enclosed::start(what, &storage.filter, from, &writer, pack)?;
    drop(writer);
    let unpacking = enclosed::start(what, &storage.filter, to, &reader, unpack);
    // Without its reader the other child must not wait for ever.
    drop(reader);
    let unpacked = unpacking.and_then(enclosed::Enclosed::wait);
    packing.wait()?;
    unpacked.map(drop)
}
