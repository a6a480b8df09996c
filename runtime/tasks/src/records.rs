//! Finding a task by its record, and saying what is wrong with it.

use crate::host::Host;
use cgroups::{CgroupError, Group};
use shim::{State, StateError, TaskDir};
use spec::{Class, ContainerId, ExecId, Failure};
use std::os::fd::OwnedFd;

/// A container, or an exec in it, as people are shown it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(pub &'a ContainerId, pub Option<&'a ExecId>);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            None => write!(f, "container {}", self.0.short()),
            Some(exec) => write!(f, "exec {} in container {}", exec.short(), self.0.short()),
        }
    }
}

/// A failure of the kernel or the records.
pub(crate) fn broken(error: &StateError) -> Failure {
    Failure::from_error(Class::Internal, error)
}

/// A failure of a cgroup.
pub(crate) fn of_cgroup(error: &CgroupError) -> Failure {
    Failure::from_error(error.class(), error)
}

/// The directory of the task.
pub(crate) fn directory(host: &Host, name: Name<'_>) -> Result<TaskDir, Failure> {
    let missing = || Failure::not_found(format!("{name} has no task"));
    let task = host.tasks.task(name.0.as_str()).map_err(|error| broken(&error))?;
    let task = task.ok_or_else(missing)?;
    match name.1 {
        None => Ok(task),
        Some(exec) => task.exec(exec.as_str()).map_err(|error| broken(&error))?.ok_or_else(missing),
    }
}

/// The record of the task, of which a process has been started.
pub(crate) fn state(host: &Host, name: Name<'_>) -> Result<State, Failure> {
    let state = directory(host, name)?.state().map_err(|error| broken(&error))?;
    state.ok_or_else(|| Failure::not_found(format!("{name} has no task")))
}

/// The process of the task, which runs.
pub(crate) fn process(host: &Host, name: Name<'_>) -> Result<OwnedFd, Failure> {
    let pidfd = state(host, name)?.process.open();
    pidfd
        .filter(|pidfd| sys::pidfd::has_ended(pidfd) == Ok(false))
        .ok_or_else(|| Failure::conflict(format!("{name} is not running")))
}

/// The network namespace of the task's process, which runs. The process is held meanwhile, so that the number in the path
/// is nobody else's.
pub(crate) fn network(host: &Host, name: Name<'_>) -> Result<OwnedFd, Failure> {
    let held = process(host, name)?;
    let path = format!("/proc/{}/ns/net", state(host, name)?.process.pid);
    let opened = std::fs::File::open(&path);
    match sys::pidfd::has_ended(&held) {
        Ok(false) => opened.map(OwnedFd::from).map_err(|error| {
            Failure::internal(format!("open network namespace of {name}: {error}"))
        }),
        _ => Err(Failure::conflict(format!("{name} is not running"))),
    }
}

/// The cgroup of the container.
pub(crate) fn group(host: &Host, id: &ContainerId) -> Result<Group, Failure> {
    let state = state(host, Name(id, None))?;
    let group = host
        .with_parent(&state.cgroup_parent, |parent| parent.open(id.as_str()))
        .map_err(|error| of_cgroup(&error))?;
    group.ok_or_else(|| Failure::conflict(format!("{} is not running", Name(id, None))))
}
