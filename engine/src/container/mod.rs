//! Containers: one owner each, one file per verb.
//!
//! Reading order: [`config`] (what shall be) and [`live`] (what is), [`state`] (the transition function), [`actor`] (the
//! owner), [`registry`] (finding one), then the verbs. [`validate`], [`mounts`], [`resources`], [`security`],
//! [`logging`], [`merge`], [`restart`], [`name`] and [`signal`] are pure.

pub(crate) mod act;
pub(crate) mod actor;
pub(crate) mod archive;
pub(crate) mod attach;
mod commit;
pub mod config;
mod configure;
pub(crate) mod create;
pub(crate) mod directory;
mod end;
pub mod facts;
pub mod health;
mod host_files;
pub mod inspect;
pub(crate) mod launch;
mod launch_parts;
pub(crate) mod list;
pub mod listed;
pub mod live;
pub mod logging;
mod logs;
pub mod merge;
pub(crate) mod mount_options;
pub mod mounts;
pub mod name;
pub mod options;
mod plug;
mod prune;
pub mod registry;
pub(crate) mod remove;
pub mod resources;
pub mod restart;
pub mod security;
pub mod signal;
pub(crate) mod start;
pub mod state;
pub mod stats;
mod stop;
mod top;
pub(crate) mod undo;
pub(crate) mod user;
pub mod validate;
pub(crate) mod validate_network;
pub mod wait;

use crate::open::Shared;
use config::{ContainerConfig, MountKind};
use std::collections::BTreeMap;

/// Tells listeners that a container's volumes were mounted or unmounted.
pub(crate) fn volume_events(shared: &Shared, config: &ContainerConfig, action: &str) {
    for mount in config.mounts.iter().filter(|mount| mount.kind == MountKind::Volume) {
        let mut attributes = BTreeMap::from([
            ("container".to_owned(), config.id.to_string()),
            ("driver".to_owned(), "local".to_owned()),
        ]);
        if action == "mount" {
            attributes.insert("destination".into(), mount.destination.clone());
            attributes.insert("propagation".into(), mount.propagation.clone());
            attributes.insert("read/write".into(), mount.writable.to_string());
        }
        shared.events.publish("volume", action, &mount.name, attributes);
    }
}
