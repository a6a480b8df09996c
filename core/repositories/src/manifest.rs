//! Manifests: storing and reading them bit for bit, and deleting them.
//!
//! A manifest's file is its media type, a line feed, and its bytes as they came.

use crate::blob;
use crate::document::{Document, MANIFEST_MAX};
use crate::lock::Guard;
use crate::store::{Store, manifest_path, member_path, referrer_entry, referrers_path};
use crate::{Digest, Error, Name, Tag};

/// The longest media type; one that is stored comes from a short list.
const TYPE_MAX: u64 = 256;

/// What a manifest is asked by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By the tag that names it.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl Reference {
    /// Reads a tag or a digest; only a digest has a colon.
    pub fn parse(text: &str) -> Result<Self, crate::NameError> {
        match text.contains(':') {
            true => Digest::parse(text).map(Self::Digest),
            false => Tag::parse(text).map(Self::Tag),
        }
    }

    /// The tag or digest as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

/// A manifest that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The media type under which it was stored.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Which of the things that a manifest refers to must be in the repository already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// All: its blobs, with the sizes that it says, and the manifests that it lists.
    All,
    /// None: a cache stores a manifest before what it is made of.
    Nothing,
}

impl Store {
    /// Reads a manifest of a repository.
    pub fn manifest(&self, name: &Name, reference: &Reference) -> Result<Manifest, Error> {
        let unknown = || Error::ManifestUnknown {
            name: name.clone(),
            reference: reference.as_str().to_owned(),
        };
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => self.tag(name, tag)?.ok_or_else(unknown)?,
        };
        self.read_manifest(name, &digest)?.ok_or_else(unknown)
    }

    pub(crate) fn read_manifest(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Manifest>, Error> {
        let path = manifest_path(name, digest);
        let Some(mut bytes) = self.tree().read(&path, MANIFEST_MAX as u64 + TYPE_MAX)? else {
            return Ok(None);
        };
        let damaged = || Error::Damaged(self.tree().path(&path));
        let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
        let media_type = String::from_utf8(bytes[..end].to_vec()).map_err(|_| damaged())?;
        bytes.drain(..=end);
        match Digest::of(digest.algorithm(), &bytes) == *digest {
            true => Ok(Some(Manifest { digest: digest.clone(), media_type, bytes })),
            false => Err(damaged()),
        }
    }

    /// The size in bytes of a manifest, if the repository has it; asking keeps it for a while, as with
    /// [`Store::blob_size`].
    pub(crate) fn has_manifest(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        Ok(self.tree().stat(&manifest_path(name, digest))?.is_some())
    }

    /// Stores a manifest whose digest and content [`Document::parse`] and the caller have checked, lists it with its
    /// subject, and lets `tags` name it.
    pub fn put_manifest(
        &self,
        name: &Name,
        digest: &Digest,
        document: &Document,
        bytes: &[u8],
        tags: &[Tag],
        check: Check,
    ) -> Result<(), Error> {
        let tree = self.tree();
        let record = tree.stage(&[document.media_type.as_bytes(), b"\n", bytes])?;
        let listed = match &document.subject {
            Some(subject) => Some((subject, tree.stage(&[&self.entry(digest, document, bytes)])?)),
            None => None,
        };
        let pointers: Vec<_> = tags
            .iter()
            .map(|tag| Ok((tag, tree.stage(&[digest.as_str().as_bytes()])?)))
            .collect::<Result<_, Error>>()?;

        let _guard = Guard::shared(tree)?;
        if check == Check::All {
            self.check_references(name, document)?;
        }
        // The entry first: one without its manifest is not shown, a manifest without its entry would never be.
        if let Some((subject, staged)) = &listed {
            let path = format!("{}/{}", referrers_path(name, subject), referrer_entry(digest));
            tree.rename(&staged.path, &path, true)?;
        }
        tree.rename(&record.path, &manifest_path(name, digest), true)?;
        for (tag, staged) in &pointers {
            tree.rename(&staged.path, &crate::store::tag_path(name, tag), true)?;
        }
        Ok(())
    }

    /// Everything that the document refers to is there, and stays for [`crate::GRACE`] from now. The lock is held.
    fn check_references(&self, name: &Name, document: &Document) -> Result<(), Error> {
        let tree = self.tree();
        let mut missing = Vec::new();
        for part in &document.parts {
            let path = member_path(name, &part.digest);
            match tree.stat(&path)? {
                None if part.foreign => {}
                None => missing.push(part.digest.clone()),
                Some(stat) if stat.size != part.size => {
                    return Err(Error::SizeMismatch {
                        digest: part.digest.clone(),
                        expected: part.size,
                        found: stat.size,
                    });
                }
                Some(_) => {
                    tree.touch(&path)?;
                }
            }
        }
        for digest in &document.manifests {
            if !tree.touch(&manifest_path(name, digest))? {
                missing.push(digest.clone());
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::ReferencesUnknown(missing)),
        }
    }

    /// Deletes a manifest, and the tags that name it.
    pub fn delete_manifest(&self, name: &Name, digest: &Digest) -> Result<(), Error> {
        let _guard = Guard::exclusive(self.tree())?;
        if !self.has_manifest(name, digest)? {
            return Err(Error::ManifestUnknown {
                name: name.clone(),
                reference: digest.to_string(),
            });
        }
        for tag in self.all_tags(name)? {
            if self.tag(name, &tag)?.as_ref() == Some(digest) {
                self.tree().remove(&crate::store::tag_path(name, &tag), true)?;
            }
        }
        self.drop_manifest(name, digest)
    }

    /// Removes a manifest that no tag names, and its place in the list of its subject's referrers. The lock is held
    /// exclusively.
    pub(crate) fn drop_manifest(&self, name: &Name, digest: &Digest) -> Result<(), Error> {
        let subject = match self.read_manifest(name, digest) {
            Ok(Some(manifest)) => Document::parse(&manifest.bytes, Some(&manifest.media_type))
                .ok()
                .and_then(|document| document.subject),
            // A damaged one can be deleted all the same; the collector finds what it leaves in the list.
            Ok(None) | Err(Error::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        self.tree().remove(&manifest_path(name, digest), true)?;
        if let Some(subject) = subject {
            let path = format!("{}/{}", referrers_path(name, &subject), referrer_entry(digest));
            self.tree().remove(&path, true)?;
        }
        Ok(())
    }

    /// Whether a repository has this blob; unlike [`Store::blob_size`] this promises nothing for later.
    pub fn has_blob(&self, name: &Name, digest: &Digest) -> Result<u64, Error> {
        match self.tree().stat(&member_path(name, digest))? {
            Some(stat) => Ok(stat.size),
            None => Err(blob::unknown(name, digest)),
        }
    }
}
