//! Writing: a transaction over any number of tables.

use crate::journal::{Change, Journal};
use crate::read::{Range, Visit, definition, get, raw, scan};
use crate::store::Shared;
use crate::{Error, Key, Table};
use redb::ReadableTableMetadata;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::File;
use std::ops::Bound;
use std::sync::{Arc, MutexGuard};

/// A transaction. It sees what it has written; others see it after the commit, all at once. Dropped without a commit,
/// it leaves nothing.
pub struct Writer<'a> {
    shared: &'a Shared,
    journal: MutexGuard<'a, Option<Journal>>,
    transaction: redb::WriteTransaction,
    changes: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        journal: MutexGuard<'a, Option<Journal>>,
        transaction: redb::WriteTransaction,
    ) -> Self {
        Self { shared, journal, transaction, changes: Vec::new() }
    }

    /// Writes `value` under `key`, in place of what was there.
    pub fn put<K, V>(&mut self, table: Table<K, V>, key: &K, value: &V) -> Result<(), Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let (key, value) = (key.to_bytes(), table.encode(value)?);
        self.record(&Change::Put { table: table.name, key: &key, value: &value });
        let mut table =
            self.transaction.open_table(definition(table.name)).map_err(Error::tree("write"))?;
        table.insert(&*key, &*value).map_err(Error::tree("write"))?;
        Ok(())
    }

    /// Removes what is under `key`; answers whether there was something.
    pub fn remove<K: Key + ?Sized, V>(
        &mut self,
        table: Table<K, V>,
        key: &K,
    ) -> Result<bool, Error> {
        self.remove_raw(table.name, &key.to_bytes())
    }

    /// Removes all records between two keys; answers how many.
    pub fn remove_range<K: Key + ?Sized, V>(
        &mut self,
        table: Table<K, V>,
        from: Bound<&K>,
        to: Bound<&K>,
    ) -> Result<u64, Error> {
        let (from, to) = (from.map(K::to_bytes), to.map(K::to_bytes));
        let range = (from.as_ref().map(|k| &**k), to.as_ref().map(|k| &**k));
        let mut keys = Vec::new();
        raw::Access::scan_raw(self, table.name, range, false, &mut |key, _| {
            keys.push(key.to_vec());
            Ok(true)
        })?;
        for key in &keys {
            self.remove_raw(table.name, key)?;
        }
        Ok(keys.len() as u64)
    }

    fn remove_raw(&mut self, name: &'static str, key: &[u8]) -> Result<bool, Error> {
        let mut table =
            self.transaction.open_table(definition(name)).map_err(Error::tree("write"))?;
        let existed = table.remove(key).map_err(Error::tree("write"))?.is_some();
        drop(table);
        if existed {
            self.record(&Change::Remove { table: name, key });
        }
        Ok(existed)
    }

    fn record(&mut self, change: &Change<'_>) {
        let changes = std::mem::take(&mut self.changes);
        self.changes = postcard::to_extend(change, changes).expect("a vector takes any change");
    }

    /// Makes the changes visible, and safe from the death of this process. They are safe from a power loss at most
    /// [`crate::GROUP_COMMIT`] later.
    pub fn commit(self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let shared = self.shared;
        self.apply()?;
        shared.sync.request();
        Ok(())
    }

    /// Makes the changes visible, and safe from a power loss before it returns. An error of the sync does not undo the
    /// changes.
    pub fn commit_durable(self) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let shared = self.shared;
        let file = self.apply()?;
        if let Err(error) = shared.sync_journal(&file) {
            shared.sync.request();
            return Err(error);
        }
        Ok(())
    }

    fn apply(mut self) -> Result<Arc<File>, Error> {
        let journal = self.journal.as_mut().ok_or(Error::Closed)?;
        let length = journal.length();
        if let Err(error) = journal.append(&self.changes) {
            // Removals must work on a full disk.
            if !(error.is_full() && self.shared.give_up_reserve()) {
                return Err(error);
            }
            journal.append(&self.changes)?;
        }
        let written = crate::tree::set_last(&self.transaction, journal.last)
            .and_then(|()| self.transaction.commit().map_err(Error::tree("commit")));
        if let Err(error) = written {
            // The B-tree refuses all work after a failure of its file; it is opened again before the next write.
            self.shared.mark_broken();
            journal.take_back(length)?;
            return Err(error);
        }
        Ok(journal.file())
    }
}

impl raw::Access for Writer<'_> {
    fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let table = self.transaction.open_table(definition(table)).map_err(Error::tree("read"))?;
        get(&table, key)
    }

    fn scan_raw(
        &self,
        table: &'static str,
        range: Range<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let table = self.transaction.open_table(definition(table)).map_err(Error::tree("read"))?;
        scan(&table, range, reverse, visit)
    }

    fn count_raw(&self, table: &'static str) -> Result<u64, Error> {
        let table = self.transaction.open_table(definition(table)).map_err(Error::tree("read"))?;
        table.len().map_err(Error::tree("read"))
    }
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("bytes", &self.changes.len()).finish_non_exhaustive()
    }
}
