//! One worker process: how it is started, told things, and found dead.

use messages::control::{Control, Role};
use rustix::process::PidfdFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use transport::{Connection, Kind, TransportError};

/// A worker that ended this soon after its start is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a worker could not be started or told something.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The program could not be started.
    #[error("start {} worker", role.name())]
    Start {
        /// Which.
        role: Role,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its control socket failed.
    #[error("tell {} worker", role.name())]
    Tell {
        /// Which.
        role: Role,
        /// Why.
        #[source]
        source: TransportError,
    },
}

/// What a worker runs: an open file, so that an upgrade on disk never mixes versions, and its arguments.
#[derive(Debug)]
pub struct Program {
    /// The executable.
    pub file: OwnedFd,
    /// The name that `ps` shows.
    pub name: String,
    /// Arguments.
    pub arguments: Vec<String>,
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) role: Role,
    child: Child,
    pidfd: OwnedFd,
    control: Connection,
    started: Instant,
}

impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Worker {
    pub(crate) fn start(role: Role, program: &Program) -> Result<Self, WorkerError> {
        let start = |source| WorkerError::Start { role, source };
        let (ours, theirs) =
            transport::pair().map_err(|source| WorkerError::Tell { role, source })?;
        // The descriptor is closed on exec, after the kernel has found the file by it.
        let path = format!("/proc/self/fd/{}", program.file.as_raw_fd());
        let child = Command::new(path)
            .arg0(&program.name)
            .args(&program.arguments)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(start)?;
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| start(errno.into()))?;
        Ok(Self { role, child, pidfd, control: ours.into(), started: Instant::now() })
    }

    pub(crate) fn tell(
        &self,
        control: &Control,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), WorkerError> {
        let tell = |source| WorkerError::Tell { role: self.role, source };
        let payload = transport::encode(control).map_err(tell)?;
        self.control.send(Kind::Oneway, 0, &payload, fds).map_err(tell)
    }

    /// Reaps it; how it ended, in words.
    pub(crate) fn reap(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Whether it has ended, without waiting.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
    }

    /// How long to wait before it is started again, after this many short lives in a row.
    pub(crate) fn pause(&self, short_lives: &mut u32) -> Duration {
        if self.started.elapsed() > SHORT_LIFE {
            *short_lives = 0;
        }
        let pause = match *short_lives {
            0 => Duration::ZERO,
            lives => Duration::from_millis(50 << lives.min(10)),
        };
        *short_lives += 1;
        pause.min(LONGEST_PAUSE)
    }
}
