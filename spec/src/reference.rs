//! Image names as Docker resolves them.
//!
//! ```text
//! [domain "/"] path [":" tag] ["@" digest]
//! ubuntu                      docker.io/library/ubuntu
//! me/app:1                    docker.io/me/app:1
//! localhost/app               localhost/app          (a first part with "." or ":" or "localhost" is a domain)
//! [2001:db8::1]:5000/a/b@sha256:...
//! ```
//! The grammar and the texts of the refusals are those of the `reference` package of the distribution project, which
//! every client of the field uses to check a name before it sends it.

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The domain of a name that has none.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// An old name of [`DEFAULT_DOMAIN`], resolved to it.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// Where one-part names of the default domain live.
const OFFICIAL: &str = "library/";
/// The tag that is meant when there is neither a tag nor a digest.
pub const DEFAULT_TAG: &str = "latest";
/// Most characters of a tag.
const TAG_MAX: usize = 128;
/// Most characters of a path.
const PATH_MAX: usize = 255;

/// Why a text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository has an upper-case letter.
    #[error("invalid reference format: repository name ({repository}) must be lowercase")]
    Uppercase {
        /// The repository with its `library/`.
        repository: String,
    },
    /// It could be an image's id.
    #[error("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")]
    Identifier {
        /// The text.
        text: String,
    },
    /// The path is too long.
    #[error("repository name must not be more than {PATH_MAX} characters")]
    TooLong,
    /// The digest is of an algorithm that is not supported.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// The digest has the wrong number of digits, or upper-case ones.
    #[error("invalid checksum digest format")]
    Digest,
    /// A tag was given where it stands alone, and it is none.
    #[error("invalid tag format")]
    Tag,
}

/// A resolved image name. Its order is that of its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a user writes it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Identifier { text: text.to_owned() });
        }
        let (domain, rest) = split_domain(text);
        let repository = rest.split(':').next().unwrap_or_default();
        if repository.chars().any(char::is_uppercase) {
            let repository = repository.chars().take(PATH_MAX).collect();
            return Err(ReferenceError::Uppercase { repository });
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(parse_digest(digest)?)),
            None => (&*rest, None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => return Err(ReferenceError::Format),
            None => (named, None),
        };
        let (domain, path) = match is_domain(domain) {
            true => (domain, path.to_owned()),
            // What is no domain may still be the first part of a path, as `a_b.c` is.
            false => ("", format!("{domain}/{path}")),
        };
        if !path.split('/').all(is_component) {
            return Err(ReferenceError::Format);
        }
        if path.len() > PATH_MAX {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }

    /// The registry's host, with a port if one was given: `docker.io`. Empty when the first part of the name looks
    /// like a host but cannot be one.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in the registry: `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name without tag and digest, in full: `docker.io/library/ubuntu`.
    pub fn name(&self) -> String {
        match self.domain.is_empty() {
            true => self.path.clone(),
            false => format!("{}/{}", self.domain, self.path),
        }
    }

    /// The name without tag and digest, as people write it: `ubuntu`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short.to_owned(),
            // Without its domain it would be read as a name of another one: `docker.io/quay.io/app`.
            _ if split_domain(&self.path) != (DEFAULT_DOMAIN, self.path.clone()) => self.name(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people write it: `ubuntu:22.04`.
    pub fn familiar(&self) -> String {
        self.append_to(self.familiar_name())
    }

    /// With the tag `latest` when there is neither a tag nor a digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        match is_tag(tag) {
            true => Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }),
            false => Err(ReferenceError::Tag),
        }
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// The repository alone.
    #[must_use]
    pub fn repository(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    fn append_to(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The whole reference in full: `docker.io/library/ubuntu:22.04`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.append_to(self.name()))
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// Splits off the domain, and completes a name of the default one.
fn split_domain(text: &str) -> (&str, String) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_DOMAIN, format!("{OFFICIAL}{text}"));
    };
    let (domain, rest) = match first {
        LEGACY_DOMAIN => (DEFAULT_DOMAIN, rest),
        "localhost" => (first, rest),
        // A namespace cannot have upper case, so this can only be a host.
        _ if first.contains(['.', ':']) || first.chars().any(char::is_uppercase) => (first, rest),
        _ => (DEFAULT_DOMAIN, text),
    };
    match domain == DEFAULT_DOMAIN && !rest.contains('/') {
        true => (domain, format!("{OFFICIAL}{rest}")),
        false => (domain, rest.to_owned()),
    }
}

/// `host`, `host:port`, `192.0.2.1`, `[2001:db8::1]:port`.
fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => return false,
            },
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if text.starts_with('[') {
        return !host.is_empty() && host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Runs of lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |b: Option<&u8>| b.is_some_and(|b| alphanumeric(*b));
    if !ends(bytes.first()) || !ends(bytes.last()) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

/// A word character, then at most 127 of those, `.` and `-`.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let (algorithm, hex) = text.split_once(':').ok_or(ReferenceError::Format)?;
    let well_formed = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !well_formed || hex.len() < 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ReferenceError::Format);
    }
    if algorithm != "sha256" {
        return Err(ReferenceError::Algorithm);
    }
    Digest::parse(text).map_err(|_| ReferenceError::Digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn names_resolve_as_docker_resolves_them() {
        let digest = format!("sha256:{HEX}");
        for (text, full, familiar) in [
            ("ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
            ("library/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("index.docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("docker.io/quay.io/app", "docker.io/quay.io/app", "docker.io/quay.io/app"),
            ("docker.io/docker.io/a/b", "docker.io/docker.io/a/b", "docker.io/docker.io/a/b"),
            ("localhost", "docker.io/library/localhost", "localhost"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("localhost:5000/app", "localhost:5000/app", "localhost:5000/app"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
            ("[2001:db8::1]:80/a:b", "[2001:db8::1]:80/a:b", "[2001:db8::1]:80/a:b"),
            ("[::1]/a", "[::1]/a", "[::1]/a"),
            ("Example.com/a", "Example.com/a", "Example.com/a"),
            ("UPPER/a", "UPPER/a", "UPPER/a"),
            ("a_b.c/d", "a_b.c/d", "a_b.c/d"),
            ("xn--n3h.com/a__b-----c.d", "xn--n3h.com/a__b-----c.d", "xn--n3h.com/a__b-----c.d"),
            (
                &format!("a:1@{digest}"),
                &format!("docker.io/library/a:1@{digest}"),
                &format!("a:1@{digest}"),
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
        }
        let reference = Reference::parse(&format!("localhost:5000/a@{digest}")).unwrap();
        assert_eq!((reference.domain(), reference.path()), ("localhost:5000", "a"));
        assert_eq!(reference.digest().map(Digest::as_str), Some(&*digest));
        assert_eq!(reference.clone().with_default_tag(), reference);
    }

    #[test]
    fn refusals_have_dockers_texts() {
        let long = "a".repeat(256 - "library/".len());
        for (text, error) in [
            ("", "invalid reference format"),
            (
                "Ubuntu",
                "invalid reference format: repository name (library/Ubuntu) must be lowercase",
            ),
            (
                "docker.io/me/App:1",
                "invalid reference format: repository name (me/App) must be lowercase",
            ),
            (
                HEX,
                &format!(
                    "invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"
                ),
            ),
            ("a:", "invalid reference format"),
            ("a:-b", "invalid reference format"),
            (&format!("a:{}", "t".repeat(129)), "invalid reference format"),
            ("a@", "invalid reference format"),
            ("a@sha256:abc", "invalid reference format"),
            (&format!("a@sha512:{HEX}"), "unsupported digest algorithm"),
            (&format!("a@sha256:{}", &HEX[..40]), "invalid checksum digest format"),
            ("a//b", "invalid reference format"),
            ("/a", "invalid reference format"),
            ("a/", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a-", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("a:b:c", "invalid reference format"),
            ("host:port/a", "invalid reference format"),
            ("[::1/a", "invalid reference format"),
            ("ä", "invalid reference format"),
            (&long, "repository name must not be more than 255 characters"),
        ] {
            assert_eq!(Reference::parse(text).unwrap_err().to_string(), error, "{text}");
        }
        assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
    }

    #[test]
    fn tag_and_digest_are_exchanged() {
        let reference = Reference::parse("a").unwrap();
        assert_eq!(reference.clone().with_default_tag().familiar(), "a:latest");
        assert_eq!(reference.with_tag("2").unwrap().familiar(), "a:2");
        assert_eq!(reference.with_tag("").unwrap_err(), ReferenceError::Tag);
        let digest = Digest::parse(&format!("sha256:{HEX}")).unwrap();
        let pinned = reference.with_tag("2").unwrap().with_digest(&digest);
        assert_eq!(pinned.familiar(), format!("a@sha256:{HEX}"));
        assert_eq!(pinned.repository(), reference);
    }

    proptest! {
        #[test]
        fn full_form_of_any_name_resolves_to_itself(text in "\\PC{0,40}|[a-zA-Z0-9./:@_\\[\\]-]{0,60}") {
            if let Ok(reference) = Reference::parse(&text) {
                let full = reference.to_string();
                prop_assert_eq!(Reference::parse(&full), Ok(reference), "{}", full);
            }
        }
    }
}
