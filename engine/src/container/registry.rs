//! All containers by id, and all names that are taken. Look-ups hold the lock for microseconds and never wait.

use super::actor::Command;
use super::live::View;
use spec::{ContainerId, Failure};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, watch};

/// The way to one container: its inbox, and what it is.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Its id.
    pub id: ContainerId,
    pub(crate) inbox: mpsc::Sender<Command>,
    pub(crate) view: watch::Receiver<Arc<View>>,
}

impl Handle {
    /// What it is at this moment.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }
}

#[derive(Debug, Default)]
struct Tables {
    by_id: BTreeMap<ContainerId, Handle>,
    names: HashMap<String, ContainerId>,
}

/// All containers.
#[derive(Debug, Default)]
pub struct Registry(RwLock<Tables>);

impl Registry {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a container by its full id, its name with or without `/`, or a prefix of its id that no other has.
    pub fn find(&self, name: &str) -> Result<Handle, Failure> {
        if name.is_empty() {
            return Err(Failure::invalid("No container name or ID supplied"));
        }
        let tables = self.read();
        if let Some(handle) = ContainerId::parse(name).ok().and_then(|id| tables.by_id.get(&id)) {
            return Ok(handle.clone());
        }
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(handle) = tables.names.get(bare).and_then(|id| tables.by_id.get(id)) {
            return Ok(handle.clone());
        }
        let mut matching =
            tables.by_id.values().filter(|handle| handle.id.as_str().starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(handle), None) => Ok(handle.clone()),
            (Some(_), Some(_)) => {
                Err(Failure::invalid(format!("Multiple IDs found with provided prefix: {name}")))
            }
            (None, _) => Err(Failure::not_found(format!("No such container: {name}"))),
        }
    }

    /// The container of this id.
    pub fn get(&self, id: &ContainerId) -> Option<Handle> {
        self.read().by_id.get(id).cloned()
    }

    /// All containers.
    pub fn all(&self) -> Vec<Handle> {
        self.read().by_id.values().cloned().collect()
    }

    /// What all containers are at this moment.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.read().by_id.values().map(Handle::view).collect()
    }

    /// Takes a name for a container; fails when another has it.
    pub fn reserve(&self, name: &str, id: &ContainerId) -> Result<(), Failure> {
        let mut tables = self.write();
        match tables.names.get(name) {
            Some(owner) if owner != id => Err(Failure::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            ))),
            _ => {
                tables.names.insert(name.to_owned(), id.clone());
                Ok(())
            }
        }
    }

    /// Frees a name if this container has it.
    pub fn release(&self, name: &str, id: &ContainerId) {
        let mut tables = self.write();
        if tables.names.get(name) == Some(id) {
            tables.names.remove(name);
        }
    }

    pub(crate) fn insert(&self, handle: Handle) {
        self.write().by_id.insert(handle.id.clone(), handle);
    }

    pub(crate) fn remove(&self, id: &ContainerId) {
        let mut tables = self.write();
        tables.by_id.remove(id);
        tables.names.retain(|_, owner| owner != id);
    }

    pub(crate) fn clear(&self) {
        *self.write() = Tables::default();
    }
}
