//! Loading the archives of `docker save`, of other engines and tools, and OCI layouts.
//!
//! ```text
//! stream ─ Decoder ─ Reader ─ every file a blob, links and the four lists aside   (contents)
//!        ─ lists + configurations ─ which images, of which blobs                  (plan)
//!        ─ unpack the layers, two at a time ─ one transaction per image           (here)
//! ```
//! The lists come last in every archive of the field, so the layers' chain ids are known only then.

mod contents;
mod plan;

use crate::record::{Image, chain};
use crate::store::{NewImage, NewLayer};
use crate::{Lease, LoadError, Store};
use futures_util::{StreamExt as _, TryStreamExt as _};
use plan::Planned;
use spec::{Digest, Reference, SnapshotKey};
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Layers that are unpacked at the same time.
const PARALLEL: usize = 2;

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
        let read = move || {
            let contents = contents::read(&store, &held, input)?;
            plan::plan(&store, &contents)
        };
        let images = tokio::task::spawn_blocking(read).await??;
        let sizes = self.unpack_all(lease, &images, progress).await?;
        let mut loaded = Vec::new();
        for image in images {
            loaded.push(self.add_planned(lease, image, &sizes, progress).await?);
        }
        Ok(loaded)
    }

    /// Unpacks each layer once, whichever images have it.
    async fn unpack_all(
        &self,
        lease: &Lease,
        images: &[Planned],
        progress: &UnboundedSender<Progress>,
    ) -> Result<HashMap<SnapshotKey, u64>, LoadError> {
        let mut layers: Vec<(SnapshotKey, &Digest, &content::Blob)> = Vec::new();
        for image in images {
            for ((key, diff_id), blob) in
                chain(&image.diff_ids).into_iter().zip(&image.diff_ids).zip(&image.layers)
            {
                // The same layer from another blob is checked too.
                if !layers.iter().any(|(k, _, b)| *k == key && b.digest == blob.blob.digest) {
                    layers.push((key, diff_id, &blob.blob));
                }
            }
        }
        let unpack = |(key, diff_id, blob): (SnapshotKey, Digest, content::Blob)| async move {
            let report = |current| {
                let id = diff_id.short().to_owned();
                // Nobody may listen.
                progress
                    .send(Progress::Layer { id, current, total: blob.size })
                    .unwrap_or_default();
            };
            report(0);
            let size = self.ensure_layer(lease, &key, &diff_id, &blob.digest).await?;
            report(blob.size);
            Ok::<_, LoadError>((key, size))
        };
        let layers: Vec<_> =
            layers.into_iter().map(|(key, diff, blob)| (key, diff.clone(), blob.clone())).collect();
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
        sizes: &HashMap<SnapshotKey, u64>,
        progress: &UnboundedSender<Progress>,
    ) -> Result<Loaded, LoadError> {
        let layers =
            chain(&image.diff_ids).into_iter().zip(&image.layers).map(|(key, layer)| NewLayer {
                blob: layer.descriptor(),
                size: sizes.get(&key).copied().unwrap_or_default(),
            });
        let new = NewImage {
            layers: layers.collect(),
            config: image.config,
            manifest: image.manifest,
            parent: None,
            names: image.names.clone(),
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
