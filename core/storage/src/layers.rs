//! Layers and containers' snapshots.

use crate::enclosed::{self, Task};
use crate::worker::Storage;
use messages::Fd;
use messages::storage::{Change, ChangeKind, Reply, SnapshotInfo};
use snapshots::{Snapshot, StoreError};
use spec::{Class, Digest, Failure, SnapshotKey};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a verb answers: the reply and the descriptors that travel with it.
pub(crate) type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

/// Most lines of `docker diff`: what fits into one message with paths of ordinary length.
const CHANGES_MAX: usize = 200_000;

pub(crate) fn failure(error: StoreError) -> Failure {
    Failure::from_error(error.class(), &error)
}

pub(crate) fn ready(result: Result<(), StoreError>) -> Answer {
    result.map(|()| (Reply::Done, vec![])).map_err(failure)
}

pub(crate) fn mount(storage: &Storage, key: &SnapshotKey) -> Answer {
    let mount = storage.store.mount(key).map_err(failure)?;
    Ok((Reply::Mount { mount: Fd(0) }, vec![mount.into_fd()]))
}

pub(crate) fn list(storage: &Storage) -> Answer {
    let list = storage.store.list().map_err(failure)?;
    let list = list.into_iter().map(|(key, committed)| SnapshotInfo { key, committed }).collect();
    Ok((Reply::Snapshots(list), vec![]))
}

/// Whether a descriptor of a stranger can be read or written as a stream.
pub(crate) fn check_stream(what: &str, file: impl AsFd) -> Result<(), Failure> {
    use rustix::fs::FileType;
    let stat = rustix::fs::fstat(file).map_err(|e| Failure::from_error(Class::Internal, &e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Fifo | FileType::Socket => Ok(()),
        _ => Err(Failure::invalid(format!("{what}: the descriptor is no file, pipe or socket"))),
    }
}

/// Unpacks a layer where nobody sees it, by a child that can do nothing else, and makes it visible.
pub(crate) fn unpack(
    storage: &Storage,
    key: &SnapshotKey,
    blob: &OwnedFd,
    diff_id: &Digest,
    limit: u64,
) -> Answer {
    check_stream("unpack layer", blob)?;
    let Some(staging) = storage.store.stage(key).map_err(failure)? else {
        return unpacked(storage, key);
    };
    let task = Task::Layer { diff_id: diff_id.clone(), limit };
    let done = enclosed::run("unpack layer", &storage.filter, staging.tree(), blob, task)?;
    staging.mark_opaque(&done.opaque).map_err(failure)?;
    staging.commit(done.bytes).map_err(failure)?;
    unpacked(storage, key)
}

fn unpacked(storage: &Storage, key: &SnapshotKey) -> Answer {
    match storage.store.find(key).map_err(failure)? {
        Some(Snapshot::Layer { size }) => Ok((Reply::Unpacked { size }, vec![])),
        Some(Snapshot::Container { .. }) => {
            Err(failure(StoreError::WrongKind { key: key.clone(), wanted: "layer" }))
        }
        None => Err(failure(StoreError::Missing(key.clone()))),
    }
}

/// What a container changed.
pub(crate) fn changes(storage: &Storage, key: &SnapshotKey) -> Answer {
    let store = &storage.store;
    let upper = store.upper(key).map_err(failure)?;
    let lowers = store.lowers(key).map_err(failure)?;
    let lowers: Vec<BorrowedFd<'_>> = lowers.iter().map(AsFd::as_fd).collect();
    let changes = archive::changes(upper.as_fd(), &lowers, CHANGES_MAX)
        .map_err(|error| Failure::from_error(Class::Internal, &error))?;
    let changes = changes.into_iter().map(|change| Change {
        path: change.path,
        kind: match change.kind {
            archive::ChangeKind::Modified => ChangeKind::Modified,
            archive::ChangeKind::Added => ChangeKind::Added,
            archive::ChangeKind::Deleted => ChangeKind::Deleted,
        },
    });
    Ok((Reply::Changes(changes.collect()), vec![]))
}
