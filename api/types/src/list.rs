//! Lists and maps that remember whether they were `null`.
//!
//! Go prints a nil slice as `null` and an empty one as `[]`, and shows a client what it sent. A default value is `null`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// A list; the default is `null`. It behaves as a `Vec`, and becomes `[]` at the first change through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T> {
    items: Vec<T>,
    null: bool,
}

impl<T> List<T> {
    /// The list `[]`.
    pub fn empty() -> Self {
        Self { items: Vec::new(), null: false }
    }

    /// True when the list is `null`, which is not the same as empty for a few fields.
    pub fn is_null(&self) -> bool {
        self.null
    }

    /// True when there is no item, also when `null`.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items; nothing when `null`.
    pub fn into_vec(self) -> Vec<T> {
        self.items
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), null: true }
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, null: false }
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<T>>())
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T> Deref for List<T> {
    type Target = Vec<T>;
    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.null = false;
        &mut self.items
    }
}

impl<T: Serialize> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.null { serializer.serialize_none() } else { self.items.serialize(serializer) }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Vec<T>>::deserialize(deserializer)?.map_or_else(Self::default, Self::from))
    }
}

/// A map with text keys; the default is `null`. It behaves as a `BTreeMap`, and becomes `{}` at the first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<V> {
    entries: BTreeMap<String, V>,
    null: bool,
}

impl<V> Map<V> {
    /// The map `{}`.
    pub fn empty() -> Self {
        Self { entries: BTreeMap::new(), null: false }
    }

    /// True when the map is `null`.
    pub fn is_null(&self) -> bool {
        self.null
    }

    /// True when there is no entry, also when `null`.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries; none when `null`.
    pub fn into_inner(self) -> BTreeMap<String, V> {
        self.entries
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), null: true }
    }
}

impl<V> From<BTreeMap<String, V>> for Map<V> {
    fn from(entries: BTreeMap<String, V>) -> Self {
        Self { entries, null: false }
    }
}

impl<V> FromIterator<(String, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(entries: I) -> Self {
        Self::from(entries.into_iter().collect::<BTreeMap<String, V>>())
    }
}

impl<'a, V> IntoIterator for &'a Map<V> {
    type Item = (&'a String, &'a V);
    type IntoIter = std::collections::btree_map::Iter<'a, String, V>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<V> IntoIterator for Map<V> {
    type Item = (String, V);
    type IntoIter = std::collections::btree_map::IntoIter<String, V>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<V> Deref for Map<V> {
    type Target = BTreeMap<String, V>;
    fn deref(&self) -> &BTreeMap<String, V> {
        &self.entries
    }
}

impl<V> DerefMut for Map<V> {
    fn deref_mut(&mut self) -> &mut BTreeMap<String, V> {
        self.null = false;
        &mut self.entries
    }
}

impl<V: Serialize> Serialize for Map<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.null { serializer.serialize_none() } else { self.entries.serialize(serializer) }
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Option::<BTreeMap<String, V>>::deserialize(deserializer)?;
        Ok(entries.map_or_else(Self::default, Self::from))
    }
}

/// The value of a set's key: `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Empty {}

/// Reads a list of texts that may also be one text, which is then the only item (`Cmd`, `Entrypoint`).
pub(crate) fn text_or_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<List<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shape {
        One(String),
        Many(Vec<String>),
        Null,
    }
    Ok(match Shape::deserialize(deserializer)? {
        Shape::One(text) => List::from(vec![text]),
        Shape::Many(items) => List::from(items),
        Shape::Null => List::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_stays_null_and_empty_stays_empty() {
        for text in ["null", "[]", "[1,2]"] {
            let list: List<u8> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&list).unwrap(), text);
        }
        for text in ["null", "{}", "{\"a\":1}"] {
            let map: Map<u8> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&map).unwrap(), text);
        }
    }

    #[test]
    fn a_push_turns_null_into_a_list() {
        let mut list = List::default();
        assert!(list.is_null());
        list.push(1);
        assert_eq!(list, List::from(vec![1]));
    }
}
