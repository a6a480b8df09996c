//! The content store: blobs under the digest of their bytes.
//!
//! It never knows what a blob is (layer, configuration, manifest), never decides which blobs are still wanted, and
//! never shows a blob that is not whole. Reading order: [`Store`], [`Ingest`] (how a blob gets in), [`Expected`],
//! [`Error`].
//!
//! # On disk
//!
//! ```text
//! <root>/blobs/sha256/<64 hex>   a blob, 0600, complete, never written again
//! <root>/ingest/<32 hex>         a blob that is being written; removed when the store is opened
//! <root>/ingest/<64 hex>         the beginning of the blob of this digest, for a later try to go on with
//! ```
//!
//! A blob gets in by write and hash, check of digest and size, fsync, rename, fsync of the directory. So a blob that
//! is visible is whole, whatever dies and whenever. One process uses a root at a time; the engine's lock on its
//! metadata database is the guard for that.
//!
//! All functions block for the disk: async code calls them from a blocking thread. There are no tasks and no locks;
//! any number of threads may read and write.

#![forbid(unsafe_code)]

mod error;
mod ingest;
mod store;

pub use error::Error;
pub use ingest::{Expected, Ingest};
pub use store::{Blob, Partial, READ_LIMIT, Store};
