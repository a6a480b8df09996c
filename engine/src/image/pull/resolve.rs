//! From a name in a registry to the manifest and configuration of one image.

use super::choose::{choose, fits};
use distribution::{Code, Error, Fetched, Repository};
use sha2::Digest as _;
use spec::image::{Config, DOCUMENT_MAX, Descriptor, Index, Manifest, media};
use spec::{Class, Digest, Failure, Platform, Reference};

/// Indexes that may lead from one to the next.
const DEPTH_MAX: usize = 3;

/// Layers that are at another place than the registry, by their license; nobody makes them any more.
const FOREIGN: [&str; 4] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+",
];

/// An image in a registry.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// What the name stands for: an index, or the manifest itself.
    pub(crate) origin: Descriptor,
    /// The manifest.
    pub(crate) manifest: Descriptor,
    /// Its layers, lowest first.
    pub(crate) layers: Vec<Descriptor>,
    /// The digests of their uncompressed tars.
    pub(crate) diff_ids: Vec<Digest>,
    /// The configuration's bytes.
    pub(crate) config: Vec<u8>,
    /// Manifest and indexes, byte for byte.
    pub(crate) documents: Vec<Vec<u8>>,
}

/// Follows indexes from what a name stands for to the image for a platform.
pub(crate) async fn resolve(
    images: &images::Store,
    repository: &Repository,
    name: &Reference,
    fetched: Fetched,
    wanted: Option<&Platform>,
) -> Result<Resolved, Failure> {
    let platform = wanted.cloned().unwrap_or_else(Platform::host);
    let origin = describe(&fetched);
    let mut documents = Vec::new();
    let mut current = fetched;
    while media::is_index(&current.media_type) {
        if documents.len() == DEPTH_MAX {
            let message = format!("pull {}: its indexes are nested too deeply", name.familiar());
            return Err(Failure::invalid(message));
        }
        let index = Index::parse(&current.bytes).map_err(invalid)?;
        let chosen = choose(&index, &platform).ok_or_else(|| {
            Failure::not_found(format!(
                "no matching manifest for {platform} in the manifest list entries"
            ))
        })?;
        let next = repository.manifest(chosen.digest.as_str()).await;
        let next = next.map_err(|error| failure(error, &name.with_digest(&chosen.digest)))?;
        documents.push(std::mem::replace(&mut current, next).bytes);
    }
    let manifest = Manifest::parse(&current.bytes).map_err(invalid)?;
    check_kinds(&manifest)?;
    let digest = manifest.config.digest.clone();
    let content = images.content().clone();
    let known = super::super::blocking(move || Ok(content.read(&digest, DOCUMENT_MAX as u64).ok()));
    let config = match known.await? {
        Some(config) => config,
        None => fetch_config(repository, &manifest.config).await?,
    };
    let parsed = Config::parse(&config).map_err(invalid)?;
    let have = parsed.platform();
    if wanted.is_some_and(|wanted| !have.os.is_empty() && !fits(&have, wanted)) {
        return Err(Failure::not_found(format!(
            "image with reference {} was found but does not match the specified platform: wanted {platform}, actual: {have}",
            name.familiar()
        )));
    }
    if !matches!(&*have.os, "" | "linux") {
        return Err(Failure::invalid(format!(
            "image operating system \"{}\" cannot be used on this platform: operating system is not supported",
            have.os
        )));
    }
    let diff_ids = parsed.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(Failure::invalid(format!(
            "pull {}: its manifest has {} layers and its configuration {}",
            name.familiar(),
            manifest.layers.len(),
            diff_ids.len()
        )));
    }
    let described = describe(&current);
    documents.push(current.bytes);
    let layers = manifest.layers;
    Ok(Resolved { origin, manifest: described, layers, diff_ids, config, documents })
}

fn describe(fetched: &Fetched) -> Descriptor {
    let (digest, size) = (fetched.digest.clone(), fetched.bytes.len() as u64);
    Descriptor::new(fetched.media_type.clone(), digest, size)
}

fn invalid(error: spec::image::DocumentError) -> Failure {
    Failure::from_error(Class::InvalidArgument, &error)
}

fn check_kinds(manifest: &Manifest) -> Result<(), Failure> {
    let known = [media::CONFIG, media::DOCKER_CONFIG, "application/octet-stream", ""];
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
    if !known.contains(&&*manifest.config.media_type) {
        let kind = shown(&manifest.config.media_type);
        return Err(Failure::invalid(format!(
            "Encountered remote \"{kind}\"(unknown) when fetching"
        )));
    }
    for layer in &manifest.layers {
        let kind = &*layer.media_type;
        if !layer.urls.is_empty() || FOREIGN.iter().any(|foreign| kind.starts_with(foreign)) {
            return Err(Failure::invalid(format!(
                "layer {} is a foreign layer ({}), which must be had from somewhere else: not supported",
                layer.digest,
                shown(kind)
            )));
        }
        let is_layer = kind.is_empty()
            || kind.starts_with(media::LAYER)
            || kind.starts_with(media::DOCKER_LAYER)
            || kind == "application/octet-stream";
        if !is_layer || kind.contains("encrypted") {
            return Err(Failure::invalid(format!(
                "layer {} is of type \"{}\", which is no file system layer",
                layer.digest,
                shown(kind)
            )));
        }
    }
    Ok(())
}

/// The bytes of a configuration.
pub(crate) async fn fetch_config(
    repository: &Repository,
    config: &Descriptor,
) -> Result<Vec<u8>, Failure> {
    let too_large = || {
        Failure::invalid(format!(
            "image configuration {} has {} bytes, more than {DOCUMENT_MAX}",
            config.digest, config.size
        ))
    };
    if config.size > DOCUMENT_MAX as u64 {
        return Err(too_large());
    }
    let mut tries = 0;
    let bytes = loop {
        match read_config(repository, config).await {
            Ok(Some(bytes)) => break bytes,
            Ok(None) => return Err(too_large()),
            Err(error) => {
                let wait = repository.config().wait(tries, &error);
                match wait.filter(|_| error.is_temporary()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error.into()),
                }
            }
        }
        tries += 1;
    };
    let found = Digest::from_sha256(&sha2::Sha256::digest(&bytes).into());
    if found != config.digest {
        return Err(Failure::invalid(format!(
            "image config verification failed for digest {}: it has the digest {found}",
            config.digest
        )));
    }
    Ok(bytes)
}

/// The whole blob; `None` when there is more than the descriptor says.
async fn read_config(
    repository: &Repository,
    config: &Descriptor,
) -> Result<Option<Vec<u8>>, Error> {
    let mut stream = repository.blob(&config.digest, 0, config.size).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await? {
        if (bytes.len() + piece.len()) as u64 > config.size {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes))
}

/// The first of a registry's errors; the others say the same again.
fn first(refusal: &distribution::Refusal) -> String {
    match refusal.errors.first() {
        Some((code, message)) if message.is_empty() => code.to_string(),
        Some((code, message)) => format!("{code}: {message}"),
        None => refusal.to_string(),
    }
}

/// A registry's refusal of anything but a pull.
pub(crate) fn refused(error: Error) -> Failure {
    match error.refusal() {
        Some(refusal) => Failure::new(error.class(), first(refusal)),
        None => error.into(),
    }
}

/// A registry's refusal in the words that clients look for.
pub(crate) fn failure(error: Error, name: &Reference) -> Failure {
    let unknown = error.is_manifest_unknown();
    let Some(refusal) = error.refusal() else { return error.into() };
    let cause = first(refusal);
    match refusal.code() {
        Code::Denied => Failure::not_found(format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': {cause}",
            name.familiar_name()
        )),
        Code::NameUnknown => {
            Failure::not_found(format!("repository {} not found: {cause}", name.familiar_name()))
        }
        _ if unknown => {
            Failure::not_found(format!("manifest for {} not found: {cause}", name.familiar()))
        }
        _ => Failure::new(error.class(), cause),
    }
}
