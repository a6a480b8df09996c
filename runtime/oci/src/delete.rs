//! Removing all that is left of a container, and of one whose making or removal was interrupted.

use crate::runtime::{Container, Runtime};
use crate::{Error, Id, Process, Status};
use plan::HooksPlan;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long processes may take to end, and the kernel to let go of their group.
const END: Duration = Duration::from_secs(10);

impl Runtime {
    /// Deletes a container that is stopped or only created; with `force` whatever it is, also if it is not there.
    pub fn delete(&self, id: &Id, force: bool) -> Result<(), Error> {
        let entry = match self.root.find(id) {
            Err(Error::NotFound) if force => return Ok(()),
            other => other?,
        };
        // Who makes it is waited for; one that was killed does not hold it.
        let _lock = entry.lock()?;
        let Some(record) = entry.record()? else { return self.root.remove(&entry) };
        let container = Container { entry, record };
        // Looking at the lock again would give it up.
        let unborn = container.record.process == Process::NONE;
        match if unborn { Status::Stopped } else { container.status()? } {
            Status::Stopped | Status::Created | Status::Creating => {}
            _ if force => {}
            status => return Err(Error::NotStopped { id: id.as_str().to_owned(), status }),
        }
        self.destroy(&container)
    }

    fn destroy(&self, container: &Container) -> Result<(), Error> {
        if let Some(init) = container.init() {
            match container.signal_init(9) {
                Ok(()) | Err(Error::NotRunning) => {}
                other => other?,
            }
            if !ends(&init) {
                return Err(Error::StillRunning);
            }
        }
        if let Some(group) = container.group()?
            && !group.remove_empty()
        {
            group.kill(END)?;
            group.delete(END)?;
        }
        if let Some(place) = container.record.cgroup.as_ref().filter(|place| place.systemd) {
            // Without a specification, which an interrupted creation may have left, nothing was started either.
            if let Ok(spec) = container.spec() {
                crate::scope::stop(&spec, &container.record.id, place)?;
            }
        }
        if let Some(rdt) = &container.record.rdt {
            rdt.remove(&container.record.id)?;
        }
        self.stage("cgroup");
        self.call_poststop(container);
        let Container { entry, .. } = container;
        self.root.remove(entry)
    }

    /// A hook that fails keeps nothing from being removed (runtime.md, "Lifecycle", 13).
    fn call_poststop(&self, container: &Container) {
        // Without a specification, which an interrupted creation may have left, nothing was started either.
        let Ok(spec) = container.spec() else { return };
        let Ok(HooksPlan { poststop, .. }) = HooksPlan::of(spec.hooks.as_ref()) else { return };
        if poststop.is_empty() {
            return;
        }
        let state = container.record.state(Status::Stopped);
        let state = serde_json::to_string(&state).unwrap_or_default();
        // One by one: the others are called though one fails.
        for hook in poststop.chunks(1) {
            if let Err(error) = launch::hooks::call("poststop", hook, &state) {
                self.warn(&error.to_string());
            }
        }
    }
}

/// Whether the process ends in time.
fn ends(process: &OwnedFd) -> bool {
    let time = Timespec { tv_sec: END.as_secs().cast_signed(), tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&time)) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
