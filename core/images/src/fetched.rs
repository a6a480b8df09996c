//! What a pull has fetched before its image exists.
//!
//! A blob that was fetched and checked is kept for a day, whatever becomes of the pull: a later try, of a later process
//! perhaps, does not fetch it again. So is the part of a blob whose download broke. The record of it goes in the same
//! transaction that adds an image which has the blob; prune forgets all.

use crate::record::{FETCHED, IMAGES, LAYERS, Wanted};
use crate::store::check_diff_id;
use crate::{Error, Lease, Store, time};
use content::{Blob, Ingest};
use metadata::Read as _;
use spec::{Digest, SnapshotKey};
use std::collections::HashSet;
use std::os::fd::OwnedFd;

/// How long what no image has is kept: nanoseconds.
const KEPT: i64 = 24 * 3600 * 1_000_000_000;

impl Store {
    /// Makes a fetched blob visible, kept by the lease, and for a day. Blocks for the disk.
    pub fn commit_fetched_blocking(
        &self,
        lease: &Lease,
        digest: &Digest,
        ingest: Ingest,
    ) -> Result<Blob, Error> {
        // The record first: one without a blob does no harm, a blob without one would be removed by the next start.
        let mut writer = self.write()?;
        writer.put(FETCHED, digest, &Wanted { since: time::now() })?;
        writer.commit()?;
        lease.commit_blocking(ingest)
    }

    /// Blobs of an image that turned out to be none are garbage as soon as their leases end.
    pub fn forget_fetched(&self, blobs: &[Digest]) -> Result<(), Error> {
        let mut writer = self.write()?;
        for blob in blobs {
            writer.remove(FETCHED, blob)?;
        }
        Ok(writer.commit()?)
    }

    /// Those of the fetched blobs that are still kept.
    pub(crate) fn fetched(&self) -> Result<Vec<Digest>, Error> {
        let oldest = time::now().saturating_sub(KEPT);
        let all = self.read()?.list(FETCHED)?;
        Ok(all.into_iter().filter(|(_, w)| w.since >= oldest).map(|(digest, _)| digest).collect())
    }

    /// Removes parts of blobs that are too old to go on with, or all but the `busy` ones, and records that say nothing
    /// any more. Answers the bytes that were freed. Blocks for the disk.
    pub fn sweep_fetched_blocking(&self, all: bool, busy: &HashSet<Digest>) -> Result<u64, Error> {
        let oldest = if all { i64::MAX } else { time::now().saturating_sub(KEPT) };
        let mut freed = 0;
        for partial in self.content().partials()? {
            let changed = partial.changed.saturating_mul(1_000_000_000);
            if changed < oldest
                && !busy.contains(&partial.digest)
                && self.content().remove_partial(&partial.digest)?
            {
                freed += partial.size;
            }
        }
        let mut writer = self.write()?;
        for (digest, wanted) in writer.list(FETCHED)? {
            if wanted.since < oldest && !busy.contains(&digest) {
                writer.remove(FETCHED, &digest)?;
            }
        }
        writer.commit()?;
        Ok(freed)
    }

    /// Keeps a layer; the bytes of its files when it is unpacked already and the blob is known to hold the same. That
    /// is read from the records, or found by unpacking the blob for its digest, if it is there.
    pub async fn find_layer(
        &self,
        lease: &Lease,
        key: &SnapshotKey,
        diff_id: &Digest,
        blob: &Digest,
    ) -> Result<Option<u64>, Error> {
        lease.keep_layer(key).await;
        if !lease.keep_blob(self.content(), blob)? {
            return Ok(None);
        }
        let reader = self.read()?;
        let Some(layer) = reader.get(LAYERS, key)? else { return Ok(None) };
        let known = reader.list(IMAGES)?.iter().any(|(_, image)| {
            image.layers.iter().any(|layer| layer.chain == *key && layer.blob.digest == *blob)
        });
        if !known {
            let (content, blob, diff_id) = (self.content().clone(), blob.clone(), diff_id.clone());
            tokio::task::spawn_blocking(move || check_diff_id(&content, &blob, &diff_id)).await??;
        }
        Ok(Some(layer.size))
    }

    /// Unpacks a layer that is read from `source`, a file or a pipe; the bytes of its files. Fails when they are more
    /// than `limit`, or the tar has another digest.
    pub async fn unpack_layer(
        &self,
        lease: &Lease,
        key: &SnapshotKey,
        diff_id: &Digest,
        source: OwnedFd,
        limit: u64,
    ) -> Result<u64, Error> {
        lease.keep_layer(key).await;
        lease.made_layer(key);
        let unpacked = self.layers().unpack(key.clone(), source, diff_id.clone(), limit);
        unpacked.await.map_err(|source| Error::Layer {
            doing: "unpack",
            layer: diff_id.to_string(),
            source,
        })
    }
}
