//! The store, and adding images to it.

use crate::lease::{Lease, Leases};
use crate::record::{
    FETCHED, IMAGES, Image, ImageLayer, LAYERS, Layer, Named, REFERENCES, chain, digest,
};
use crate::{Error, Layers, time};
use archive::{Decoder, HashReader};
use content::Expected;
use metadata::{Read as _, Reader, Writer};
use spec::image::{Config, Descriptor};
use spec::{Digest, Reference, SnapshotKey};
use std::sync::Arc;

/// Bytes that one layer may unpack to: more than any image of the field, less than a bomb.
pub(crate) const LAYER_LIMIT: u64 = 256 << 30;

/// The images of an engine. Clones are handles of the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    metadata: metadata::Store,
    content: content::Store,
    layers: Arc<dyn Layers>,
    leases: Arc<Leases>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("content", &self.inner.content).finish_non_exhaustive()
    }
}

/// An image to be added. Its blobs and layers must be kept by the lease that it is added with.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The bytes of its configuration; their digest is the image's id.
    pub config: Vec<u8>,
    /// Its manifest, when there is one.
    pub manifest: Option<Descriptor>,
    /// Its layers, lowest first: one for each diff id of the configuration.
    pub layers: Vec<NewLayer>,
    /// The image it was made from, here.
    pub parent: Option<Digest>,
    /// Its names, each with a tag or a digest. A name that another image has moves to this one.
    pub names: Vec<Reference>,
    /// The manifest or index that these names stand for in a registry; its blob is kept with them.
    pub origin: Option<Descriptor>,
}

/// A layer of an image to be added.
#[derive(Debug, Clone)]
pub struct NewLayer {
    /// Its blob, as it came.
    pub blob: Descriptor,
    /// Bytes of its files, as [`Store::ensure_layer`] answered.
    pub size: u64,
}

impl Store {
    /// A store in an open database and content store. Call [`Store::collect`] once it is known which containers
    /// there are.
    pub fn new(
        metadata: metadata::Store,
        content: content::Store,
        layers: Arc<dyn Layers>,
    ) -> Self {
        Self { inner: Arc::new(Inner { metadata, content, layers, leases: Arc::default() }) }
    }

    /// The content store, to ingest blobs into; they are kept by [`Lease::commit_blocking`].
    pub fn content(&self) -> &content::Store {
        &self.inner.content
    }

    pub(crate) fn layers(&self) -> &Arc<dyn Layers> {
        &self.inner.layers
    }

    pub(crate) fn leases(&self) -> &Arc<Leases> {
        &self.inner.leases
    }

    pub(crate) fn read(&self) -> Result<Reader, Error> {
        Ok(self.inner.metadata.read()?)
    }

    pub(crate) fn write(&self) -> Result<Writer<'_>, Error> {
        Ok(self.inner.metadata.write()?)
    }

    /// Begins an operation that makes blobs and layers.
    pub fn lease(&self) -> Lease {
        self.inner.leases.begin()
    }

    /// Keeps an image's layers and blobs from being removed until the lease is dropped: while a container of it is
    /// being made, or while it is written out. Waits while one of its layers is being removed.
    pub async fn keep(&self, image: &Image) -> Result<Lease, Error> {
        let lease = self.lease();
        for layer in &image.layers {
            lease.keep_layer(&layer.chain).await;
        }
        for blob in image.blobs() {
            lease.keep_blob(self.content(), blob)?;
        }
        // The image may have been removed while its layers were not yet kept.
        match self.read()?.contains(IMAGES, &image.id)? {
            true => Ok(lease),
            false => Err(Error::NotFound(image.id.to_string())),
        }
    }

    /// An image's record by its id.
    pub fn get(&self, id: &Digest) -> Result<Option<Image>, Error> {
        Ok(self.read()?.get(IMAGES, id)?)
    }

    /// An image's configuration, as bytes.
    pub fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>, Error> {
        Ok(self.content().read(id, content::READ_LIMIT)?)
    }

    /// An image's configuration.
    pub fn config(&self, id: &Digest) -> Result<Config, Error> {
        Config::parse(&self.config_bytes(id)?)
            .map_err(|source| Error::Document { id: id.clone(), source })
    }

    /// Makes sure that a layer is unpacked, and answers the bytes of its files. The blob must be kept by `lease`,
    /// which keeps the layer from here on. When the layer exists already, it is checked that the blob has its diff id.
    pub async fn ensure_layer(
        &self,
        lease: &Lease,
        key: &SnapshotKey,
        diff_id: &Digest,
        blob: &Digest,
    ) -> Result<u64, Error> {
        lease.keep_layer(key).await;
        if let Some(layer) = self.read()?.get(LAYERS, key)? {
            let (content, blob, diff_id) = (self.content().clone(), blob.clone(), diff_id.clone());
            tokio::task::spawn_blocking(move || check_diff_id(&content, &blob, &diff_id)).await??;
            return Ok(layer.size);
        }
        lease.made_layer(key);
        let file = self.content().open_blob(blob)?;
        let unpacked =
            self.inner.layers.unpack(key.clone(), file.into(), diff_id.clone(), LAYER_LIMIT);
        unpacked.await.map_err(|source| Error::Layer {
            doing: "unpack",
            layer: diff_id.to_string(),
            source,
        })
    }

    /// Adds an image. Blocks for the disk. Its configuration is written here; when this returns, the image is durable.
    /// Answers the record and, for each name that was taken from another image, that image.
    pub fn add_blocking(
        &self,
        lease: &Lease,
        image: NewImage,
    ) -> Result<(Image, Vec<(Reference, Digest)>), Error> {
        let mut added = describe(&image)?;
        let mut ingest = self.content().ingest(Expected::at_most(content::READ_LIMIT))?;
        ingest.write_bytes(&image.config)?;
        lease.commit_blocking(ingest)?;
        let mut writer = self.write()?;
        if let Some(old) = writer.get(IMAGES, &added.id)? {
            // The same image again: what it knows about its origin stays.
            added.tagged_at = old.tagged_at;
            added.parent = added.parent.or(old.parent);
            added.manifest = added.manifest.or(old.manifest);
        }
        for layer in &added.layers {
            let record = Layer { diff_id: layer.diff_id.clone(), size: layer.size };
            writer.put(LAYERS, &layer.chain, &record)?;
        }
        let mut moved = Vec::new();
        for name in &image.names {
            let named = Named { id: added.id.clone(), origin: image.origin.clone() };
            let key = crate::lookup::key(name);
            let old = writer.get(REFERENCES, &*key)?;
            writer.put(REFERENCES, &*key, &named)?;
            if let Some(origin) = old.as_ref().and_then(|old| old.origin.as_ref()) {
                lease.leave_blob(origin.digest.clone());
            }
            moved.extend(old.filter(|old| old.id != added.id).map(|old| (name.clone(), old.id)));
            added.tagged_at = Some(time::now());
        }
        for blob in added.blobs().chain(image.origin.iter().map(|origin| &origin.digest)) {
            writer.remove(FETCHED, blob)?;
        }
        writer.put(IMAGES, &added.id, &added)?;
        writer.commit_durable()?;
        Ok((added, moved))
    }
}

fn describe(image: &NewImage) -> Result<Image, Error> {
    let id = digest(&image.config);
    let config = Config::parse(&image.config)
        .map_err(|source| Error::Document { id: id.clone(), source })?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        let (layers, diff_ids) = (image.layers.len(), diff_ids.len());
        return Err(Error::LayerCount { id, layers, diff_ids });
    }
    let layers: Vec<ImageLayer> = chain(diff_ids)
        .into_iter()
        .zip(diff_ids)
        .zip(&image.layers)
        .map(|((chain, diff_id), layer)| ImageLayer {
            chain,
            diff_id: diff_id.clone(),
            blob: layer.blob.clone(),
            size: layer.size,
        })
        .collect();
    Ok(Image {
        id,
        config_size: image.config.len() as u64,
        manifest: image.manifest.clone(),
        size: layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size)),
        layers,
        created_at: config.created.as_deref().and_then(time::parse),
        parent: image.parent.clone(),
        tagged_at: None,
        platform: config.platform(),
        labels: config.config.labels.clone(),
        created: config.created,
    })
}

pub(crate) fn check_diff_id(
    content: &content::Store,
    blob: &Digest,
    expected: &Digest,
) -> Result<(), Error> {
    if blob == expected {
        return Ok(());
    }
    let input = |source| Error::Input { doing: "read layer", source };
    let decoder = Decoder::new(content.open_blob(blob)?, LAYER_LIMIT).map_err(input)?;
    let mut hash = HashReader::new(decoder);
    std::io::copy(&mut hash, &mut std::io::sink()).map_err(input)?;
    let (found, _) = hash.finish();
    if found == *expected {
        return Ok(());
    }
    Err(Error::DiffId { blob: blob.clone(), expected: expected.clone(), found })
}
