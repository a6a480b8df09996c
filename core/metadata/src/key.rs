//! What a record can be stored under.

use spec::{ContainerId, Digest, ExecId, SnapshotKey, VolumeName};
use std::borrow::Cow;

/// A key of a table. The order of the bytes is the order of a listing.
pub trait Key {
    /// The key when it is read back.
    type Owned;

    /// The bytes that are stored.
    fn to_bytes(&self) -> Cow<'_, [u8]>;

    /// The key of `bytes`; `None` when they are none.
    fn from_bytes(bytes: &[u8]) -> Option<Self::Owned>;
}

impl Key for str {
    type Owned = String;

    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.as_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl Key for [u8] {
    type Owned = Vec<u8>;

    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
        Some(bytes.to_vec())
    }
}

impl Key for u64 {
    type Owned = u64;

    // Big-endian, so that the order of the bytes is the order of the numbers.
    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.to_be_bytes().to_vec())
    }

    fn from_bytes(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// Two texts, ordered by the first: `(container, exec)`. The first must not contain a zero byte.
impl Key for (&str, &str) {
    type Owned = (String, String);

    fn to_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned([self.0.as_bytes(), &[0], self.1.as_bytes()].concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<(String, String)> {
        let (first, second) = std::str::from_utf8(bytes).ok()?.split_once('\0')?;
        Some((first.to_owned(), second.to_owned()))
    }
}

macro_rules! text_key {
    ($($name:ty),*) => {$(
        impl Key for $name {
            type Owned = $name;

            fn to_bytes(&self) -> Cow<'_, [u8]> {
                Cow::Borrowed(self.as_str().as_bytes())
            }

            fn from_bytes(bytes: &[u8]) -> Option<$name> {
                <$name>::parse(std::str::from_utf8(bytes).ok()?).ok()
            }
        }
    )*};
}

text_key!(ContainerId, ExecId, Digest, SnapshotKey, VolumeName);

/// A key for a message: as text when it is text, else in hexadecimal.
pub(crate) fn display(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.chars().take(100).collect(),
        _ => bytes.iter().take(32).map(|b| format!("{b:02x}")).collect(),
    }
}
