//! Ids: 64 lower-case hexadecimal digits, or a volume name. A value of these types is safe as one path component.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not an id or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not 64 lower-case hexadecimal digits.
    #[error("invalid {kind} {text:?}: must be 64 lower-case hexadecimal digits")]
    NotHex {
        /// Which id was expected.
        kind: &'static str,
        /// The text, cut to 80 characters.
        text: String,
    },
    /// The text is not a volume name.
    #[error(
        "{text:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
    )]
    NotVolumeName {
        /// The text, cut to 80 characters.
        text: String,
    },
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads an id; anything but 64 lower-case hexadecimal digits is refused.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if is_hex64(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError::NotHex { kind: $kind, text: shorten(text) })
                }
            }

            /// The id of 32 bytes, for instance fresh random ones.
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
            }

            /// All 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first 12 digits, as shown to people.
            pub fn short(&self) -> &str {
                &self.0[..12]
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hex_id!(
    /// The id of a container, given at random when it is created.
    ContainerId,
    "container id"
);
hex_id!(
    /// The id of one exec in a container, given at random when it is created.
    ExecId,
    "exec id"
);
hex_id!(
    /// The name of one directory in the snapshot store: a chain id for a committed layer (the hexadecimal part of the
    /// digest), a container id for a container's own writable layer.
    SnapshotKey,
    "snapshot key"
);

impl From<&ContainerId> for SnapshotKey {
    fn from(id: &ContainerId) -> Self {
        Self(id.0.clone())
    }
}

impl From<&crate::Digest> for SnapshotKey {
    fn from(digest: &crate::Digest) -> Self {
        Self(digest.hex().to_owned())
    }
}

/// The name of a local volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, at most 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// Reads a volume name; what is not one safe path component of at least two characters is refused.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && (2..=255).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::NotVolumeName { text: shorten(text) })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VolumeName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> String {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_id_refuses_all_but_64_lower_case_hex_digits() {
        let good = "0123456789abcdef".repeat(4);
        assert_eq!(ContainerId::parse(&good).unwrap().short(), "0123456789ab");
        for bad in ["", "..", "abc", &good[1..], &good.to_uppercase(), &format!("{good}0")] {
            assert!(ContainerId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn volume_name_refuses_what_is_not_one_path_component() {
        assert_eq!(VolumeName::parse("data-1.x").unwrap().as_str(), "data-1.x");
        for bad in ["", "a", "..", ".x", "a/b", "-ab", "a b", "ä1", &"x".repeat(256)] {
            assert!(VolumeName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_that_is_wrong_does_not_deserialize() {
        assert!(serde_json::from_str::<ContainerId>("\"../../etc\"").is_err());
    }
}
