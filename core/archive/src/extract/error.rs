//! Why an archive could not be extracted.

use crate::entry::Entry;
use crate::name::escape;
use crate::read::ReadError;
use rustix::io::Errno;
use std::io;

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `..` leads above the root.
    #[error("invalid name: it leads out of the root of the archive")]
    OutsideRoot,
    /// The root itself as something else than a directory.
    #[error("invalid name: the root of the archive must be a directory")]
    OverRoot,
    /// The target of a hard link leads above the root.
    #[error("invalid hard link to {target}: it leads out of the root of the archive")]
    LinkOutside {
        /// The target, escaped.
        target: String,
    },
    /// The target of a hard link does not exist in the archive or directory.
    #[error("invalid hard link to {target}: the target does not exist")]
    LinkToNothing {
        /// The target, escaped.
        target: String,
    },
    /// The target of a hard link is a directory.
    #[error("invalid hard link to {target}: the target is a directory")]
    LinkToDirectory {
        /// The target, escaped.
        target: String,
    },
    /// A name below a file that only deletes another.
    #[error("invalid name: a directory in it begins with .wh.")]
    BelowWhiteout,
    /// `.wh.`, `.wh..` or `.wh...`.
    #[error("invalid name: it deletes no file")]
    WhiteoutOfNothing,
    /// A directory is there, and the caller does not want it replaced.
    #[error("cannot overwrite directory {path} with non-directory")]
    OverDirectory {
        /// The path, escaped.
        path: String,
    },
    /// Something else is there, and the caller does not want it replaced.
    #[error("cannot overwrite non-directory {path} with directory")]
    OverNonDirectory {
        /// The path, escaped.
        path: String,
    },
}

/// Why an archive could not be extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ReadError),
    /// An entry is refused.
    #[error("extract archive entry {entry}: {refusal}")]
    Refused {
        /// The entry's name, escaped.
        entry: String,
        /// Why.
        refusal: Refusal,
    },
    /// The kernel refused a step.
    #[error("extract archive entry {entry}: {step}")]
    Failed {
        /// The entry's name, escaped.
        entry: String,
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl ExtractError {
    pub(super) fn refused(name: &[u8], refusal: Refusal) -> Self {
        Self::Refused { entry: escape(name), refusal }
    }

    pub(super) fn failed(entry: &Entry, step: &'static str, errno: Errno) -> Self {
        Self::failed_at(&entry.name, step, errno)
    }

    pub(super) fn failed_at(name: &[u8], step: &'static str, errno: Errno) -> Self {
        Self::Failed { entry: escape(name), step, source: errno.into() }
    }

    /// The error's class: what the archive asks for and cannot be is its maker's fault, the rest ours.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::Archive(error) => error.class(),
            Self::Refused { .. } => spec::Class::InvalidArgument,
            Self::Failed { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::ROFS) => {
                    spec::Class::InvalidArgument
                }
                _ => spec::Class::Internal,
            },
        }
    }
}
