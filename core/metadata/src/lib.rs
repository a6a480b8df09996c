//! The metadata database: the engine's desired state in one crash-safe file with one writer.
//!
//! It never holds live state (that comes from shims and the kernel) and never decides what a record means. Reading
//! order: [`Table`] and [`Key`] (what is stored under what), [`Store`] (open, close), [`Reader`] and [`Writer`] with
//! the [`Read`] trait (snapshots and transactions over any number of tables), [`Error`].
//!
//! ```
//! # #[derive(serde::Serialize, serde::Deserialize)] struct Volume { driver: String }
//! use metadata::{Read, Store, Table};
//! const VOLUMES: Table<str, Volume> = Table::new("volumes");
//! # fn main() -> Result<(), metadata::Error> {
//! # let directory = tempfile::tempdir().expect("a directory");
//! let store = Store::open(directory.path())?;
//! let mut writer = store.write()?;
//! writer.put(VOLUMES, "data", &Volume { driver: "local".into() })?;
//! writer.commit()?;
//! assert!(store.read()?.get(VOLUMES, "data")?.is_some());
//! # Ok(()) }
//! ```
//!
//! # On disk
//!
//! ```text
//! <directory>/metadata.redb      a redb B-tree; its table `format` holds the version, an id and the last commit's number
//! <directory>/metadata.journal   the commits since the last checkpoint, each with its number and a checksum
//! <directory>/metadata.reserve   1 MiB that is given up when the disk is full, so that removals can still be recorded
//! <directory>/metadata.damaged   a database that could not be read; while it is there, no new one is made
//! ```
//!
//! A commit is applied to the B-tree in memory and appended to the journal with one write. So it survives the death of
//! the process at once (the page cache stays), and a power loss as soon as the journal is synced: by
//! [`Writer::commit_durable`], or by the background thread at most [`GROUP_COMMIT`] later. A checkpoint makes the
//! B-tree itself durable and empties the journal. Opening replays the journal from the number that the B-tree has; a
//! torn end is dropped, so the state is always that after some commit, with all before it.
//!
//! # Threads and locks
//!
//! One thread per store syncs the journal. All calls block: reads and [`Writer::commit`] for microseconds (they may be
//! called from async code), [`Store::write`] while another writer lives, [`Writer::commit_durable`] and
//! [`Store::open`] for a sync of the disk (call them from a blocking thread). A [`Writer`] is not `Send`: it cannot be
//! held over an await. Lock order: writer, database, sync state.

#![forbid(unsafe_code)]

mod error;
mod journal;
mod key;
mod read;
mod store;
mod sync;
mod table;
mod tree;
mod write;

pub use error::Error;
pub use key::Key;
pub use read::{Read, Reader};
pub use store::{GROUP_COMMIT, Store};
pub use table::Table;
pub use write::Writer;
