//! What a container is doing, by the kernel's word.

use serde::Serialize;
use std::fmt;

/// The states of the specification, and `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A command is making it.
    Creating,
    /// It waits for its start.
    Created,
    /// Its program runs.
    Running,
    /// All its processes stand.
    Paused,
    /// Its first process has ended, or never was.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}
