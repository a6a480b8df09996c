//! Unpacking layers while the archive is still being read.
//!
//! Which images an archive has is known only at its end. But a configuration that went by names its layers, and a
//! layer that is not compressed is known by its digest; with both, it can be unpacked. If it turns out that no image
//! wants it, the lease's end removes it.

use super::{PARALLEL, Sizes};
use crate::record::chain;
use crate::{Lease, Store};
use content::Blob;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use spec::image::Config;
use spec::{Digest, SnapshotKey};
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::sync::mpsc::UnboundedReceiver;

/// Bytes up to which a file may be a configuration that is looked at here; real ones have a few thousand.
const CONFIG_MAX: u64 = 256 << 10;
/// Configurations that are looked at.
const CONFIGS_MAX: usize = 100;

/// A file of the archive that went by.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It is a configuration with these layers.
    Config(Vec<Digest>),
    /// It is anything else.
    Blob(Blob),
}

impl Seen {
    /// Looks at a small file. Blocks for the disk.
    pub(crate) fn new(store: &Store, blob: &Blob) -> Self {
        let config = (blob.size <= CONFIG_MAX)
            .then(|| store.content().read(&blob.digest, CONFIG_MAX).ok())
            .flatten()
            .filter(|bytes| bytes.starts_with(b"{"))
            .and_then(|bytes| Config::parse(&bytes).ok());
        match config {
            Some(config) if !config.rootfs.diff_ids.is_empty() => {
                Self::Config(config.rootfs.diff_ids)
            }
            _ => Self::Blob(blob.clone()),
        }
    }
}

/// What is known so far.
#[derive(Debug, Default)]
struct Known {
    configs: usize,
    /// Where the layer of a digest is wanted.
    wanted: HashMap<Digest, Vec<SnapshotKey>>,
    blobs: HashSet<Digest>,
    begun: HashSet<SnapshotKey>,
    ready: VecDeque<(SnapshotKey, Digest)>,
}

impl Known {
    fn add(&mut self, seen: Seen) {
        match seen {
            Seen::Config(diff_ids) if self.configs < CONFIGS_MAX => {
                self.configs += 1;
                for (key, diff_id) in chain(&diff_ids).into_iter().zip(diff_ids) {
                    if self.blobs.contains(&diff_id) {
                        self.begin(key.clone(), diff_id.clone());
                    }
                    self.wanted.entry(diff_id).or_default().push(key);
                }
            }
            Seen::Config(_) => {}
            Seen::Blob(blob) => {
                for key in self.wanted.get(&blob.digest).cloned().unwrap_or_default() {
                    self.begin(key, blob.digest.clone());
                }
                self.blobs.insert(blob.digest);
            }
        }
    }

    fn begin(&mut self, key: SnapshotKey, diff_id: Digest) {
        if self.begun.insert(key.clone()) {
            self.ready.push_back((key, diff_id));
        }
    }
}

impl Store {
    /// Unpacks what can be unpacked until no more files come. A failure here is found again, and told, when it is
    /// known that the layer is wanted.
    pub(super) async fn unpack_early(
        &self,
        lease: &Lease,
        mut seen: UnboundedReceiver<Seen>,
    ) -> Sizes {
        let mut known = Known::default();
        let mut running = FuturesUnordered::new();
        let mut sizes = Sizes::new();
        let mut open = true;
        while open || !running.is_empty() {
            while running.len() < PARALLEL && open {
                let Some((key, diff_id)) = known.ready.pop_front() else { break };
                running.push(async move {
                    let size = self.ensure_layer(lease, &key, &diff_id, &diff_id).await;
                    size.ok().map(|size| ((key, diff_id), size))
                });
            }
            tokio::select! {
                next = seen.recv(), if open => match next {
                    Some(next) => known.add(next),
                    None => open = false,
                },
                Some(done) = running.next(), if !running.is_empty() => sizes.extend(done),
            }
        }
        sizes
    }
}
