//! A cgroup as the shim sees it.

use cgroups::{Group, Mode, OomWatch};
use shim::Containment;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long what the first process left behind may take to die.
const KILL: Duration = Duration::from_secs(10);

/// On v1 the kernel announces exhaustion before it has counted the process that it ends: so many milliseconds are waited.
const COUNTED: u32 = 20;

/// The cgroup of a container, which ends with it, or of the container around an exec, which does not.
#[derive(Debug)]
pub(crate) struct Cgroup {
    group: Option<Group>,
    watch: Option<OomWatch>,
    owned: bool,
    /// Whether the count follows the event.
    counts_late: bool,
    first: u64,
    seen: u64,
    unreported: bool,
}

impl Cgroup {
    /// The group of a container, that is emptied and removed when the container's first process has ended.
    pub(crate) fn of_container(group: Group, mode: Mode) -> Self {
        Self {
            // Without the watch exhaustion is still seen, but not before the end.
            watch: group.watch_oom().ok(),
            group: Some(group),
            owned: true,
            counts_late: mode != Mode::V2,
            first: 0,
            seen: 0,
            unreported: false,
        }
    }

    /// The group in which an exec is.
    pub(crate) fn of_exec(group: Group) -> Self {
        let first = group.oom_kills().unwrap_or_default();
        Self {
            group: Some(group),
            watch: None,
            owned: false,
            counts_late: false,
            first,
            seen: first,
            unreported: false,
        }
    }

    fn count(&mut self) -> bool {
        let Some(group) = &self.group else { return false };
        let count = group.oom_kills().unwrap_or(self.seen);
        let more = count > self.seen;
        self.seen = self.seen.max(count);
        more
    }
}

impl Containment for Cgroup {
    fn memory_event(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    fn killed_for_memory(&mut self) -> bool {
        if let Some(watch) = &self.watch {
            watch.drain();
            let tries = if self.counts_late { COUNTED } else { 0 };
            for _ in 0..tries {
                if self.count() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            return self.count();
        }
        std::mem::take(&mut self.unreported)
    }

    fn has_killed_for_memory(&self) -> bool {
        self.seen > self.first
    }

    fn process_ended(&mut self) {
        self.unreported = self.count();
        self.watch = None;
        let Some(group) = self.group.take() else { return };
        if self.owned && !group.remove_empty() && group.kill(KILL).is_ok() {
            // What cannot be removed now is removed by whoever deletes the task, who can also say why not.
            group.delete(KILL).ok();
        }
    }
}
