//! Images as the API shows them.

use super::{blocking, filters};
use crate::event::time_text;
use crate::{Engine, Filters};
use api_types::image::{Config, History, Inspect, Metadata, RootFs, Summary};
use api_types::inspect::DriverData;
use api_types::{Map, lenient, time};
use images::Image;
use spec::{Class, Failure, Platform};
use std::collections::HashMap;

/// The storage driver's name, as clients know it.
pub(crate) const DRIVER: &str = "overlay2";

/// What `image_list` lists.
#[derive(Debug, Clone, Default)]
pub struct ImageListOptions {
    /// Also images without a name that others were made from.
    pub all: bool,
    /// Tell how much of each image other images have too.
    pub shared_size: bool,
    /// Tell of the manifests; an image is had by its configuration here, so there are none to tell of.
    pub manifests: bool,
    /// Only those that match.
    pub filters: Filters,
}

impl Engine {
    /// The images that match, the newest first.
    pub async fn image_list(&self, options: ImageListOptions) -> Result<Vec<Summary>, Failure> {
        let known = ["dangling", "label", "label!", "before", "since", "reference", "until"];
        let wanted = filters(&options.filters, &known)?;
        let (store, all) = (self.images().clone(), options.all);
        let found = blocking(move || store.list(&wanted, all)).await?;
        let mut uses: HashMap<String, i64> = HashMap::new();
        for user in self.image_users() {
            *uses.entry(user.image.to_string()).or_default() += 1;
        }
        let show = |found: images::Summary| {
            let image = found.image;
            let shared = if options.shared_size { number(found.shared_size) } else { -1 };
            Summary {
                containers: uses.get(image.id.as_str()).copied().unwrap_or_default(),
                created: image
                    .created_at
                    .map_or(time::ZERO_SECONDS, |at| at.div_euclid(1_000_000_000)),
                id: image.id.to_string(),
                labels: if image.labels.is_empty() {
                    Map::default()
                } else {
                    Map::from(image.labels)
                },
                parent_id: image.parent.map(|id| id.to_string()).unwrap_or_default(),
                repo_digests: found.digests,
                repo_tags: found.tags,
                shared_size: shared,
                size: number(image.size),
                ..Summary::default()
            }
        };
        Ok(found.into_iter().map(show).collect())
    }

    /// One image; of the given platform, else it is as good as not there.
    pub async fn image_inspect(
        &self,
        name: &str,
        _manifests: bool,
        platform: Option<&Platform>,
    ) -> Result<Inspect, Failure> {
        let (store, text) = (self.images().clone(), name.to_owned());
        let (image, config, names) = blocking(move || {
            let image = store.resolve(&text)?;
            let (config, names) = (store.config(&image.id)?, store.names(&image.id)?);
            Ok((image, config, names))
        })
        .await
        .map_err(|failure| match failure.class {
            Class::NotFound => Failure::not_found(format!("no such image: {name}: {failure}")),
            _ => failure,
        })?;
        check_platform(name, &image, platform)?;
        let (digests, tags): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| name.digest().is_some());
        let familiar = |names: Vec<spec::Reference>| names.iter().map(|n| n.familiar()).collect();
        Ok(Inspect {
            id: image.id.to_string(),
            repo_tags: familiar(tags),
            repo_digests: familiar(digests),
            comment: last_comment(&config),
            created: config.created.clone().unwrap_or_default(),
            author: config.author.clone(),
            config: run_config(&config)?,
            architecture: image.platform.architecture.clone(),
            variant: image.platform.variant.clone().unwrap_or_default(),
            os: image.platform.os.clone(),
            size: number(image.size),
            graph_driver: Some(DriverData { name: DRIVER.into(), data: Map::default() }),
            root_fs: RootFs {
                kind: "layers".into(),
                layers: image.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
            },
            metadata: Metadata { last_tag_time: time_text(image.tagged_at) },
            ..Inspect::default()
        })
    }

    /// The steps that made an image, the newest first.
    pub async fn image_history(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Vec<History>, Failure> {
        let (store, text) = (self.images().clone(), name.to_owned());
        let (image, items) = blocking(move || {
            let image = store.resolve(&text)?;
            Ok((image, store.history(&text)?))
        })
        .await?;
        check_platform(name, &image, platform)?;
        let show = |item: images::HistoryItem| History {
            comment: item.comment,
            created: item.created_at.map_or(time::ZERO_SECONDS, |at| at.div_euclid(1_000_000_000)),
            created_by: item.created_by,
            id: item.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
            size: number(item.size),
            tags: if item.tags.is_empty() { Default::default() } else { item.tags.into() },
        };
        Ok(items.into_iter().map(show).collect())
    }
}

/// A size as the API has it.
pub(crate) fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn check_platform(name: &str, image: &Image, wanted: Option<&Platform>) -> Result<(), Failure> {
    let Some(wanted) = wanted else { return Ok(()) };
    let have = &image.platform;
    let same_variant = wanted.variant.is_none() || wanted.variant == have.variant;
    if wanted.os == have.os && wanted.architecture == have.architecture && same_variant {
        return Ok(());
    }
    Err(Failure::not_found(format!(
        "image with reference {name} was found but does not provide the specified platform ({wanted})"
    )))
}

fn last_comment(config: &spec::image::Config) -> String {
    if config.comment.is_empty() {
        config.history.last().map(|step| step.comment.clone()).unwrap_or_default()
    } else {
        config.comment.clone()
    }
}

/// How containers are started, in the API's form: the same keys, of which the API knows fewer.
fn run_config(config: &spec::image::Config) -> Result<Config, Failure> {
    let failed = |cause: String| Failure::internal(format!("show image configuration: {cause}"));
    let value = serde_json::to_value(&config.config).map_err(|cause| failed(cause.to_string()))?;
    lenient::from_value(&value).map_err(|cause| failed(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_configuration_keeps_what_the_api_knows() {
        let config: spec::image::Config = serde_json::from_str(
            r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Cmd":["sh"],
                "ExposedPorts":{"80/tcp":{}},"StopTimeout":3,"Other":1}}"#,
        )
        .unwrap();
        let shown = serde_json::to_string(&run_config(&config).unwrap()).unwrap();
        assert_eq!(shown, r#"{"ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Cmd":["sh"]}"#);
    }
}
