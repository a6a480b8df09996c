//! Removing all images that nothing needs.

use crate::filter::Filters;
use crate::lookup::all_names;
use crate::record::{IMAGES, LAYERS, User};
use crate::remove::{RemoveOptions, Removed};
use crate::{Error, Store};
use metadata::Read as _;
use spec::Digest;
use std::collections::{HashMap, HashSet};

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names, images and layers, in their order.
    pub removed: Vec<Removed>,
    /// Bytes that were freed: layers that are gone, and blobs of images that are gone and no other image has.
    pub reclaimed: u64,
}

impl Store {
    /// Removes the images that match and that no container uses: those without a tag, or with `dangling=false` all.
    /// An image that cannot be removed is left out.
    pub async fn prune(&self, filters: &Filters, users: &[User]) -> Result<Pruned, Error> {
        let before = self.sizes()?;
        let mut pruned = Pruned::default();
        for target in self.prune_targets(filters)? {
            match self.remove(&target, RemoveOptions::default(), users).await {
                Ok(removed) => pruned.removed.extend(removed),
                Err(Error::InUse(_) | Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let after = self.sizes()?;
        pruned.reclaimed = before
            .into_iter()
            .filter(|(thing, _)| !after.contains_key(thing))
            .map(|(_, size)| size)
            .sum();
        Ok(pruned)
    }

    /// The names, or the ids of images without one, that are to be removed.
    fn prune_targets(&self, filters: &Filters) -> Result<Vec<String>, Error> {
        let dangling_only = filters.dangling.unwrap_or(true);
        let reader = self.read()?;
        let names = all_names(&reader)?;
        let images = reader.list(IMAGES)?;
        let parents: HashSet<&Digest> =
            images.iter().filter_map(|(_, image)| image.parent.as_ref()).collect();
        let mut targets = Vec::new();
        for (id, image) in &images {
            let has_child = parents.contains(id);
            let names = names.get(id).map_or(&[][..], |names| names);
            if (has_child && (names.is_empty() || dangling_only)) || !filters.match_image(image) {
                continue;
            }
            let tagged = names.iter().any(|name| name.digest().is_none());
            if names.is_empty() {
                targets.push(id.hex().to_owned());
            } else if !dangling_only || !tagged {
                targets.extend(names.iter().map(ToString::to_string));
            }
        }
        Ok(targets)
    }

    /// The bytes of each layer that is unpacked and of each blob that an image has.
    fn sizes(&self) -> Result<HashMap<String, u64>, Error> {
        let reader = self.read()?;
        let mut sizes: HashMap<String, u64> = HashMap::new();
        for (key, layer) in reader.list(LAYERS)? {
            sizes.insert(key.as_str().to_owned(), layer.size);
        }
        for (id, image) in reader.list(IMAGES)? {
            sizes.insert(id.to_string(), image.config_size);
            let layers = image.layers.into_iter().map(|layer| layer.blob);
            for blob in layers.chain(image.manifest) {
                sizes.insert(blob.digest.to_string(), blob.size);
            }
        }
        Ok(sizes)
    }
}
