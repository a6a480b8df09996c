//! The directory of all containers, and each container's own.

use crate::{Error, Id, Record};
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, fcntl_lock, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most that is read of a file of ours: a specification is the largest.
const MAX_FILE: u64 = 16 << 20;
/// How long a command waits for another one that has the container in its hands.
const LOCK: Duration = Duration::from_secs(10);

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The names of the files in a container's directory.
pub(crate) mod file {
    pub(crate) const STATE: &str = "state.json";
    pub(crate) const CONFIG: &str = "config.json";
    pub(crate) const FILTER: &str = "seccomp.bpf";
    pub(crate) const GATE: &str = "start";
    pub(crate) const LOCK: &str = "lock";
}

/// The directory of all containers.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    fd: OwnedFd,
}

/// The directory of one container.
#[derive(Debug)]
pub(crate) struct Entry {
    id: Id,
    fd: OwnedFd,
}

impl Root {
    /// Opens the directory, and makes it if it is missing (0700).
    pub fn open(path: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(Error::file("create", path))?;
        let fd = rustix::fs::open(path, DIRECTORY - OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| Error::system("open", path.display().to_string(), errno))?;
        Ok(Self { path: path.to_owned(), fd })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Makes the directory of a new container and locks it.
    pub(crate) fn create(&self, id: &Id) -> Result<(Entry, Lock), Error> {
        match mkdirat(&self.fd, id.as_str(), Mode::from_raw_mode(0o711)) {
            Err(Errno::EXIST) => return Err(Error::Exists),
            other => other.map_err(|errno| Error::system("create state of", id.as_str(), errno))?,
        }
        let entry = self.find(id)?;
        let lock = entry.lock()?;
        Ok((entry, lock))
    }

    /// Opens the directory of a container.
    pub(crate) fn find(&self, id: &Id) -> Result<Entry, Error> {
        match openat(&self.fd, id.as_str(), DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Entry { id: id.clone(), fd }),
            Err(Errno::NOENT) => Err(Error::NotFound),
            Err(errno) => Err(Error::system("open state of", id.as_str(), errno)),
        }
    }

    /// The names of all containers, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<Id>, Error> {
        let listed = std::fs::read_dir(&self.path).map_err(Error::file("list", &self.path))?;
        let name = |entry: std::fs::DirEntry| {
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            entry.file_name().to_str().filter(|_| directory).and_then(|name| Id::parse(name).ok())
        };
        let mut ids: Vec<Id> = listed.filter_map(|entry| entry.ok().and_then(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes the directory of a container with all files in it. The record goes last but one, so that what is left of
    /// an interrupted removal is found and removed by the next one.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<(), Error> {
        let failed = |errno| Error::system("remove state of", entry.id.as_str(), errno);
        let mut names = Vec::new();
        let mut listed = rustix::fs::Dir::read_from(&entry.fd).map_err(failed)?;
        while let Some(found) = listed.read() {
            let found = found.map_err(failed)?;
            let name = found.file_name().to_owned();
            if name.as_bytes() != b"." && name.as_bytes() != b".." {
                names.push(name);
            }
        }
        names.sort_by_key(|name| name.as_bytes() == file::STATE.as_bytes());
        for name in names {
            ignore_missing(unlinkat(&entry.fd, &*name, AtFlags::empty())).map_err(failed)?;
        }
        let removed = unlinkat(&self.fd, entry.id.as_str(), AtFlags::REMOVEDIR);
        ignore_missing(removed).map_err(failed)
    }
}

fn ignore_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Held while a container is made or deleted; given back at its end, also by the kernel.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held")] OwnedFd);

impl Entry {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits for the lock, but not for ever. The directory may have been removed meanwhile.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let end = Instant::now() + LOCK;
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if Instant::now() >= end {
                return Err(Error::Busy(self.id.as_str().to_owned()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The lock, if no other process has it. Locks of this kind belong to the process: the container's, which is cloned
    /// meanwhile, has none; and whoever opens and closes the file again gives up its own.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, Error> {
        let failed = |errno| Error::system("lock state of", self.id.as_str(), errno);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, file::LOCK, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
        match fcntl_lock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(fd))),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Writes a file whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let failed = |errno| Error::system("write state of", self.id.as_str(), errno);
        write_whole(self.fd.as_fd(), name, content).map_err(failed)
    }

    pub(crate) fn write_record(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).map_err(|error| Error::Syntax {
            object: file::STATE.to_owned(),
            cause: error.to_string(),
        })?;
        self.write(file::STATE, &text)
    }

    /// Reads a file; nothing if it is missing.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let failed = |errno| Error::system("read state of", self.id.as_str(), errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut content = Vec::new();
        let read = File::from(fd).take(MAX_FILE).read_to_end(&mut content);
        read.map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        Ok(Some(content))
    }

    /// The record; nothing if the container's making ended before there was one, or its removal after.
    pub(crate) fn record(&self) -> Result<Option<Record>, Error> {
        let Some(content) = self.read(file::STATE)? else { return Ok(None) };
        serde_json::from_slice(&content).map(Some).map_err(|error| Error::Syntax {
            object: format!("state of {}", self.id),
            cause: error.to_string(),
        })
    }

    /// Removes a file, if it is there.
    pub(crate) fn unlink(&self, name: &str) -> Result<(), Error> {
        ignore_missing(unlinkat(&self.fd, name, AtFlags::empty()))
            .map_err(|errno| Error::system("remove state of", self.id.as_str(), errno))
    }

    /// The user that owns it.
    pub(crate) fn owner(&self) -> u32 {
        rustix::fs::fstat(&self.fd).map_or(0, |status| status.st_uid)
    }
}

/// Writes `name` in `directory` under another name first, and then renames.
pub(crate) fn write_whole(
    directory: BorrowedFd<'_>,
    name: &str,
    content: &[u8],
) -> Result<(), Errno> {
    let temporary = format!("{name}.{}", std::process::id());
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(directory, &*temporary, flags, Mode::from_raw_mode(0o600))?;
    let written = File::from(fd).write_all(content);
    written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    renameat(directory, &*temporary, directory, name)
}

/// Reads a file of the host that a user names, of at most [`MAX_FILE`] bytes.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let length = file.metadata().map_or(0, |status| status.size());
    let mut content = Vec::with_capacity(usize::try_from(length.min(MAX_FILE)).unwrap_or(0) + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(Error::file("read", path))?;
    if content.len() as u64 > MAX_FILE {
        let cause = format!("longer than {MAX_FILE} bytes");
        return Err(Error::Syntax { object: path.display().to_string(), cause });
    }
    Ok(content)
}

/// Writes a process number into a file that appears whole.
pub(crate) fn write_pid(path: &Path, pid: i32) -> Result<(), Error> {
    let failed = |errno| Error::system("write pid file", path.display().to_string(), errno);
    let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| failed(Errno::INVAL))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::open(above.unwrap_or(Path::new(".")), flags, Mode::empty());
    let above = above.map_err(failed)?;
    let temporary = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let fd = openat(&above, &*temporary, flags, Mode::from_raw_mode(0o666)).map_err(failed)?;
    let written = File::from(fd).write_all(pid.to_string().as_bytes());
    written.map_err(Error::file("write", path))?;
    renameat(&above, &*temporary, &above, name).map_err(failed)
}
