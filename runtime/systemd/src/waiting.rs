//! The child that waits in a scope until the container's first process is there.

use crate::error::SystemdError;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A child of this process that does nothing. It ends when this value is dropped, and when this process ends.
#[derive(Debug)]
pub struct Waiting {
    pid: i32,
    pidfd: OwnedFd,
}

impl Waiting {
    /// Starts it; this process must have one thread.
    pub fn start(unit: &str) -> Result<Self, SystemdError> {
        let failed =
            |source| SystemdError::Waiting { unit: unit.to_owned(), source: Box::new(source) };
        let parent = rustix::process::getpid();
        let kill = Signal::KILL.as_raw();
        let pid = sys::fork::fork_child(move || {
            let bound = sys::process::set_parent_death_signal(kill);
            // The parent may have ended before it was asked for.
            while bound.is_ok() && rustix::process::getppid() == Some(parent) {
                std::thread::sleep(Duration::from_secs(600));
            }
            0
        })
        .map_err(failed)?;
        let open = Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH);
        let pidfd = open.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let error =
            |errno| failed(sys::Error::new("pidfd_open", &[sys::Arg::Int(pid.into())], errno));
        Ok(Self { pid, pidfd: pidfd.map_err(error)? })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        pidfd_send_signal(&self.pidfd, Signal::KILL).unwrap_or_default();
        sys::pidfd::wait(&self.pidfd).ok();
    }
}
