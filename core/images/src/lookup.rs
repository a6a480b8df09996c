//! Finding an image by what a user writes.

use crate::record::{IMAGES, Image, REFERENCES};
use crate::{Error, Store};
use metadata::Read;
use spec::{Digest, Reference};
use std::collections::HashMap;
use std::ops::Bound;

impl Store {
    /// The image that `text` means: a name (`latest` when it has no tag), an id with or without `sha256:`, or the
    /// beginning of one that no other image has. A name goes before a beginning.
    pub fn resolve(&self, text: &str) -> Result<Image, Error> {
        let reader = self.read()?;
        match resolve(&reader, text)? {
            Some(image) => Ok(image),
            None => Err(not_found(text)),
        }
    }

    /// The names of an image, each with a tag or a digest, in their order.
    pub fn names(&self, id: &Digest) -> Result<Vec<Reference>, Error> {
        names_of(&self.read()?, id)
    }

    /// The image that exactly this name stands for.
    pub fn named(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let named = self.read()?.get(REFERENCES, &*reference.to_string())?;
        Ok(named.map(|named| named.id))
    }
}

/// The text for an image that is not there, with the tag that would have been taken.
pub(crate) fn not_found(text: &str) -> Error {
    if is_hex(text) && text.len() == 64 {
        return Error::NotFound(format!("sha256:{text}"));
    }
    if Digest::parse(text).is_ok() {
        return Error::NotFound(text.to_owned());
    }
    match Reference::parse(text) {
        Ok(reference) => Error::NotFound(reference.with_default_tag().familiar()),
        Err(error) => Error::Reference(error),
    }
}

pub(crate) fn resolve(reader: &impl Read, text: &str) -> Result<Option<Image>, Error> {
    if let Some(id) = full_id(text) {
        return Ok(reader.get(IMAGES, &id)?);
    }
    let reference = Reference::parse(text)?.with_default_tag();
    if let Some(named) = reader.get(REFERENCES, &*key(&reference))? {
        return Ok(reader.get(IMAGES, &named.id)?);
    }
    by_prefix(reader, text)
}

/// Under what a name is stored: with a digest, the tag does not count.
pub(crate) fn key(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest).to_string(),
        None => reference.to_string(),
    }
}

/// The image whose id is the only one that begins with `text`.
pub(crate) fn by_prefix(reader: &impl Read, text: &str) -> Result<Option<Image>, Error> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.is_empty() || !is_hex(hex) {
        return Ok(None);
    }
    let mut found = reader.prefix(IMAGES, format!("sha256:{hex}").as_bytes(), 2)?;
    Ok(if found.len() == 1 { found.pop().map(|(_, image)| image) } else { None })
}

pub(crate) fn full_id(text: &str) -> Option<Digest> {
    match is_hex(text) && text.len() == 64 {
        true => Digest::parse(&format!("sha256:{text}")).ok(),
        false => Digest::parse(text).ok(),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn names_of(access: &impl Read, id: &Digest) -> Result<Vec<Reference>, Error> {
    Ok(all_names(access)?.remove(id).unwrap_or_default())
}

/// The names of all images.
pub(crate) fn all_names(access: &impl Read) -> Result<HashMap<Digest, Vec<Reference>>, Error> {
    let mut names: HashMap<Digest, Vec<Reference>> = HashMap::new();
    for (text, named) in access.list(REFERENCES)? {
        names.entry(named.id).or_default().push(Reference::parse(&text)?);
    }
    Ok(names)
}

/// The names of one repository with their images.
pub(crate) fn names_in(
    access: &impl Read,
    repository: &Reference,
) -> Result<Vec<(Reference, Digest)>, Error> {
    let name = repository.name();
    let (from, to) = (format!("{name}:"), format!("{name}A"));
    let found =
        access.range(REFERENCES, Bound::Included(&*from), Bound::Excluded(&*to), usize::MAX)?;
    found.into_iter().map(|(text, named)| Ok((Reference::parse(&text)?, named.id))).collect()
}
