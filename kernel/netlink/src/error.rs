//! What can go wrong between us and the kernel.

use rustix::io::Errno;

/// Why a netlink operation failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused one request of a batch; the requests before it have taken effect, unless the batch was an
    /// nftables transaction, which takes effect as a whole or not at all.
    #[error("{operation} {object}{}", hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Refused {
        /// What was asked, as a verb and a noun.
        operation: &'static str,
        /// The name of the object.
        object: String,
        /// The kernel's own explanation (NETLINK_EXT_ACK, Linux 4.12), when it gave one.
        hint: Option<String>,
        /// The error number of the acknowledgement.
        #[source]
        errno: Errno,
    },
    /// A system call on the socket failed.
    #[error("{call} on netlink socket")]
    Socket {
        /// The system call.
        call: &'static str,
        /// Its error number.
        #[source]
        errno: Errno,
    },
    /// The kernel did not acknowledge a request in time (ten seconds).
    #[error("{operation} {object}: the kernel did not answer")]
    Unanswered {
        /// What was asked.
        operation: &'static str,
        /// The name of the object.
        object: String,
    },
    /// A listing changed under our hands more often than we care to start again.
    #[error("list {object}: changed too often while it was read")]
    Unstable {
        /// What was listed.
        object: &'static str,
    },
    /// Bytes that are not what the protocol says.
    #[error("parse netlink answer: {0}")]
    Malformed(&'static str),
    /// The object that was looked for is not there.
    #[error("find {object}: no such {kind}")]
    Missing {
        /// Link, table, ....
        kind: &'static str,
        /// The name that was looked for.
        object: String,
    },
    /// A namespace could not be made, entered or described.
    #[error("{call} network namespace")]
    Namespace {
        /// The step that failed.
        call: &'static str,
        /// Its error number.
        #[source]
        errno: Errno,
    },
}

impl NetlinkError {
    /// The error number that the kernel gave, if the failure came from it.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. }
            | Self::Socket { errno, .. }
            | Self::Namespace { errno, .. } => Some(*errno),
            Self::Missing { .. } => Some(Errno::NODEV),
            _ => None,
        }
    }

    /// True when the object that was to be made is already there.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }

    /// True when the object that was to be changed or removed is not there.
    pub fn is_missing(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::NODEV | Errno::NOENT | Errno::SRCH | Errno::ADDRNOTAVAIL)
        )
    }
}
