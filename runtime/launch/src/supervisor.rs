//! The supervisor of a filter, as the parent sees it.

use crate::child::supervisor::{self, LONGEST};
use crate::hooks::{file, fill};
use crate::{Extras, LaunchError};
use plan::ProcessPlan;
use std::os::fd::{AsFd, OwnedFd};
use sys::seccomp::FilterFlags;

/// A filter with a listener has a supervisor, and no other has.
pub(crate) fn check_supervisor(process: &ProcessPlan, extras: &Extras) -> Result<(), LaunchError> {
    let notifies = |(_, flags): &(Vec<u8>, FilterFlags)| flags.contains(FilterFlags::NEW_LISTENER);
    let reason = match (process.filter.as_ref().is_some_and(notifies), &extras.supervisor) {
        (true, None) => "it notifies a supervisor, which was not given",
        (false, Some(_)) => "a supervisor was given, which it does not notify",
        _ => return Ok(()),
    };
    Err(LaunchError::Mismatch { object: "system call filter".to_owned(), reason })
}

/// The file of the state that the supervisor gets.
pub(crate) fn supervisor_file(extras: &Extras) -> Result<Option<OwnedFd>, LaunchError> {
    extras.supervisor.as_ref().map(|_| file(extras.lowest())).transpose()
}

pub(crate) fn borrow_supervisor<'a>(
    extras: &'a Extras,
    state: &'a Option<OwnedFd>,
) -> Option<supervisor::Supervisor<'a>> {
    let (to, state) = (extras.supervisor.as_ref()?, state.as_ref()?);
    Some(supervisor::Supervisor { socket: to.socket.as_fd(), state: state.as_fd() })
}

/// Writes the state, now that the process has a number.
pub(crate) fn tell_supervisor(
    extras: &Extras,
    state: &Option<OwnedFd>,
    pid: i32,
) -> Result<(), LaunchError> {
    let (Some(to), Some(file)) = (&extras.supervisor, state) else { return Ok(()) };
    let text = to.state.make(pid, "creating");
    if text.is_empty() || text.len() > LONGEST {
        let reason = "its text is empty or longer than 32 KiB";
        return Err(LaunchError::Mismatch {
            object: "state for the supervisor".to_owned(),
            reason,
        });
    }
    fill(file, &text)
}
