//! Ending all processes of a group.

use crate::layout::Mode;
use crate::{CgroupError, Group};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::time::{Duration, Instant};

/// How long freezing may take before the signals are sent without it.
const FREEZE: Duration = Duration::from_millis(200);

impl Group {
    /// Ends all processes with SIGKILL and returns when the group is empty. Processes that start others while they are
    /// being ended do not escape.
    pub fn kill(&self, within: Duration) -> Result<(), CgroupError> {
        let end = Instant::now() + within;
        // cgroup.kill (Linux 5.14) ends all at once, also new ones. On a hybrid host only who joined the v2 directory.
        let at_once = self.v2().is_some_and(|dir| dir.try_write("cgroup.kill", "1").is_ok());
        let all_at_once = at_once && self.mode == Mode::V2;
        let mut frozen = false;
        if !all_at_once {
            if self.is_empty()? {
                return Ok(());
            }
            // What stands cannot start others. SIGKILL is taken when it is thawed.
            frozen = self.freeze(FREEZE.min(within)).is_ok();
        }
        let result = self.kill_until(end, within, all_at_once, &mut frozen);
        if frozen {
            self.thaw(within)?;
        }
        result
    }

    fn kill_until(
        &self,
        end: Instant,
        within: Duration,
        at_once: bool,
        frozen: &mut bool,
    ) -> Result<(), CgroupError> {
        let mut pause = Duration::from_micros(100);
        loop {
            let pids = self.pids()?;
            if pids.is_empty() {
                return Ok(());
            }
            if !at_once {
                self.signal_listed(&pids)?;
            }
            if self.is_frozen().unwrap_or(false) {
                self.thaw(within)?;
                *frozen = false;
            }
            if Instant::now() >= end {
                return Err(self.late("kill the processes of", within));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL to those of `pids` that are still in the group once they cannot change their identity any more: a
    /// number alone may by now belong to somebody else.
    fn signal_listed(&self, pids: &[i32]) -> Result<(), CgroupError> {
        let open =
            |pid: &i32| Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?));
        let held: Vec<_> = pids.iter().filter_map(open).collect();
        let still = self.pids()?;
        for (pid, pidfd) in held {
            if still.binary_search(&pid).is_ok() {
                // The only failure is that the process has ended.
                pidfd_send_signal(&pidfd, Signal::KILL).unwrap_or_default();
            }
        }
        Ok(())
    }
}
