//! The records in the metadata database.

use metadata::Table;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use spec::image::Descriptor;
use spec::{Digest, Platform, SnapshotKey};
use std::collections::BTreeMap;

/// Images by their id.
pub(crate) const IMAGES: Table<Digest, Image> = Table::new("images");
/// Names by their full text, with a tag or a digest.
pub(crate) const REFERENCES: Table<str, Named> = Table::new("references");
/// Unpacked layers by their chain id.
pub(crate) const LAYERS: Table<SnapshotKey, Layer> = Table::new("layers");

/// Blobs that were fetched for an image that does not exist yet.
pub(crate) const FETCHED: Table<Digest, Wanted> = Table::new("fetched");

/// What the compressed form of an uncompressed layer is, by that layer's digest.
pub(crate) const COMPRESSED: Table<Digest, Descriptor> = Table::new("compressed");

/// What is known about one image without reading its configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of the configuration's bytes.
    pub id: Digest,
    /// Bytes of the configuration.
    pub config_size: u64,
    /// The manifest it came with, or that was made for it; its blob is kept.
    pub manifest: Option<Descriptor>,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// Bytes of the files of all layers.
    pub size: u64,
    /// When it was made, as its configuration says it.
    pub created: Option<String>,
    /// The same in nanoseconds since 1970, if it is a time.
    pub created_at: Option<i64>,
    /// The image that it was committed or built from, here.
    pub parent: Option<Digest>,
    /// When it got a name the last time: nanoseconds since 1970.
    pub tagged_at: Option<i64>,
    /// What it runs on.
    pub platform: Platform,
    /// The labels in its configuration.
    pub labels: BTreeMap<String, String>,
}

impl Image {
    /// The snapshots that a container of this image lies on, lowest first.
    pub fn snapshots(&self) -> Vec<SnapshotKey> {
        self.layers.iter().map(|layer| layer.chain.clone()).collect()
    }

    /// All blobs that belong to the image.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Digest> {
        let manifest = self.manifest.iter().map(|manifest| &manifest.digest);
        let layers = self.layers.iter().map(|layer| &layer.blob.digest);
        std::iter::once(&self.id).chain(manifest).chain(layers)
    }
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// Its chain id: the snapshot's name.
    pub chain: SnapshotKey,
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Its blob, as it came.
    pub blob: Descriptor,
    /// Bytes of its files.
    pub size: u64,
}

/// A layer that is unpacked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// The image.
    pub(crate) id: Digest,
    /// The manifest or index that it was in a registry, when it came from one; its blob is kept.
    #[serde(default)]
    pub(crate) origin: Option<Descriptor>,
}

/// A blob that waits for its image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Since when: nanoseconds since 1970.
    pub(crate) since: i64,
}

/// A container, as far as images matter to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The container's full id.
    pub container: String,
    /// The image that it was made from, or that is mounted in it.
    pub image: Digest,
    /// Whether it runs (or is paused).
    pub running: bool,
    /// The layers under its snapshot.
    pub layers: Vec<SnapshotKey>,
}

/// The chain ids of layers, lowest first: the first is the diff id itself, each further one the digest of the one
/// before, a blank and the diff id (config.md, "Layer ChainID").
pub fn chain(diff_ids: &[Digest]) -> Vec<SnapshotKey> {
    let mut chain: Vec<SnapshotKey> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let digest = match chain.last() {
            None => diff_id.clone(),
            Some(below) => {
                let text = format!("sha256:{} {diff_id}", below.as_str());
                Digest::from_sha256(&sha2::Sha256::digest(text).into())
            }
        };
        chain.push(SnapshotKey::parse(digest.hex()).expect("a digest has 64 hexadecimal digits"));
    }
    chain
}

/// The digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_are_those_of_the_specification() {
        let diff_ids = [digest(b"a"), digest(b"b")];
        let chain = chain(&diff_ids);
        assert_eq!(chain[0].as_str(), diff_ids[0].hex());
        let expected = digest(format!("{} {}", diff_ids[0], diff_ids[1]).as_bytes());
        assert_eq!(chain[1].as_str(), expected.hex());
    }
}
