//! Why a specification is refused.

/// One sentence about one field of the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A field that must be there is missing.
    #[error("invalid specification: {field} is missing")]
    Missing {
        /// The field, as a path through the JSON.
        field: String,
    },
    /// A value that is not allowed.
    #[error("invalid {field} {value:?}: must be {allowed}")]
    Value {
        /// The field, as a path through the JSON.
        field: String,
        /// What it says, cut to 200 characters.
        value: String,
        /// What it may say.
        allowed: String,
    },
    /// Something that the specification allows and this runtime does not do.
    #[error("unsupported {field}: {reason}")]
    Unsupported {
        /// The field, as a path through the JSON.
        field: String,
        /// Why.
        reason: String,
    },
    /// A mount that would let a container redirect or hide writes to procfs.
    #[error("invalid mount {destination:?}: cannot be mounted because it is inside /proc")]
    InsideProc {
        /// Where.
        destination: String,
    },
    /// A kernel parameter that is the host's too.
    #[error("invalid sysctl {name:?}: not in a separate kernel namespace")]
    Sysctl {
        /// Its name.
        name: String,
    },
}

impl PlanError {
    pub(crate) fn value(
        field: impl Into<String>,
        value: impl AsRef<str>,
        allowed: impl Into<String>,
    ) -> Self {
        let value = value.as_ref().chars().take(200).collect();
        Self::Value { field: field.into(), value, allowed: allowed.into() }
    }

    pub(crate) fn unsupported(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { field: field.into(), reason: reason.into() }
    }

    /// The class: always an invalid argument, except for what is not implemented.
    pub fn class(&self) -> spec::Class {
        match self {
            Self::Unsupported { .. } => spec::Class::NotImplemented,
            _ => spec::Class::InvalidArgument,
        }
    }
}
