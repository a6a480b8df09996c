//! Why the store could not do something.

use rustix::io::Errno;
use spec::{Class, SnapshotKey};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory was written by something else, or by another version.
    #[error("open snapshot store: its format is {found:?}, not {expected:?}")]
    Format {
        /// The text in the file `format`, cut.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// The kernel refused a step on the store itself.
    #[error("open snapshot store: {step}")]
    Open {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// There is no such snapshot.
    #[error("snapshot {0} does not exist")]
    Missing(SnapshotKey),
    /// The name is that of a layer where a container's is needed, or the reverse.
    #[error("snapshot {key} is not a {wanted}")]
    WrongKind {
        /// The snapshot.
        key: SnapshotKey,
        /// What was needed.
        wanted: &'static str,
    },
    /// A container of this name exists over other layers.
    #[error("prepare snapshot {0}: it exists with other parents")]
    OtherParents(SnapshotKey),
    /// More layers than an overlay takes.
    #[error(
        "prepare snapshot {key}: {count} layers are more than the {limit} that an overlay takes"
    )]
    TooManyLayers {
        /// The snapshot.
        key: SnapshotKey,
        /// How many layers.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// The file `meta` is not what this store writes.
    #[error("read snapshot {0}: its meta file is damaged")]
    Damaged(SnapshotKey),
    /// The kernel refused a step.
    #[error("{step} snapshot {key}")]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// The snapshot.
        key: SnapshotKey,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The overlay could not be mounted.
    #[error("mount snapshot {key}")]
    Mount {
        /// The snapshot, or the topmost layer.
        key: SnapshotKey,
        /// Why.
        #[source]
        source: mounts::Error,
    },
    /// A walk through its files failed.
    #[error("measure snapshot {key}")]
    Usage {
        /// The snapshot.
        key: SnapshotKey,
        /// Why.
        #[source]
        source: archive::UsageError,
    },
    /// Something in the trash could not be removed.
    #[error("empty trash of snapshots")]
    Trash(#[source] archive::RemoveError),
}

impl StoreError {
    /// The error's class.
    pub fn class(&self) -> Class {
        match self {
            Self::Missing(_) => Class::NotFound,
            Self::WrongKind { .. } | Self::TooManyLayers { .. } => Class::InvalidArgument,
            Self::OtherParents(_) => Class::Conflict,
            _ => Class::Internal,
        }
    }
}

/// Says that `step` on the snapshot `key` failed.
pub(crate) fn kernel(step: &'static str, key: &SnapshotKey) -> impl Fn(Errno) -> StoreError {
    let key = key.clone();
    move |source| StoreError::Kernel { step, key: key.clone(), source }
}
