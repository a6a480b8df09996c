//! Why a command ends without success: its exit status, and what it prints.

use client_http::ClientError;
use std::io;

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The engine refused, or does not answer: 1.
    #[error("{}", engine_text(.0))]
    Engine(#[from] ClientError),
    /// One sentence: 1.
    #[error("{0}")]
    Plain(String),
    /// One sentence and another status.
    #[error("{text}")]
    Coded {
        /// The exit status.
        code: u8,
        /// The sentence.
        text: String,
    },
    /// Some of several objects failed; a line for each: 1.
    #[error("{}", .0.join("\n"))]
    Several(Vec<String>),
    /// The value of a flag cannot be used: 125, with the usage.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {reason}")]
    Flag {
        /// The long name, or `-x, --name` once the command is known.
        flag: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The command line cannot be taken apart: 125, with the usage.
    #[error("{0}")]
    Syntax(String),
    /// The command's own name before the sentence, and a hint at its help behind.
    #[error("{source}")]
    Hinted {
        /// The exit status.
        code: u8,
        /// The name in the hint.
        command: &'static str,
        /// The cause.
        source: Box<Failure>,
    },
    /// The program in the container ended with this status; nothing is printed.
    #[error("exit status {0}")]
    Exit(u8),
}

impl Failure {
    /// The value of a flag cannot be used.
    pub(crate) fn flag(flag: &str, value: &str, reason: &str) -> Self {
        Self::Flag { flag: flag.to_owned(), value: value.to_owned(), reason: reason.to_owned() }
    }

    /// The command's name before and a hint at its help behind.
    pub(crate) fn hinted(self, command: &'static str, code: u8) -> Self {
        match self {
            // These say for themselves what to do.
            Self::Exit(_) | Self::Flag { .. } | Self::Syntax(_) | Self::Hinted { .. } => self,
            source => Self::Hinted { code, command, source: Box::new(source) },
        }
    }

    /// The exit status.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Engine(_) | Self::Plain(_) | Self::Several(_) => 1,
            Self::Flag { .. } | Self::Syntax(_) => 125,
            Self::Coded { code, .. } | Self::Hinted { code, .. } | Self::Exit(code) => *code,
        }
    }

    /// Ends without a word if nothing failed, else with a line for each failure.
    pub(crate) fn unless_empty(errors: Vec<String>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self::Several(errors)) }
    }

    /// The HTTP status, if the engine answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Engine(error) => error.status(),
            _ => None,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // A reader that went away ends us as SIGPIPE would.
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Exit(141)
        } else {
            Self::Plain(io_text(&error))
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Plain(error.to_string())
    }
}

fn engine_text(error: &ClientError) -> String {
    match error {
        ClientError::Status { message, .. } => format!("Error response from daemon: {message}"),
        ClientError::Connect { host, source }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            format!(
                "permission denied while trying to connect to the Docker daemon socket at {host}"
            )
        }
        ClientError::Connect { host, source } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!(
                    "Cannot connect to the Docker daemon at {host}. Is the docker daemon running?"
                )
            }
            _ => format!("error during connect: {host}: {}", io_text(source)),
        },
        other => other.to_string(),
    }
}

/// The cause as the C library names it, without Rust's number behind.
pub(crate) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match error.raw_os_error() {
        Some(_) => text.to_lowercase(),
        None => text.to_owned(),
    }
}
