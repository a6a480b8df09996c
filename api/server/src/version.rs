//! API versions.

use std::fmt;

/// A version of the API: `1.41`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// The newest version that is served; also what a request without version gets.
    pub const NEWEST: Self = Self::new(1, 56);
    /// The oldest version that can be served.
    pub const OLDEST: Self = Self::new(1, 24);

    /// The version `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads `1.41`; a missing part is 0, further parts are ignored, a part that is no small number is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut part = || match parts.next() {
            None | Some("") => Some(0),
            Some(digits) => digits.parse().ok(),
        };
        Some(Self { major: part()?, minor: part()? })
    }

    /// True when this is older than 1.`minor`.
    pub fn before(self, minor: u32) -> bool {
        self < Self::new(1, minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Takes `/v1.41` off the front of a path; what is left begins with a slash.
pub(crate) fn split(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix("/v") else { return (None, path) };
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 || !rest[end..].starts_with('/') {
        return (None, path);
    }
    (Some(&rest[..end]), &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let parse = |text| Version::parse(text).unwrap();
        assert!(parse("1.9") < parse("1.24"));
        assert!(parse("1.24").before(25));
        assert!(!parse("2.0").before(56));
        assert_eq!(parse("1"), Version::new(1, 0));
        assert_eq!(Version::parse("1.99999999999"), None);
    }

    #[test]
    fn only_a_version_in_front_is_taken_off() {
        assert_eq!(split("/v1.41/_ping"), (Some("1.41"), "/_ping"));
        for path in ["/_ping", "/volumes", "/v/x", "/v1.41", "/v1.4a/x"] {
            assert_eq!(split(path), (None, path));
        }
    }
}
