//! How a blob gets in.

use crate::Error;
use crate::store::{Blob, Store};
use rustix::fs::{AtFlags, Mode, OFlags};
use sha2::Digest as _;
use spec::Digest;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// What is known about a blob before its bytes come.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its digest, when known; the commit fails on any other.
    pub digest: Option<Digest>,
    /// Its size in bytes, when known; a write beyond it fails, and so does the commit of less.
    pub size: Option<u64>,
    /// The most bytes it may have.
    pub limit: u64,
}

impl Expected {
    /// A blob of which nothing is known but that it may not have more than `limit` bytes.
    pub fn at_most(limit: u64) -> Self {
        Self { digest: None, size: None, limit }
    }
}

/// A blob that is being written. Dropped without [`Ingest::commit`], it leaves nothing; unless it was begun by
/// [`Store::resume`], which leaves what was written for the next try.
///
/// As a [`Write`], it fails with an [`io::Error`] that wraps [`Error`]; [`Ingest::write_bytes`] has it as it is.
#[derive(Debug)]
pub struct Ingest {
    store: Store,
    /// The name in the ingest directory; empty once the blob has its own.
    name: String,
    file: File,
    hash: sha2::Sha256,
    written: u64,
    expected: Expected,
    /// What was written stays when this is dropped.
    stays: bool,
}

impl Ingest {
    pub(crate) fn new(store: &Store, expected: Expected) -> Result<Self, Error> {
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
            .map_err(Error::io("make a name in", store.path("ingest")))?;
        let name: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(store.ingest_directory(), &*name, flags, Mode::RUSR | Mode::WUSR)
                .map_err(Error::io("create", store.path(&format!("ingest/{name}"))))?;
        let (hash, file) = (sha2::Sha256::new(), File::from(file));
        Ok(Self { store: store.clone(), name, file, hash, written: 0, expected, stays: false })
    }

    pub(crate) fn resume(
        store: &Store,
        digest: &Digest,
        size: u64,
        begun: &mut dyn FnMut(&File),
    ) -> Result<Self, Error> {
        let name = digest.hex().to_owned();
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = || store.path(&format!("ingest/{name}"));
        let file =
            rustix::fs::openat(store.ingest_directory(), &*name, flags, Mode::RUSR | Mode::WUSR)
                .map_err(Error::io("open", path()))?;
        let mut file = File::from(file);
        if file.metadata().map_err(Error::io("open", path()))?.len() > size {
            file.set_len(0).map_err(Error::io("empty", path()))?;
        }
        begun(&file);
        let mut hash = sha2::Sha256::new();
        let written = hash_all(&mut file, &mut hash).map_err(Error::io("read", path()))?;
        let expected = Expected { digest: Some(digest.clone()), size: Some(size), limit: size };
        Ok(Self { store: store.clone(), name, file, hash, written, expected, stays: true })
    }

    /// Another handle of the file, to read what was written until now by position while more is written.
    pub fn reader(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("open", self.file_path()))
    }

    /// Forgets what was written, and begins again.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(Error::io("empty", self.file_path()))?;
        self.file.rewind().map_err(Error::io("empty", self.file_path()))?;
        (self.hash, self.written) = (sha2::Sha256::new(), 0);
        Ok(())
    }

    /// Ends it so that nothing stays.
    pub fn discard(mut self) {
        self.stays = false;
    }

    /// Bytes written until now.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends bytes. After a failure the blob cannot be committed in any useful way: drop it.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let after = self.written + bytes.len() as u64;
        match self.expected.size {
            Some(size) if after > size => {
                return Err(Error::Size { expected: size, found: after });
            }
            _ => {}
        }
        if after > self.expected.limit {
            return Err(Error::TooLarge { doing: "write", limit: self.expected.limit });
        }
        self.file.write_all(bytes).map_err(Error::io("write", self.file_path()))?;
        self.hash.update(bytes);
        self.written = after;
        Ok(())
    }

    /// The digest of what was written until now.
    pub fn digest(&self) -> Digest {
        Digest::from_sha256(&self.hash.clone().finalize().into())
    }

    /// Checks digest and size, makes the blob durable and then visible.
    pub fn commit(mut self) -> Result<Blob, Error> {
        match self.expected.size {
            Some(size) if size != self.written => {
                return Err(Error::Size { expected: size, found: self.written });
            }
            _ => {}
        }
        let digest = Digest::from_sha256(&self.hash.clone().finalize().into());
        match self.expected.digest.take() {
            Some(expected) if expected != digest => {
                // Nothing good can be appended to it.
                self.stays = false;
                return Err(Error::Digest { expected, found: digest });
            }
            _ => {}
        }
        self.file.sync_data().map_err(Error::io("sync", self.file_path()))?;
        let blobs = self.store.blob_directory();
        // Over a blob of the same digest: the same bytes, unless the old ones were damaged on the disk.
        rustix::fs::renameat(self.store.ingest_directory(), &*self.name, blobs, digest.hex())
            .map_err(Error::io("move to its place", self.file_path()))?;
        self.name.clear();
        rustix::fs::fsync(blobs).map_err(Error::io("sync", self.store.path("blobs/sha256")))?;
        Ok(Blob { digest, size: self.written })
    }

    fn file_path(&self) -> std::path::PathBuf {
        self.store.path(&format!("ingest/{}", self.name))
    }
}

/// Reads a file from its start to its end, where its position stays; its length.
fn hash_all(file: &mut File, hash: &mut sha2::Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(length);
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.write_bytes(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Error::Io { source, .. }) => Err(source),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.name.is_empty() && !self.stays {
            // What cannot be removed now is removed when the store is opened.
            rustix::fs::unlinkat(self.store.ingest_directory(), &*self.name, AtFlags::empty())
                .unwrap_or_default();
        }
    }
}
