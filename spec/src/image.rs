//! The OCI image specification 1.1 and the older forms that Docker writes: descriptors, index, manifest,
//! configuration, and the list in a `docker save` archive.
//!
//! Reading is lenient as Go is: `null` is the default, unknown keys are ignored. Whoever needs the digest of a
//! document keeps its bytes; what is written here is a new document. The bounds on size and count are checked by the
//! `parse` functions.

mod config;

pub use config::{Config, Healthcheck, History, RootFs, RunConfig};

use crate::{Digest, Platform};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Media types of OCI documents and layers, and those of Docker that mean the same.
pub mod media {
    /// An index: one image for several platforms.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A manifest: configuration and layers of one image.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, not compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// A layer, gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

    /// Whether a document of this type is an index.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, INDEX | DOCKER_LIST)
    }

    /// Whether a document of this type is a manifest.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, MANIFEST | DOCKER_MANIFEST)
    }
}

/// Bytes of the largest manifest, index or configuration that is read: what registries allow a manifest.
pub const DOCUMENT_MAX: usize = 4 << 20;
/// Most layers of an image: overlayfs of all kernels takes that many, and Docker has the same bound.
pub const LAYERS_MAX: usize = 127;
/// Most manifests of an index, and images of an archive.
pub const MANIFESTS_MAX: usize = 1000;

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It has too many bytes.
    #[error("{kind} has {bytes} bytes, more than {DOCUMENT_MAX}")]
    TooLarge {
        /// What it should be.
        kind: &'static str,
        /// Its size.
        bytes: usize,
    },
    /// It is no JSON, or not that of its kind.
    #[error("{kind} is not valid")]
    Json {
        /// What it should be.
        kind: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// It has too many parts.
    #[error("{kind} has {count} {what}, more than {limit}")]
    TooMany {
        /// What it should be.
        kind: &'static str,
        /// Which parts.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// It is of a schema that is not read.
    #[error("{kind} has schema version {version}, only 2 is supported")]
    Schema {
        /// What it should be.
        kind: &'static str,
        /// Its version.
        version: u64,
    },
}

fn parse<T: DeserializeOwned>(kind: &'static str, bytes: &[u8]) -> Result<T, DocumentError> {
    if bytes.len() > DOCUMENT_MAX {
        return Err(DocumentError::TooLarge { kind, bytes: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { kind, source })
}

fn check_count(
    kind: &'static str,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), DocumentError> {
    if count > limit {
        return Err(DocumentError::TooMany { kind, what, count, limit });
    }
    Ok(())
}

fn check_schema(kind: &'static str, version: u64) -> Result<(), DocumentError> {
    if version == 2 { Ok(()) } else { Err(DocumentError::Schema { kind, version }) }
}

/// A reference to a blob by its digest (descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default, deserialize_with = "nullable")]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where else it can be had.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which platform it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformDescriptor>,
    /// What the artifact is that the blob describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor without notes.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }
}

/// The platform in a descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformDescriptor {
    /// As Go names it: `amd64`.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// As Go names it: `linux`.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// The variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The version of the operating system.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that are needed.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

impl From<&Platform> for PlatformDescriptor {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            ..Self::default()
        }
    }
}

/// One image for several platforms (image-index.md), or Docker's manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    #[serde(default)]
    pub schema_version: u64,
    /// One of [`media::INDEX`] and [`media::DOCKER_LIST`]; some writers leave it out.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The manifests, or further indexes.
    #[serde(default, deserialize_with = "nullable")]
    pub manifests: Vec<Descriptor>,
    /// Notes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// An OCI index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        let media_type = media::INDEX.to_owned();
        Self { schema_version: 2, media_type, manifests, annotations: BTreeMap::new() }
    }

    /// Reads an index within the bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let index: Self = parse("index", bytes)?;
        check_schema("index", index.schema_version)?;
        check_count("index", "manifests", index.manifests.len(), MANIFESTS_MAX)?;
        Ok(index)
    }
}

/// Configuration and layers of one image (manifest.md), or Docker's manifest, version 2, schema 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    #[serde(default)]
    pub schema_version: u64,
    /// One of [`media::MANIFEST`] and [`media::DOCKER_MANIFEST`]; some writers leave it out.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What the artifact is, when it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Notes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI manifest.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads a manifest within the bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: Self = parse("manifest", bytes)?;
        check_schema("manifest", manifest.schema_version)?;
        check_count("manifest", "layers", manifest.layers.len(), LAYERS_MAX)?;
        Ok(manifest)
    }
}

/// One image in the `manifest.json` of a `docker save` archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ArchiveImage {
    /// The path of the configuration in the archive.
    pub config: String,
    /// The image's names.
    #[serde(default, deserialize_with = "nullable")]
    pub repo_tags: Vec<String>,
    /// The paths of the layers, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub layers: Vec<String>,
    /// The id of the image that it was built from, if that is in the archive too.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub parent: String,
}

/// Reads the `manifest.json` of a `docker save` archive within the bounds.
pub fn parse_archive_manifest(bytes: &[u8]) -> Result<Vec<ArchiveImage>, DocumentError> {
    const KIND: &str = "manifest.json";
    let images: Vec<ArchiveImage> = parse(KIND, bytes)?;
    check_count(KIND, "images", images.len(), MANIFESTS_MAX)?;
    for image in &images {
        check_count(KIND, "layers of one image", image.layers.len(), LAYERS_MAX)?;
        check_count(KIND, "names of one image", image.repo_tags.len(), MANIFESTS_MAX)?;
    }
    Ok(images)
}

fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn configuration_of_an_old_docker_is_read_and_keeps_what_is_not_known() {
        let text = format!(
            r#"{{"architecture":"amd64","author":null,"config":{{"Hostname":"x","Cmd":"sh","Env":null,
            "Entrypoint":null,"Healthcheck":{{"Test":["CMD","true"],"Interval":5}},"OnBuild":[],"Labels":null,
            "ExposedPorts":{{"80/tcp":{{}}}}}},"container_config":{{"Cmd":["a"]}},"docker_version":"1.9",
            "history":[{{"created":"2020-01-01T00:00:00Z","created_by":"/bin/sh","empty_layer":true}}],
            "os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}}}}"#
        );
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(config.config.entrypoint, None);
        assert_eq!(config.config.healthcheck.as_ref().unwrap().interval, 5);
        assert_eq!(config.rootfs.diff_ids[0].hex(), HEX);
        let again = serde_json::to_value(&config).unwrap();
        assert_eq!(again["config"]["Hostname"], "x");
        assert_eq!(again["docker_version"], "1.9");
        assert_eq!(again["container_config"]["Cmd"][0], "a");
        assert_eq!(Config::parse(again.to_string().as_bytes()).unwrap(), config);
    }

    #[test]
    fn documents_over_the_bounds_are_refused() {
        let layer = format!(r#"{{"digest":"sha256:{HEX}","size":1}}"#);
        let layers = vec![layer.clone(); 128].join(",");
        let text = format!(r#"{{"schemaVersion":2,"config":{layer},"layers":[{layers}]}}"#);
        let error = Manifest::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "manifest has 128 layers, more than 127");
        let error = Manifest::parse(&vec![b' '; DOCUMENT_MAX + 1]).unwrap_err();
        assert_eq!(error.to_string(), "manifest has 4194305 bytes, more than 4194304");
        let error = Index::parse(br#"{"schemaVersion":1}"#).unwrap_err();
        assert_eq!(error.to_string(), "index has schema version 1, only 2 is supported");
        assert!(Config::parse(b"[]").is_err());
    }

    #[test]
    fn deeply_nested_json_is_refused_and_does_not_end_the_process() {
        let text = "[".repeat(1 << 20);
        assert!(Config::parse(text.as_bytes()).is_err());
        let text = format!("{{\"x\":{}", "[".repeat(1 << 20));
        assert!(Config::parse(text.as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_as_archive_manifest_are_read_or_refused(bytes: Vec<u8>) {
            drop(parse_archive_manifest(&bytes));
        }

        #[test]
        fn archive_manifest_is_read_back(
            config in "\\PC{0,20}",
            tags in proptest::collection::vec("\\PC{0,20}", 0..4),
            layers in proptest::collection::vec("\\PC{0,20}", 0..4),
        ) {
            let image = ArchiveImage { config, repo_tags: tags, layers, parent: String::new() };
            let bytes = serde_json::to_vec(&[&image]).unwrap();
            proptest::prop_assert_eq!(parse_archive_manifest(&bytes).unwrap(), [image]);
        }
    }
}
