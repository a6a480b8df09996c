//! What keeps blobs and layers alive that no record names yet.

use crate::Error;
use content::{Blob, Ingest};
use spec::{Digest, SnapshotKey};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// All leases, and the layers that are being removed.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// Written while garbage is chosen and blobs are removed; read while a blob becomes visible and gets its lease.
    collecting: RwLock<()>,
    held: Mutex<Held>,
    /// A layer is no longer being removed.
    removed: tokio::sync::Notify,
}

/// How many leases have each thing.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) blobs: HashMap<Digest, usize>,
    pub(crate) layers: HashMap<SnapshotKey, usize>,
    removing: HashSet<SnapshotKey>,
}

/// Keeps what belongs to one operation until it is dropped.
#[derive(Debug)]
pub struct Lease {
    leases: Arc<Leases>,
    mine: Mutex<Mine>,
}

#[derive(Debug, Default)]
struct Mine {
    blobs: Vec<Digest>,
    layers: Vec<SnapshotKey>,
    /// Those of the layers that did not exist before.
    made: Vec<SnapshotKey>,
    /// Blobs that may have become garbage by the operation.
    left: Vec<Digest>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leases {
    pub(crate) fn begin(self: &Arc<Self>) -> Lease {
        Lease { leases: Arc::clone(self), mine: Mutex::default() }
    }

    pub(crate) fn stop_commits(&self) -> RwLockWriteGuard<'_, ()> {
        self.collecting.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn no_collection(&self) -> RwLockReadGuard<'_, ()> {
        self.collecting.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Whether a layer may be removed; from then on, no lease gets it until [`Leases::end_removal`].
    pub(crate) fn begin_removal(&self, key: &SnapshotKey) -> bool {
        let mut held = self.held();
        !held.layers.contains_key(key) && held.removing.insert(key.clone())
    }

    pub(crate) fn end_removal(&self, key: &SnapshotKey) {
        self.held().removing.remove(key);
        self.removed.notify_waiters();
    }
}

impl Lease {
    /// Makes a blob visible, kept by this lease. Blocks for the disk.
    pub fn commit_blocking(&self, ingest: Ingest) -> Result<Blob, Error> {
        let _guard = self.leases.no_collection();
        let blob = ingest.commit()?;
        self.hold_blob(&blob.digest);
        Ok(blob)
    }

    /// Keeps a blob that exists; false when there is none.
    pub fn keep_blob(&self, content: &content::Store, digest: &Digest) -> Result<bool, Error> {
        let _guard = self.leases.no_collection();
        let exists = content.size(digest)?.is_some();
        if exists {
            self.hold_blob(digest);
        }
        Ok(exists)
    }

    fn hold_blob(&self, digest: &Digest) {
        *self.leases.held().blobs.entry(digest.clone()).or_default() += 1;
        lock(&self.mine).blobs.push(digest.clone());
    }

    /// Keeps a layer, whether it exists or not. Waits while it is being removed.
    pub async fn keep_layer(&self, key: &SnapshotKey) {
        loop {
            let removed = self.leases.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            if self.try_keep_layer(key) {
                return;
            }
            removed.await;
        }
    }

    fn try_keep_layer(&self, key: &SnapshotKey) -> bool {
        let mut held = self.leases.held();
        if held.removing.contains(key) {
            return false;
        }
        *held.layers.entry(key.clone()).or_default() += 1;
        drop(held);
        lock(&self.mine).layers.push(key.clone());
        true
    }

    /// The blobs that this lease has, and those that the operation has taken away from something.
    pub(crate) fn blobs(&self) -> Vec<Digest> {
        let mine = lock(&self.mine);
        mine.blobs.iter().chain(&mine.left).cloned().collect()
    }

    /// Notes that nothing may have a blob any more when the operation has ended.
    pub(crate) fn leave_blob(&self, digest: Digest) {
        lock(&self.mine).left.push(digest);
    }

    /// Notes that a layer does not exist yet and is about to be unpacked.
    pub fn made_layer(&self, key: &SnapshotKey) {
        lock(&self.mine).made.push(key.clone());
    }

    /// The layers that were unpacked under this lease.
    pub(crate) fn made_layers(&self) -> Vec<SnapshotKey> {
        lock(&self.mine).made.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mine = std::mem::take(&mut *lock(&self.mine));
        let mut held = self.leases.held();
        for blob in mine.blobs {
            release(&mut held.blobs, blob);
        }
        for layer in mine.layers {
            release(&mut held.layers, layer);
        }
    }
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}
