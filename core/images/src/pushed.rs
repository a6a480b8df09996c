//! What a push needs to know and leaves behind.

use crate::lookup::{all_names, key, names_in};
use crate::record::{COMPRESSED, IMAGES, Named, REFERENCES};
use crate::{Error, Image, Lease, Store};
use metadata::Read as _;
use spec::image::Descriptor;
use spec::{Digest, Reference};

impl Store {
    /// The tags of one repository with their images.
    pub fn tags_of(&self, repository: &Reference) -> Result<Vec<(Reference, Digest)>, Error> {
        let mut names = names_in(&self.read()?, repository)?;
        names.retain(|(name, _)| name.tag().is_some() && name.digest().is_none());
        Ok(names)
    }

    /// The compressed form of a layer that is kept without: what an earlier push made of it. Its blob may be gone; it
    /// can be made again, byte for byte.
    pub fn compressed(&self, layer: &Digest) -> Result<Option<Descriptor>, Error> {
        Ok(self.read()?.get(COMPRESSED, layer)?)
    }

    /// Notes what the compressed form of a layer is.
    pub fn note_compressed(&self, layer: &Digest, compressed: &Descriptor) -> Result<(), Error> {
        let mut writer = self.write()?;
        writer.put(COMPRESSED, layer, compressed)?;
        Ok(writer.commit()?)
    }

    /// Other repositories of the same registry that images with this layer were pulled from or pushed to: their
    /// paths, at most three.
    pub fn sources(&self, target: &Reference, layer: &Digest) -> Result<Vec<String>, Error> {
        let reader = self.read()?;
        let mut names = all_names(&reader)?;
        let mut paths = Vec::new();
        for (id, image) in reader.list(IMAGES)? {
            if !image.layers.iter().any(|own| own.blob.digest == *layer) {
                continue;
            }
            for name in names.remove(&id).unwrap_or_default() {
                let is_other = name.domain() == target.domain() && name.path() != target.path();
                let path = name.path().to_owned();
                if is_other && name.digest().is_some() && !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths.truncate(3);
        Ok(paths)
    }

    /// Notes that an image is in a registry under a digest, and keeps the manifest that it is there. Blocks for the
    /// disk.
    pub fn add_origin_blocking(
        &self,
        lease: &Lease,
        image: &Image,
        name: &Reference,
        manifest: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let mut ingest = self.content().ingest(content::Expected::at_most(content::READ_LIMIT))?;
        ingest.write_bytes(bytes)?;
        lease.commit_blocking(ingest)?;
        let mut writer = self.write()?;
        if writer.get(IMAGES, &image.id)?.is_none() {
            return Ok(());
        }
        let named = Named { id: image.id.clone(), origin: Some(manifest.clone()) };
        writer.put(REFERENCES, &*key(&name.with_digest(&manifest.digest)), &named)?;
        Ok(writer.commit_durable()?)
    }
}
