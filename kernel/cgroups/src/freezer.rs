//! Stopping all processes of a group where they are, and letting them go on.

use crate::dir::Dir;
use crate::{CgroupError, Group};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::time::{Duration, Instant};

/// How long v1 is asked before a freeze that makes no progress is begun anew.
const ROUND: Duration = Duration::from_millis(100);

impl Group {
    /// Stops all processes; returns when they stand. When `within` passes before, they run again and an error says so.
    /// Needs the freezer on v1.
    pub fn freeze(&self, within: Duration) -> Result<(), CgroupError> {
        let frozen = match self.freezer()? {
            (dir, true) => freeze_v1(dir, within),
            (dir, false) => {
                dir.write("cgroup.freeze", "1").and_then(|()| wait_v2(dir, "1", within))
            }
        };
        match frozen {
            Ok(true) => Ok(()),
            other => {
                // Half a container standing is worse than none; an error of this would only hide the first.
                self.thaw(within).unwrap_or_default();
                other?;
                Err(self.late("freeze", within))
            }
        }
    }

    /// Lets all processes go on; returns when they do.
    pub fn thaw(&self, within: Duration) -> Result<(), CgroupError> {
        let thawed = match self.freezer()? {
            // The write lets all go on before it returns; the state is still FROZEN if a group above is.
            (dir, true) => dir.write("freezer.state", "THAWED").map(|()| true)?,
            (dir, false) => {
                dir.write("cgroup.freeze", "0")?;
                wait_v2(dir, "0", within)?
            }
        };
        if thawed { Ok(()) } else { Err(self.late("thaw", within)) }
    }

    /// Whether the group is frozen or on its way there.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        Ok(match self.freezer()? {
            (dir, true) => dir.read("freezer.self_freezing")?.trim() == "1",
            (dir, false) => dir.read("cgroup.freeze")?.trim() == "1",
        })
    }

    /// The directory with the freezer, and whether it is v1's.
    fn freezer(&self) -> Result<(&Dir, bool), CgroupError> {
        let v1 = self.v1("freezer").map(|dir| (dir, true));
        // A v2 directory on a hybrid host freezes only who joined it.
        v1.or_else(|| self.v2().map(|dir| (dir, false))).ok_or_else(|| CgroupError::NoController {
            group: self.path(),
            file: "freezer.state".into(),
            controller: "freezer".into(),
        })
    }

    pub(crate) fn late(&self, what: &'static str, after: Duration) -> CgroupError {
        CgroupError::Deadline { what, group: self.path(), after }
    }
}

/// A v1 freeze can stay in FREEZING, when a process forks at the right moment or waits in the kernel for one that stands
/// already. Letting all run for a moment resolves it.
fn freeze_v1(dir: &Dir, within: Duration) -> Result<bool, CgroupError> {
    let end = Instant::now() + within;
    loop {
        dir.write("freezer.state", "FROZEN")?;
        let left = end.saturating_duration_since(Instant::now());
        if wait_v1(dir, "FROZEN", left.min(ROUND))? {
            return Ok(true);
        }
        if left <= ROUND {
            return Ok(false);
        }
        dir.write("freezer.state", "THAWED")?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_v1(dir: &Dir, state: &str, within: Duration) -> Result<bool, CgroupError> {
    let end = Instant::now() + within;
    let mut pause = Duration::from_micros(50);
    loop {
        // Reading the state is what makes the kernel look whether all stand.
        if dir.read("freezer.state")?.trim() == state {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Waits for a line `frozen <state>` in cgroup.events, which the kernel announces.
fn wait_v2(dir: &Dir, state: &str, within: Duration) -> Result<bool, CgroupError> {
    let end = Instant::now() + within;
    let events = dir.open_file("cgroup.events", OFlags::RDONLY);
    let events = events.map_err(|errno| dir.read_error("cgroup.events", errno))?;
    loop {
        let mut buffer = [0; 256];
        let count = rustix::io::pread(&events, &mut buffer, 0);
        let count = count.map_err(|errno| dir.read_error("cgroup.events", errno))?;
        let content = String::from_utf8_lossy(&buffer[..count]);
        if content.lines().any(|line| line.strip_prefix("frozen ") == Some(state)) {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(dir.read_error("cgroup.events", errno)),
        }
    }
}
