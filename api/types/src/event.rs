//! Events.

use crate::is_default;
use crate::list::Map;
use serde::{Deserialize, Serialize};

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Actor {
    /// The object's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its labels, and what else belongs to the action.
    pub attributes: Map<String>,
}

/// One line of `GET /events`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Event {
    /// `container`, `image`, `volume`, `network`, `daemon`, ...
    #[serde(rename = "Type")]
    pub kind: String,
    /// `start`, `die`, `exec_create: <command>`, ...
    pub action: String,
    /// What it is about.
    pub actor: Actor,
    /// `local` or `swarm`.
    #[serde(rename = "scope", skip_serializing_if = "is_default")]
    pub scope: String,
    /// Seconds since 1970.
    #[serde(rename = "time", skip_serializing_if = "is_default")]
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano", skip_serializing_if = "is_default")]
    pub time_nano: i64,
}
