//! Removing what nobody has.

use crate::record::{COMPRESSED, IMAGES, LAYERS, REFERENCES, User};
use crate::{Error, Lease, Store};
use metadata::Read as _;
use spec::{Digest, SnapshotKey};
use std::collections::{BTreeSet, HashSet};

/// What was garbage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that were removed.
    pub blobs: usize,
    /// Their bytes, and those of the layers whose size was known.
    pub bytes: u64,
    /// Layers that were removed.
    pub layers: Vec<SnapshotKey>,
    /// Layers that could not be removed now; the next collection tries again when it is given them as existing.
    pub failed: Vec<(SnapshotKey, spec::Failure)>,
}

/// What may be garbage: all, or what an operation had.
pub(crate) enum Candidates {
    All { snapshots: Vec<SnapshotKey> },
    These { blobs: Vec<Digest>, layers: Vec<SnapshotKey> },
}

/// What is alive.
struct Alive {
    blobs: HashSet<Digest>,
    layers: HashSet<SnapshotKey>,
}

impl Store {
    /// Removes all blobs and layers that no image, container or running operation has. `snapshots` are the committed
    /// layers that the storage worker has; those that the database does not know are removed too.
    pub async fn collect(
        &self,
        users: &[User],
        snapshots: Vec<SnapshotKey>,
    ) -> Result<Collected, Error> {
        self.collect_candidates(users, Candidates::All { snapshots }).await
    }

    pub(crate) async fn collect_candidates(
        &self,
        users: &[User],
        candidates: Candidates,
    ) -> Result<Collected, Error> {
        let (store, used) = (self.clone(), used_layers(users));
        let choose = move || store.collect_blocking(&used, candidates);
        let (mut collected, removals) = tokio::task::spawn_blocking(choose).await??;
        for removal in removals {
            match self.layers().remove(removal.key.clone()).await {
                Ok(()) => collected.layers.push(removal.key.clone()),
                Err(failure) => collected.failed.push((removal.key.clone(), failure)),
            }
        }
        Ok(collected)
    }

    /// Removes blobs and records, and answers the layers that are to be removed.
    fn collect_blocking(
        &self,
        used: &HashSet<SnapshotKey>,
        candidates: Candidates,
    ) -> Result<(Collected, Vec<Removal>), Error> {
        let _stopped = self.leases().stop_commits();
        let alive = self.alive(used)?;
        let mut collected = Collected::default();
        let (blobs, layers) = self.choose(&alive, candidates)?;
        let mut removals = Vec::new();
        let mut writer = self.write()?;
        for key in layers {
            let Some(removal) = Removal::begin(self, key) else { continue };
            collected.bytes += writer.get(LAYERS, &removal.key)?.map_or(0, |layer| layer.size);
            writer.remove(LAYERS, &removal.key)?;
            removals.push(removal);
        }
        for digest in &blobs {
            writer.remove(COMPRESSED, digest)?;
        }
        writer.commit()?;
        for digest in blobs {
            let size = self.content().size(&digest)?.unwrap_or_default();
            if self.content().remove(&digest)? {
                collected.blobs += 1;
                collected.bytes += size;
            }
        }
        Ok((collected, removals))
    }

    fn choose(
        &self,
        alive: &Alive,
        candidates: Candidates,
    ) -> Result<(BTreeSet<Digest>, BTreeSet<SnapshotKey>), Error> {
        let (mut blobs, mut layers) = match candidates {
            Candidates::These { blobs, layers } => (blobs, layers),
            Candidates::All { snapshots } => {
                let blobs = self.content().list()?.into_iter().map(|blob| blob.digest).collect();
                let recorded = self.read()?.list(LAYERS)?.into_iter().map(|(key, _)| key);
                (blobs, snapshots.into_iter().chain(recorded).collect())
            }
        };
        blobs.retain(|blob| !alive.blobs.contains(blob));
        layers.retain(|layer| !alive.layers.contains(layer));
        Ok((blobs.into_iter().collect(), layers.into_iter().collect()))
    }

    fn alive(&self, used: &HashSet<SnapshotKey>) -> Result<Alive, Error> {
        let mut alive = Alive { blobs: HashSet::new(), layers: used.clone() };
        for (_, image) in self.read()?.list(IMAGES)? {
            alive.blobs.extend(image.blobs().cloned());
            alive.layers.extend(image.layers.into_iter().map(|layer| layer.chain));
        }
        for (_, named) in self.read()?.list(REFERENCES)? {
            alive.blobs.extend(named.origin.map(|origin| origin.digest));
        }
        alive.blobs.extend(self.fetched()?);
        let held = self.leases().held();
        alive.blobs.extend(held.blobs.keys().cloned());
        alive.layers.extend(held.layers.keys().cloned());
        Ok(alive)
    }

    /// Ends an operation: what was made under its lease and no image has is removed. A failure here is not the
    /// operation's: what stays is found by the next collection.
    pub(crate) async fn end(&self, lease: Lease) {
        let (blobs, layers) = (lease.blobs(), lease.made_layers());
        drop(lease);
        self.collect_candidates(&[], Candidates::These { blobs, layers }).await.unwrap_or_default();
    }

    /// Ends an operation whose blocking parts have ended too.
    pub async fn end_shared(&self, lease: std::sync::Arc<Lease>) {
        if let Some(lease) = std::sync::Arc::into_inner(lease) {
            self.end(lease).await;
        }
    }

    /// Those of the layers that neither an image nor a container nor a lease has.
    pub(crate) fn unused_layers(
        &self,
        users: &[User],
        layers: Vec<SnapshotKey>,
    ) -> Result<Vec<SnapshotKey>, Error> {
        let alive = self.alive(&used_layers(users))?;
        Ok(layers.into_iter().filter(|layer| !alive.layers.contains(layer)).collect())
    }
}

fn used_layers(users: &[User]) -> HashSet<SnapshotKey> {
    users.iter().flat_map(|user| user.layers.iter().cloned()).collect()
}

/// A layer that is being removed: until this is dropped, nobody can lease it.
struct Removal {
    store: Store,
    key: SnapshotKey,
}

impl Removal {
    fn begin(store: &Store, key: SnapshotKey) -> Option<Self> {
        store.leases().begin_removal(&key).then(|| Self { store: store.clone(), key })
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.store.leases().end_removal(&self.key);
    }
}
