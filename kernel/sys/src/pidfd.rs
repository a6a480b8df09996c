//! Processes by descriptor, so that a reused number never names a stranger. Kernel 5.4 for waiting.

use crate::raw::check;
use crate::{Arg, Error, Result};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::{AsFd, AsRawFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(u8),
    /// This signal ended it.
    Signal {
        /// The number of the signal.
        signal: u8,
        /// Whether it left a core dump.
        core: bool,
    },
}

impl Exit {
    /// The status as shells and Docker show it: the code, or 128 and the signal's number.
    pub fn status(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal { signal, .. } => 128u8.saturating_add(signal),
        }
    }
}

/// Waits until the child `pidfd` has ended, and reaps it.
pub fn wait(pidfd: impl AsFd) -> Result<Exit> {
    loop {
        match reap(pidfd.as_fd(), WaitIdOptions::EXITED) {
            Err(error) if error.errno() == Errno::INTR => {}
            Ok(None) => {}
            Ok(Some(exit)) => return Ok(exit),
            Err(error) => return Err(error),
        }
    }
}

/// Reaps the child `pidfd` if it has ended; `None` while it runs.
pub fn try_wait(pidfd: impl AsFd) -> Result<Option<Exit>> {
    reap(pidfd.as_fd(), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

fn reap(pidfd: std::os::fd::BorrowedFd<'_>, options: WaitIdOptions) -> Result<Option<Exit>> {
    let failed = |errno| Error::new("waitid", &[Arg::Name("P_PIDFD"), pidfd.into()], errno);
    let Some(status) = waitid(WaitId::PidFd(pidfd), options).map_err(failed)? else {
        return Ok(None);
    };
    let core = status.dumped();
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(Some(Exit::Code((code & 0xff) as u8))),
        (None, Some(signal)) => Ok(Some(Exit::Signal { signal: (signal & 0x7f) as u8, core })),
        (None, None) => Ok(None),
    }
}

/// Sends the signal with this number, real-time signals included; 0 only asks whether the process exists (5.1).
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    let pidfd = pidfd.as_fd();
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means that the kernel fills it as kill(2) does.
    let ret =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, null, 0) };
    check("pidfd_send_signal", &[pidfd.into(), Arg::Int(signal.into())], ret).map(drop)
}

/// Whether the process has ended; it may still be unreaped.
pub fn has_ended(pidfd: impl AsFd) -> Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let pidfd = pidfd.as_fd();
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut fds, Some(&now)).map_err(|e| Error::new("poll", &[pidfd.into()], e))?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::process::Command;

    fn open(child: &std::process::Child) -> std::os::fd::OwnedFd {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        pidfd_open(pid, PidfdFlags::empty()).unwrap()
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "reaped through its pidfd")]
    fn a_killed_process_reports_its_signal_and_status_137() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = open(&child);
        assert_eq!(try_wait(&pidfd).unwrap(), None);
        assert!(!has_ended(&pidfd).unwrap());
        send_signal(&pidfd, 9).unwrap();
        let exit = wait(&pidfd).unwrap();
        assert_eq!(exit, Exit::Signal { signal: 9, core: false });
        assert_eq!(exit.status(), 137);
        assert_eq!(send_signal(&pidfd, 0).unwrap_err().errno(), Errno::SRCH);
    }
}
