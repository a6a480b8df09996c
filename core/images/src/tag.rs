//! Giving names.

use crate::lookup::key;
use crate::record::{IMAGES, Named, REFERENCES};
use crate::{Error, Store, time};
use metadata::Read as _;
use spec::{Digest, Reference};

/// The repository and tag of a request as one name. Refuses digests and names that would look like an id.
pub(crate) fn parse_target(repository: &str, tag: &str) -> Result<Reference, Error> {
    let reference = Reference::parse(repository)?;
    let reference = match tag {
        "" => reference,
        tag => reference.with_tag(tag)?,
    };
    if reference.digest().is_some() {
        return Err(Error::TagWithDigest);
    }
    if reference.familiar_name() == "sha256" {
        return Err(Error::TagLikeDigest);
    }
    Ok(reference.with_default_tag())
}

impl Store {
    /// Gives the image that `text` means a name. A name that another image has moves to this one. Answers the image's
    /// id and the name.
    pub async fn tag(
        &self,
        text: &str,
        repository: &str,
        tag: &str,
    ) -> Result<(Digest, Reference), Error> {
        let target = parse_target(repository, tag)?;
        let id = self.resolve(text)?.id;
        self.name(&id, std::slice::from_ref(&target)).await?;
        Ok((id, target))
    }

    /// Gives an image names, each with a tag or a digest.
    pub async fn name(&self, id: &Digest, names: &[Reference]) -> Result<(), Error> {
        let (store, id, names) = (self.clone(), id.clone(), names.to_vec());
        let name = move || {
            let mut writer = store.write()?;
            let Some(mut image) = writer.get(IMAGES, &id)? else {
                return Err(Error::NotFound(id.to_string()));
            };
            for name in names {
                writer.put(REFERENCES, &*key(&name), &Named { id: id.clone(), origin: None })?;
            }
            image.tagged_at = Some(time::now());
            writer.put(IMAGES, &id, &image)?;
            Ok(writer.commit_durable()?)
        };
        tokio::task::spawn_blocking(name).await?
    }
}
