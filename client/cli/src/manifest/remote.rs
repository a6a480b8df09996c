//! Manifests in registries, asked for by the client itself.

use crate::credentials;
use crate::failure::Failure;
use crate::host;
use crate::manifest::entry::{Descriptor, Entry};
use crate::manifest::platform::Platform;
use crate::session::{Session, VERSION};
use distribution::{Access, Config, Credentials, Error, Fetched, Proxies, Repository};
use serde::Deserialize;
use spec::image::media;
use spec::{Digest, Reference};
use std::sync::Arc;

/// The most bytes of an image's configuration that are read.
const LONGEST_CONFIG: u64 = 8 << 20;

/// What a name in a registry stands for.
#[derive(Debug)]
pub(crate) enum Found {
    Image(Box<Entry>),
    /// A list: its bytes.
    List(String),
}

/// Reads a name, completed as Docker does.
pub(crate) fn name(text: &str) -> Result<Reference, Failure> {
    let reference = Reference::parse(text).map_err(|error| Failure::Plain(error.to_string()))?;
    Ok(reference.with_default_tag())
}

/// A repository, with the credentials that are known for it.
pub(crate) async fn open(
    session: &Session,
    name: &Reference,
    access: Access,
    insecure: bool,
) -> Result<Repository, Failure> {
    let known = credentials::of(&session.config, credentials::server(name.domain()));
    let known = known.map_or_else(Credentials::default, |known| Credentials {
        username: known.user,
        password: known.password,
        identitytoken: known.identity_token,
        ..Credentials::default()
    });
    let config = Config {
        insecure: if insecure { vec![name.domain().to_owned()] } else { Vec::new() },
        proxies: proxies(),
        ..Config::default()
    };
    let agent = format!("coffer/{VERSION}");
    let opened = Repository::open(Arc::new(config), name, access, known, &agent).await;
    opened.map_err(|error| plain(&error))
}

fn proxies() -> Proxies {
    let either = |upper: &str, lower: &str| {
        host::variable(upper).or_else(|| host::variable(lower)).unwrap_or_default()
    };
    Proxies {
        http: either("HTTP_PROXY", "http_proxy"),
        https: either("HTTPS_PROXY", "https_proxy"),
        exempt: either("NO_PROXY", "no_proxy"),
    }
}

/// Looks a name up in its registry.
pub(crate) async fn find(session: &Session, text: &str, insecure: bool) -> Result<Found, Failure> {
    let name = name(text)?;
    let repository = open(session, &name, Access::Pull, insecure).await?;
    let wanted = name.digest().map(Digest::to_string);
    let wanted = wanted.or_else(|| name.tag().map(str::to_owned)).unwrap_or_default();
    let fetched = match repository.manifest(&wanted).await {
        Err(error) if error.is_manifest_unknown() => {
            return Err(Failure::Plain(format!("no such manifest: {}", name.familiar())));
        }
        fetched => fetched.map_err(|error| plain(&error))?,
    };
    let Fetched { media_type, digest, bytes } = fetched;
    let size = bytes.len() as u64;
    let manifest = String::from_utf8(bytes)
        .map_err(|_| Failure::Plain(format!("manifest of {text}: it is not UTF-8")))?;
    if [media::INDEX, media::DOCKER_LIST].contains(&media_type.as_str()) {
        return Ok(Found::List(manifest));
    }
    let platform = Some(platform(&repository, &manifest).await?);
    let descriptor = Descriptor { media_type, digest: digest.to_string(), size, platform };
    Ok(Found::Image(Box::new(Entry { name: name.to_string(), descriptor, manifest })))
}

/// What the image's configuration says of its platform.
async fn platform(repository: &Repository, manifest: &str) -> Result<Platform, Failure> {
    #[derive(Deserialize)]
    struct Blob {
        digest: String,
        #[serde(default)]
        size: u64,
    }
    #[derive(Deserialize)]
    struct Manifest {
        config: Blob,
    }
    let Manifest { config } = serde_json::from_str(manifest)?;
    if config.size > LONGEST_CONFIG {
        return Err(Failure::Plain(format!("configuration {} is too large", config.digest)));
    }
    let digest =
        Digest::parse(&config.digest).map_err(|error| Failure::Plain(error.to_string()))?;
    let mut stream =
        repository.blob(&digest, 0, config.size).await.map_err(|error| plain(&error))?;
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await.map_err(|error| plain(&error))? {
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > config.size {
            return Err(Failure::Plain(format!("configuration {digest} is longer than it should")));
        }
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// The sentence of a failure with its causes.
pub(crate) fn plain(error: &Error) -> Failure {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Failure::Plain(text)
}
