//! In which hierarchy a controller is.

use crate::layout::Kind;
use crate::settings::Version;

/// The controllers that groups of one parent have, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Places {
    v1: Vec<String>,
    /// What the parent hands down on v2.
    v2: Vec<String>,
    /// Whether there is no v1 hierarchy.
    v2_only: bool,
}

impl Places {
    pub(crate) fn new<'a>(
        v2_only: bool,
        kinds: impl Iterator<Item = &'a Kind>,
        handed_down: &str,
    ) -> Self {
        let mut v1 = Vec::new();
        for kind in kinds {
            if let Kind::V1 { controllers } = kind {
                v1.extend(controllers.iter().cloned());
            }
        }
        Self { v1, v2: handed_down.split_whitespace().map(str::to_owned).collect(), v2_only }
    }

    /// The version of the hierarchy in which `controller` is; `None`: the groups do not have it.
    pub(crate) fn version(&self, controller: &str) -> Option<Version> {
        if self.v1.iter().any(|name| name == controller) {
            return Some(Version::V1);
        }
        // cgroup2 has no controllers of these names: every group can filter devices and be frozen.
        let always = self.v2_only && matches!(controller, "devices" | "freezer");
        let handed_down = self.v2.iter().any(|name| name == controller);
        (always || handed_down).then_some(Version::V2)
    }
}
