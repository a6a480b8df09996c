//! The storage worker: it answers [`messages::storage::Request`] with layers, snapshots, mounts, volumes and copies.
//!
//! It believes nothing of what it is asked: keys and names are types that cannot be paths, paths inside a root file
//! system are looked up inside it, what reaches the host is checked against the policy by name and again by where the
//! opened descriptor really is, and bytes of strangers are read only by a child that could not do harm with them.
//!
//! ```text
//! worker     one thread, polls; answers what takes microseconds itself
//!   └─ job        a copy of the worker per request: opens, mounts, renames, and answers. Killed at its deadline
//!        └─ enclosed   a copy of the job that reads or writes an archive: chrooted into the tree, with three
//!                      descriptors, six capabilities (no CAP_SYS_ADMIN), no network, a list of system calls,
//!                      no_new_privs. It reports what it did on a pipe
//! ```
//!
//! Both kinds of children are forked, which is safe because neither the worker nor a job ever has a second thread. A
//! child dies with its parent. A job that dies before it answers is answered for by the worker.
//!
//! An enclosed child cannot set trusted.overlay.opaque. It reports which directories hide those below, and the job sets
//! the attribute on each, looked up inside the tree; the other way round it is told which ones have it.
//!
//! ```text
//! <root>/snapshots/           see the crate snapshots
//! <root>/volumes/             0711
//!   <name>/_data/               what containers see
//!   <name>/copying              the content of an image is being copied into _data; what is there is not complete
//!   .trash/<name>/              what is being removed
//! ```
//!
//! Reading order: [`Worker`]; `job` (children and deadlines), `enclosed` and `walls` (the inner child), `rootfs` (what a
//! request's root is), then the verbs: `layers`, `tars`, `paths`, `host`, `volumes`. There are no locks, except that a
//! volume's directory is locked while an image's content is copied into it.

#![forbid(unsafe_code)]

mod enclosed;
mod host;
mod job;
mod layers;
mod paths;
mod rootfs;
mod tars;
mod volumes;
mod walls;
mod worker;

pub use worker::{Worker, WorkerError};
