//! Looking for damage: what is stored must have the digest under which it is stored, and manifests what they refer to.

use crate::digest::Hasher;
use crate::document::Document;
use crate::store::{Store, digests_in, member_path, repository_path};
use crate::{Algorithm, Digest, Error};
use rustix::fs::OFlags;
use std::io::Read;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The path in the store.
    pub path: String,
    /// What is wrong with it, in one sentence.
    pub wrong: String,
}

impl Store {
    /// Reads everything and calls `found` with each fault. Nothing is changed.
    pub fn check(&self, found: &mut dyn FnMut(Finding)) -> Result<(), Error> {
        let tree = self.tree();
        for algorithm in Algorithm::ALL {
            let top = format!("blobs/{}", algorithm.as_str());
            for shard in tree.names(&top)? {
                for hex in tree.names(&format!("{top}/{shard}"))? {
                    let path = format!("{top}/{shard}/{hex}");
                    if let Some(wrong) = self.wrong_blob(&path, algorithm, &hex) {
                        found(Finding { path, wrong });
                    }
                }
            }
        }
        let mut names = Vec::new();
        self.walk(None, &mut |name, has_manifests| {
            if has_manifests {
                names.push(name);
            }
            true
        })?;
        for name in names {
            let directory = format!("{}/_manifests", repository_path(&name));
            for digest in digests_in(tree, &directory)? {
                for wrong in self.wrong_manifest(&name, &digest) {
                    let path = crate::store::manifest_path(&name, &digest);
                    found(Finding { path, wrong });
                }
            }
            for tag in self.all_tags(&name)? {
                let path = crate::store::tag_path(&name, &tag);
                match self.tag(&name, &tag) {
                    Ok(Some(digest)) if !self.has_manifest(&name, &digest)? => {
                        found(Finding { path, wrong: format!("manifest {digest} is missing") });
                    }
                    Ok(_) => {}
                    Err(error) => found(Finding { path, wrong: error.to_string() }),
                }
            }
        }
        Ok(())
    }

    fn wrong_blob(&self, path: &str, algorithm: Algorithm, hex: &str) -> Option<String> {
        let found = match self.hash_file(path, algorithm) {
            Ok(found) => found?,
            Err(error) => return Some(error.to_string()),
        };
        (found.hex() != hex).then(|| format!("its content has the digest {found}"))
    }

    fn hash_file(&self, path: &str, algorithm: Algorithm) -> Result<Option<Digest>, Error> {
        let Some(mut file) = self.tree().file(path, OFlags::RDONLY)? else { return Ok(None) };
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count =
                file.read(&mut buffer).map_err(Error::io("read", self.tree().path(path)))?;
            if count == 0 {
                return Ok(Some(hasher.digest()));
            }
            hasher.update(&buffer[..count]);
        }
    }

    fn wrong_manifest(&self, name: &crate::Name, digest: &Digest) -> Vec<String> {
        let document = match self.read_manifest(name, digest) {
            Ok(Some(manifest)) => Document::parse(&manifest.bytes, Some(&manifest.media_type)),
            Ok(None) => return Vec::new(),
            Err(error) => Err(error),
        };
        let document = match document {
            Ok(document) => document,
            Err(error) => return vec![error.to_string()],
        };
        let mut wrong = Vec::new();
        for part in document.parts.iter().filter(|part| !part.foreign) {
            match self.tree().stat(&member_path(name, &part.digest)) {
                Ok(Some(stat)) if stat.size == part.size => {}
                Ok(Some(stat)) => wrong.push(format!(
                    "blob {} has {} bytes and should have {}",
                    part.digest, stat.size, part.size
                )),
                Ok(None) => wrong.push(format!("blob {} is missing", part.digest)),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        for manifest in &document.manifests {
            if !self.has_manifest(name, manifest).unwrap_or(false) {
                wrong.push(format!("manifest {manifest} is missing"));
            }
        }
        wrong
    }
}
