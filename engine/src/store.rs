//! The tables of the database that the engine itself owns; those of images are in the crate `images`.
//!
//! ```text
//! containers   ContainerId -> ContainerConfig   what shall be; a container exists if and only if it is here
//! outcomes     ContainerId -> Outcome           its last run; absent when it never ran
//! health       ContainerId -> Health            its checks; absent when it has none or never ran
//! intents      ContainerId -> Intent            what was begun and is not finished
//! volumes      VolumeName  -> VolumeRecord      volumes; the files are the storage worker's
//! begun        VolumeName -> ()                 volumes that are being made or removed; the next start removes them
//! networks     id          -> Record            networks that users made
//! events       number      -> Event             the last events
//! ```
//!
//! A create is an intent first, then snapshot, directory and volumes, then one commit that replaces the intent by the
//! container. A removal is one commit that frees the name and writes the intent, then the reverse, then one commit that
//! removes all. So whatever dies in between, the next start finds what to finish or to undo. Commits survive the death
//! of the process at once and a power loss after the group commit (see `metadata`); none on the start path waits for
//! the disk.

use crate::container::config::ContainerConfig;
use crate::container::health::Health;
use crate::container::live::Outcome;
use api_types::event::Event;
use metadata::{Read as _, Store, Table, Writer};
use serde::{Deserialize, Serialize};
use spec::{ContainerId, Failure, VolumeName};
use std::collections::BTreeMap;

/// Containers.
pub const CONTAINERS: Table<ContainerId, ContainerConfig> = Table::new("containers");
/// Their last runs.
pub const OUTCOMES: Table<ContainerId, Outcome> = Table::new("outcomes");
/// How healthy they are; absent without a check.
pub const HEALTH: Table<ContainerId, Health> = Table::new("health");
/// What was begun.
pub const INTENTS: Table<ContainerId, Intent> = Table::new("intents");
/// Volumes.
pub const VOLUMES: Table<VolumeName, VolumeRecord> = Table::new("volumes");
/// Networks that users made, by id.
pub const NETWORKS: Table<str, crate::network::Record> = Table::new("networks");
/// Volumes whose files may exist without a record, or the record without files.
pub const BEGUN: Table<VolumeName, ()> = Table::new("begun");
/// The last events, by number.
pub const EVENTS: Table<u64, Event> = Table::new("events");

/// Something that was begun with a container and is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// It is being created; undone at the next start. With the anonymous volumes that were named for it.
    Create {
        /// Volumes that exist for this container only.
        volumes: Vec<VolumeName>,
    },
    /// It is being removed; finished at the next start.
    Remove {
        /// Volumes that go with it.
        volumes: Vec<VolumeName>,
    },
}

/// A volume as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// When it was created: nanoseconds since 1970.
    pub created: i64,
    /// Its labels; nothing is `null` in the API.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its driver's options; nothing is `null` in the API.
    pub options: Option<BTreeMap<String, String>>,
}

/// The label that Docker gives a volume without a name.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// Runs `change` in one transaction and commits it, without waiting for the disk.
pub fn change<T>(
    store: &Store,
    change: impl FnOnce(&mut Writer<'_>) -> Result<T, metadata::Error>,
) -> Result<T, Failure> {
    let commit = || {
        let mut writer = store.write()?;
        let done = change(&mut writer)?;
        writer.commit()?;
        Ok(done)
    };
    commit().map_err(failed)
}

/// Notes that a volume is about to be made, unless there is one already, which is answered.
pub fn begin_volume(store: &Store, name: &VolumeName) -> Result<Option<VolumeRecord>, Failure> {
    change(store, |writer| {
        let existing = writer.get(VOLUMES, name)?;
        if existing.is_none() {
            writer.put(BEGUN, name, &())?;
        }
        Ok(existing)
    })
}

/// A failure of the database as the API shows it.
pub fn failed(error: metadata::Error) -> Failure {
    Failure::from_error(error.class(), &error)
}
