//! What can go wrong with the database.

use spec::{Class, Failure};
use std::path::PathBuf;

/// A failure of the metadata database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// The file is not a database of this engine.
    #[error("open metadata {}: the file was not written by this engine", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file has a format that this version does not know.
    #[error(
        "open metadata {}: it has format {found}, this version knows {known}; start the version that wrote it",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: String,
        /// The format of this version.
        known: u64,
    },
    /// The file's content is damaged. It was moved to `kept`, and nothing new is made while it is there.
    #[error(
        "open metadata {}: the file is damaged and was kept as {}: {cause}",
        path.display(), kept.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it lies now.
        kept: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Another process has the database open.
    #[error("open metadata {}: another process has it open", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The B-tree failed.
    #[error("{doing} metadata")]
    Tree {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<redb::Error>,
    },
    /// A value could not be written as JSON.
    #[error("encode a record of {table}")]
    Encode {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A record is not what its table's type says.
    #[error("decode record {key} of {table}")]
    Decode {
        /// The table.
        table: &'static str,
        /// The key, as text.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key is not what its table's type says.
    #[error("decode key {key} of {table}: not a key of this table")]
    DecodeKey {
        /// The table.
        table: &'static str,
        /// The key, as text.
        key: String,
    },
    /// A transaction is larger than the journal can hold.
    #[error("commit metadata: the transaction has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The store was closed, or could not be opened again after a failure of the disk.
    #[error("the metadata database is closed")]
    Closed,
}

impl Error {
    /// The class for the user.
    pub fn class(&self) -> Class {
        match self {
            Self::Closed | Self::InUse { .. } => Class::Unavailable,
            _ => Class::Internal,
        }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn tree<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Tree { doing, source: Box::new(source.into()) }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        let source = match self {
            Self::Io { source, .. } => source,
            Self::Tree { source, .. } => match &**source {
                redb::Error::Io(source) => source,
                _ => return false,
            },
            _ => return false,
        };
        matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from_error(error.class(), &error)
    }
}
