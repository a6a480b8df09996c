//! Verbs on images, over the crate `images`: what the API shows of them, who uses them, and the events.
//!
//! [`layers`] is how the image store reaches the storage worker; [`stream`] connects its readers and writers, which
//! block, with pipes.

pub mod archive;
pub mod change;
pub mod layers;
pub mod pull;
pub mod push;
pub mod registry;
pub mod show;
pub mod stream;

pub use archive::ImportOptions;
pub use change::ImageRemoveOptions;
pub use distribution::{Credentials, Found};
pub use pull::PullOptions;
pub use push::PushOptions;
pub use registry::Remote;
pub use show::ImageListOptions;

use crate::container::state::State;
use crate::{Engine, Filters};
use images::User;
use spec::{Digest, Failure};
use std::collections::BTreeMap;

impl Engine {
    /// The image store.
    pub(crate) fn images(&self) -> &images::Store {
        &self.0.images
    }

    /// All containers as users of images.
    pub(crate) fn image_users(&self) -> Vec<User> {
        let user = |handle: crate::container::registry::Handle| {
            let view = handle.view();
            let image = Digest::parse(&view.config.image.id).ok()?;
            Some(User {
                container: view.config.id.as_str().to_owned(),
                image,
                running: !matches!(view.state, State::Created | State::Exited | State::Dead),
                layers: view.config.image.layers.clone(),
            })
        };
        self.0.containers.all().into_iter().filter_map(user).collect()
    }

    /// Tells of something that happened to an image, with its labels when it still exists.
    pub(crate) fn image_event(&self, action: &str, id: &Digest, name: &str) {
        let mut attributes: BTreeMap<String, String> = match self.images().get(id) {
            Ok(Some(image)) => image.labels,
            _ => BTreeMap::new(),
        };
        attributes.insert("name".into(), name.to_owned());
        self.events().publish("image", action, id.as_str(), attributes);
    }
}

/// The filters of images; unknown keys are refused.
pub(crate) fn filters(filters: &Filters, known: &[&str]) -> Result<images::Filters, Failure> {
    filters.only(known)?;
    filters.flag("dangling")?;
    crate::filter::until(filters, crate::event::now())?;
    let values: BTreeMap<String, Vec<String>> = known
        .iter()
        .filter(|key| filters.has(key))
        .map(|key| ((*key).to_owned(), filters.get(key).to_vec()))
        .collect();
    Ok(images::Filters::parse(&values)?)
}

/// Runs something that reads the database or blobs for longer than a look-up takes.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, images::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::internal("read images: reader broke off")),
    }
}
