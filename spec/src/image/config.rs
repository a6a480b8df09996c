//! An image's configuration (config.md), with what Docker adds.

use super::{DocumentError, LAYERS_MAX, check_count, nullable, parse};
use crate::{Digest, Platform};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// What an image is and how it is started (config.md), with what Docker adds.
///
/// An image's id is the digest of the bytes that this was read from. Keys that are not known are kept in `other`, here
/// and in [`RunConfig`], so that a configuration that is derived from this one still has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// As Go names it.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// The variant of the architecture.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// As Go names it.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// What a container of the image runs.
    #[serde(default, deserialize_with = "nullable")]
    pub config: RunConfig,
    /// The layers.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// How the image came to be, oldest first.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// What a commit says about itself.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Everything else: `docker_version`, `container`, `container_config`, `os.version`, ...
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Config {
    /// Reads a configuration within the bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let config: Self = parse("image configuration", bytes)?;
        check_count("image configuration", "layers", config.rootfs.diff_ids.len(), LAYERS_MAX)?;
        Ok(config)
    }

    /// What the image runs on; empty fields are `linux` and the host's architecture, as Docker takes them.
    pub fn platform(&self) -> Platform {
        let host = Platform::host();
        Platform {
            os: if self.os.is_empty() { host.os } else { self.os.clone() },
            architecture: match self.architecture.is_empty() {
                true => host.architecture,
                false => self.architecture.clone(),
            },
            variant: (!self.variant.is_empty()).then(|| self.variant.clone()),
        }
    }
}

/// The layers of an image by the digests of their uncompressed tars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// Lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

/// One step that made an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// What for.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// It changed only the configuration and made no layer.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// How a container of an image is started. All keys of the image specification and those that only Docker has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// User and group, by name or number.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that a container listens on: `80/tcp`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `KEY=value`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is executed.
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its arguments, or what is executed when there is no entry point.
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Docker for Windows: the command is one text already.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// How the health is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Directories that are volumes.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Where it is started.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for a build from this image.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it: a name or a number.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds to wait after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of the shell form.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Everything else: `Hostname`, `Tty`, `Image`, ...
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// How a container's health is checked. Times are nanoseconds; 0 means Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`, or `CMD` or `CMD-SHELL` and the command; empty to inherit.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// For one check.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// After the start, in which failures do not count.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks in that time.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row after which it is unhealthy.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A list of words; a single text, as the first versions of Docker wrote it, is a list of one.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}
