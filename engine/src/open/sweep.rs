//! Removing what belongs to nobody: a crash may leave it, a record never names it.

use super::{Engine, Shared};
use crate::store;
use messages::storage::SnapshotInfo;
use messages::task::TaskInfo;
use metadata::Read as _;
use spec::{ContainerId, Failure, SnapshotKey};
use std::collections::BTreeSet;
use std::sync::Arc;

fn owners(shared: &Shared) -> BTreeSet<ContainerId> {
    shared.containers.all().into_iter().map(|handle| handle.id).collect()
}

/// Kills and removes tasks of containers that do not exist.
pub(super) async fn tasks(shared: &Shared, tasks: &[TaskInfo]) {
    let owners = owners(shared);
    let strays: BTreeSet<&ContainerId> =
        tasks.iter().map(|task| &task.id).filter(|id| !owners.contains(id)).collect();
    for id in strays {
        tracing::warn!(container = id.as_str(), "a task without a container is removed");
        if let Err(failure) = shared.workers.delete_task(id.clone(), None).await {
            tracing::warn!(container = id.as_str(), "remove a task without a container: {failure}");
        }
    }
}

/// Removes volumes whose making or removal was cut off. What a container's creation had begun is its intent's.
pub(super) async fn volumes(shared: &Shared) {
    let begun = match shared.store.read().and_then(|reader| reader.list(store::BEGUN)) {
        Ok(begun) => begun,
        Err(error) => return tracing::warn!("look for unfinished volumes: {error}"),
    };
    for (name, ()) in begun {
        let removed = shared.workers.remove_volume(name.clone()).await;
        let done = removed.and_then(|()| {
            store::change(&shared.store, |writer| {
                writer.remove(store::VOLUMES, &name)?;
                writer.remove(store::BEGUN, &name).map(|_| ())
            })
        });
        if let Err(failure) = done {
            tracing::warn!("remove unfinished volume {name}: {failure}");
        }
    }
}

/// Removes snapshots of containers that do not exist, and layers that no image has; `all` is what there was before
/// anybody could ask for more.
pub(super) fn snapshots(engine: &Engine, all: Result<Vec<SnapshotInfo>, Failure>) {
    let shared = &engine.0;
    let all = match all {
        Ok(all) => all,
        Err(failure) => return tracing::warn!("look for snapshots without an owner: {failure}"),
    };
    let owners: BTreeSet<SnapshotKey> = owners(shared).iter().map(SnapshotKey::from).collect();
    let (layers, own): (Vec<_>, Vec<_>) = all.into_iter().partition(|snapshot| snapshot.committed);
    let strays: Vec<SnapshotKey> =
        own.into_iter().map(|snapshot| snapshot.key).filter(|key| !owners.contains(key)).collect();
    let (engine, layers) = (engine.clone(), layers.into_iter().map(|layer| layer.key).collect());
    tokio::spawn(async move {
        for stray in strays {
            if let Err(failure) = engine.0.workers.remove_snapshot(stray).await {
                tracing::warn!("remove a snapshot without an owner: {failure}");
            }
        }
        let (store, busy) = (engine.0.images.clone(), engine.0.downloads.busy());
        let sweep = move || store.sweep_fetched_blocking(false, &busy);
        if let Err(failure) = crate::image::blocking(sweep).await {
            tracing::warn!("remove what old pulls have left: {failure}");
        }
        if let Err(error) = engine.0.images.collect(&engine.image_users(), layers).await {
            tracing::warn!("remove layers and blobs that no image has: {error}");
        }
    });
}

/// Removes directories of containers that do not exist.
pub(super) fn directories(shared: &Arc<Shared>) {
    let owners = owners(shared);
    let Ok(entries) = std::fs::read_dir(shared.config.containers()) else { return };
    let strays: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let id = entry.file_name().to_str().and_then(|name| ContainerId::parse(name).ok());
            id.is_some_and(|id| !owners.contains(&id))
        })
        .map(|entry| entry.path())
        .collect();
    for path in strays {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!("remove {}: {error}", path.display());
        }
    }
}
