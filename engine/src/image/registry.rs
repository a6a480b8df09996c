//! Verbs that only ask a registry: login, search, and what a name stands for there.

use super::pull::resolve;
use crate::{Engine, Filters};
use api_types::image::Platform as Shown;
use distribution::{Access, Credentials, Found, LIMIT_MAX, Repository};
use spec::image::{Config, Index, Manifest, PlatformDescriptor, media};
use spec::{Class, Failure, Reference};
use std::sync::Arc;

/// What a name stands for in a registry.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The manifest's or index's media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: i64,
    /// What there is an image for.
    pub platforms: Vec<Shown>,
}

impl Engine {
    /// Shows credentials to a registry; the refresh token that stands for the password from now on, if it gives one.
    pub async fn registry_login(
        &self,
        credentials: Credentials,
        agent: &str,
    ) -> Result<String, Failure> {
        let config = Arc::clone(&self.config().registry);
        let server = credentials.serveraddress.clone();
        let login = distribution::login(config, &server, credentials.complete(), agent).await;
        match login {
            Ok(login) => Ok(login.identity_token),
            Err(error) if error.class() == Class::Unauthorized => {
                let shown: String = server.chars().filter(|c| !c.is_control()).take(200).collect();
                let text = format!("login attempt to {shown} failed: {}", Failure::from(error));
                Err(Failure::new(Class::Unauthorized, text))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Repositories of an index whose names or descriptions match.
    pub async fn image_search(
        &self,
        term: &str,
        limit: Option<u32>,
        filters: &Filters,
        credentials: &Credentials,
        agent: &str,
    ) -> Result<Vec<Found>, Failure> {
        filters.only(&["is-automated", "is-official", "stars"])?;
        if limit.is_some_and(|limit| limit > LIMIT_MAX) {
            let limit = limit.unwrap_or_default();
            return Err(Failure::invalid(format!(
                "limit {limit} is outside the range of [1, {LIMIT_MAX}]"
            )));
        }
        if term.is_empty() {
            return Err(Failure::invalid("no term to search for was given"));
        }
        let (automated, official) = (filters.flag("is-automated")?, filters.flag("is-official")?);
        let mut stars = 0;
        for text in filters.get("stars") {
            let number: i64 = text
                .parse()
                .map_err(|_| Failure::invalid(format!("invalid filter 'stars={text}'")))?;
            stars = stars.max(number);
        }
        let config = Arc::clone(&self.config().registry);
        let found = distribution::search(config, term, limit, credentials, agent).await?;
        let wanted = |one: &Found| {
            automated.is_none_or(|wanted| one.is_automated == wanted)
                && official.is_none_or(|wanted| one.is_official == wanted)
                && one.star_count >= stars
        };
        Ok(found.into_iter().filter(wanted).collect())
    }

    /// What a name stands for in its registry.
    pub async fn distribution_inspect(
        &self,
        name: &str,
        credentials: Credentials,
        agent: &str,
    ) -> Result<Remote, Failure> {
        let name = Reference::parse(name)
            .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?
            .with_default_tag();
        let config = Arc::clone(&self.config().registry);
        let repository = Repository::open(config, &name, Access::Pull, credentials, agent).await?;
        let wanted = name.digest().map(|digest| digest.as_str()).or(name.tag());
        let wanted = wanted.unwrap_or(spec::reference::DEFAULT_TAG);
        let fetched = repository.manifest(wanted).await.map_err(resolve::refused)?;
        let invalid = |error| Failure::from_error(Class::InvalidArgument, &error);
        let platforms = if media::is_index(&fetched.media_type) {
            let index = Index::parse(&fetched.bytes).map_err(invalid)?;
            index.manifests.into_iter().filter_map(|one| one.platform).map(shown).collect()
        } else {
            let manifest = Manifest::parse(&fetched.bytes).map_err(invalid)?;
            let bytes = resolve::fetch_config(&repository, &manifest.config).await?;
            let config = Config::parse(&bytes).map_err(invalid)?;
            vec![shown(PlatformDescriptor::from(&config.platform()))]
        };
        Ok(Remote {
            media_type: fetched.media_type,
            digest: fetched.digest.to_string(),
            size: super::show::number(fetched.bytes.len() as u64),
            platforms,
        })
    }
}

fn shown(platform: PlatformDescriptor) -> Shown {
    Shown {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version.unwrap_or_default(),
        os_features: platform.os_features,
        variant: platform.variant.unwrap_or_default(),
    }
}
