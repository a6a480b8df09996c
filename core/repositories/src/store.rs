//! The store itself, and where everything lies in it.

use crate::digest::Hasher;
use crate::lock;
use crate::tree::Tree;
use crate::{Algorithm, Digest, Error, Name, Tag, UploadId};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The format on the disk that this program reads and writes.
const FORMAT: u64 = 1;
const FORMAT_FILE: &str = "coffer-registry.json";
/// Unfinished uploads whose hash is kept between requests; those of further ones are computed again at their end.
const MOST_HASHES: usize = 4096;

/// How long a blob that nothing refers to is surely kept after somebody asked for it or wrote it: the time that a push
/// has from its first look at a blob to its manifest.
pub const GRACE: Duration = Duration::from_secs(3600);

/// A store. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) tree: Tree,
    /// The hash of an upload's first bytes, between two requests that write to it.
    pub(crate) hashes: Mutex<BTreeMap<UploadId, (u64, Hasher)>>,
}

impl Store {
    /// Opens the store under `root`, made if missing. Any number of processes may have it open.
    ///
    /// # Errors
    /// [`Error::Format`] when `root` holds something else, or a store of a later program.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let tree = Tree::open(root)?;
        check_format(&tree)?;
        for directory in ["tmp", "lock", "blobs", "repositories"] {
            tree.ensure(directory)?;
        }
        for path in [lock::GATE, lock::LOCK] {
            if tree.stat(path)?.is_none() {
                let staged = tree.stage(&[])?;
                tree.rename(&staged.path, path, false)?;
            }
        }
        let inner = Inner { tree, hashes: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.inner.tree
    }

    /// The bytes that are free for the store's owner on its file system.
    pub fn free(&self) -> Result<u64, Error> {
        let root = self.tree().path("");
        let stat = rustix::fs::statvfs(&root).map_err(Error::io("look up", root))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(crate) fn keep_hash(&self, id: &UploadId, offset: u64, hasher: Hasher) {
        let mut hashes = self.inner.hashes.lock().unwrap_or_else(|broken| broken.into_inner());
        if hashes.len() >= MOST_HASHES {
            hashes.pop_first();
        }
        hashes.insert(id.clone(), (offset, hasher));
    }

    /// The kept hash, if it is that of the first `offset` bytes.
    pub(crate) fn take_hash(&self, id: &UploadId, offset: u64) -> Option<Hasher> {
        let mut hashes = self.inner.hashes.lock().unwrap_or_else(|broken| broken.into_inner());
        let (at, hasher) = hashes.remove(id)?;
        (at == offset).then_some(hasher)
    }

    /// A private value that all processes of the store share: `bytes`, unless another was there before.
    pub fn shared_secret(&self, name: &Tag, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let path = format!("secrets/{name}");
        if let Some(found) = self.tree().read(&path, 64 << 10)? {
            return Ok(found);
        }
        let staged = self.tree().stage(&[bytes])?;
        self.tree().rename(&staged.path, &path, false)?;
        self.tree()
            .read(&path, 64 << 10)?
            .ok_or_else(|| Error::io("read", self.tree().path(&path))(Errno::NOENT))
    }
}

fn check_format(tree: &Tree) -> Result<(), Error> {
    let wrong = |reason: String| Error::Format { path: tree.path(""), reason };
    if let Some(bytes) = tree.read(FORMAT_FILE, 4096)? {
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("read {FORMAT_FILE}: {error}")))?;
        return match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(FORMAT) => Ok(()),
            other => Err(wrong(format!("its format is {other:?}, this program knows {FORMAT}"))),
        };
    }
    let strange = |name: &String| !matches!(name.as_str(), "tmp" | "lost+found");
    if let Some(name) = tree.names(".")?.iter().find(|name| strange(name)) {
        // Another process may have made the store between the two looks.
        if name == FORMAT_FILE || tree.stat(FORMAT_FILE)?.is_some() {
            return check_format(tree);
        }
        return Err(wrong(format!("not empty (it has {name}) and no {FORMAT_FILE} in it")));
    }
    let staged = tree.stage(&[format!("{{\"format\":{FORMAT}}}\n").as_bytes()])?;
    tree.rename(&staged.path, FORMAT_FILE, false)?;
    Ok(())
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/{}/{}/{hex}", digest.algorithm().as_str(), &hex[..2])
}

pub(crate) fn repository_path(name: &Name) -> String {
    format!("repositories/{name}")
}

pub(crate) fn member_path(name: &Name, digest: &Digest) -> String {
    in_algorithm(name, "_blobs", digest)
}

pub(crate) fn manifest_path(name: &Name, digest: &Digest) -> String {
    in_algorithm(name, "_manifests", digest)
}

/// The directory of what refers to `digest`.
pub(crate) fn referrers_path(name: &Name, digest: &Digest) -> String {
    in_algorithm(name, "_referrers", digest)
}

fn in_algorithm(name: &Name, kind: &str, digest: &Digest) -> String {
    format!("repositories/{name}/{kind}/{}/{}", digest.algorithm().as_str(), digest.hex())
}

pub(crate) fn tag_path(name: &Name, tag: &Tag) -> String {
    format!("repositories/{name}/_tags/{tag}")
}

pub(crate) fn upload_path(name: &Name, id: &UploadId) -> String {
    format!("repositories/{name}/_uploads/{id}")
}

/// The name of an entry below [`referrers_path`].
pub(crate) fn referrer_entry(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

/// The digest of which a text is [`referrer_entry`].
pub(crate) fn parse_referrer_entry(text: &str) -> Option<Digest> {
    Digest::parse(&text.replacen('-', ":", 1)).ok()
}

/// The digests that are names in `<path>/<algorithm>`, sorted.
pub(crate) fn digests_in(tree: &Tree, path: &str) -> Result<Vec<Digest>, Error> {
    let mut digests = Vec::new();
    for algorithm in Algorithm::ALL {
        let algorithm = algorithm.as_str();
        for name in tree.names(&format!("{path}/{algorithm}"))? {
            digests.extend(Digest::parse(&format!("{algorithm}:{name}")));
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_made_only_in_an_empty_directory_and_opened_only_in_a_known_format() {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path()).unwrap());
        drop(Store::open(directory.path()).unwrap());
        std::fs::write(directory.path().join(FORMAT_FILE), "{\"format\":2}").unwrap();
        let error = Store::open(directory.path()).unwrap_err();
        assert!(error.to_string().ends_with("its format is Some(2), this program knows 1"));
        std::fs::remove_file(directory.path().join(FORMAT_FILE)).unwrap();
        let error = Store::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains("not empty"), "{error}");
    }

    #[test]
    fn a_shared_secret_is_the_first_that_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let name = Tag::parse("key").unwrap();
        let (one, two) =
            (Store::open(directory.path()).unwrap(), Store::open(directory.path()).unwrap());
        assert_eq!(one.shared_secret(&name, b"first").unwrap(), b"first");
        assert_eq!(two.shared_secret(&name, b"second").unwrap(), b"first");
    }
}
