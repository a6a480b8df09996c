//! What a started container and a started exec have in common: the answer, and becoming their shim.

use crate::containment::Cgroup;
use crate::host::Host;
use crate::records::{Name, broken};
use launch::{Created, LaunchError, Running};
use messages::task::{Reply, Request};
use plan::ProcessPlan;
use shim::{Process, State, Task, TaskDir};
use spec::{Class, Failure};
use std::os::fd::RawFd;
use sys::caps::{self, Cap, CapSet, ThreadCaps};
use sys::signals::{SignalSet, set_mask};
use transport::Responder;

/// Signals that are sent to all processes when a machine or service ends. A shim stays to see its process end.
const ENDING: [i32; 4] = [1, 2, 3, 15];

/// Characters of a sentence about a launch, at most: more than the longest path.
const LONGEST_SENTENCE: usize = 8192;

/// A process that runs and everything that its shim needs.
#[derive(Debug)]
pub(crate) struct Started {
    /// For the shim.
    pub task: Task,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// What was left out.
    pub warnings: Vec<String>,
}

/// The descriptors that this child has inherited and that are not `own`.
pub(crate) fn inherited(own: &[RawFd]) -> Result<Vec<RawFd>, Failure> {
    let mut all = sys::fork::descriptors().map_err(|error| of_system(&error))?;
    all.retain(|number| !own.contains(number));
    Ok(all)
}

/// Answers the request; a child that has started something then goes on as its shim, and returns when that is over.
pub(crate) fn finish(
    host: &Host,
    inherited: &[RawFd],
    started: Result<Started, Failure>,
    responder: Responder<Request>,
) {
    let Started { task, mut cgroup, mut warnings } = match started {
        Ok(started) => started,
        Err(failure) => return responder.answer(Err(failure)),
    };
    // Whoever hears that it runs finds a shim without them. The container runs already: where this fails it is told.
    if let Err(error) = give_up_rights() {
        warnings.push(format!("the shim keeps the rights of its start: {error}"));
    }
    let reply = Reply::Started { pid: task.pid, at: task.started_at, warnings };
    responder.answer(Ok((reply, Vec::new())));
    // None of these can fail in a way that a shim could mend, and it looks after its process in any case.
    set_mask(ENDING.into_iter().fold(SignalSet::EMPTY, SignalSet::with)).ok();
    sys::fork::leave_parent(inherited, &host.null).ok();
    sys::memory::trim();
    shim::supervise(task, &mut cgroup);
}

/// What a shim may need while its process runs and when it ends: files of its log that belong to another user, and
/// signals to processes of other users.
const KEPT: [Cap; 4] = [Cap::CHOWN, Cap::DAC_OVERRIDE, Cap::FOWNER, Cap::KILL];

/// Everything that a launch needs beyond [`KEPT`] goes. This process never executes anything.
fn give_up_rights() -> sys::Result<()> {
    sys::process::set_no_new_privs()?;
    let wanted = KEPT.into_iter().fold(CapSet::EMPTY, CapSet::with);
    let keep = wanted.and(caps::get()?.permitted);
    caps::limit_bounding(keep)?;
    caps::clear_ambient()?;
    caps::set(ThreadCaps { effective: keep, permitted: keep, inheritable: CapSet::EMPTY })
}

/// Records the process, which waits at the gate, and lets it run.
pub(crate) fn run(
    created: Created,
    directory: &TaskDir,
    cgroup_parent: &str,
    name: Name<'_>,
) -> Result<(Running, i64), Failure> {
    let started_at = shim::now();
    let vanished = || Failure::internal(format!("start {name}: its process has vanished"));
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let state = State {
        process: Process::of(created.pid()).ok_or_else(vanished)?,
        shim: Process::of(own).ok_or_else(vanished)?,
        started_at,
        cgroup_parent: cgroup_parent.to_owned(),
    };
    directory.write_state(&state).map_err(|error| broken(&error))?;
    Ok((created.start().map_err(|error| of_launch(&error))?, started_at))
}

/// Records that something is about to be started, before there is anything. The record is locked.
pub(crate) fn announce(
    host: &Host,
    directory: &TaskDir,
    cgroup_parent: &str,
) -> Result<(), Failure> {
    if !host.is_current() {
        return Err(Failure::new(Class::Unavailable, "start: the task worker ended meanwhile"));
    }
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let state = State {
        process: Process { pid: 0, start: 0 },
        shim: Process::of(own).unwrap_or(Process { pid: 0, start: 0 }),
        started_at: 0,
        cgroup_parent: cgroup_parent.to_owned(),
    };
    directory.write_state(&state).map_err(|error| broken(&error))
}

/// What of the plan cannot be given here.
pub(crate) fn warnings(host: &Host, process: &ProcessPlan, new_user: bool) -> Vec<String> {
    let unknown = process.unknown_caps.iter();
    let mut warnings: Vec<_> =
        unknown.map(|name| format!("capability {name} is not known and was left out")).collect();
    let missing = host.launch.missing(process.caps.bounding, new_user);
    let missing: Vec<_> = missing.iter().map(|cap| cap.name()).collect();
    if !missing.is_empty() {
        let list = missing.join(", ");
        warnings.push(format!("the engine itself does not have {list}: left out"));
    }
    warnings
}

pub(crate) fn of_launch(error: &LaunchError) -> Failure {
    shortened(Failure::from_error(error.class(), error))
}

pub(crate) fn of_plan(error: &plan::PlanError) -> Failure {
    shortened(Failure::from_error(error.class(), error))
}

/// A sentence names what was asked for, which may be megabytes long.
fn shortened(mut failure: Failure) -> Failure {
    if let Some((end, _)) = failure.message.char_indices().nth(LONGEST_SENTENCE) {
        failure.message.truncate(end);
    }
    failure
}

fn of_system(error: &sys::Error) -> Failure {
    Failure::from_error(Class::Internal, error)
}
