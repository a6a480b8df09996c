//! Processes by number and time of birth, which together name one for ever.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number on the host; 0 if there was none yet.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
}

impl Process {
    /// No process.
    pub const NONE: Self = Self { pid: 0, start: 0 };

    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        let mut buffer = [0u8; 1024];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        let text = String::from_utf8_lossy(buffer.get(..length)?);
        // The name in field 2 may contain anything, parentheses too.
        let (_, rest) = text.rsplit_once(')')?;
        let start = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start })
    }

    /// A descriptor of the process while it runs; one that has ended and was not reaped does not.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Compared after the opening: the descriptor cannot become another process's.
        let same = Self::of(self.pid) == Some(self);
        (same && sys::pidfd::has_ended(&pidfd) == Ok(false)).then_some(pidfd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_number_and_birth_and_not_by_the_number_alone() {
        let own = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.open().is_some());
        assert!(Process { start: own.start + 1, ..own }.open().is_none());
        assert!(Process::NONE.open().is_none());
    }
}
