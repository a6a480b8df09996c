//! The lock between writers and what removes, for all threads of all processes that use a store.
//!
//! A writer that has seen a blob and is about to refer to it holds it shared, for microseconds to a few milliseconds;
//! the collector and deletions hold it exclusively while they look once more and remove. Data is written and synced
//! before the lock is taken.
//!
//! ```text
//! shared:     take gate shared, take lock shared, give gate back ... give lock back
//! exclusive:  take gate,        take lock                        ... give both back
//! ```
//! Who wants the lock exclusively stops newcomers at the gate, and so is never kept waiting by a stream of writers.

use crate::Error;
use crate::tree::Tree;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use std::fs::File;

pub(crate) const GATE: &str = "lock/gate";
pub(crate) const LOCK: &str = "lock/lock";

/// The lock, until dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    _files: [Option<File>; 2],
}

impl Guard {
    pub(crate) fn shared(tree: &Tree) -> Result<Self, Error> {
        let _gate = take(tree, GATE, FlockOperation::LockShared)?;
        let lock = take(tree, LOCK, FlockOperation::LockShared)?;
        Ok(Self { _files: [Some(lock), None] })
    }

    pub(crate) fn exclusive(tree: &Tree) -> Result<Self, Error> {
        let gate = take(tree, GATE, FlockOperation::LockExclusive)?;
        let lock = take(tree, LOCK, FlockOperation::LockExclusive)?;
        Ok(Self { _files: [Some(lock), Some(gate)] })
    }
}

/// Each call opens the file anew: a lock belongs to an open file, and threads must not share theirs.
fn take(tree: &Tree, path: &str, operation: FlockOperation) -> Result<File, Error> {
    let file = match tree.file(path, OFlags::RDONLY)? {
        Some(file) => file,
        None => return Err(Error::io("open", tree.path(path))(Errno::NOENT)),
    };
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("lock", tree.path(path))(error)),
        }
    }
}
