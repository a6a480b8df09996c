//! What can go wrong in the store.

use crate::{Digest, Name};
use std::path::PathBuf;

/// A failure of the store. What a client can do about it is decided by the variant, never by the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository has no such blob.
    #[error("no blob {digest} in repository {name}")]
    BlobUnknown {
        /// Where it was looked for.
        name: Name,
        /// The blob.
        digest: Digest,
    },
    /// The repository has no such manifest or tag.
    #[error("no manifest {reference} in repository {name}")]
    ManifestUnknown {
        /// Where it was looked for.
        name: Name,
        /// The tag or digest.
        reference: String,
    },
    /// There is no such repository.
    #[error("no repository {0}")]
    NameUnknown(Name),
    /// There is no such upload, or no more.
    #[error("no upload {id} in repository {name}")]
    UploadUnknown {
        /// Where it was looked for.
        name: Name,
        /// The upload.
        id: String,
    },
    /// Another request writes to the upload now.
    #[error("write to upload {0}: another request writes to it")]
    UploadBusy(String),
    /// The bytes have another digest than was said.
    #[error("verify {expected}: the content has the digest {found}")]
    DigestMismatch {
        /// What was said.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A manifest says another size of a blob than it has.
    #[error("check manifest: blob {digest} has {found} bytes, the manifest says {expected}")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// What the manifest says.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A manifest breaks the rules of its type.
    #[error("invalid manifest: {0}")]
    ManifestInvalid(String),
    /// A manifest needs what the repository has not.
    #[error("check manifest: {} not in the repository, first {}", .0.len(), first(.0))]
    ReferencesUnknown(Vec<Digest>),
    /// The disk, or the quota on it, is full.
    #[error("{doing} {}: no space left", path.display())]
    NoSpace {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Something else lies where a file or directory of the store should be: a link, a pipe.
    #[error("open {}: not a plain file or directory of the store", .0.display())]
    Foreign(PathBuf),
    /// The store on the disk is of a format that this program does not know.
    #[error("open store {}: {reason}", path.display())]
    Format {
        /// The store.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What is stored is not what was stored.
    #[error("read {}: the stored content is damaged", .0.display())]
    Damaged(PathBuf),
    /// A file operation failed.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

fn first(digests: &[Digest]) -> &str {
    digests.first().map_or("", Digest::as_str)
}

impl Error {
    /// The failure of `doing` something with `path`.
    pub(crate) fn io<E: Into<std::io::Error>>(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |error| {
            let (source, path) = (error.into(), path.into());
            match source.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    Self::NoSpace { doing, path }
                }
                _ => Self::Io { doing, path, source },
            }
        }
    }
}
