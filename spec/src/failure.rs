//! Errors as they cross a boundary: a closed set of classes, and one sentence for a person.
//!
//! Library crates have error enums of their own; each of those says its class. Only the API maps a class to an HTTP
//! status, and only the client maps it to an exit code. Nothing ever decides by the text.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of failure this is; the whole set. The HTTP status that the API answers is given for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// The object that was named does not exist (404).
    NotFound,
    /// The request itself is wrong, whatever the state (400).
    InvalidArgument,
    /// The request is right but the object's state, or another object, stands against it (409).
    Conflict,
    /// Who asks is not known (401).
    Unauthorized,
    /// Who asks may not do this; also what the policy forbids (403).
    Forbidden,
    /// The object is already as the request wants it (304).
    NotModified,
    /// This engine or this host cannot do it (501).
    NotImplemented,
    /// A part that is needed does not answer now; trying again may help (503).
    Unavailable,
    /// The program to be started was not found in the container (400; exit code 127).
    CommandNotFound,
    /// The program to be started may not be executed (400; exit code 126).
    CommandNotExecutable,
    /// A deadline passed (500).
    DeadlineExceeded,
    /// Something broke on our side (500).
    Internal,
}

/// A failure that can be sent: a class and one sentence `<what failed> <object>: <cause>`, lower case, no full stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// The sentence for the user.
    pub message: String,
}

impl Failure {
    /// A failure of `class` that says `message`.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// An [`Class::Internal`] failure that says `message`.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Class::Internal, message)
    }

    /// An [`Class::InvalidArgument`] failure that says `message`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::InvalidArgument, message)
    }

    /// An [`Class::NotFound`] failure that says `message`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, message)
    }

    /// A [`Class::Conflict`] failure that says `message`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Class::Conflict, message)
    }

    /// A failure of `class` that says `error` with all its causes, outermost first, separated by `: `.
    pub fn from_error(class: Class, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self { class, message }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_error_joins_the_causes_outermost_first() {
        #[derive(Debug, thiserror::Error)]
        #[error("open layer")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("disk on fire"));
        let failure = Failure::from_error(Class::Internal, &outer);
        assert_eq!(failure.to_string(), "open layer: disk on fire");
    }
}
