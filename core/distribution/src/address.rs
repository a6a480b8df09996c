//! Addresses of registries: `http` and `https` only.

use hyper::Uri;
use std::fmt;

/// An absolute address with a scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https`, else `http`.
    pub(crate) tls: bool,
    /// The host without brackets, lower case.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With a leading `/`, and with the query.
    pub(crate) path: String,
}

/// Most bytes of an address that a stranger gives us: signed addresses of object stores have one or two thousand.
const ADDRESS_MAX: usize = 16 << 10;

impl Address {
    /// Reads an absolute address. User names in it, other schemes and fragments are refused.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > ADDRESS_MAX {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return None;
        }
        // Not by the authority, which takes a port that is too large for none.
        let after = authority.as_str().strip_prefix(authority.host())?;
        let port = match after.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some(Self { tls, host: host.to_ascii_lowercase(), port, path: path.to_owned() })
    }

    /// Where `location` leads, seen from here.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let location = location.split('#').next().unwrap_or_default();
        if location.len() > ADDRESS_MAX || location.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        let path = match location.chars().next()? {
            '/' => location.to_owned(),
            '?' => format!("{}{location}", self.path_alone()),
            _ => {
                let base = self.path_alone();
                let end = base.rfind('/').map_or(0, |at| at + 1);
                format!("{}{location}", &base[..end])
            }
        };
        Some(Self { path, ..self.clone() })
    }

    /// The same server, another path.
    pub(crate) fn at(&self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    /// With more in the query.
    pub(crate) fn with_query(&self, more: &str) -> Self {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        Self { path: format!("{}{separator}{more}", self.path), ..self.clone() }
    }

    pub(crate) fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Whether a credential for the one may be sent to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// `host:port`, the port only when it is not the scheme's own; an IPv6 address in brackets.
    pub(crate) fn authority(&self) -> String {
        let host = self.host_in_brackets();
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// `host:port`, always with the port.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host_in_brackets(), self.port)
    }

    fn host_in_brackets(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    pub(crate) fn uri(&self) -> Option<Uri> {
        format!("{}://{}{}", self.scheme(), self.authority(), self.path).parse().ok()
    }

    /// For messages: without the query, which may be a secret.
    pub(crate) fn shown(&self) -> String {
        let text = format!("{}://{}{}", self.scheme(), self.authority(), self.path_alone());
        crate::error::shown(&text, 300)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// A text as a value in a query: letters, digits and `-._~` stay.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_where_they_came_from() {
        let base = Address::parse("https://r.example:5000/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, joined) in [
            ("/v2/b", "https://r.example:5000/v2/b"),
            ("c", "https://r.example:5000/v2/a/blobs/uploads/c"),
            ("?y=2", "https://r.example:5000/v2/a/blobs/uploads/?y=2"),
            ("http://Other/z?q#f", "http://other/z?q"),
            ("//[::1]:8/z", "https://[::1]:8/z"),
        ] {
            let address = base.join(location).unwrap();
            assert_eq!(address.uri().unwrap().to_string(), joined, "{location}");
        }
        for bad in ["", "ftp://x/", "http://u:p@x/", "a b", "http:///x", "http://h:99999/"] {
            assert_eq!(base.join(bad), None, "{bad}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let at = |text| Address::parse(text).unwrap();
        assert!(at("https://a/").same_origin(&at("https://A:443/x")));
        for other in ["http://a/", "https://a:444/", "https://b/"] {
            assert!(!at("https://a/").same_origin(&at(other)), "{other}");
        }
        assert_eq!(at("https://a/x?token=secret").to_string(), "https://a/x");
        assert_eq!(escape("a/b:c d"), "a%2Fb%3Ac%20d");
    }
}
