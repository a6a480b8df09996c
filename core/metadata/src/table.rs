//! A table's name and types.

use crate::{Error, Key};
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// A table of values of type `V` (stored as JSON) under keys of type `K`. It exists from the first record on.
///
/// Fields that are added to `V` later must have `#[serde(default)]`; a change that this does not cover needs a new
/// format version.
pub struct Table<K: ?Sized, V> {
    pub(crate) name: &'static str,
    types: PhantomData<fn(&K) -> V>,
}

impl<K: ?Sized, V> Table<K, V> {
    /// The table `name`. One name must always go with the same types.
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// The table's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Key + ?Sized, V: Serialize + DeserializeOwned> Table<K, V> {
    pub(crate) fn encode(&self, value: &V) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(value).map_err(|source| Error::Encode { table: self.name, source })
    }

    pub(crate) fn decode(&self, key: &[u8], value: &[u8]) -> Result<V, Error> {
        serde_json::from_slice(value).map_err(|source| Error::Decode {
            table: self.name,
            key: crate::key::display(key),
            source,
        })
    }

    pub(crate) fn decode_key(&self, key: &[u8]) -> Result<K::Owned, Error> {
        K::from_bytes(key)
            .ok_or_else(|| Error::DecodeKey { table: self.name, key: crate::key::display(key) })
    }
}

impl<K: ?Sized, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V> Copy for Table<K, V> {}

impl<K: ?Sized, V> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({})", self.name)
    }
}
