//! Why a process did not start.

use plan::Failure;
use rustix::io::Errno;
use spec::Class;

/// A start that failed. Nothing is left of it: no process, no mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// A step of the child failed.
    #[error("{0}")]
    Step(Failure),
    /// The parent could not prepare something.
    #[error("{action} {object}: {}", text(*errno))]
    Prepare {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A descriptor is not what the plan was made for.
    #[error("prepare {object}: {reason}")]
    Mismatch {
        /// What it belongs to.
        object: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The kernel is too old.
    #[error("prepare {object}: {feature} needs kernel 5.12 or newer")]
    OldKernel {
        /// What it is for.
        object: String,
        /// What is missing.
        feature: &'static str,
    },
    /// A program of the host that the launch needs failed.
    #[error("map {object}: exit status {status}: {words}")]
    Program {
        /// What it was for.
        object: String,
        /// Its status as a shell shows it.
        status: u8,
        /// What it wrote.
        words: String,
    },
    /// Nobody waits behind the socket of a gate.
    #[error("start container: it does not wait for its start")]
    NotAtGate,
    /// The process ended without a word, killed from outside or out of memory.
    #[error("start process: it ended with status {status} before the program ran")]
    Lost {
        /// The status as a shell shows it.
        status: u8,
    },
}

impl LaunchError {
    pub(crate) fn new(
        action: &'static str,
        object: impl Into<String>,
        errno: impl Into<Errno>,
    ) -> Self {
        Self::Prepare { action, object: object.into(), errno: errno.into() }
    }

    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            Self::Step(failure) => failure.class,
            Self::Mismatch { .. } => Class::InvalidArgument,
            Self::NotAtGate => Class::Conflict,
            Self::OldKernel { .. } => Class::NotImplemented,
            Self::Prepare { .. } | Self::Program { .. } | Self::Lost { .. } => Class::Internal,
        }
    }
}

/// The text of an error number in lower case, without the number.
fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
