//! Reading: from a snapshot, or inside a transaction what it has written itself.

use crate::{Error, Key, Table};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::Bound;

pub(crate) type Bytes = &'static [u8];
pub(crate) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
/// Sees each record of a range; answers whether it wants to see the next one.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool, Error> + 'a;

pub(crate) fn definition(name: &'static str) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(name)
}

/// Raw access, implemented by [`Reader`] and [`crate::Writer`] only.
pub(crate) mod raw {
    use super::{Range, Visit};
    use crate::Error;

    pub trait Access {
        fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
        fn scan_raw(
            &self,
            table: &'static str,
            range: Range<'_>,
            reverse: bool,
            visit: &mut Visit<'_>,
        ) -> Result<(), Error>;
        fn count_raw(&self, table: &'static str) -> Result<u64, Error>;
    }
}

/// Reading typed records.
pub trait Read: raw::Access {
    /// The value under `key`.
    fn get<K, V>(&self, table: Table<K, V>, key: &K) -> Result<Option<V>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let key = key.to_bytes();
        match self.get_raw(table.name, &key)? {
            Some(value) => table.decode(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is a value under `key`.
    fn contains<K: Key + ?Sized, V>(&self, table: Table<K, V>, key: &K) -> Result<bool, Error> {
        Ok(self.get_raw(table.name, &key.to_bytes())?.is_some())
    }

    /// All records, in the order of the keys.
    fn list<K, V>(&self, table: Table<K, V>) -> Result<Vec<(K::Owned, V)>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        collect(self, table, (Bound::Unbounded, Bound::Unbounded), usize::MAX, false)
    }

    /// At most `limit` records between two keys, in the order of the keys.
    fn range<K, V>(
        &self,
        table: Table<K, V>,
        from: Bound<&K>,
        to: Bound<&K>,
        limit: usize,
    ) -> Result<Vec<(K::Owned, V)>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let (from, to) = (from.map(K::to_bytes), to.map(K::to_bytes));
        let range = (from.as_ref().map(|k| &**k), to.as_ref().map(|k| &**k));
        collect(self, table, range, limit, false)
    }

    /// At most `limit` records whose key's bytes begin with `prefix`.
    fn prefix<K, V>(
        &self,
        table: Table<K, V>,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(K::Owned, V)>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let mut found = Vec::new();
        let range = (Bound::Included(prefix), Bound::Unbounded);
        self.scan_raw(table.name, range, false, &mut |key, value| {
            if found.len() >= limit || !key.starts_with(prefix) {
                return Ok(false);
            }
            found.push((table.decode_key(key)?, table.decode(key, value)?));
            Ok(true)
        })?;
        Ok(found)
    }

    /// The record with the highest key.
    fn last<K, V>(&self, table: Table<K, V>) -> Result<Option<(K::Owned, V)>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let all = (Bound::Unbounded, Bound::Unbounded);
        Ok(collect(self, table, all, 1, true)?.pop())
    }

    /// The record with the lowest key.
    fn first<K, V>(&self, table: Table<K, V>) -> Result<Option<(K::Owned, V)>, Error>
    where
        K: Key + ?Sized,
        V: Serialize + DeserializeOwned,
    {
        let all = (Bound::Unbounded, Bound::Unbounded);
        Ok(collect(self, table, all, 1, false)?.pop())
    }

    /// How many records there are.
    fn count<K: ?Sized, V>(&self, table: Table<K, V>) -> Result<u64, Error> {
        self.count_raw(table.name)
    }
}

impl<A: raw::Access> Read for A {}

fn collect<A, K, V>(
    access: &A,
    table: Table<K, V>,
    range: Range<'_>,
    limit: usize,
    reverse: bool,
) -> Result<Vec<(K::Owned, V)>, Error>
where
    A: raw::Access + ?Sized,
    K: Key + ?Sized,
    V: Serialize + DeserializeOwned,
{
    let mut found = Vec::new();
    access.scan_raw(table.name, range, reverse, &mut |key, value| {
        if found.len() >= limit {
            return Ok(false);
        }
        found.push((table.decode_key(key)?, table.decode(key, value)?));
        Ok(true)
    })?;
    Ok(found)
}

/// A snapshot: what was committed when it was made, whatever is written meanwhile. Short-lived: while it exists, the
/// space of what it sees cannot be used again.
#[derive(Debug)]
pub struct Reader {
    pub(crate) transaction: redb::ReadTransaction,
}

impl Reader {
    fn open(&self, name: &'static str) -> Result<Option<redb::ReadOnlyTable<Bytes, Bytes>>, Error> {
        match self.transaction.open_table(definition(name)) {
            Ok(table) => Ok(Some(table)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(Error::tree("read")(error)),
        }
    }
}

impl raw::Access for Reader {
    fn get_raw(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.open(table)?.map_or(Ok(None), |table| get(&table, key))
    }

    fn scan_raw(
        &self,
        table: &'static str,
        range: Range<'_>,
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        self.open(table)?.map_or(Ok(()), |table| scan(&table, range, reverse, visit))
    }

    fn count_raw(&self, table: &'static str) -> Result<u64, Error> {
        self.open(table)?.map_or(Ok(0), |table| table.len().map_err(Error::tree("read")))
    }
}

pub(crate) fn get(
    table: &impl ReadableTable<Bytes, Bytes>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let value = table.get(key).map_err(Error::tree("read"))?;
    Ok(value.map(|value| value.value().to_vec()))
}

pub(crate) fn scan(
    table: &impl ReadableTable<Bytes, Bytes>,
    range: Range<'_>,
    reverse: bool,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let mut records = table.range::<&[u8]>(range).map_err(Error::tree("read"))?;
    loop {
        let record = if reverse { records.next_back() } else { records.next() };
        let Some(record) = record else { return Ok(()) };
        let (key, value) = record.map_err(Error::tree("read"))?;
        if !visit(key.value(), value.value())? {
            return Ok(());
        }
    }
}
