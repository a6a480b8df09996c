//! Images: what is shown, and the progress of pulls, loads and imports.

use crate::container::HealthConfig;
use crate::inspect::DriverData;
use crate::is_default;
use crate::list::{Empty, List, Map};
use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A reference to a blob (OCI image specification, descriptor.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// `sha256:<hex>`.
    pub digest: String,
    /// Bytes.
    pub size: i64,
    /// Where else it may be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
    /// What it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on (OCI image specification, image-index.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// In Go's words: `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Windows only.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Windows only.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// `v8`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// How an image wants its containers to run; empty fields are left out (≥ 1.50).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// `user[:group]`.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// `port/protocol` keys.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub exposed_ports: Map<Empty>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub env: List<String>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub entrypoint: List<String>,
    /// The command, or the arguments of the entry point.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub cmd: List<String>,
    /// Paths that get an anonymous volume.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub volumes: Map<Empty>,
    /// The directory to start in.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: String,
    /// Windows only.
    #[serde(skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    /// How to check health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Instructions for images built from this one.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub on_build: List<String>,
    /// The shell of the shell form of instructions.
    #[serde(skip_serializing_if = "List::is_empty")]
    pub shell: List<String>,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "Type", skip_serializing_if = "is_default")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
}

/// What this host knows of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Metadata {
    /// When it last got a name, RFC 3339.
    pub last_tag_time: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { last_tag_time: time::ZERO.into() }
    }
}

/// The reply of `GET /images/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspect {
    /// `sha256:<hex>`.
    pub id: String,
    /// `name:tag`; never `null`.
    pub repo_tags: Vec<String>,
    /// `name@digest`; never `null`.
    pub repo_digests: Vec<String>,
    /// Of the last layer.
    #[serde(skip_serializing_if = "is_default")]
    pub comment: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "is_default")]
    pub created: String,
    /// Who made it.
    #[serde(skip_serializing_if = "is_default")]
    pub author: String,
    /// How its containers run.
    pub config: Config,
    /// In Go's words.
    pub architecture: String,
    /// Of the architecture.
    #[serde(skip_serializing_if = "is_default")]
    pub variant: String,
    /// `linux`.
    pub os: String,
    /// Windows only.
    #[serde(skip_serializing_if = "is_default")]
    pub os_version: String,
    /// Bytes of all its layers.
    pub size: i64,
    /// The directories of its layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<DriverData>,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// What this host knows.
    pub metadata: Metadata,
    /// The manifest or index it was had by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// The manifests of an index; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Manifest>>,
}

/// One image of `GET /images/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Summary {
    /// Containers that use it; -1 when not counted.
    pub containers: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// `sha256:<hex>`.
    pub id: String,
    /// Labels.
    pub labels: Map<String>,
    /// Empty.
    pub parent_id: String,
    /// The manifest or index it was had by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<Descriptor>,
    /// The manifests of an index; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<Manifest>>,
    /// `name@digest`; never `null`.
    pub repo_digests: Vec<String>,
    /// `name:tag`; never `null`.
    pub repo_tags: Vec<String>,
    /// Bytes of layers that other images have too; -1 when not asked for.
    pub shared_size: i64,
    /// Bytes of all its layers.
    pub size: i64,
}

/// The sizes of a manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSize {
    /// Bytes of its blobs that are here.
    pub content: i64,
    /// Bytes of its blobs and unpacked layers.
    pub total: i64,
}

/// The size of a manifest's image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnpackedSize {
    /// Bytes of unpacked layers.
    pub unpacked: i64,
}

/// A manifest that is an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageData {
    /// What it runs on.
    pub platform: Platform,
    /// Unpacked.
    pub size: UnpackedSize,
    /// Ids of containers that use it; never `null`.
    pub containers: Vec<String>,
}

/// One manifest of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Manifest {
    /// Its digest.
    #[serde(rename = "ID")]
    pub id: String,
    /// The reference to it.
    pub descriptor: Descriptor,
    /// All its blobs are here.
    pub available: bool,
    /// Its sizes.
    pub size: ManifestSize,
    /// `image`, `attestation` or `unknown`.
    pub kind: String,
    /// For an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_data: Option<ImageData>,
}

/// One step of `GET /images/{name}/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct History {
    /// A comment.
    pub comment: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The instruction.
    pub created_by: String,
    /// The image's id for the newest step, else `<missing>`.
    pub id: String,
    /// Bytes of its layer.
    pub size: i64,
    /// Names of the image; `null` for all but the newest step.
    pub tags: List<String>,
}

/// One effect of `DELETE /images/{name}` and of a prune; one of the two is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeleteItem {
    /// An image's id.
    #[serde(skip_serializing_if = "is_default")]
    pub deleted: String,
    /// A name that was taken away.
    #[serde(skip_serializing_if = "is_default")]
    pub untagged: String,
}

/// The reply of `POST /images/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneReply {
    /// `null` when there was none.
    pub images_deleted: List<DeleteItem>,
    /// Bytes.
    pub space_reclaimed: u64,
}

/// How far a step of a pull, load or build is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Bytes or units done.
    #[serde(skip_serializing_if = "is_default")]
    pub current: i64,
    /// Bytes or units at the end.
    #[serde(skip_serializing_if = "is_default")]
    pub total: i64,
    /// Seconds since 1970 of the beginning.
    #[serde(skip_serializing_if = "is_default")]
    pub start: i64,
    /// Do not show the counts.
    #[serde(rename = "hidecounts", skip_serializing_if = "is_default")]
    pub hide_counts: bool,
    /// Empty is bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub units: String,
}

/// An error inside a stream of progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressError {
    /// An exit status or HTTP status; 0 is none.
    #[serde(skip_serializing_if = "is_default")]
    pub code: i64,
    /// One sentence.
    #[serde(skip_serializing_if = "is_default")]
    pub message: String,
}

/// One object of a stream of progress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Text as it is to be printed.
    #[serde(skip_serializing_if = "is_default")]
    pub stream: String,
    /// What happens.
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
    /// How far it is.
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// A text bar; kept for clients that read it.
    #[serde(skip_serializing_if = "is_default")]
    pub progress: String,
    /// What it happens to.
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    /// The error that ended the work.
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<ProgressError>,
    /// The same error as text; kept for clients that read it.
    #[serde(skip_serializing_if = "is_default")]
    pub error: String,
    /// A result for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<Value>,
}

impl Progress {
    /// The object that ends a stream with an error.
    pub fn failed(message: &str) -> Self {
        let error_detail = Some(ProgressError { code: 0, message: message.to_owned() });
        Self { error_detail, error: message.to_owned(), ..Self::default() }
    }

    /// An object that prints `text`.
    pub fn text(text: impl Into<String>) -> Self {
        Self { stream: text.into(), ..Self::default() }
    }

    /// An object that says `status` of the stream as a whole.
    pub fn status(status: impl Into<String>) -> Self {
        Self { status: status.into(), ..Self::default() }
    }
}
