//! Which route a request's path is, and its query. Pure.

use crate::failure::Failure;
use hyper::StatusCode;
use repositories::{Digest, Name, Reference, UploadId};

/// The most characters of a path and of a query.
const LENGTH_MAX: usize = 8192;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/<name>/tags/list`.
    Tags(Name),
    /// `/v2/<name>/manifests/<reference>`; a text that is neither tag nor digest names nothing.
    Manifest(Name, Result<Reference, Failure>),
    /// `/v2/<name>/blobs/<digest>`.
    Blob(Name, Digest),
    /// `/v2/<name>/blobs/uploads/`.
    Uploads(Name),
    /// `/v2/<name>/blobs/uploads/<uuid>`.
    Upload(Name, UploadId),
    /// `/v2/<name>/referrers/<digest>`.
    Referrers(Name, Digest),
    /// `/token`.
    Token,
    /// `/healthz`.
    Health,
    /// `/metrics`.
    Metrics,
}

impl Route {
    /// Reads a path as it stands in a request.
    pub(crate) fn parse(path: &str) -> Result<Self, Failure> {
        let unknown =
            || Failure::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such path");
        if path.len() > LENGTH_MAX {
            return Err(Failure::new(StatusCode::URI_TOO_LONG, "NAME_INVALID", "path too long"));
        }
        let path = decode(path).ok_or_else(unknown)?;
        match path.as_str() {
            "/v2" | "/v2/" => return Ok(Self::Base),
            "/v2/_catalog" => return Ok(Self::Catalog),
            "/token" => return Ok(Self::Token),
            "/" | "/healthz" => return Ok(Self::Health),
            "/metrics" => return Ok(Self::Metrics),
            _ => {}
        }
        let rest = path.strip_prefix("/v2/").ok_or_else(unknown)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let name = |parts: &[&str]| {
            Name::parse(&parts.join("/")).map_err(|error| {
                Failure::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
            })
        };
        // A name may have any of these words in it: what counts is the end.
        match parts.as_slice() {
            [front @ .., "tags", "list"] => Ok(Self::Tags(name(front)?)),
            [front @ .., "manifests", last] => Ok(Self::Manifest(name(front)?, reference(last))),
            [front @ .., "referrers", last] => {
                Ok(Self::Referrers(name(front)?, parse_digest(last)?))
            }
            [front @ .., "blobs", "uploads"] | [front @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(name(front)?))
            }
            [front @ .., "blobs", "uploads", last] => {
                let name = name(front)?;
                let id = UploadId::parse(last).map_err(|error| {
                    let code = "BLOB_UPLOAD_UNKNOWN";
                    Failure::new(StatusCode::NOT_FOUND, code, error.to_string())
                })?;
                Ok(Self::Upload(name, id))
            }
            [front @ .., "blobs", last] => Ok(Self::Blob(name(front)?, parse_digest(last)?)),
            _ => Err(unknown()),
        }
    }

    /// The repository, if it names one.
    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
            _ => None,
        }
    }

    /// A word for it, in metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags(_) => "tags",
            Self::Manifest(..) => "manifest",
            Self::Blob(..) => "blob",
            Self::Uploads(_) | Self::Upload(..) => "upload",
            Self::Referrers(..) => "referrers",
            Self::Token => "token",
            Self::Health => "health",
            Self::Metrics => "metrics",
        }
    }
}

pub(crate) fn parse_digest(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|error| Failure::digest(&error))
}

fn reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|error| match text.contains(':') {
        true => Failure::digest(&error),
        false => Failure::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", error.to_string()),
    })
}

/// A query's parameters, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; `+` is itself, for media types have it and nothing here has a space.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Failure> {
        let text = text.unwrap_or_default();
        let wrong = |status| Failure::new(status, "UNSUPPORTED", "the query cannot be read");
        if text.len() > LENGTH_MAX {
            return Err(wrong(StatusCode::URI_TOO_LONG));
        }
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(key), Some(value)) = (decode(key), decode(value)) else {
                return Err(wrong(StatusCode::BAD_REQUEST));
            };
            pairs.push((key, value));
        }
        Ok(Self(pairs))
    }

    /// The first value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All values of `key`.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Resolves `%xx`; `None` when that gives no UTF-8 or a control character.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let hex = std::str::from_utf8(after.get(..2)?).ok()?;
            if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// A text as a value in a query of ours.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0b7b2f4e-0000-4000-8000-000000000000";

    #[test]
    fn the_end_of_a_path_says_what_it_is() {
        let name = |text| Name::parse(text).unwrap();
        let digest = Digest::parse(DIGEST).unwrap();
        let id = UploadId::parse(ID).unwrap();
        let table = [
            ("/v2/".to_owned(), Route::Base),
            ("/v2/a/tags/list".to_owned(), Route::Tags(name("a"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
            (
                "/v2/blobs/uploads/manifests/list".to_owned(),
                Route::Manifest(name("blobs/uploads"), reference("list")),
            ),
            (format!("/v2/a/b/blobs/{DIGEST}"), Route::Blob(name("a/b"), digest.clone())),
            (
                format!("/v2/a%2Fb/blobs/{}", DIGEST.replace(':', "%3A")),
                Route::Blob(name("a/b"), digest.clone()),
            ),
            (format!("/v2/a/referrers/{DIGEST}"), Route::Referrers(name("a"), digest)),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            (format!("/v2/a/blobs/uploads/{ID}"), Route::Upload(name("a"), id)),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(&path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_path_that_names_nothing_is_refused_with_the_right_code() {
        let table = [
            ("/v1/", "UNSUPPORTED"),
            ("/v2/a/b", "UNSUPPORTED"),
            ("/v2/a/%zz", "UNSUPPORTED"),
            ("/v2/%00/tags/list", "UNSUPPORTED"),
            ("/v2//tags/list", "NAME_INVALID"),
            ("/v2/tags/list", "NAME_INVALID"),
            ("/v2/A/tags/list", "NAME_INVALID"),
            ("/v2/../../etc/tags/list", "NAME_INVALID"),
            ("/v2/%2e%2e/tags/list", "NAME_INVALID"),
            ("/v2/a/_tags/tags/list", "NAME_INVALID"),
            ("/v2/a/blobs/sha256:zz", "DIGEST_INVALID"),
            ("/v2/a/blobs/..", "DIGEST_INVALID"),
            ("/v2/a/referrers/x", "DIGEST_INVALID"),
            ("/v2/a/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN"),
            ("/v2/a/blobs/uploads/%2e%2e%2fx", "UNSUPPORTED"),
        ];
        for (path, code) in table {
            assert_eq!(Route::parse(path).unwrap_err().code, code, "{path}");
        }
    }

    #[test]
    fn a_query_keeps_its_plus_signs_and_its_order() {
        let query = Query::parse(Some("artifactType=a/b%2Bjson&tag=1&tag=2&x=a+b&y")).unwrap();
        assert_eq!(query.get("artifactType"), Some("a/b+json"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.get("x"), Some("a+b"));
        assert_eq!(query.get("y"), Some(""));
        assert_eq!(query.get("z"), None);
        assert!(Query::parse(Some("a=%")).is_err());
        assert_eq!(encode("a+b c/:"), "a%2Bb%20c/:");
    }

    proptest! {
        #[test]
        fn no_path_and_no_query_breaks_the_readers(text in "\\PC{0,80}|[a-z0-9/%:._-]{0,80}") {
            let _route = Route::parse(&text);
            let _query = Query::parse(Some(&text));
            prop_assert_eq!(decode(&encode(&text)), Some(text).filter(|t| !t.chars().any(char::is_control)));
        }
    }
}
