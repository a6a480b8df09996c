//! What the image store asks of whoever keeps the unpacked layers.

use spec::{Digest, Failure, SnapshotKey};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;

/// An answer that comes later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// The unpacked layers. Implemented over the storage worker.
pub trait Layers: Send + Sync + 'static {
    /// Unpacks a layer under its chain id and answers the bytes of its files. No error when it exists. `blob` is gzip,
    /// zstd or plain tar and is read from its start; the digest of the uncompressed tar must be `diff_id`, and it must
    /// not unpack to more than `limit` bytes. The layer is on the disk when this answers.
    fn unpack(
        &self,
        key: SnapshotKey,
        blob: OwnedFd,
        diff_id: Digest,
        limit: u64,
    ) -> Pending<'_, u64>;

    /// Removes a layer. No error when there is none.
    fn remove(&self, key: SnapshotKey) -> Pending<'_, ()>;
}
