//! Why a mount could not be made.

use rustix::io::Errno;

/// A failed operation on a mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refused a call.
    #[error("{action} {object}: {}", text(*errno))]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The kernel refused a file system or one of its options and said why.
    #[error("mount {object}: {message}")]
    Explained {
        /// The file system.
        object: String,
        /// The kernel's words.
        message: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The overlay has more lower directories than the kernel takes.
    #[error("mount overlay: {count} lower directories, at most {limit} are possible")]
    TooManyLayers {
        /// How many were asked for.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The table of mounts could not be read.
    #[error("read mountinfo: {0}")]
    Mountinfo(#[from] crate::mountinfo::ParseError),
}

impl Error {
    pub(crate) fn new(action: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Self::Kernel { action, object: object.into(), errno }
    }

    /// The kernel's error number, if the kernel refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } | Self::Explained { errno, .. } => Some(*errno),
            Self::TooManyLayers { .. } | Self::Mountinfo(_) => None,
        }
    }
}

/// The text of an error number in lower case, without the number.
fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
