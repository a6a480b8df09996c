//! Why a path could not be resolved or used.

use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// An operation on a path inside a root that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refused.
    #[error("{action} {path:?}: {}", reason(*errno))]
    Path {
        /// What was tried: `open`, `make directory`, ...
        action: &'static str,
        /// The path inside the root.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// The path names something of the wrong kind, such as a FIFO where a file must be.
    #[error("{action} {path:?}: not a {wanted}")]
    Kind {
        /// What was tried.
        action: &'static str,
        /// The path inside the root.
        path: PathBuf,
        /// What it had to be.
        wanted: &'static str,
    },
    /// A file is longer than its reader accepts.
    #[error("read {path:?}: more than {limit} bytes")]
    TooLarge {
        /// The path inside the root.
        path: PathBuf,
        /// How much was accepted, in bytes.
        limit: u64,
    },
    /// What should be procfs is something else: an attack, or a broken host (CVE-2019-16884).
    #[error("open procfs: the file system at /proc is not procfs")]
    NotProcfs,
}

impl Error {
    pub(crate) fn path(action: &'static str, path: &Path, errno: Errno) -> Self {
        Self::Path { action, path: path.to_owned(), errno }
    }

    /// The kernel's error number, if it was the kernel that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Path { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

/// The text of an error number without the number itself, in lower case as runc and Docker print it.
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
