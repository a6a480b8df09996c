//! A container's changes as a new image.

use crate::record::{Image, chain};
use crate::store::{LAYER_LIMIT, NewImage, NewLayer};
use crate::tag::parse_target;
use crate::{Error, Lease, Store, apply_changes, time};
use archive::Decoder;
use content::{Blob, Expected};
use serde_json::Value;
use spec::image::{Config, Descriptor, History, LAYERS_MAX, RootFs, RunConfig, media};
use spec::{Digest, Platform};
use std::io::Read;
use std::sync::Arc;

/// The digest of a tar without entries (1,024 zeros): a layer of it is left out, as Docker does.
const EMPTY_TAR: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// What is known about a commit, besides the layer.
#[derive(Debug, Clone, Default)]
pub struct NewCommit {
    /// The container's image.
    pub parent: Option<Digest>,
    /// How containers of the new image are started: the container's own configuration, merged with the request's.
    pub config: RunConfig,
    /// Changes to it.
    pub changes: Vec<String>,
    /// The container's id.
    pub container: String,
    /// The container's configuration, as it is kept in the image.
    pub container_config: Value,
    /// The command that made the changes.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// What for.
    pub comment: String,
    /// The repository and tag that the image gets.
    pub name: Option<(String, String)>,
}

impl Store {
    /// Makes an image of the parent's layers and `layer`, a tar of what a container changed, which is read on a
    /// blocking thread. The commit goes on when this is dropped; it ends when `layer` fails.
    pub async fn commit(
        &self,
        layer: impl Read + Send + 'static,
        commit: NewCommit,
    ) -> Result<Image, Error> {
        let mut run = commit.config.clone();
        apply_changes(&mut run, &commit.changes)?;
        let name = commit.name.as_ref().map(|(repo, tag)| parse_target(repo, tag)).transpose()?;
        let store = self.clone();
        let work = async move {
            let lease = Arc::new(store.lease());
            let result = store.commit_leased(&lease, layer, &commit, run, name).await;
            store.end_shared(lease).await;
            result
        };
        tokio::spawn(work).await?
    }

    async fn commit_leased(
        &self,
        lease: &Arc<Lease>,
        layer: impl Read + Send + 'static,
        commit: &NewCommit,
        run: RunConfig,
        name: Option<spec::Reference>,
    ) -> Result<Image, Error> {
        let parent = match &commit.parent {
            Some(id) => Some(self.get(id)?.ok_or_else(|| Error::NotFound(id.to_string()))?),
            None => None,
        };
        let _parent_kept = match &parent {
            Some(parent) => Some(self.keep(parent).await?),
            None => None,
        };
        let blob = self.ingest_layer(lease, layer, "commit container").await?;
        let empty = blob.digest.as_str() == EMPTY_TAR;
        let config = self.child_config(commit, run, parent.as_ref(), &blob, empty)?;
        let mut layers: Vec<NewLayer> = parent
            .iter()
            .flat_map(|parent| &parent.layers)
            .map(|layer| NewLayer { blob: layer.blob.clone(), size: layer.size })
            .collect();
        if !empty {
            layers.push(self.unpack_new(lease, &config.rootfs, &blob).await?);
        }
        self.add(lease, &config, layers, commit.parent.clone(), name).await
    }

    fn child_config(
        &self,
        commit: &NewCommit,
        run: RunConfig,
        parent: Option<&Image>,
        blob: &Blob,
        empty: bool,
    ) -> Result<Config, Error> {
        let base = match parent {
            Some(parent) => self.config(&parent.id)?,
            None => Config::default(),
        };
        let mut diff_ids = base.rootfs.diff_ids;
        if !empty {
            diff_ids.push(blob.digest.clone());
        }
        if diff_ids.len() > LAYERS_MAX {
            let id = parent.map_or_else(|| blob.digest.clone(), |parent| parent.id.clone());
            return Err(Error::TooManyLayers { id, layers: diff_ids.len(), limit: LAYERS_MAX });
        }
        let now = time::format(time::now());
        let mut history = base.history;
        history.push(History {
            created: Some(now.clone()),
            created_by: commit.created_by.clone(),
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            empty_layer: empty,
        });
        let host = Platform::host();
        let mut other = base.other;
        other.insert("container".into(), commit.container.clone().into());
        other.insert("container_config".into(), commit.container_config.clone());
        Ok(Config {
            created: Some(now),
            author: commit.author.clone(),
            architecture: non_empty(base.architecture, host.architecture),
            variant: base.variant,
            os: non_empty(base.os, host.os),
            config: run,
            rootfs: RootFs { diff_ids, ..RootFs::default() },
            history,
            comment: commit.comment.clone(),
            other,
        })
    }

    /// Takes a tar in, decompressed, so that its digest is its diff id.
    pub(crate) async fn ingest_layer(
        &self,
        lease: &Arc<Lease>,
        input: impl Read + Send + 'static,
        doing: &'static str,
    ) -> Result<Blob, Error> {
        let (store, lease) = (self.clone(), Arc::clone(lease));
        let ingest = move || {
            let failed = |source| Error::Input { doing, source };
            let mut input = Decoder::new(input, LAYER_LIMIT).map_err(failed)?;
            let mut ingest = store.content().ingest(Expected::at_most(LAYER_LIMIT))?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match input.read(&mut buffer).map_err(failed)? {
                    0 => return lease.commit_blocking(ingest),
                    length => ingest.write_bytes(&buffer[..length])?,
                }
            }
        };
        tokio::task::spawn_blocking(ingest).await?
    }

    /// Unpacks the uppermost layer.
    pub(crate) async fn unpack_new(
        &self,
        lease: &Lease,
        rootfs: &RootFs,
        blob: &Blob,
    ) -> Result<NewLayer, Error> {
        let key = chain(&rootfs.diff_ids).pop().ok_or_else(|| Error::NotFound("layer".into()))?;
        let size = self.ensure_layer(lease, &key, &blob.digest, &blob.digest).await?;
        Ok(NewLayer { blob: Descriptor::new(media::LAYER, blob.digest.clone(), blob.size), size })
    }

    pub(crate) async fn add(
        &self,
        lease: &Arc<Lease>,
        config: &Config,
        layers: Vec<NewLayer>,
        parent: Option<Digest>,
        name: Option<spec::Reference>,
    ) -> Result<Image, Error> {
        let config = serde_json::to_vec(config).expect("a configuration is JSON");
        let names = name.into_iter().collect();
        let image = NewImage { config, manifest: None, layers, parent, names, origin: None };
        let (store, lease) = (self.clone(), Arc::clone(lease));
        let add = move || store.add_blocking(&lease, image).map(|(image, _)| image);
        tokio::task::spawn_blocking(add).await?
    }
}

fn non_empty(text: String, default: String) -> String {
    if text.is_empty() { default } else { text }
}
