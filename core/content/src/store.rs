//! The store: looking blobs up, reading, removing and checking them.

use crate::Error;
use crate::ingest::{Expected, Ingest};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::Digest as _;
use spec::Digest;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes that [`Store::read`] reads: the size that registries allow a manifest.
pub const READ_LIMIT: u64 = 4 << 20;

/// A blob that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// A part of a blob that an interrupted try has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The digest that the whole blob has.
    pub digest: Digest,
    /// Bytes that are there.
    pub size: u64,
    /// When it was last written: seconds since 1970.
    pub changed: i64,
}

/// A content store. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    blobs: OwnedFd,
    ingest: OwnedFd,
}

impl Store {
    /// Opens the store under `root`, makes its directories if missing, and removes what an earlier process left half
    /// written, but what [`Store::resume`] can go on with.
    pub fn open(root: &Path) -> Result<Self, Error> {
        make_directory(CWD, root, root)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(root, flags, Mode::empty()).map_err(Error::io("open", root))?;
        let mut open = top.as_fd().try_clone_to_owned().map_err(Error::io("open", root))?;
        for name in ["blobs", "sha256"] {
            open = open_directory(open.as_fd(), name, root)?;
        }
        let ingest = open_directory(top.as_fd(), "ingest", root)?;
        let store = Self { inner: Arc::new(Inner { root: root.to_owned(), blobs: open, ingest }) };
        store.clean()?;
        Ok(store)
    }

    fn clean(&self) -> Result<(), Error> {
        for (name, kind) in entries(self.ingest_directory(), &self.path("ingest"))? {
            let path = self.path("ingest").join(&name);
            if kind == FileType::Directory {
                return Err(Error::io("clean", path)(std::io::Error::from(
                    std::io::ErrorKind::IsADirectory,
                )));
            }
            if partial_digest(&name).is_some() {
                continue;
            }
            rustix::fs::unlinkat(self.ingest_directory(), &*name, AtFlags::empty())
                .map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// Begins a blob of a known digest and size where an earlier try, of an earlier process perhaps, has ended:
    /// [`Ingest::written`] tells how far that was. What is there is read and hashed; before that, `begun` gets the file.
    /// Only one try for a digest at a time: the caller sees to that.
    pub fn resume(
        &self,
        digest: &Digest,
        size: u64,
        begun: &mut dyn FnMut(&File),
    ) -> Result<Ingest, Error> {
        Ingest::resume(self, digest, size, begun)
    }

    /// What [`Store::resume`] can go on with.
    pub fn partials(&self) -> Result<Vec<Partial>, Error> {
        let mut found = Vec::new();
        for (name, _) in entries(self.ingest_directory(), &self.path("ingest"))? {
            let Some(digest) = partial_digest(&name) else { continue };
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            match rustix::fs::statat(self.ingest_directory(), &*name, flags) {
                Ok(stat) => {
                    let (size, changed) = (stat.st_size.cast_unsigned(), stat.st_mtime);
                    found.push(Partial { digest, size, changed });
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Error::io("look up", self.path("ingest"))(error)),
            }
        }
        Ok(found)
    }

    /// Removes what [`Store::resume`] could have gone on with; false when there is none.
    pub fn remove_partial(&self, digest: &Digest) -> Result<bool, Error> {
        match rustix::fs::unlinkat(self.ingest_directory(), digest.hex(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("remove", self.path("ingest").join(digest.hex()))(error)),
        }
    }

    /// Begins a blob.
    pub fn ingest(&self, expected: Expected) -> Result<Ingest, Error> {
        Ingest::new(self, expected)
    }

    /// Puts a small blob in.
    pub fn write(&self, bytes: &[u8]) -> Result<Blob, Error> {
        let mut ingest = self.ingest(Expected::at_most(bytes.len() as u64))?;
        ingest.write_bytes(bytes)?;
        ingest.commit()
    }

    /// Opens a blob for reading.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        // NONBLOCK: a named pipe that somebody put here must not hold us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file =
            match rustix::fs::openat(self.blob_directory(), digest.hex(), flags, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::NOENT) => return Err(Error::NotFound(digest.clone())),
                Err(Errno::LOOP | Errno::NXIO) => return Err(Error::NotRegular(digest.clone())),
                Err(error) => return Err(Error::io("open", self.blob_path(digest))(error)),
            };
        let stat = rustix::fs::fstat(&file).map_err(Error::io("open", self.blob_path(digest)))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::NotRegular(digest.clone()));
        }
        Ok(File::from(file))
    }

    /// The size of a blob in bytes; `None` when there is none.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match rustix::fs::statat(self.blob_directory(), digest.hex(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                Ok(Some(stat.st_size.cast_unsigned()))
            }
            Ok(_) => Err(Error::NotRegular(digest.clone())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("look up", self.blob_path(digest))(error)),
        }
    }

    /// Reads a whole blob of at most `limit` bytes (no more than [`READ_LIMIT`]) and checks its digest.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        let limit = limit.min(READ_LIMIT);
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io("read", self.blob_path(digest)))?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { doing: "read", limit });
        }
        let found = Digest::from_sha256(&sha2::Sha256::digest(&bytes).into());
        if found != *digest {
            return Err(Error::Digest { expected: digest.clone(), found });
        }
        Ok(bytes)
    }

    /// Reads a whole blob of any size and compares its digest. Answers its size.
    pub fn verify(&self, digest: &Digest) -> Result<u64, Error> {
        let mut file = self.open_blob(digest)?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            let count =
                file.read(&mut buffer).map_err(Error::io("read", self.blob_path(digest)))?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            size += count as u64;
        }
        let found = Digest::from_sha256(&hash.finalize().into());
        if found == *digest {
            Ok(size)
        } else {
            Err(Error::Digest { expected: digest.clone(), found })
        }
    }

    /// Removes a blob; false when there was none. Whoever has it open reads on.
    pub fn remove(&self, digest: &Digest) -> Result<bool, Error> {
        match rustix::fs::unlinkat(self.blob_directory(), digest.hex(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("remove", self.blob_path(digest))(error)),
        }
    }

    /// All blobs, in the order of their digests. What is named like no digest is left out.
    pub fn list(&self) -> Result<Vec<Blob>, Error> {
        let mut blobs = Vec::new();
        for (name, _) in entries(self.blob_directory(), &self.path("blobs/sha256"))? {
            let Ok(digest) = Digest::parse(&format!("sha256:{name}")) else { continue };
            if let Some(size) = self.size(&digest)? {
                blobs.push(Blob { digest, size });
            }
        }
        blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
        Ok(blobs)
    }

    pub(crate) fn blob_directory(&self) -> BorrowedFd<'_> {
        self.inner.blobs.as_fd()
    }

    pub(crate) fn ingest_directory(&self) -> BorrowedFd<'_> {
        self.inner.ingest.as_fd()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.inner.root.join(name)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }
}

/// The digest that a file in the ingest directory is named by, if it is.
fn partial_digest(name: &str) -> Option<Digest> {
    Digest::parse(&format!("sha256:{name}")).ok()
}

fn make_directory(parent: BorrowedFd<'_>, name: &Path, root: &Path) -> Result<(), Error> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(Error::io("create", root.join(name))(error)),
    }
}

fn open_directory(parent: BorrowedFd<'_>, name: &str, root: &Path) -> Result<OwnedFd, Error> {
    make_directory(parent, Path::new(name), root)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(Error::io("open", root.join(name)))
}

/// The names in a directory with their kinds; a name that is not UTF-8 is none of ours.
fn entries(directory: BorrowedFd<'_>, path: &Path) -> Result<Vec<(String, FileType)>, Error> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory).map_err(Error::io("list", path))? {
        let entry = entry.map_err(Error::io("list", path))?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => found.push((name.to_owned(), entry.file_type())),
        }
    }
    Ok(found)
}
