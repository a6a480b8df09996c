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
    /// The same the other way round: nearly always one name, two while one replaces the other.
    owned: HashMap<ContainerId, Vec<String>>,
}

impl Tables {
    fn forget(&mut self, name: &str, id: &ContainerId) {
        self.names.remove(name);
        if let Some(owned) = self.owned.get_mut(id) {
            owned.retain(|other| other != name);
            if owned.is_empty() {
                self.owned.remove(id);
            }
        }
    }
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
            Some(_) => Ok(()),
            None => {
                tables.names.insert(name.to_owned(), id.clone());
                tables.owned.entry(id.clone()).or_default().push(name.to_owned());
                Ok(())
            }
        }
    }

    /// Frees a name if this container has it.
    pub fn release(&self, name: &str, id: &ContainerId) {
        let mut tables = self.write();
        if tables.names.get(name) == Some(id) {
            tables.forget(name, id);
        }
    }

    pub(crate) fn insert(&self, handle: Handle) {
        self.write().by_id.insert(handle.id.clone(), handle);
    }

    pub(crate) fn remove(&self, id: &ContainerId) {
        let mut tables = self.write();
        tables.by_id.remove(id);
        for name in tables.owned.remove(id).unwrap_or_default() {
            tables.names.remove(&name);
        }
    }

    pub(crate) fn clear(&self) {
        *self.write() = Tables::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_goes_frees_all_its_names_and_no_other() {
        let registry = Registry::default();
        let (one, two) = (ContainerId::from_bytes(&[1; 32]), ContainerId::from_bytes(&[2; 32]));
        for name in ["old", "new", "newest"] {
            registry.reserve(name, &one).unwrap();
            registry.reserve(name, &one).unwrap();
        }
        registry.reserve("other", &two).unwrap();
        registry.release("old", &one);
        registry.release("other", &one);
        registry.reserve("old", &two).unwrap();
        registry.reserve("new", &two).unwrap_err();
        registry.remove(&one);
        registry.reserve("new", &two).unwrap();
        registry.reserve("newest", &two).unwrap();
        registry.reserve("other", &one).unwrap_err();
        registry.reserve("old", &one).unwrap_err();
    }
}
