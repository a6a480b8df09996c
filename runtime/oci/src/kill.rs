//! Sending signals.

use crate::runtime::{Container, Runtime};
use crate::{Error, Id, Status};
use cgroups::Group;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::time::Duration;

const SIGKILL: i32 = 9;
/// How long a group that stands may take to run again, so that its processes can end.
const THAW: Duration = Duration::from_secs(2);

impl Runtime {
    /// Sends the signal `name`, a name or a number, to the first process, or to all.
    pub fn kill(&self, id: &Id, name: &str, all: bool) -> Result<(), Error> {
        let signal = sys::signals::parse(name);
        let signal = signal.ok_or_else(|| Error::UnknownSignal(name.to_owned()))?;
        let container = self.container(id)?;
        if all {
            return container.signal_all(signal);
        }
        if container.status()? == Status::Stopped {
            return Err(Error::NotRunning);
        }
        container.signal_init(signal)
    }
}

impl Container {
    pub(crate) fn signal_init(&self, signal: i32) -> Result<(), Error> {
        let init = self.init().ok_or(Error::NotRunning)?;
        let failed = |error: sys::Error| match error.errno() {
            rustix::io::Errno::SRCH => Error::NotRunning,
            errno => Error::system("signal", self.record.id.as_str(), errno),
        };
        sys::pidfd::send_signal(&init, signal).map_err(failed)?;
        if signal == SIGKILL {
            self.let_die()?;
        }
        Ok(())
    }

    /// Every process of the container: what is in its group, else in its pid namespace.
    fn signal_all(&self, signal: i32) -> Result<(), Error> {
        match self.group()? {
            Some(group) => {
                signal_listed(&group, signal)?;
                if signal == SIGKILL {
                    self.let_die()?;
                }
                Ok(())
            }
            // Without a group only the first process is known, with which the others of its pid namespace end.
            None if self.init().is_none() => Ok(()),
            None => self.signal_init(signal),
        }
    }

    /// What stands does not take SIGKILL on version 1.
    fn let_die(&self) -> Result<(), Error> {
        if let Some(group) = self.group()?
            && group.is_frozen().unwrap_or(false)
        {
            group.thaw(THAW)?;
        }
        Ok(())
    }
}

/// Signals the processes that are in the group before and after they are held by descriptor: a number alone may by then
/// be somebody else's.
fn signal_listed(group: &Group, signal: i32) -> Result<(), Error> {
    let open =
        |pid: &i32| Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?));
    let held: Vec<_> = group.pids()?.iter().filter_map(open).collect();
    let still = group.pids()?;
    for (pid, pidfd) in held {
        if still.contains(&pid) {
            // The only failure is that it has ended.
            sys::pidfd::send_signal(&pidfd, signal).unwrap_or_default();
        }
    }
    Ok(())
}
