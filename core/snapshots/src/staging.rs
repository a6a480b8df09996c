//! A layer in the making.

use crate::error::{StoreError, kernel};
use crate::meta::Snapshot;
use crate::store::{DIRECTORY, Store, exists, fresh_name, make_tree, write_file};
use rustix::fs::{Mode, XattrFlags, mkdirat, openat};
use rustix::io::Errno;
use spec::SnapshotKey;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A layer in the making: a tree that nobody sees. Dropped, it is removed.
#[derive(Debug)]
pub struct Staging<'a> {
    store: &'a Store,
    key: SnapshotKey,
    name: String,
    directory: OwnedFd,
    tree: OwnedFd,
    published: bool,
}

impl Store {
    /// Begins a layer. None when one of this key exists.
    ///
    /// # Errors
    /// The name is a container's, or the directory cannot be made.
    pub fn stage(&self, key: &SnapshotKey) -> Result<Option<Staging<'_>>, StoreError> {
        let failed = kernel("begin", key);
        if exists(self.root.as_fd(), key.as_str()).map_err(&failed)? {
            return self.layer(key).map(|_| None);
        }
        let name = fresh_name().map_err(&failed)?;
        mkdirat(&self.tmp, &*name, Mode::RWXU).map_err(&failed)?;
        let directory = openat(&self.tmp, &*name, DIRECTORY, Mode::empty()).map_err(&failed)?;
        let tree = make_tree(directory.as_fd(), "fs").map_err(&failed)?;
        Ok(Some(Staging { store: self, key: key.clone(), name, directory, tree, published: false }))
    }
}

impl Staging<'_> {
    /// The tree, empty at first.
    pub fn tree(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    /// Marks directories of the tree as hiding those of lower layers. The paths come from whoever unpacked an archive:
    /// they are looked up in the tree as its root, and must be directories.
    ///
    /// # Errors
    /// A path is no directory in the tree, or the file system has no trusted attributes.
    pub fn mark_opaque(&self, paths: &[Vec<u8>]) -> Result<(), StoreError> {
        let failed = kernel("mark opaque directories of", &self.key);
        for path in paths {
            let directory = archive::open_directory(self.tree.as_fd(), path).map_err(&failed)?;
            let (name, value) = (archive::OPAQUE_ATTRIBUTE, b"y");
            rustix::fs::fsetxattr(&directory, name, value, XattrFlags::empty()).map_err(&failed)?;
        }
        Ok(())
    }

    /// Makes the layer visible: writes what it is, syncs the file system once, and renames. When another process made
    /// the same layer meanwhile, that one stays. `size` is in bytes of content.
    ///
    /// # Errors
    /// Something cannot be written; the layer is not visible then.
    pub fn commit(mut self, size: u64) -> Result<(), StoreError> {
        let failed = kernel("commit", &self.key);
        let meta = Snapshot::Layer { size }.to_text();
        write_file(self.directory.as_fd(), "meta", &meta).map_err(&failed)?;
        rustix::fs::syncfs(&self.directory).map_err(&failed)?;
        self.published = self.store.publish(&self.name, &self.key).map_err(&failed)?;
        // The rename itself must last too: a layer that was answered as there is there after a power loss.
        rustix::fs::fsync(&self.store.root).map_err(&failed)?;
        if self.published {
            return Ok(());
        }
        match self.store.layer(&self.key) {
            Ok(_) => Ok(()),
            Err(StoreError::Missing(_)) => Err(failed(Errno::EXIST)),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.published {
            self.store.discard(&self.name);
        }
    }
}
