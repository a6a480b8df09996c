//! What can go wrong with a registry. The texts are the reference engine's where it has one, for clients look for them.

use hyper::StatusCode;
use serde::Deserialize;
use spec::image::DocumentError;
use spec::{Class, Digest, Failure};
use std::fmt;
use std::time::Duration;

/// A failure of the registry client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came: no connection, no TLS, or it broke.
    #[error("{} {url:?}", verb(.method))]
    Transport {
        /// The request's method.
        method: hyper::Method,
        /// Where to, without a query.
        url: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// The registry answered with an error.
    #[error(transparent)]
    Registry(#[from] Refusal),
    /// The registry asks for a password and there is none.
    #[error("{} {url:?}: no basic auth credentials", verb(.method))]
    NoCredentials {
        /// The request's method.
        method: hyper::Method,
        /// Where to.
        url: String,
    },
    /// The token server did not give a token.
    #[error("get token from {url}: {why}")]
    Token {
        /// The token server.
        url: String,
        /// Why, in one sentence.
        why: String,
        /// Whether it refused the credentials.
        refused: bool,
    },
    /// The answer is no answer of a registry.
    #[error("{} {url:?}: {why}", verb(.method))]
    Answer {
        /// The request's method.
        method: hyper::Method,
        /// Where to.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// What came has another digest than it was asked for with.
    #[error("verify {what}: its content has the digest {found} and should have {expected}")]
    Digest {
        /// `manifest` or `blob`.
        what: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A document is too large, or broken.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A manifest of a kind that is not read.
    #[error("{0}")]
    Unsupported(String),
    /// The engine's settings do not allow this registry.
    #[error("registry {0} is not allowed by the engine's configuration (allow-registries)")]
    Forbidden(String),
    /// The name's first part cannot be a host.
    #[error("invalid registry host {0:?}")]
    Host(String),
    /// A certificate or key for the registry cannot be used.
    #[error("certificates for {host}: {path}: {why}")]
    Certificates {
        /// The registry.
        host: String,
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// What is uploaded could not be read.
    #[error("read what is uploaded")]
    Source(#[source] std::io::Error),
}

fn verb(method: &hyper::Method) -> String {
    let mut text = method.as_str().to_ascii_lowercase();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The name is not known.
    #[error("dial tcp: lookup {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Nobody answers at the address.
    #[error("dial tcp {address}: connect: {why}")]
    Connect {
        /// The address.
        address: String,
        /// In the words of the C library.
        why: String,
    },
    /// The other end's certificate is not good, or it does not speak TLS.
    #[error("tls: {0}")]
    Tls(std::io::Error),
    /// The proxy refused.
    #[error("proxyconnect tcp: {0}")]
    Proxy(String),
    /// Nothing came for too long.
    #[error("no answer for {} s", .0.as_secs())]
    Idle(Duration),
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// More redirects than anybody needs.
    #[error("stopped after 10 redirects")]
    Redirects,
    /// A redirect leads nowhere.
    #[error("redirect to {0:?}, which is no http or https address")]
    Redirect(String),
}

impl TransportError {
    /// Whether the other end was never reached, so that a second try would be no better.
    pub fn is_unreachable(&self) -> bool {
        !matches!(self, Self::Idle(_) | Self::Broken(_))
    }
}

/// The codes of the distribution specification that something is decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `DENIED`
    Denied,
    /// `UNAUTHORIZED`
    Unauthorized,
    /// `MANIFEST_UNKNOWN`
    ManifestUnknown,
    /// `NAME_UNKNOWN`
    NameUnknown,
    /// `BLOB_UNKNOWN`
    BlobUnknown,
    /// `BLOB_UPLOAD_UNKNOWN`
    UploadUnknown,
    /// `TOOMANYREQUESTS`
    TooManyRequests,
    /// Any other.
    Other(String),
}

impl Code {
    fn parse(text: &str) -> Self {
        match text {
            "DENIED" => Self::Denied,
            "UNAUTHORIZED" => Self::Unauthorized,
            "MANIFEST_UNKNOWN" => Self::ManifestUnknown,
            "NAME_UNKNOWN" => Self::NameUnknown,
            "BLOB_UNKNOWN" => Self::BlobUnknown,
            "BLOB_UPLOAD_UNKNOWN" => Self::UploadUnknown,
            "TOOMANYREQUESTS" => Self::TooManyRequests,
            other => Self::Other(shown(other, 60)),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "denied",
            Self::Unauthorized => "unauthorized",
            Self::ManifestUnknown => "manifest unknown",
            Self::NameUnknown => "name unknown",
            Self::BlobUnknown => "blob unknown",
            Self::UploadUnknown => "blob upload unknown",
            Self::TooManyRequests => "toomanyrequests",
            Self::Other(code) => {
                return f.write_str(&code.to_ascii_lowercase().replace('_', " "));
            }
        })
    }
}

/// An error answer of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// Codes and messages, as they came; cut to a bearable length.
    pub errors: Vec<(Code, String)>,
    /// How long the registry asks to wait.
    pub retry_after: Option<Duration>,
}

/// Most errors of one answer that are shown.
const ERRORS_MAX: usize = 8;

impl Refusal {
    /// Reads the body of an answer with an error status.
    pub(crate) fn parse(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct One {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            errors: Vec<One>,
            #[serde(default)]
            details: String,
        }
        let mut errors = Vec::new();
        if let Ok(body) = serde_json::from_slice::<Body>(body) {
            for one in body.errors.into_iter().take(ERRORS_MAX) {
                errors.push((Code::parse(&one.code), shown(&one.message, 500)));
            }
            if errors.is_empty() && !body.details.is_empty() {
                let message = shown(&body.details, 500);
                let code = match status {
                    StatusCode::UNAUTHORIZED => Code::Unauthorized,
                    StatusCode::FORBIDDEN => Code::Denied,
                    _ => Code::Other("unknown".into()),
                };
                errors.push((code, message));
            }
        }
        if errors.is_empty() && status == StatusCode::TOO_MANY_REQUESTS {
            errors.push((Code::TooManyRequests, "too many requests".into()));
        }
        Self { status, errors, retry_after }
    }

    /// The first code; by the status where the registry gave none.
    pub fn code(&self) -> Code {
        match (self.errors.first(), self.status) {
            (Some((code, _)), _) => code.clone(),
            (None, StatusCode::UNAUTHORIZED) => Code::Unauthorized,
            (None, StatusCode::FORBIDDEN) => Code::Denied,
            (None, StatusCode::TOO_MANY_REQUESTS) => Code::TooManyRequests,
            (None, _) => Code::Other(String::new()),
        }
    }

    /// Whether trying again later may help.
    pub fn is_temporary(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |f: &mut fmt::Formatter<'_>, (code, message): &(Code, String)| match &**message {
            "" => write!(f, "{code}"),
            message => write!(f, "{code}: {message}"),
        };
        match &*self.errors {
            [] => write!(f, "received unexpected HTTP status: {}", self.status),
            [error] => one(f, error),
            errors => {
                f.write_str("errors:")?;
                for error in errors {
                    f.write_str("\n")?;
                    one(f, error)?;
                }
                Ok(())
            }
        }
    }
}

/// A stranger's text for a message: printable, and not longer than this.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}

impl Error {
    /// The class for the user.
    pub fn class(&self) -> Class {
        match self {
            Self::Registry(refusal) => match refusal.code() {
                Code::Unauthorized => Class::Unauthorized,
                Code::Denied => Class::Forbidden,
                Code::ManifestUnknown | Code::NameUnknown | Code::BlobUnknown => Class::NotFound,
                _ if refusal.status == StatusCode::NOT_FOUND => Class::NotFound,
                _ if refusal.is_temporary() => Class::Unavailable,
                _ => Class::Internal,
            },
            Self::Token { refused: true, .. } => Class::Unauthorized,
            Self::Forbidden(_) => Class::Forbidden,
            Self::Host(_) | Self::Unsupported(_) => Class::InvalidArgument,
            Self::Document(_) | Self::Digest { .. } => Class::InvalidArgument,
            _ => Class::Internal,
        }
    }

    /// The error answer, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Registry(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether trying the same again may help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Registry(refusal) => refusal.is_temporary(),
            Self::Transport { source, .. } => !source.is_unreachable(),
            _ => false,
        }
    }

    /// Whether the registry was not reached at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Transport { source, .. } if source.is_unreachable())
    }

    /// A server that was not reached was not reached with any request: told of its first page, as the reference engine
    /// does, which asks for that first.
    pub(crate) fn of_server(self, base: &crate::Address) -> Self {
        match self {
            Self::Transport { source, .. } if source.is_unreachable() => Self::Transport {
                method: hyper::Method::GET,
                url: base.at(format!("{}/v2/", base.path)).shown(),
                source,
            },
            other => other,
        }
    }

    /// How long the registry asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::from_error(error.class(), &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_the_reference_engine_shows_them() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let refusal = Refusal::parse(StatusCode::NOT_FOUND, None, body);
        assert_eq!(refusal.to_string(), "manifest unknown: manifest unknown");
        assert_eq!(Error::from(refusal).class(), Class::NotFound);
        let refusal = Refusal::parse(StatusCode::BAD_GATEWAY, None, b"<html>");
        assert_eq!(refusal.to_string(), "received unexpected HTTP status: 502 Bad Gateway");
        assert!(refusal.is_temporary());
        let refusal = Refusal::parse(StatusCode::UNAUTHORIZED, None, br#"{"details":"no"}"#);
        assert_eq!(refusal.to_string(), "unauthorized: no");
        let body =
            br#"{"errors":[{"code":"DENIED"},{"code":"NAME_INVALID","message":"a\u0007b"}]}"#;
        let refusal = Refusal::parse(StatusCode::FORBIDDEN, None, body);
        assert_eq!(refusal.to_string(), "errors:\ndenied\nname invalid: ab");
    }
}
