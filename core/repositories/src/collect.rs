//! Removing what nobody needs any more, beside readers and writers.
//!
//! One pass: of each repository, uploads that nobody goes on with; manifests that no tag leads to, if the policy says
//! so; blobs that no manifest refers to; entries in lists of referrers without their manifest. Then the blobs that no
//! repository has, and files that a killed process has left. What one pass frees for another, the next pass takes.

use crate::document::Document;
use crate::lock::Guard;
use crate::store::{
    GRACE, Store, digests_in, manifest_path, member_path, parse_referrer_entry, repository_path,
};
use crate::{Algorithm, Digest, Error, Name, UploadId};
use rustix::fs::{FlockOperation, OFlags};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How many files are removed under one exclusive lock.
const BATCH: usize = 64;

/// What a collection removes.
#[derive(Debug, Clone)]
pub struct Collection {
    /// A blob without a manifest is kept for this long after it was last asked for. Less than [`GRACE`] lets pushes
    /// that run meanwhile fail (cleanly): for a registry that nobody writes to.
    pub grace: Duration,
    /// An upload that nobody writes to is kept for this long.
    pub uploads: Duration,
    /// A manifest that no tag leads to is kept for this long; `None` keeps it for ever.
    pub untagged: Option<Duration>,
}

impl Default for Collection {
    fn default() -> Self {
        Self { grace: GRACE, uploads: Duration::from_secs(24 * 3600), untagged: None }
    }
}

/// What a collection has removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Uploads.
    pub uploads: u64,
    /// Manifests.
    pub manifests: u64,
    /// Blobs that left one repository.
    pub members: u64,
    /// Blobs that left the disk.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Makes one pass. `go_on` is asked between steps; on false the pass ends early.
    pub fn collect(
        &self,
        collection: &Collection,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Collected, Error> {
        let mut pass = Pass { store: self, collection, collected: Collected::default() };
        let mut names = Vec::new();
        self.walk(None, &mut |name, _| {
            names.push(name);
            true
        })?;
        let mut damage = None;
        // The deepest first, so that empty directories go in one pass.
        for name in names.iter().rev() {
            if !go_on() {
                return Ok(pass.collected);
            }
            // A repository with a damaged manifest keeps all that it has; the others are cleaned.
            if let Err(error) = pass.repository(name) {
                damage.get_or_insert(error);
            }
        }
        for algorithm in Algorithm::ALL {
            let top = format!("blobs/{}", algorithm.as_str());
            for shard in self.tree().names(&top)? {
                if !go_on() {
                    return Ok(pass.collected);
                }
                pass.blobs(&format!("{top}/{shard}"))?;
            }
        }
        pass.left_over()?;
        damage.map_or(Ok(pass.collected), Err)
    }
}

struct Pass<'a> {
    store: &'a Store,
    collection: &'a Collection,
    collected: Collected,
}

impl Pass<'_> {
    fn repository(&mut self, name: &Name) -> Result<(), Error> {
        self.uploads(name)?;
        // Blobs before manifests: a blob that is listed after the manifests were read may be a new manifest's, but
        // then its time is new.
        let members = digests_in(self.store.tree(), &format!("{}/_blobs", repository_path(name)))?;
        let manifests = self.manifests(name)?;
        let mut wanted = HashSet::new();
        for (_, document) in &manifests {
            wanted.extend(document.parts.iter().map(|part| &part.digest));
        }
        let unwanted: Vec<_> = members.into_iter().filter(|blob| !wanted.contains(blob)).collect();
        for batch in unwanted.chunks(BATCH) {
            self.members(name, batch)?;
        }
        self.stale_referrers(name)?;
        self.prune(name)
    }

    /// Removes uploads that have had no byte for too long and that nobody has open.
    fn uploads(&mut self, name: &Name) -> Result<(), Error> {
        let tree = self.store.tree();
        let directory = format!("{}/_uploads", repository_path(name));
        for id in tree.names(&directory)? {
            let path = format!("{directory}/{id}");
            let Some(stat) = tree.stat(&path)? else { continue };
            if !stat.older_than(self.collection.uploads) {
                continue;
            }
            let Some(file) = tree.file(&path, OFlags::RDONLY)? else { continue };
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            if tree.remove(&path, false)? {
                self.collected.uploads += 1;
            }
            if let Ok(id) = UploadId::parse(&id) {
                self.store.take_hash(&id, 0);
            }
        }
        Ok(())
    }

    /// Removes manifests that no tag leads to, if asked, and answers the others.
    fn manifests(&mut self, name: &Name) -> Result<Vec<(Digest, Document)>, Error> {
        let mut manifests = self.read_all(name)?;
        let Some(age) = self.collection.untagged else { return Ok(manifests) };
        let live = self.live(name, &manifests)?;
        let dead = manifests.iter().map(|(digest, _)| digest);
        let dead: Vec<_> = dead.filter(|digest| !live.contains(*digest)).cloned().collect();
        let mut removed = HashSet::new();
        for batch in dead.chunks(BATCH) {
            let _guard = Guard::exclusive(self.store.tree())?;
            // A tag that was set since the walk may lead to one of these.
            let live = self.live(name, &self.read_all(name)?)?;
            for digest in batch.iter().filter(|digest| !live.contains(*digest)) {
                let stat = self.store.tree().stat(&manifest_path(name, digest))?;
                if stat.is_some_and(|stat| stat.older_than(age)) {
                    self.store.drop_manifest(name, digest)?;
                    self.collected.manifests += 1;
                    removed.insert(digest.clone());
                }
            }
        }
        manifests.retain(|(digest, _)| !removed.contains(digest));
        Ok(manifests)
    }

    fn read_all(&self, name: &Name) -> Result<Vec<(Digest, Document)>, Error> {
        let directory = format!("{}/_manifests", repository_path(name));
        let mut manifests = Vec::new();
        for digest in digests_in(self.store.tree(), &directory)? {
            // One that cannot be read ends the pass: its blobs must not go because it is damaged.
            if let Some(manifest) = self.store.read_manifest(name, &digest)? {
                let document = Document::parse(&manifest.bytes, Some(&manifest.media_type))?;
                manifests.push((digest, document));
            }
        }
        Ok(manifests)
    }

    /// The manifests that are reached from a tag: through indexes, and from a subject to what refers to it.
    fn live(
        &self,
        name: &Name,
        manifests: &[(Digest, Document)],
    ) -> Result<HashSet<Digest>, Error> {
        let mut listed: HashMap<&Digest, &[Digest]> = HashMap::new();
        let mut referrers: HashMap<&Digest, Vec<&Digest>> = HashMap::new();
        for (digest, document) in manifests {
            listed.insert(digest, &document.manifests);
            if let Some(subject) = &document.subject {
                referrers.entry(subject).or_default().push(digest);
            }
        }
        let mut queue = Vec::new();
        for tag in self.store.all_tags(name)? {
            queue.extend(self.store.tag(name, &tag)?);
        }
        let mut live = HashSet::new();
        while let Some(digest) = queue.pop() {
            queue.extend(listed.remove(&digest).unwrap_or_default().iter().cloned());
            queue.extend(referrers.remove(&digest).unwrap_or_default().into_iter().cloned());
            live.insert(digest);
        }
        Ok(live)
    }

    fn members(&mut self, name: &Name, batch: &[Digest]) -> Result<(), Error> {
        let tree = self.store.tree();
        let _guard = Guard::exclusive(tree)?;
        for digest in batch {
            let path = member_path(name, digest);
            let stat = tree.stat(&path)?;
            if stat.is_some_and(|stat| stat.older_than(self.collection.grace))
                && tree.remove(&path, false)?
            {
                self.collected.members += 1;
            }
        }
        Ok(())
    }

    fn stale_referrers(&self, name: &Name) -> Result<(), Error> {
        let tree = self.store.tree();
        let top = format!("{}/_referrers", repository_path(name));
        for subject in digests_in(tree, &top)? {
            let directory = crate::store::referrers_path(name, &subject);
            for entry in tree.names(&directory)? {
                let path = format!("{directory}/{entry}");
                let Some(digest) = parse_referrer_entry(&entry) else { continue };
                let _guard = Guard::exclusive(tree)?;
                if !self.store.has_manifest(name, &digest)? {
                    tree.remove(&path, false)?;
                }
            }
            tree.prune(&directory)?;
        }
        Ok(())
    }

    /// Removes the directories that are empty. Writers make them again.
    fn prune(&self, name: &Name) -> Result<(), Error> {
        let (tree, path) = (self.store.tree(), repository_path(name));
        for kind in ["_blobs", "_manifests", "_referrers"] {
            for algorithm in Algorithm::ALL {
                tree.prune(&format!("{path}/{kind}/{}", algorithm.as_str()))?;
            }
            tree.prune(&format!("{path}/{kind}"))?;
        }
        tree.prune(&format!("{path}/_tags"))?;
        tree.prune(&format!("{path}/_uploads"))?;
        tree.prune(&path)?;
        Ok(())
    }

    /// Removes the blobs of one directory that no repository has.
    fn blobs(&mut self, directory: &str) -> Result<(), Error> {
        let tree = self.store.tree();
        let lonely = |path: &str| {
            let stat = tree.stat(path)?;
            let grace = self.collection.grace;
            Ok::<_, Error>(stat.filter(|stat| stat.links == 1 && stat.older_than(grace)))
        };
        let mut unwanted = Vec::new();
        for name in tree.names(directory)? {
            let path = format!("{directory}/{name}");
            if lonely(&path)?.is_some() {
                unwanted.push(path);
            }
        }
        for batch in unwanted.chunks(BATCH) {
            let _guard = Guard::exclusive(tree)?;
            for path in batch {
                let Some(stat) = lonely(path)? else { continue };
                if tree.remove(path, false)? {
                    self.collected.blobs += 1;
                    self.collected.bytes += stat.size;
                }
            }
        }
        Ok(())
    }

    fn left_over(&self) -> Result<(), Error> {
        let tree = self.store.tree();
        for name in tree.names("tmp")? {
            let path = format!("tmp/{name}");
            if tree.stat(&path)?.is_some_and(|stat| stat.older_than(GRACE)) {
                tree.remove(&path, false)?;
            }
        }
        Ok(())
    }
}
