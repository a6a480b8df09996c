//! How a blob gets in: an upload that takes bytes over any number of requests, and becomes the blob at its end.

use crate::digest::Hasher;
use crate::lock::Guard;
use crate::store::{Store, blob_path, upload_path};
use crate::tree::Placed;
use crate::{Algorithm, Digest, Error, Name, UploadId};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

/// An upload that one request writes to. Dropped without [`Upload::commit`], it stays as it is, and a later request may
/// go on: in this process or another, also after a crash.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    name: Name,
    id: UploadId,
    file: File,
    offset: u64,
    /// The hash of all bytes up to `offset`; missing when another process wrote them.
    hasher: Option<Hasher>,
}

impl Store {
    /// Begins an upload to a repository.
    pub fn begin_upload(&self, name: &Name, algorithm: Algorithm) -> Result<Upload, Error> {
        let id = crate::random_id("make a name in", &self.tree().path("repositories"))?;
        let file = self.tree().create(&upload_path(name, &id))?;
        lock(&file, &id)?;
        let hasher = Some(Hasher::new(algorithm));
        Ok(Upload { store: self.clone(), name: name.clone(), id, file, offset: 0, hasher })
    }

    /// The number of bytes that an upload has.
    pub fn upload_offset(&self, name: &Name, id: &UploadId) -> Result<u64, Error> {
        match self.tree().stat(&upload_path(name, id))? {
            Some(stat) => Ok(stat.size),
            None => Err(unknown(name, id)),
        }
    }

    /// Goes on with an upload.
    ///
    /// # Errors
    /// [`Error::UploadBusy`] while another request has it open.
    pub fn open_upload(&self, name: &Name, id: &UploadId) -> Result<Upload, Error> {
        let path = upload_path(name, id);
        let Some(mut file) = self.tree().file(&path, OFlags::RDWR)? else {
            return Err(unknown(name, id));
        };
        lock(&file, id)?;
        // Who had it before us may have finished it.
        if self.tree().stat(&path)?.is_none() {
            return Err(unknown(name, id));
        }
        let offset =
            file.seek(SeekFrom::End(0)).map_err(Error::io("open", self.tree().path(&path)))?;
        let hasher = match self.take_hash(id, offset) {
            None if offset == 0 => Some(Hasher::new(Algorithm::default())),
            kept => kept,
        };
        Ok(Upload { store: self.clone(), name: name.clone(), id: id.clone(), file, offset, hasher })
    }

    /// Gives an upload up, with what it has.
    pub fn cancel_upload(&self, name: &Name, id: &UploadId) -> Result<(), Error> {
        self.take_hash(id, 0);
        match self.tree().remove(&upload_path(name, id), false)? {
            true => Ok(()),
            false => Err(unknown(name, id)),
        }
    }
}

fn lock(file: &File, id: &UploadId) -> Result<(), Error> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::UploadBusy(id.to_string())),
        Err(error) => Err(Error::io("lock upload", id.as_str())(error)),
    }
}

fn unknown(name: &Name, id: &UploadId) -> Error {
    Error::UploadUnknown { name: name.clone(), id: id.to_string() }
}

impl Upload {
    /// Its id.
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// Bytes that it has.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// A second handle of the file, for reading at positions below [`Upload::offset`] while more is written; it stays
    /// good when the upload becomes a blob.
    pub fn reader(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("open upload", self.path()))
    }

    /// Appends bytes. After a failure the upload has what it had before.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(error) = self.file.write_all(bytes) {
            // Else the next request would find bytes that nobody has hashed or was told of.
            let back = self.file.set_len(self.offset);
            let seek = self.file.seek(SeekFrom::Start(self.offset));
            if back.is_err() || seek.is_err() {
                self.hasher = None;
            }
            return Err(Error::io("write upload", self.path())(error));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Ends the upload: checks the digest of all its bytes, and makes them a durable and then a visible blob of the
    /// repository. Answers its size. An upload with another digest is given up.
    pub fn commit(mut self, expected: &Digest) -> Result<u64, Error> {
        let found = match self.hasher.take() {
            Some(hasher) if hasher.algorithm() == expected.algorithm() => hasher.digest(),
            _ => self.hash(expected.algorithm())?,
        };
        if found != *expected {
            self.store.tree().remove(&self.relative_path(), false)?;
            return Err(Error::DigestMismatch { expected: expected.clone(), found });
        }
        let (store, blob) = (self.store.clone(), blob_path(expected));
        let tree = store.tree();
        let there = |tree: &crate::tree::Tree| {
            Ok::<_, Error>(tree.stat(&blob)?.is_some_and(|stat| stat.size == self.offset))
        };
        if !there(tree)? {
            self.file.sync_data().map_err(Error::io("sync", self.path()))?;
        }
        let _guard = Guard::shared(tree)?;
        if there(tree)? && tree.touch(&blob)? {
            store.join(&blob, &self.name, expected)?;
            tree.remove(&self.relative_path(), false)?;
            return Ok(self.offset);
        }
        if tree.stat(&self.relative_path())?.is_none() {
            // It was cancelled meanwhile.
            return Err(unknown(&self.name, &self.id));
        }
        // Still the last word: a blob that the collector took after the first look needs its bytes on the disk.
        self.file.sync_data().map_err(Error::io("sync", self.path()))?;
        // A file of another size in the blob's place is a damaged one.
        let replace = tree.stat(&blob)?.is_some_and(|stat| stat.size != self.offset);
        if tree.rename(&self.relative_path(), &blob, replace)? != Placed::New {
            tree.touch(&blob)?;
            tree.remove(&self.relative_path(), false)?;
        } else if replace {
            tree.remove(&crate::store::member_path(&self.name, expected), false)?;
        }
        store.join(&blob, &self.name, expected)?;
        Ok(self.offset)
    }

    fn hash(&mut self, algorithm: Algorithm) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; 1 << 20];
        self.file.seek(SeekFrom::Start(0)).map_err(Error::io("read", self.path()))?;
        loop {
            let count = self.file.read(&mut buffer).map_err(Error::io("read", self.path()))?;
            if count == 0 {
                return Ok(hasher.digest());
            }
            hasher.update(&buffer[..count]);
        }
    }

    fn relative_path(&self) -> String {
        upload_path(&self.name, &self.id)
    }

    fn path(&self) -> std::path::PathBuf {
        self.store.tree().path(&self.relative_path())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(hasher) = self.hasher.take() {
            self.store.keep_hash(&self.id, self.offset, hasher);
        }
    }
}
