//! All tasks that exist.

use crate::host::Host;
use crate::records::{broken, of_cgroup};
use messages::task::TaskInfo;
use shim::TaskDir;
use spec::{ContainerId, ExecId, Failure};

/// What the records say, compared with the kernel; and groups that have no record, which a killed engine of an older
/// version or a hand on the exec root left behind.
pub(crate) fn list(host: &Host) -> Result<Vec<TaskInfo>, Failure> {
    // Groups first: a launch makes the record before the group, so that one that begins now is not taken for a stray.
    let groups = host
        .with_parent(host.default_parent(), cgroups::Parent::groups)
        .map_err(|error| of_cgroup(&error))?;
    let names = host.tasks.names().map_err(|error| broken(&error))?;
    let mut tasks = Vec::with_capacity(names.len());
    for id in names.iter().filter_map(|name| ContainerId::parse(name).ok()) {
        // A task that is deleted meanwhile is none.
        let Ok(Some(directory)) = host.tasks.task(id.as_str()) else { continue };
        tasks.push(describe(host, &id, None, &directory));
        for name in directory.exec_names().unwrap_or_default() {
            let Ok(exec) = ExecId::parse(&name) else { continue };
            if let Ok(Some(directory)) = directory.exec(exec.as_str()) {
                tasks.push(describe(host, &id, Some(exec), &directory));
            }
        }
    }
    let stray = groups.iter().filter(|name| !names.contains(name));
    tasks.extend(stray.filter_map(|name| ContainerId::parse(name).ok()).map(|id| TaskInfo {
        id,
        exec: None,
        pid: 0,
        started_at: 0,
        exit: None,
        shim_alive: false,
        frozen: false,
    }));
    Ok(tasks)
}

/// A record that cannot be read describes a task without shim, which can only be deleted.
fn describe(host: &Host, id: &ContainerId, exec: Option<ExecId>, directory: &TaskDir) -> TaskInfo {
    let state = directory.state().ok().flatten();
    let exit = directory.exit().ok().flatten();
    let runs = exit.is_none() && state.as_ref().is_some_and(|state| state.process.is_running());
    let frozen = || {
        let parent = &state.as_ref()?.cgroup_parent;
        let group = host.with_parent(parent, |parent| parent.open(id.as_str())).ok()??;
        group.is_frozen().ok()
    };
    TaskInfo {
        id: id.clone(),
        frozen: exec.is_none() && runs && frozen().unwrap_or(false),
        exec,
        pid: state.as_ref().filter(|_| runs).map_or(0, |state| state.process.pid),
        started_at: state.as_ref().map_or(0, |state| state.started_at),
        exit,
        shim_alive: state.as_ref().is_some_and(|state| state.shim.is_running()),
    }
}
