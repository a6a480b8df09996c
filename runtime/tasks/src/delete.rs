//! Removing what a task has left, whatever state it is in.

use crate::host::Host;
use crate::records::{Name, broken, of_cgroup};
use messages::shim::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shim::{State, TaskDir};
use spec::{Class, ContainerId, ExecId, Failure};
use std::time::Duration;
use transport::{Connection, Kind, encode};

/// How long processes may take to die. One that waits for a disk or a network file system cannot be killed before that
/// answers.
const KILL: Duration = Duration::from_secs(10);

/// How often a group is tried that its shim removes at the same time, and the pause between.
const SHARED_TRIES: u32 = 20;
const SHARED_PAUSE: Duration = Duration::from_millis(5);

/// Kills what is left of a container with all its execs, and removes its group and record.
pub(crate) fn delete_container(host: &Host, id: &ContainerId) -> Result<(), Failure> {
    let Some(directory) = host.tasks.task(id.as_str()).map_err(|error| broken(&error))? else {
        return delete_group(host, host.default_parent(), id);
    };
    // A launch that is under way is waited for, so that it does not make anything after this.
    let _lock = directory.lock().map_err(|error| broken(&error))?;
    let state = directory.state().ok().flatten();
    if let Some(state) = &state {
        kill(state, Name(id, None))?;
    }
    let parent = state.as_ref().map_or(host.default_parent(), |state| &state.cgroup_parent);
    delete_group(host, parent, id)?;
    for name in directory.exec_names().map_err(|error| broken(&error))? {
        if let Ok(Some(exec)) = directory.exec(&name) {
            acknowledge(&exec);
        }
    }
    acknowledge(&directory);
    host.tasks.remove(id.as_str()).map_err(|error| broken(&error))
}

/// Removes the record of a container that has left nothing else: its process has ended, its shim has removed the group,
/// and it has no exec. Waits for nothing; where there is more to do the answer is none, and nothing was done.
pub(crate) fn delete_ended(host: &Host, id: &ContainerId) -> Option<Result<(), Failure>> {
    let directory = host.tasks.task(id.as_str()).ok()??;
    let _lock = directory.try_lock().ok()??;
    let state = directory.state().ok()??;
    // A record without a process is one of a launch that failed.
    let ended = state.process.pid > 0 && !state.process.is_running();
    let has_execs = !directory.exec_names().ok()?.is_empty();
    let has_group =
        host.with_parent(&state.cgroup_parent, |parent| parent.exists(id.as_str())).ok()?;
    if !ended || has_execs || has_group {
        return None;
    }
    acknowledge(&directory);
    Some(host.tasks.remove(id.as_str()).map_err(|error| broken(&error)))
}

/// The same for an exec whose process has ended.
pub(crate) fn delete_ended_exec(
    host: &Host,
    id: &ContainerId,
    exec: &ExecId,
) -> Option<Result<(), Failure>> {
    let container = host.tasks.task(id.as_str()).ok()??;
    let directory = container.exec(exec.as_str()).ok()??;
    let _lock = directory.try_lock().ok()??;
    let process = directory.state().ok()??.process;
    if process.pid == 0 || process.is_running() {
        return None;
    }
    acknowledge(&directory);
    Some(container.remove_exec(exec.as_str()).map_err(|error| broken(&error)))
}

/// Kills an exec and removes its record.
pub(crate) fn delete_exec(host: &Host, id: &ContainerId, exec: &ExecId) -> Result<(), Failure> {
    let Some(container) = host.tasks.task(id.as_str()).map_err(|error| broken(&error))? else {
        return Ok(());
    };
    let directory = container.exec(exec.as_str()).map_err(|error| broken(&error))?;
    let Some(directory) = directory else { return Ok(()) };
    let _lock = directory.lock().map_err(|error| broken(&error))?;
    if let Some(state) = directory.state().ok().flatten() {
        kill(&state, Name(id, Some(exec)))?;
    }
    acknowledge(&directory);
    container.remove_exec(exec.as_str()).map_err(|error| broken(&error))
}

fn delete_group(host: &Host, parent: &str, id: &ContainerId) -> Result<(), Failure> {
    host.with_parent(parent, |parent| {
        let mut tries = 0;
        loop {
            let removed = parent.open(id.as_str()).and_then(|group| match group {
                Some(group) => group.kill(KILL).and_then(|()| group.delete(KILL)),
                None => Ok(()),
            });
            // The shim removes the group too once it sees the end of the process, one hierarchy after the other; what
            // it has removed cannot be used here, and what is left of it a moment later is ours to remove.
            tries += 1;
            if removed.is_ok() || !parent.exists(id.as_str())? {
                return Ok(());
            }
            if tries == SHARED_TRIES {
                return removed;
            }
            std::thread::sleep(SHARED_PAUSE);
        }
    })
    .map_err(|error| of_cgroup(&error))
}

/// Kills the process, if it is still the one that was recorded, and waits for its end. A frozen one is ended with its
/// group afterwards; for an exec in a frozen container there is an error, since only thawing would help.
fn kill(state: &State, name: Name<'_>) -> Result<(), Failure> {
    let Some(pidfd) = state.process.open() else { return Ok(()) };
    // Fails only when the process has ended.
    sys::pidfd::send_signal(&pidfd, 9).ok();
    if name.1.is_none() {
        return Ok(());
    }
    let timeout = Timespec { tv_sec: KILL.as_secs().cast_signed(), tv_nsec: 0 };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&timeout))) {
        Ok(1..) => Ok(()),
        _ => Err(Failure::new(
            Class::DeadlineExceeded,
            format!("delete {name}: its process does not end: it is paused or waits for a device"),
        )),
    }
}

/// Lets the shim end as soon as it has written what is left. A shim that is gone needs no word.
fn acknowledge(directory: &TaskDir) {
    let Ok(socket) = directory.connect() else { return };
    if let Ok(payload) = encode(&Request::Acknowledge) {
        Connection::from(socket).send(Kind::Oneway, 0, &payload, &[]).ok();
    }
}
