//! Names of containers.

use crate::Error;
use std::fmt;

/// A container's name: letters, digits and `_+.-`, so that it is one path component and one word of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

/// A file name is no longer (NAME_MAX), and the names of cgroups and files made from one add a few bytes.
const LONGEST: usize = 200;

impl Id {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(good);
        match fits && text != "." && text != ".." {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::InvalidId),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_path_component_of_harmless_characters() {
        for good in ["a", "ab_C-1.2+3", "libpod-0123", ".x"] {
            assert_eq!(Id::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\n", "é", "@seccomp", &"x".repeat(201)] {
            assert!(matches!(Id::parse(bad), Err(Error::InvalidId)), "{bad:?}");
        }
    }
}
