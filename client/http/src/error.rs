//! Why a call failed.

use std::io;

/// Why a call failed. What the engine itself answered is [`ClientError::Status`]; everything else happened on the way.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text names no host that can be dialled.
    #[error("unable to parse docker host `{0}`")]
    Address(String),
    /// The protocol of the host is none that is known.
    #[error("invalid bind address format: {0}")]
    Protocol(String),
    /// Nothing answers at the host.
    #[error("connect to {host}: {source}")]
    Connect {
        /// The host as the caller wrote it.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The engine answered with a status of 400 or above.
    #[error("{message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The engine's sentence.
        message: String,
    },
    /// The connection broke within an answer.
    #[error("read the answer of {host}: {source}")]
    Io {
        /// The host as the caller wrote it.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The other side does not speak HTTP/1.1 as this client does.
    #[error("read the answer of {host}: {reason}")]
    Malformed {
        /// The host as the caller wrote it.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The body is not the JSON that was expected.
    #[error("read the answer: {0}")]
    Json(#[from] serde_json::Error),
    /// A certificate or key cannot be used.
    #[error("load {path}: {reason}")]
    Tls {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The engine ended a multiplexed stream with an error of its own.
    #[error("error from daemon in stream: {0}")]
    Stream(String),
}

impl ClientError {
    /// The HTTP status, if the engine answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// True when the engine says that the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}
