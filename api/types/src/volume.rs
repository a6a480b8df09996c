//! Volumes.

use crate::is_default;
use crate::list::{List, Map};
use serde::{Deserialize, Serialize};

/// How much a volume is used; only in disk usage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UsageData {
    /// Containers that use it; -1 when not known.
    pub ref_count: i64,
    /// Bytes; -1 when not known.
    pub size: i64,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// RFC 3339.
    #[serde(skip_serializing_if = "is_default")]
    pub created_at: String,
    /// The driver.
    pub driver: String,
    /// Labels; `null` when there is none.
    pub labels: Map<String>,
    /// The path on the host.
    pub mountpoint: String,
    /// The name.
    pub name: String,
    /// The driver's options; `null` when there is none.
    pub options: Map<String>,
    /// `local` or `global`.
    pub scope: String,
    /// How much it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<UsageData>,
}

/// The reply of `GET /volumes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListReply {
    /// Never `null`.
    pub volumes: Vec<Volume>,
    /// `null` when there is none.
    pub warnings: List<String>,
}

/// The body of `POST /volumes/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    /// The driver; empty is `local`.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// The driver's options.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub driver_opts: Map<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String>,
    /// The name; empty makes an anonymous volume.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// The reply of `POST /volumes/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneReply {
    /// Names; `null` when there was none.
    pub volumes_deleted: List<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}
