//! Archives of layers, containers and paths, and copies into containers.

use crate::enclosed::{self, Done, Task};
use crate::layers::{Answer, check_stream, failure};
use crate::paths::{Last, Request as PathRequest};
use crate::rootfs::{self, Use};
use crate::worker::Storage;
use messages::Fd;
use messages::storage::{CopyIn, Reply, Root};
use mounts::{Attr, Detached, Extent};
use spec::{Class, Failure, SnapshotKey};
use std::os::fd::{AsFd, OwnedFd};
use transport::Descriptors;

fn written(done: &Done) -> Answer {
    Ok((Reply::Written { bytes: done.bytes }, vec![]))
}

/// Writes what a container changed as a layer.
pub(crate) fn diff(storage: &Storage, key: &SnapshotKey, out: &OwnedFd) -> Answer {
    let upper = storage.store.upper(key).map_err(failure)?;
    overlay_tar(storage, "write difference", &upper, out)
}

/// Writes a committed layer.
pub(crate) fn layer(storage: &Storage, key: &SnapshotKey, out: &OwnedFd) -> Answer {
    let tree = storage.store.layer(key).map_err(failure)?;
    overlay_tar(storage, "write layer", &tree, out)
}

/// A container may still write into the directory, so the child gets a view in which no device can be opened.
fn overlay_tar(storage: &Storage, what: &'static str, tree: &OwnedFd, out: &OwnedFd) -> Answer {
    check_stream(what, out)?;
    let internal = |error: &dyn std::error::Error| {
        let failure = Failure::from_error(Class::Internal, error);
        Failure::internal(format!("{what}: {failure}"))
    };
    let opaque = archive::opaque_directories(tree.as_fd()).map_err(|error| internal(&error))?;
    let view = Detached::clone_of(tree, Extent::Mount).map_err(|errno| internal(&errno))?;
    storage.store.restrict(&view, Extent::Mount, Attr::RDONLY).map_err(|errno| internal(&errno))?;
    let task =
        Task::Create { directory: vec![], file: b".".to_vec(), name: vec![], opaque: Some(opaque) };
    written(&enclosed::run(what, &storage.filter, &view, out, task)?)
}

/// Writes a whole root file system, what is mounted in it left out.
pub(crate) fn export(storage: &Storage, root: &Root, fds: &mut Descriptors, out: Fd) -> Answer {
    let out = fds.take(out)?;
    check_stream("export root file system", &out)?;
    let view = rootfs::open(storage, root, fds, Use::WithoutMounts)?;
    let task = Task::Create { directory: vec![], file: b".".to_vec(), name: vec![], opaque: None };
    written(&enclosed::run("export root file system", &storage.filter, &view, &out, task)?)
}

/// Writes one path, under its last component.
pub(crate) fn copy_out(
    storage: &Storage,
    root: &Root,
    fds: &mut Descriptors,
    path: &[u8],
    out: Fd,
) -> Answer {
    let out = fds.take(out)?;
    check_stream("copy out", &out)?;
    let view = rootfs::open(storage, root, fds, Use::Read)?;
    let request = PathRequest::parse(path)?;
    // Asked here, so that what is missing is told as such.
    request.open(view.as_fd())?;
    let (directory, file) = request.place();
    let task = Task::Create { directory, file, name: request.entry_name(), opaque: None };
    written(&enclosed::run("copy out", &storage.filter, &view, &out, task)?)
}

/// Unpacks a tar into an existing directory.
pub(crate) fn copy_in(
    storage: &Storage,
    root: &Root,
    fds: &mut Descriptors,
    path: &[u8],
    archive: &OwnedFd,
    options: CopyIn,
    limit: u64,
) -> Answer {
    check_stream("copy in", archive)?;
    let view = rootfs::open(storage, root, fds, Use::Write)?;
    let request = PathRequest::parse(path)?.following();
    let (opened, stat) = request.open(view.as_fd())?;
    if Last::of(&stat) != Last::Directory {
        return Err(Failure::invalid("extraction point is not a directory"));
    }
    if crate::paths::is_read_only(&opened) {
        return Err(Failure::invalid(format!("copy into {}: it is read-only", request.shown())));
    }
    let task = Task::Extract {
        base: request.path().to_vec(),
        no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
        root_owns: !options.keep_owners,
        limit,
    };
    enclosed::run("copy in", &storage.filter, &view, archive, task)?;
    Ok((Reply::Done, vec![]))
}
