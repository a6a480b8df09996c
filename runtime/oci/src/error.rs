//! Why a command failed.

use crate::Status;
use rustix::io::Errno;
use std::path::Path;

/// A command that failed. Engines read some of these sentences (`does not exist`, `not running`), so they are runc's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no container of this name.
    #[error("container does not exist")]
    NotFound,
    /// There is one already.
    #[error("container with given ID already exists")]
    Exists,
    /// A name that no container can have.
    #[error("invalid container ID format")]
    InvalidId,
    /// Its process has ended.
    #[error("container not running")]
    NotRunning,
    /// It cannot be resumed.
    #[error("container not paused")]
    NotPaused,
    /// It was started before.
    #[error("cannot start an already running container")]
    Started,
    /// Its process has ended before it was started.
    #[error("cannot start a container that has stopped")]
    Stopped,
    /// It is paused.
    #[error("cannot start a container in the paused state")]
    StartPaused,
    /// Somebody is making or deleting it.
    #[error("container {0}: another command is creating or deleting it")]
    Busy(String),
    /// It has to be stopped first.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// Which.
        id: String,
        /// What it is.
        status: Status,
    },
    /// A process cannot join it.
    #[error("cannot exec in a stopped container")]
    ExecStopped,
    /// A process would stand still at once.
    #[error("cannot exec in a paused container (use --ignore-paused to override)")]
    ExecPaused,
    /// A name or number that is no signal.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    /// Arguments that do not fit together.
    #[error("{0}")]
    Usage(String),
    /// A value that is not what it should be.
    #[error("invalid {field} {value:?}: must be {allowed}")]
    Value {
        /// What it is for.
        field: String,
        /// What was given, cut to 200 characters.
        value: String,
        /// What may be given.
        allowed: String,
    },
    /// A file is not the JSON that it should be.
    #[error("parse {object}: {cause}")]
    Syntax {
        /// Which.
        object: String,
        /// What is wrong, and where.
        cause: String,
    },
    /// A system call on a file or process.
    #[error("{action} {object}: {}", text(*errno))]
    System {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A hook failed.
    #[error("run {kind} hook {path:?}: {cause}")]
    Hook {
        /// When it is called.
        kind: &'static str,
        /// Its program.
        path: String,
        /// Why.
        cause: String,
    },
    /// A process did not end in time.
    #[error("container init still running")]
    StillRunning,
    /// A program that a command needs.
    #[error("run {program}: {cause}")]
    Program {
        /// Which.
        program: String,
        /// Why.
        cause: String,
    },
    /// This host or this runtime cannot do it.
    #[error("{what}: {cause}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why not.
        cause: String,
    },
    /// The specification is wrong.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// The process could not be made or started.
    #[error("unable to start container process")]
    Launch(#[from] launch::LaunchError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] cgroups::CgroupError),
    /// The service manager that makes its cgroup.
    #[error(transparent)]
    Systemd(#[from] systemd::SystemdError),
    /// Its class of service.
    #[error(transparent)]
    Rdt(#[from] cgroups::rdt::RdtError),
    /// Its system call filter.
    #[error(transparent)]
    Profile(#[from] seccomp::ProfileError),
    /// The same.
    #[error(transparent)]
    Compile(#[from] seccomp::CompileError),
}

impl Error {
    pub(crate) fn system(
        action: &'static str,
        object: impl Into<String>,
        errno: impl Into<Errno>,
    ) -> Self {
        Self::System { action, object: object.into(), errno: errno.into() }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let object = path.as_ref().display().to_string();
        move |error| Self::system(action, object, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    pub(crate) fn value(
        field: impl Into<String>,
        value: impl AsRef<str>,
        allowed: impl Into<String>,
    ) -> Self {
        let value = value.as_ref().chars().take(200).collect();
        Self::Value { field: field.into(), value, allowed: allowed.into() }
    }

    /// The sentence with all its causes on one line.
    pub fn sentence(&self) -> String {
        spec::Failure::from_error(spec::Class::Internal, self).message.replace('\n', " ")
    }
}

/// The text of an error number in lower case, without the number.
pub(crate) fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
