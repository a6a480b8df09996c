//! A root file system as a new image.

use crate::record::Image;
use crate::tag::parse_target;
use crate::{Error, Lease, Store, apply_changes, time};
use spec::image::{Config, History, RootFs, RunConfig};
use spec::{Platform, Reference};
use std::io::Read;
use std::sync::Arc;

/// What is known about an import, besides the tar.
#[derive(Debug, Clone, Default)]
pub struct NewImport {
    /// The repository and tag that the image gets.
    pub name: Option<(String, String)>,
    /// What for; `Imported from -` when empty.
    pub message: String,
    /// Changes to an empty configuration.
    pub changes: Vec<String>,
    /// What the image runs on; the host's platform when not set.
    pub platform: Option<Platform>,
}

impl Store {
    /// Makes an image of one layer: the tar `input`, compressed or not, which is read on a blocking thread. The import
    /// goes on when this is dropped; it ends when `input` fails.
    pub async fn import(
        &self,
        input: impl Read + Send + 'static,
        import: NewImport,
    ) -> Result<Image, Error> {
        let mut run = RunConfig::default();
        apply_changes(&mut run, &import.changes)?;
        let name = import.name.as_ref().map(|(repo, tag)| parse_target(repo, tag)).transpose()?;
        let store = self.clone();
        let work = async move {
            let lease = Arc::new(store.lease());
            let result = store.import_leased(&lease, input, &import, run, name).await;
            store.end_shared(lease).await;
            result
        };
        tokio::spawn(work).await?
    }

    async fn import_leased(
        &self,
        lease: &Arc<Lease>,
        input: impl Read + Send + 'static,
        import: &NewImport,
        run: RunConfig,
        name: Option<Reference>,
    ) -> Result<Image, Error> {
        let blob = self.ingest_layer(lease, input, "import image").await?;
        let now = time::format(time::now());
        let message = match &*import.message {
            "" => "Imported from -",
            message => message,
        };
        let platform = import.platform.clone().unwrap_or_else(Platform::host);
        let config = Config {
            created: Some(now.clone()),
            architecture: platform.architecture,
            variant: platform.variant.unwrap_or_default(),
            os: platform.os,
            config: run,
            rootfs: RootFs { diff_ids: vec![blob.digest.clone()], ..RootFs::default() },
            history: vec![History {
                created: Some(now),
                comment: message.to_owned(),
                ..History::default()
            }],
            comment: message.to_owned(),
            ..Config::default()
        };
        let layer = self.unpack_new(lease, &config.rootfs, &blob).await?;
        self.add(lease, &config, vec![layer], None, name).await
    }
}
