//! Blobs: looking up, mounting, deleting.

use crate::lock::Guard;
use crate::store::{GRACE, Store, blob_path, member_path};
use crate::tree::Placed;
use crate::{Digest, Error, Name};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{Read, Write};

/// A blob that is open for reading.
#[derive(Debug)]
pub struct Blob {
    /// Its content, from the beginning.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// Opens a blob of a repository.
    pub fn open_blob(&self, name: &Name, digest: &Digest) -> Result<Blob, Error> {
        let path = member_path(name, digest);
        let Some(file) = self.tree().file(&path, OFlags::RDONLY)? else {
            return Err(unknown(name, digest));
        };
        let size = file.metadata().map_err(Error::io("look up", self.tree().path(&path)))?.len();
        Ok(Blob { file, size })
    }

    /// The size of a blob in bytes. Who asks may rely on the answer for half of [`GRACE`]: the collector keeps the blob
    /// until then.
    pub fn blob_size(&self, name: &Name, digest: &Digest) -> Result<u64, Error> {
        let path = member_path(name, digest);
        let Some(stat) = self.tree().stat(&path)? else { return Err(unknown(name, digest)) };
        if stat.older_than(GRACE / 2) {
            let _guard = Guard::shared(self.tree())?;
            match self.tree().touch(&path) {
                Ok(true) => {}
                Ok(false) => return Err(unknown(name, digest)),
                // A disk that takes no more writes still has the blob.
                Err(error) if read_only(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stat.size)
    }

    /// Makes a blob of `from` one of `to`. With no `from`, a blob of any repository: a caller that lets everybody read
    /// everything may do that. False when there is no such blob.
    pub fn mount_blob(
        &self,
        from: Option<&Name>,
        to: &Name,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let source = match from {
            Some(from) => member_path(from, digest),
            None => blob_path(digest),
        };
        let _guard = Guard::shared(self.tree())?;
        if !self.tree().touch(&source)? {
            return Ok(false);
        }
        self.join(&source, to, digest)?;
        Ok(true)
    }

    /// Gives a repository the blob that lies at `source`. The lock is held.
    pub(crate) fn join(&self, source: &str, name: &Name, digest: &Digest) -> Result<(), Error> {
        let member = member_path(name, digest);
        match self.tree().link(source, &member)? {
            Placed::New | Placed::Old => Ok(()),
            Placed::TooManyLinks => self.copy(source, &member),
        }
    }

    /// A file that may have no further name (ext4: 65,000) is copied.
    fn copy(&self, source: &str, to: &str) -> Result<(), Error> {
        let tree = self.tree();
        let staged = tree.stage(&[])?;
        let (Some(mut from), Some(mut copy)) =
            (tree.file(source, OFlags::RDONLY)?, tree.file(&staged.path, OFlags::WRONLY)?)
        else {
            return Err(Error::io("copy", tree.path(source))(rustix::io::Errno::NOENT));
        };
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = from.read(&mut buffer).map_err(Error::io("read", tree.path(source)))?;
            if count == 0 {
                break;
            }
            copy.write_all(&buffer[..count])
                .map_err(Error::io("write", tree.path(&staged.path)))?;
        }
        copy.sync_data().map_err(Error::io("sync", tree.path(&staged.path)))?;
        tree.rename(&staged.path, to, false)?;
        Ok(())
    }

    /// Takes a blob from a repository. Its bytes go when the collector finds that no other has them.
    pub fn delete_blob(&self, name: &Name, digest: &Digest) -> Result<(), Error> {
        let _guard = Guard::exclusive(self.tree())?;
        match self.tree().remove(&member_path(name, digest), true)? {
            true => Ok(()),
            false => Err(unknown(name, digest)),
        }
    }
}

fn read_only(error: &Error) -> bool {
    match error {
        Error::NoSpace { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::ReadOnlyFilesystem,
        _ => false,
    }
}

pub(crate) fn unknown(name: &Name, digest: &Digest) -> Error {
    Error::BlobUnknown { name: name.clone(), digest: digest.clone() }
}
