//! Loading the archives of `docker save`, of other engines and tools, and OCI layouts.
//!
//! ```text
//! stream ─ Decoder ─ Reader ─ every file a blob, links and the four lists aside   (contents)
//!        ─ lists + configurations ─ which images, of which blobs                  (plan)
//!        ─ unpack the layers, two at a time ─ one transaction per image           (here)
//! ```
//! The lists come last in every archive of the field. What can be unpacked before them is ([`early`]).

mod contents;
mod early;
mod plan;

use crate::record::{Image, chain};
use crate::store::{NewImage, NewLayer};
use crate::{Lease, LoadError, Store};
use futures_util::{StreamExt as _, TryStreamExt as _};
use plan::Planned;
use spec::{Digest, Reference, SnapshotKey};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Layers that are unpacked at the same time.
const PARALLEL: usize = 2;

/// The bytes of the files of layers that are unpacked, by chain id and blob.
type Sizes = HashMap<(SnapshotKey, Digest), u64>;

/// What a client may be told while a load goes on. There are at most a few for each layer and name of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A layer is unpacked: `Loading layer`.
    Layer {
        /// The beginning of the digest of its uncompressed tar.
        id: String,
        /// Bytes of its blob that are done: none, or all.
        current: u64,
        /// Bytes of its blob.
        total: u64,
    },
    /// A line of text with its line end, as Docker writes it.
    Message(String),
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The names it got.
    pub names: Vec<Reference>,
}

impl Store {
    /// Loads all images of an archive, compressed or not. `input` is read on a blocking thread. When anything is wrong
    /// with the archive, nothing of it stays, but images that were complete before a failure of the storage.
    ///
    /// The load goes on when this is dropped; it ends when `input` fails.
    pub async fn load(
        &self,
        input: impl Read + Send + 'static,
        progress: UnboundedSender<Progress>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let store = self.clone();
        let load = async move {
            let lease = Arc::new(store.lease());
            let result = store.load_leased(&lease, input, &progress).await;
            store.end_shared(lease).await;
            result
        };
        tokio::spawn(load).await?
    }

    async fn load_leased(
        &self,
        lease: &Arc<Lease>,
        input: impl Read + Send + 'static,
        progress: &UnboundedSender<Progress>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let (store, held) = (self.clone(), Arc::clone(lease));
        let (seen, seeing) = tokio::sync::mpsc::unbounded_channel();
        let read = move || {
            let contents = contents::read(&store, &held, input, &seen)?;
            // Whoever unpacks early stops here; the rest is unpacked with the plan.
            drop(seen);
            plan::plan(&store, &contents)
        };
        let read = tokio::task::spawn_blocking(read);
        let early = self.unpack_early(lease, seeing).await;
        let images = read.await??;
        let sizes = self.unpack_all(lease, &images, early, progress).await?;
        let mut loaded = Vec::new();
        for image in images {
            loaded.push(self.add_planned(lease, image, &sizes, progress).await?);
        }
        Ok(loaded)
    }

    /// Unpacks each layer once, whichever images have it. `early` has what is unpacked already.
    async fn unpack_all(
        &self,
        lease: &Lease,
        images: &[Planned],
        early: Sizes,
        progress: &UnboundedSender<Progress>,
    ) -> Result<Sizes, LoadError> {
        // The same layer from another blob counts twice, so that it is checked too.
        let mut layers = Vec::new();
        let mut known = HashSet::new();
        for image in images {
            let keys = chain(&image.diff_ids).into_iter().zip(&image.diff_ids);
            for ((key, diff_id), layer) in keys.zip(&image.layers) {
                if known.insert((key.clone(), layer.blob.digest.clone())) {
                    layers.push((key, diff_id.clone(), layer.blob.clone()));
                }
            }
        }
        let early = &early;
        let unpack = |(key, diff_id, blob): (SnapshotKey, Digest, content::Blob)| async move {
            let report = |current| {
                let id = diff_id.short().to_owned();
                // Nobody may listen.
                progress
                    .send(Progress::Layer { id, current, total: blob.size })
                    .unwrap_or_default();
            };
            report(0);
            let place = (key, blob.digest.clone());
            let size = match early.get(&place) {
                Some(size) => *size,
                None => self.ensure_layer(lease, &place.0, &diff_id, &place.1).await?,
            };
            report(blob.size);
            Ok::<_, LoadError>((place, size))
        };
        futures_util::stream::iter(layers)
            .map(unpack)
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
    }

    async fn add_planned(
        &self,
        lease: &Arc<Lease>,
        image: Planned,
        sizes: &Sizes,
        progress: &UnboundedSender<Progress>,
    ) -> Result<Loaded, LoadError> {
        let layers =
            chain(&image.diff_ids).into_iter().zip(&image.layers).map(|(key, layer)| NewLayer {
                blob: layer.descriptor(),
                size: sizes.get(&(key, layer.blob.digest.clone())).copied().unwrap_or_default(),
            });
        let new = NewImage {
            layers: layers.collect(),
            config: image.config,
            manifest: image.manifest,
            parent: None,
            names: image.names.clone(),
            origin: None,
        };
        let (store, held) = (self.clone(), Arc::clone(lease));
        let add = move || store.add_blocking(&held, new);
        let (image_record, moved) = tokio::task::spawn_blocking(add).await??;
        let mut lines: Vec<String> = moved
            .iter()
            .map(|(name, old)| {
                format!(
                    "The image {} already exists, renaming the old one with ID {old} to empty string\n",
                    name.familiar()
                )
            })
            .collect();
        lines.extend(image.names.iter().map(|name| format!("Loaded image: {}\n", name.familiar())));
        if image.names.is_empty() {
            lines.push(format!("Loaded image ID: {}\n", image_record.id));
        }
        for line in lines {
            progress.send(Progress::Message(line)).unwrap_or_default();
        }
        Ok(Loaded { image: image_record, names: image.names })
    }
}
