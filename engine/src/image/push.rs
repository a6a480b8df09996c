//! Pushing images.
//!
//! What was pulled, or loaded with a manifest, goes out byte for byte. For all else a manifest is made; layers that are
//! kept without compression are compressed for it, to the same bytes each time.

use super::pull::report::{Line, Report};
use super::pull::resolve;
use crate::Engine;
use api_types::image::Progress;
use distribution::{Access, Credentials, Repository, Upload, Uploaded};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use images::{Image, ImageLayer, Lease};
use serde_json::json;
use spec::image::{Descriptor, Manifest, media};
use spec::{Class, Digest, Failure, Platform, Reference};
use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// How often it is looked how much has been sent.
const TICK: Duration = Duration::from_millis(100);

/// What to push, and as whom.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// The repository, perhaps with a tag.
    pub name: String,
    /// The tag; when none is given, all tags are pushed.
    pub tag: String,
    /// The image must be for this platform.
    pub platform: Option<Platform>,
    /// The user's credentials for the registry.
    pub credentials: Credentials,
    /// The client's `User-Agent`.
    pub agent: String,
}

struct Push {
    engine: Engine,
    repository: Repository,
    name: Reference,
    platform: Option<Platform>,
    report: Report,
    slots: Semaphore,
}

/// A document or layer that shall be in the registry.
struct Part {
    /// What stands in the manifest.
    blob: Descriptor,
    /// The layer as it is kept here, if it is one.
    layer: Option<ImageLayer>,
}

impl Engine {
    /// Pushes an image, or all of a repository. Goes on while somebody listens; all failures but those of the name come
    /// in the stream.
    pub async fn image_push(
        &self,
        options: PushOptions,
    ) -> Result<mpsc::Receiver<Progress>, Failure> {
        let invalid = |error| Failure::from_error(Class::InvalidArgument, &error);
        let name = Reference::parse(&options.name).map_err(invalid)?;
        let name = match &*options.tag {
            "" => name,
            tag => name.with_tag(tag).map_err(invalid)?,
        };
        if name.digest().is_some() {
            return Err(Failure::invalid("cannot push a digest reference"));
        }
        let (sender, receiver) = mpsc::channel(64);
        let report = Report::new(sender);
        let engine = self.clone();
        tokio::spawn(async move {
            let work = engine.push(name, options, &report);
            let done = tokio::select! {
                done = work => done,
                () = report.closed() => return,
            };
            if let Err(failure) = done {
                report.send(Progress::failed(&failure.message)).await;
            }
        });
        Ok(receiver)
    }

    async fn push(
        &self,
        name: Reference,
        options: PushOptions,
        report: &Report,
    ) -> Result<(), Failure> {
        report.status(format!("The push refers to repository [{}]", name.name())).await;
        let mut tags = self.images().tags_of(&name)?;
        if tags.is_empty() {
            return Err(Failure::not_found(format!(
                "An image does not exist locally with the tag: {}",
                name.familiar_name()
            )));
        }
        if let Some(tag) = name.tag() {
            tags.retain(|(known, _)| known.tag() == Some(tag));
            if tags.is_empty() {
                return Err(Failure::not_found(format!("tag does not exist: {}", name.familiar())));
            }
        }
        let config = Arc::clone(&self.config().registry);
        let (credentials, agent) = (options.credentials, &options.agent);
        let repository = Repository::open(config, &name, Access::Push, credentials, agent).await?;
        let push = Push {
            engine: self.clone(),
            repository,
            name: name.clone(),
            platform: options.platform,
            report: report.clone(),
            slots: Semaphore::new(self.config().max_uploads.max(1)),
        };
        for (tagged, id) in tags {
            push.image(&tagged, &id).await?;
        }
        Ok(())
    }
}

impl Push {
    async fn image(&self, tagged: &Reference, id: &Digest) -> Result<(), Failure> {
        let images = self.engine.images();
        let image = images.get(id)?.ok_or_else(|| {
            Failure::not_found(format!("tag does not exist: {}", tagged.familiar()))
        })?;
        if let Some(wanted) = &self.platform
            && !super::pull::choose::fits(&image.platform, wanted)
        {
            return Err(Failure::not_found(format!(
                "image with reference {} was found but does not provide the specified platform ({wanted})",
                tagged.familiar()
            )));
        }
        // What the image has stays while it is being read.
        let lease = Arc::new(images.keep(&image).await?);
        let (kind, manifest) = self.upload_all(&image, &lease).await?;
        let digest = super::pull::digest(&manifest);
        let tag = tagged.tag().unwrap_or(spec::reference::DEFAULT_TAG);
        let put = self.repository.put_manifest(tag, &kind, manifest.clone()).await;
        put.map_err(|error| self.failure(error))?;
        let size = manifest.len();
        let described = Descriptor::new(kind, digest.clone(), size as u64);
        let (store, name) = (images.clone(), tagged.clone());
        super::blocking(move || {
            store.add_origin_blocking(&lease, &image, &name, &described, &manifest)
        })
        .await?;
        self.report.status(format!("{tag}: digest: {digest} size: {size}")).await;
        let aux = Some(json!({"Tag": tag, "Digest": digest, "Size": size}));
        self.report.send(Progress { aux, ..Progress::default() }).await;
        let mut attributes = std::collections::BTreeMap::new();
        attributes.insert("name".to_owned(), tagged.familiar_name());
        self.engine.events().publish("image", "push", &tagged.familiar(), attributes);
        Ok(())
    }

    /// Puts all blobs of an image into the registry; the manifest that names them, with its media type.
    async fn upload_all(
        &self,
        image: &Image,
        lease: &Arc<Lease>,
    ) -> Result<(String, Vec<u8>), Failure> {
        let own = match &image.manifest {
            Some(own) => {
                let (store, digest) = (self.engine.images().clone(), own.digest.clone());
                let read = move || Ok(store.content().read(&digest, content::READ_LIMIT)?);
                Some((own, super::blocking(read).await?))
            }
            None => None,
        };
        let as_it_came = own.is_some();
        let lines = self.prepare(image).await;
        let upload = |(layer, line): (&ImageLayer, Option<Line>)| {
            let (layer, lease) = (layer.clone(), Arc::clone(lease));
            async move { self.layer(layer, &lease, as_it_came, line).await }
        };
        let work: Vec<_> = image.layers.iter().zip(lines).map(upload).collect();
        let count = work.len().max(1);
        let layers: Vec<Descriptor> = stream::iter(work).buffered(count).try_collect().await?;
        let config = Descriptor::new(media::DOCKER_CONFIG, image.id.clone(), image.config_size);
        let part = Part { blob: config.clone(), layer: None };
        self.part(&part, lease, None).await?;
        if let Some((own, bytes)) = own {
            let kind = match &*own.media_type {
                "" => media::MANIFEST.to_owned(),
                kind => kind.to_owned(),
            };
            return Ok((kind, bytes));
        }
        Ok(make_manifest(config, layers))
    }

    /// A line for each layer that comes the first time; the order of the reference engine: the uppermost first.
    async fn prepare(&self, image: &Image) -> Vec<Option<Line>> {
        let mut seen = HashSet::new();
        let mut lines = Vec::new();
        for layer in &image.layers {
            let is_first = seen.insert(layer.blob.digest.clone());
            lines.push(is_first.then(|| self.report.line(layer.diff_id.short())));
        }
        for line in lines.iter_mut().rev().flatten() {
            line.say("Preparing").await;
        }
        lines
    }

    /// Puts a layer into the registry; its descriptor there.
    async fn layer(
        &self,
        layer: ImageLayer,
        lease: &Arc<Lease>,
        as_it_came: bool,
        mut line: Option<Line>,
    ) -> Result<Descriptor, Failure> {
        let is_plain = matches!(&*layer.blob.media_type, media::LAYER | media::DOCKER_LAYER | "");
        let known = match as_it_came || !is_plain {
            true => Some(layer.blob.clone()),
            false => self.engine.images().compressed(&layer.blob.digest)?,
        };
        if self.slots.available_permits() == 0
            && let Some(line) = &mut line
        {
            line.say("Waiting").await;
        }
        let slot = self.slots.acquire().await;
        let _slot = slot.map_err(|_| Failure::internal("push: the engine ends"))?;
        if line.is_none() {
            // The same blob a second time: the first is being uploaded.
            return match known {
                Some(known) => Ok(known),
                None => self.compress(&layer, lease).await,
            };
        }
        if let Some(known) = &known
            && self.is_there(&known.digest).await?
        {
            if let Some(line) = &mut line {
                line.say("Layer already exists").await;
            }
            return Ok(known.clone());
        }
        let content = self.engine.images().content();
        let blob = match known {
            Some(known) if lease.keep_blob(content, &known.digest)? => known,
            _ => self.compress(&layer, lease).await?,
        };
        let part = Part { blob: blob.clone(), layer: Some(layer) };
        self.part(&part, lease, line).await?;
        Ok(blob)
    }

    async fn is_there(&self, digest: &Digest) -> Result<bool, Failure> {
        self.repository.has_blob(digest).await.map_err(|error| self.failure(error))
    }

    /// Makes the compressed form of a layer.
    async fn compress(
        &self,
        layer: &ImageLayer,
        lease: &Arc<Lease>,
    ) -> Result<Descriptor, Failure> {
        let (store, lease) = (self.engine.images().clone(), Arc::clone(lease));
        let plain = layer.blob.digest.clone();
        super::blocking(move || {
            let failed = |source| images::Error::Input { doing: "compress layer", source };
            let input = store.content().open_blob(&plain)?;
            let mut ingest = store.content().ingest(content::Expected::at_most(u64::MAX))?;
            let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
            archive::gzip(input, &mut ingest, threads.min(4)).map_err(failed)?;
            let digest = ingest.digest();
            let blob = store.commit_fetched_blocking(&lease, &digest, ingest)?;
            let made = Descriptor::new(media::DOCKER_LAYER_GZIP, blob.digest, blob.size);
            store.note_compressed(&plain, &made)?;
            Ok(made)
        })
        .await
    }

    /// Puts a blob into the registry if it is not there.
    async fn part(
        &self,
        part: &Part,
        lease: &Arc<Lease>,
        mut line: Option<Line>,
    ) -> Result<(), Failure> {
        let blob = &part.blob;
        if part.layer.is_none() && self.is_there(&blob.digest).await? {
            return Ok(());
        }
        let content = self.engine.images().content();
        if !lease.keep_blob(content, &blob.digest)? {
            return Err(Failure::not_found(format!("push blob {}: it is not here", blob.digest)));
        }
        let file: File = content.open_blob(&blob.digest)?;
        let sources = match &part.layer {
            Some(layer) => self.engine.images().sources(&self.name, &layer.blob.digest)?,
            None => Vec::new(),
        };
        for source in &sources {
            self.repository.add_source(source);
        }
        let sent = Arc::new(AtomicU64::new(0));
        let upload = Upload {
            digest: blob.digest.clone(),
            size: blob.size,
            file: Arc::new(file),
            sent: Arc::clone(&sent),
        };
        let mut upload = std::pin::pin!(self.repository.upload(&upload, &sources));
        let done = loop {
            tokio::select! {
                done = &mut upload => break done,
                () = tokio::time::sleep(TICK) => {}
            }
            let sent = sent.load(Ordering::Relaxed);
            if let Some(line) = line.as_mut().filter(|_| sent > 0) {
                line.count("Pushing", sent, blob.size).await;
            }
        };
        let done = done.map_err(|error| self.failure(error))?;
        let Some(line) = &mut line else { return Ok(()) };
        match done {
            Uploaded::Mounted(source) => line.say(&format!("Mounted from {source}")).await,
            Uploaded::Sent => {
                line.count("Pushing", blob.size, blob.size).await;
                line.say("Pushed").await;
            }
        }
        Ok(())
    }

    fn failure(&self, error: distribution::Error) -> Failure {
        if matches!(error, distribution::Error::NoCredentials { .. }) {
            return Failure::new(Class::Unauthorized, "no basic auth credentials");
        }
        resolve::refused(error)
    }
}

/// A manifest in Docker's form, which everybody reads; in the other when a layer has no type there.
fn make_manifest(mut config: Descriptor, mut layers: Vec<Descriptor>) -> (String, Vec<u8>) {
    let is_oci = layers.iter().any(|layer| layer.media_type.ends_with("+zstd"));
    if is_oci {
        config.media_type = media::CONFIG.into();
    }
    for layer in &mut layers {
        let is_gzip = layer.media_type.ends_with("gzip");
        layer.media_type = match (is_oci, is_gzip) {
            (false, _) => media::DOCKER_LAYER_GZIP.into(),
            (true, true) => media::LAYER_GZIP.into(),
            (true, false) => media::LAYER_ZSTD.into(),
        };
    }
    let mut manifest = Manifest::new(config, layers);
    if !is_oci {
        manifest.media_type = media::DOCKER_MANIFEST.into();
    }
    let bytes = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
    (manifest.media_type, bytes)
}
