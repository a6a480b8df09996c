//! Names of repositories and tags, and ids of uploads (distribution specification, "Pulling manifests").
//!
//! All three become file names, so what they may contain is what keeps a request inside the store.

use std::fmt;

/// The most characters of a repository's name: what clients allow for host and name together.
pub const NAME_MAX: usize = 255;
/// The most characters of a tag.
pub const TAG_MAX: usize = 128;

/// Why a text is no name, tag or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {text:?}: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, text: &str, rule: &'static str) -> Self {
        Self { what, text: text.chars().take(100).collect(), rule }
    }
}

/// A repository: `library/ubuntu`. Its components begin with a letter or digit, so that the store's own entries, which
/// begin with `_`, are never one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// Reads `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/...)*`, at most [`NAME_MAX`] characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = |rule| NameError::new("repository name", text, rule);
        if text.len() > NAME_MAX {
            return Err(wrong("must not have more than 255 characters"));
        }
        match text.split('/').all(is_component) {
            true => Ok(Self(text.to_owned())),
            false => Err(wrong(
                "must be lower-case letters, digits and single separators, in parts divided by /",
            )),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Runs of `[a-z0-9]`, between two of them one of `.`, `_`, `__` or any number of `-`.
fn is_component(part: &str) -> bool {
    let alphanumeric = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let bytes = part.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| match separator {
        [] | b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|b| *b == b'-'),
    })
}

/// The order in which repositories are listed: a repository, what lies below it, then its next neighbour.
impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.split('/').cmp(other.0.split('/'))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag: `latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// Reads `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let bytes = text.as_bytes();
        let good = bytes.first().is_some_and(word)
            && bytes.len() <= TAG_MAX
            && bytes.iter().all(|b| word(b) || matches!(b, b'.' | b'-'));
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError::new(
                "tag",
                text,
                "must be at most 128 letters, digits, _, . and -, and not begin with . or -",
            )),
        }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An upload: a random UUID in its usual form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// Reads 36 characters of lower-case hexadecimal digits with `-` where a UUID has them.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let good = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| match at {
                8 | 13 | 18 | 23 => b == b'-',
                _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            });
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError::new("upload id", text, "must be a lower-case UUID")),
        }
    }

    /// The id of 16 random bytes.
    pub(crate) fn from_random(mut bytes: [u8; 16]) -> Self {
        // RFC 9562, version 4.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_grammar_of_the_specification() {
        for good in ["a", "a/b", "library/ubuntu", "a.b", "a_b", "a__b", "a-b", "a---b", "0/1"] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(256);
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "_a", "a_", ".",
            "..", "a/../b", "a/./b", "_tags", "a/_tags", "a b", "a%2fb", "a\0b", "ä", &long,
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Name::parse(&long[1..]).is_ok());
    }

    #[test]
    fn tags_follow_the_grammar_of_the_specification() {
        let long = "a".repeat(129);
        for good in ["latest", "1.0", "_x", "A-b.C_d", &long[1..]] {
            assert_eq!(Tag::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a:b", "a b", "ä", "a\n", &long] {
            assert!(Tag::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn repositories_are_ordered_with_what_lies_below_them() {
        let mut names: Vec<_> =
            ["a-b", "a/b", "a", "a.b/c"].iter().map(|n| Name::parse(n).unwrap()).collect();
        names.sort();
        let names: Vec<_> = names.iter().map(Name::as_str).collect();
        assert_eq!(names, ["a", "a/b", "a-b", "a.b/c"]);
    }

    #[test]
    fn upload_ids_are_what_was_given_out() {
        let id = UploadId::from_random([0xff; 16]);
        assert_eq!(id.as_str(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(UploadId::parse(id.as_str()), Ok(id));
        for bad in ["", "../../../../../../../../../etc/passwd", &"f".repeat(36)] {
            assert!(UploadId::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_store(text in "[a-z0-9._/-]{0,40}") {
            if let Ok(name) = Name::parse(&text) {
                for part in name.as_str().split('/') {
                    prop_assert!(!part.is_empty() && !part.starts_with(['.', '_', '-']));
                }
            }
        }
    }
}
