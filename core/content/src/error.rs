//! What can go wrong with blobs.

use spec::{Class, Digest, Failure};
use std::path::PathBuf;

/// A failure of the content store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such blob.
    #[error("no such blob {0}")]
    NotFound(Digest),
    /// What lies in a blob's place is no regular file.
    #[error("open blob {0}: not a regular file")]
    NotRegular(Digest),
    /// The bytes have another digest than they should.
    #[error("verify blob {expected}: its content has the digest {found}")]
    Digest {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// There are fewer or more bytes than there should be.
    #[error("write blob: it has {found} bytes and should have {expected}")]
    Size {
        /// What it should be.
        expected: u64,
        /// What it is; of a blob that is too long, what was read until then.
        found: u64,
    },
    /// The blob is larger than it may be.
    #[error("{doing} blob: it has more than {limit} bytes")]
    TooLarge {
        /// What was tried.
        doing: &'static str,
        /// The limit.
        limit: u64,
    },
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

impl Error {
    /// The class for the user.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::Digest { .. } | Self::Size { .. } | Self::TooLarge { .. } => {
                Class::InvalidArgument
            }
            Self::NotRegular(_) | Self::Io { .. } => Class::Internal,
        }
    }

    pub(crate) fn io<E: Into<std::io::Error>>(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { doing, path: path.into(), source: source.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from_error(error.class(), &error)
    }
}
