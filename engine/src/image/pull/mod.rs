//! Pulling images.
//!
//! ```text
//! name ─ manifest, index, configuration   resolve, choose
//!      ─ layers, all at the same time     layer ─ download ─ tape ─▶ storage worker
//!      ─ one transaction                  the image, its names, what it was in the registry
//! ```
//! Until the manifest is there, a failure is the answer's status; from then on it comes in the stream. When the client
//! goes, the pull ends; what was fetched stays for the next one.

pub(crate) mod choose;
pub(crate) mod download;
pub(crate) mod layer;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod tape;

use crate::Engine;
use api_types::image::Progress;
use distribution::{Access, Credentials, Fetched, Repository};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use images::{Lease, NewImage, NewLayer};
use layer::Wanted;
use report::Report;
use resolve::{Resolved, resolve};
use spec::{Class, Digest, Failure, Platform, Reference};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What to pull, and as whom.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// The repository, perhaps with a tag or digest.
    pub image: String,
    /// A tag or digest; when neither is given, all tags are pulled.
    pub tag: String,
    /// For which platform; this host's when not set.
    pub platform: Option<Platform>,
    /// The user's credentials for the registry.
    pub credentials: Credentials,
    /// The client's `User-Agent`.
    pub agent: String,
}

impl PullOptions {
    /// The name that is meant.
    pub fn reference(&self) -> Result<Reference, Failure> {
        let named = |reference: Reference| match &*self.tag {
            "" => Ok(reference),
            tag => match Digest::parse(tag) {
                Ok(digest) => Ok(reference.with_digest(&digest)),
                Err(_) => reference.with_tag(tag),
            },
        };
        let reference = Reference::parse(&self.image).and_then(named);
        let reference =
            reference.map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
        if reference.familiar_name() == "scratch" {
            return Err(Failure::new(Class::Forbidden, "'scratch' is a reserved name"));
        }
        Ok(reference)
    }
}

/// One image of a pull.
struct Pull {
    engine: Engine,
    repository: Repository,
    platform: Option<Platform>,
    report: Report,
}

impl Engine {
    /// Pulls an image, or all of a repository. Answers when the manifest is there, and goes on while somebody listens.
    pub async fn image_pull(
        &self,
        options: PullOptions,
    ) -> Result<mpsc::Receiver<Progress>, Failure> {
        let name = options.reference()?;
        let config = Arc::clone(&self.config().registry);
        let (credentials, agent) = (options.credentials, &options.agent);
        let repository = Repository::open(config, &name, Access::Pull, credentials, agent).await?;
        let failed = |error| resolve::failure(error, &name);
        let is_one = name.tag().is_some() || name.digest().is_some();
        let names = if is_one {
            vec![name.clone()]
        } else {
            let tags = repository.tags().await.map_err(failed)?;
            tags.iter().filter_map(|tag| name.with_tag(tag).ok()).collect()
        };
        let mut first = match names.first() {
            Some(first) => Some(
                repository
                    .manifest(wanted(first))
                    .await
                    .map_err(|error| resolve::failure(error, first))?,
            ),
            None => None,
        };
        let (sender, receiver) = mpsc::channel(64);
        let report = Report::new(sender);
        let pull = Pull { engine: self.clone(), repository, platform: options.platform, report };
        tokio::spawn(async move {
            let work = async {
                let mut newer = false;
                for one in &names {
                    newer |= pull.image(one, first.take()).await?;
                }
                Ok::<_, Failure>(newer)
            };
            let report = pull.report.clone();
            let done = tokio::select! {
                done = work => done,
                () = report.closed() => return,
            };
            match done {
                Ok(true) => {
                    let text = format!("Status: Downloaded newer image for {}", name.familiar());
                    report.status(text).await;
                }
                Ok(false) => {
                    let text = format!("Status: Image is up to date for {}", name.familiar());
                    report.status(text).await;
                }
                Err(failure) => report.send(Progress::failed(&failure.message)).await,
            }
        });
        Ok(receiver)
    }
}

/// What a name is asked for by.
fn wanted(name: &Reference) -> &str {
    name.digest().map(Digest::as_str).or(name.tag()).unwrap_or(spec::reference::DEFAULT_TAG)
}

impl Pull {
    /// Pulls one image; whether its name stands for another than before.
    async fn image(&self, name: &Reference, fetched: Option<Fetched>) -> Result<bool, Failure> {
        let fetched = match fetched {
            Some(fetched) => fetched,
            None => {
                let fetched = self.repository.manifest(wanted(name)).await;
                fetched.map_err(|error| resolve::failure(error, name))?
            }
        };
        let title = format!("Pulling from {}", path(name));
        self.report.titled(wanted(name), title).await;
        let (images, platform) = (self.engine.images(), self.platform.as_ref());
        let resolved = resolve(images, &self.repository, name, fetched, platform).await?;
        let origin = resolved.origin.digest.clone();
        let before = self.engine.images().named(name)?;
        // A task of its own ends the lease, also when this is dropped: what was made is removed then.
        let lease = Ending::new(&self.engine);
        let (id, bad) = match self.fetch(name, &resolved, lease.get()).await {
            Ok(id) => (Some(id), None),
            Err(failure) => (None, Some(failure)),
        };
        if let Some(failure) = bad {
            if failure.class == Class::InvalidArgument {
                // The image is not what it says: nobody will go on with it.
                let blobs: Vec<Digest> =
                    resolved.layers.iter().map(|layer| layer.digest.clone()).collect();
                self.engine.images().forget_fetched(&blobs)?;
            }
            return Err(failure);
        }
        self.report.status(format!("Digest: {origin}")).await;
        let mut attributes: std::collections::BTreeMap<String, String> = Default::default();
        if let Some(image) = id.as_ref().and_then(|id| self.engine.images().get(id).ok().flatten())
        {
            attributes = image.labels;
        }
        attributes.insert("name".into(), name.familiar_name());
        self.engine.events().publish("image", "pull", &name.familiar(), attributes);
        Ok(before != id)
    }

    async fn fetch(
        &self,
        name: &Reference,
        resolved: &Resolved,
        lease: &Arc<Lease>,
    ) -> Result<Digest, Failure> {
        self.keep_documents(resolved, lease).await?;
        let chains = images::chain(&resolved.diff_ids);
        let layers: Vec<Wanted> = resolved
            .layers
            .iter()
            .zip(chains.into_iter().zip(&resolved.diff_ids))
            .map(|(blob, (chain, diff_id))| Wanted {
                blob: blob.clone(),
                chain,
                diff_id: diff_id.clone(),
            })
            .collect();
        let mut found = Vec::new();
        for wanted in layers {
            let mut line = self.report.line(wanted.blob.digest.short());
            let size = layer::find(&self.engine, lease, &wanted).await?;
            line.say(if size.is_some() { "Already exists" } else { "Pulling fs layer" }).await;
            found.push((wanted, line, size));
        }
        let ensure = |(wanted, mut line, size): (Wanted, report::Line, Option<u64>)| {
            let lease = Arc::clone(lease);
            async move {
                if let Some(size) = size {
                    return Ok(size);
                }
                layer::ensure(&self.engine, &self.repository, &lease, &wanted, &mut line).await
            }
        };
        let work: Vec<_> = found.into_iter().map(ensure).collect();
        // All at once: downloads and unpacking have their own bounds.
        let count = work.len().max(1);
        let sizes: Vec<u64> = stream::iter(work).buffered(count).try_collect().await?;
        let layers = resolved.layers.iter().zip(sizes);
        let layers = layers.map(|(blob, size)| NewLayer { blob: bare(blob), size });
        let digest_name = name.with_digest(&resolved.origin.digest);
        let mut names = vec![digest_name];
        if name.digest().is_none() {
            names.push(name.clone());
        }
        let new = NewImage {
            config: resolved.config.clone(),
            manifest: Some(resolved.manifest.clone()),
            layers: layers.collect(),
            parent: None,
            names,
            origin: Some(resolved.origin.clone()),
        };
        let (store, held) = (self.engine.images().clone(), Arc::clone(lease));
        let (image, _) = super::blocking(move || store.add_blocking(&held, new)).await?;
        Ok(image.id)
    }

    /// Puts manifest and indexes into the store.
    async fn keep_documents(&self, resolved: &Resolved, lease: &Arc<Lease>) -> Result<(), Failure> {
        let (store, lease) = (self.engine.images().clone(), Arc::clone(lease));
        let documents = resolved.documents.clone();
        super::blocking(move || {
            for document in documents {
                let most = content::Expected::at_most(document.len() as u64);
                let mut ingest = store.content().ingest(most)?;
                ingest.write_bytes(&document)?;
                lease.commit_blocking(ingest)?;
            }
            Ok(())
        })
        .await
    }
}

/// The digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

/// The repository as a pull's title names it: without the registry.
fn path(name: &Reference) -> String {
    name.path().to_owned()
}

/// A layer's descriptor without what only its manifest needs.
fn bare(blob: &spec::image::Descriptor) -> spec::image::Descriptor {
    spec::image::Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size)
}

/// A lease that is ended by a task of its own when this is dropped.
struct Ending {
    engine: Engine,
    lease: Option<Arc<Lease>>,
}

impl Ending {
    fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), lease: Some(Arc::new(engine.images().lease())) }
    }

    fn get(&self) -> &Arc<Lease> {
        self.lease.as_ref().expect("it is taken by the drop only")
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let store = self.engine.images().clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.end_shared(lease).await });
        }
    }
}
