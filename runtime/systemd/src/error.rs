//! Errors, with the unit and the call that they are about.

use std::time::Duration;

/// Why the service manager could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// The `cgroupsPath` of a bundle has not the form of this driver.
    #[error(
        "invalid linux.cgroupsPath {0:?}: must be slice:prefix:name with the systemd cgroup driver"
    )]
    Path(String),
    /// The name of a slice or a unit is none.
    #[error("invalid linux.cgroupsPath: {name:?} is not the name of a {what}")]
    Name {
        /// `slice` or `unit`.
        what: &'static str,
        /// The name, cut to 80 characters.
        name: String,
    },
    /// A limit that the manager cannot be told.
    #[error("invalid {field}: {cause}")]
    Limit {
        /// The field of the resources, or the annotation.
        field: String,
        /// What is wrong.
        cause: String,
    },
    /// No bus can be reached.
    #[error("connect to systemd at {address}")]
    Connect {
        /// The last address that was tried.
        address: String,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// The bus does not let us in.
    #[error("connect to systemd at {address}: the bus refuses us: {answer:?}")]
    Refused {
        /// The address.
        address: String,
        /// What it said.
        answer: String,
    },
    /// The connection broke.
    #[error("{call} of systemd")]
    Broken {
        /// The call.
        call: &'static str,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// What came over the bus is not what the protocol says.
    #[error("{call} of systemd: {cause}")]
    Protocol {
        /// The call.
        call: &'static str,
        /// What is wrong.
        cause: &'static str,
    },
    /// The manager refused a call.
    #[error("{call} of systemd for {unit}: {message} ({name})")]
    Answer {
        /// The call.
        call: &'static str,
        /// The unit.
        unit: String,
        /// The name of the error, as `org.freedesktop.systemd1.UnitExists`.
        name: String,
        /// The manager's words, cut to 300 characters.
        message: String,
    },
    /// A job of the manager's ended otherwise than `done`.
    #[error("{call} of systemd for {unit}: the job ended as {result:?}")]
    Job {
        /// The call.
        call: &'static str,
        /// The unit.
        unit: String,
        /// `failed`, `canceled`, `timeout`, `dependency`, `skipped`.
        result: String,
    },
    /// No answer in time.
    #[error("{call} of systemd for {unit}: no answer within {after:?}")]
    Deadline {
        /// The call.
        call: &'static str,
        /// The unit.
        unit: String,
        /// The time that was given.
        after: Duration,
    },
    /// The manager says where the unit's group is, and it is not there.
    #[error("find the cgroup of {unit}: {path:?} does not exist")]
    NoGroup {
        /// The unit.
        unit: String,
        /// The path.
        path: String,
    },
    /// The child that waits in the scope cannot be started.
    #[error("start the process that holds {unit}")]
    Waiting {
        /// The unit.
        unit: String,
        /// The failed call.
        #[source]
        source: Box<sys::Error>,
    },
    /// The group of the unit.
    #[error("limit {unit}")]
    Group {
        /// The unit.
        unit: String,
        /// The failure.
        #[source]
        source: Box<cgroups::CgroupError>,
    },
}

impl SystemdError {
    /// The error class.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::Path(_) | Self::Name { .. } | Self::Limit { .. } => spec::Class::InvalidArgument,
            Self::Connect { .. } | Self::Refused { .. } => spec::Class::Unavailable,
            Self::Deadline { .. } => spec::Class::DeadlineExceeded,
            Self::Group { source, .. } => source.class(),
            Self::Answer { name, .. } if name.ends_with(".UnitExists") => spec::Class::Conflict,
            _ => spec::Class::Internal,
        }
    }

    /// Whether the manager has no such unit.
    pub(crate) fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Answer { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit")
    }
}
