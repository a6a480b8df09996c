//! Listing images.

use crate::filter::Filters;
use crate::lookup::{all_names, not_found, resolve};
use crate::record::{IMAGES, Image, REFERENCES};
use crate::{Error, Store};
use metadata::{Read as _, Reader};
use spec::{Digest, Reference, SnapshotKey};
use std::collections::{HashMap, HashSet};

/// One image in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The image.
    pub image: Image,
    /// Its names with a tag, as people write them.
    pub tags: Vec<String>,
    /// Its names with a digest, as people write them.
    pub digests: Vec<String>,
    /// Bytes of those of its layers that other images have too.
    pub shared_size: u64,
}

impl Store {
    /// The images that match, the newest first. Without `all`, images without a name that others were made from are
    /// left out.
    pub fn list(&self, filters: &Filters, all: bool) -> Result<Vec<Summary>, Error> {
        let reader = self.read()?;
        let images: Vec<Image> = reader.list(IMAGES)?.into_iter().map(|(_, image)| image).collect();
        let names = all_names(&reader)?;
        let parents: HashSet<Digest> =
            images.iter().filter_map(|image| image.parent.clone()).collect();
        let window = Window::new(&reader, filters)?;
        let uses = layer_uses(&images);
        let mut found = Vec::new();
        for image in images {
            if !window.contains(&image) || !filters.match_image(&image) {
                continue;
            }
            let all_of_it = names.get(&image.id).map_or(&[][..], |names| names);
            let has_child = parents.contains(&image.id);
            if let Some((tags, digests)) = shown_names(all_of_it, filters, all || !has_child)? {
                if filters.dangling == Some(true) && has_child {
                    continue;
                }
                let shared = image.layers.iter().filter(|layer| uses[&layer.chain] > 1);
                let shared_size = shared.map(|layer| layer.size).sum();
                found.push(Summary { image, tags, digests, shared_size });
            }
        }
        found.sort_by(|a, b| {
            b.image.created_at.cmp(&a.image.created_at).then_with(|| a.image.id.cmp(&b.image.id))
        });
        Ok(found)
    }

    /// Bytes of all unpacked layers and of all blobs that images have, and of what pulls have left that were not
    /// finished; each counted once. Reads directories: blocks for the disk.
    pub fn disk_usage(&self) -> Result<u64, Error> {
        let mut layers: HashMap<SnapshotKey, u64> = HashMap::new();
        let mut blobs: HashMap<Digest, u64> = HashMap::new();
        for digest in self.fetched()? {
            let size = self.content().size(&digest)?;
            blobs.extend(size.map(|size| (digest, size)));
        }
        for (_, named) in self.read()?.list(REFERENCES)? {
            blobs.extend(named.origin.map(|origin| (origin.digest, origin.size)));
        }
        let partials: u64 = self.content().partials()?.iter().map(|partial| partial.size).sum();
        for (_, image) in self.read()?.list(IMAGES)? {
            blobs.insert(image.id, image.config_size);
            blobs.extend(image.manifest.map(|manifest| (manifest.digest, manifest.size)));
            for layer in image.layers {
                layers.insert(layer.chain, layer.size);
                blobs.insert(layer.blob.digest, layer.blob.size);
            }
        }
        Ok(layers.values().chain(blobs.values()).sum::<u64>() + partials)
    }
}

/// The times of the images that `before` and `since` name.
struct Window {
    before: Vec<Option<i64>>,
    since: Vec<Option<i64>>,
}

impl Window {
    fn new(reader: &Reader, filters: &Filters) -> Result<Self, Error> {
        let times = |texts: &[String]| {
            let time = |text: &String| match resolve(reader, text)? {
                Some(image) => Ok(image.created_at),
                None => Err(not_found(text)),
            };
            texts.iter().map(time).collect::<Result<Vec<_>, Error>>()
        };
        Ok(Self { before: times(&filters.before)?, since: times(&filters.since)? })
    }

    fn contains(&self, image: &Image) -> bool {
        self.before.iter().all(|before| image.created_at < *before)
            && self.since.iter().all(|since| image.created_at > *since)
    }
}

type Names = (Vec<String>, Vec<String>);

/// The names that are shown; `None` when the image is not.
fn shown_names(
    names: &[Reference],
    filters: &Filters,
    show_unnamed: bool,
) -> Result<Option<Names>, Error> {
    let (mut tags, mut digests) = (Vec::new(), Vec::new());
    for name in names {
        if filters.match_name(name)? {
            let list = if name.digest().is_some() { &mut digests } else { &mut tags };
            list.push(name.familiar());
        }
    }
    let shown = match (tags.is_empty(), digests.is_empty()) {
        (true, true) => {
            show_unnamed && filters.dangling != Some(false) && filters.references.is_empty()
        }
        (true, false) => true,
        (false, _) => filters.dangling != Some(true),
    };
    Ok(shown.then_some((tags, digests)))
}

fn layer_uses(images: &[Image]) -> HashMap<SnapshotKey, usize> {
    let mut uses = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *uses.entry(layer.chain.clone()).or_default() += 1;
    }
    uses
}
