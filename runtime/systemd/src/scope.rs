//! A container's scope, with its group: started, changed, stopped.

use crate::error::SystemdError;
use crate::manager::Manager;
use crate::properties::{self, Property};
use crate::unit::Unit;
use crate::waiting::Waiting;
use crate::wire::Value;
use cgroups::{CgroupError, Group, Layout, Mode};
use spec::oci::Resources;
use std::time::Duration;

/// How long processes that change while devices do may take to stand still.
const FREEZE: Duration = Duration::from_secs(2);
/// How long what the manager leaves behind may take to go.
const DELETE: Duration = Duration::from_secs(10);

/// A scope without the container in it yet.
#[derive(Debug)]
pub struct Started {
    /// The group, with all its limits.
    pub group: Group,
    /// Where the group is, for [`Layout::open`].
    pub path: String,
    /// Keeps the scope alive; to be dropped when the container's first process is in the group.
    pub waiting: Option<Waiting>,
}

/// What a scope is started with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its name and place.
    pub unit: &'a Unit,
    /// The limits.
    pub resources: &'a Resources,
    /// Properties that the bundle asks for itself ([`crate::annotation`]).
    pub extra: &'a [Property],
    /// What `systemctl status` shows.
    pub description: &'a str,
}

fn limited(unit: &Unit) -> impl Fn(CgroupError) -> SystemdError + '_ {
    |source| SystemdError::Group { unit: unit.name().to_owned(), source: Box::new(source) }
}

/// `/proc/devices`; empty where there is none, and then no driver is known by name.
fn device_table() -> String {
    std::fs::read_to_string("/proc/devices").unwrap_or_default()
}

/// Starts the scope with a child of ours that waits in it, and writes all limits. After a failure the scope is stopped.
/// This process must have one thread.
pub fn start(
    manager: &mut Manager,
    layout: &Layout,
    request: &Request<'_>,
) -> Result<Started, SystemdError> {
    let waiting = Waiting::start(request.unit.name())?;
    let started = start_around(manager, layout, request, waiting.pid())?;
    Ok(Started { waiting: Some(waiting), ..started })
}

/// As [`start`], with the process `pid` in the scope, which is the caller's affair.
pub fn start_around(
    manager: &mut Manager,
    layout: &Layout,
    request: &Request<'_>,
    pid: i32,
) -> Result<Started, SystemdError> {
    let unit = request.unit;
    let (limits, rounded) = properties::properties(
        request.resources,
        layout.mode(),
        manager.version(),
        &device_table(),
    )?;
    let mut all = first(request, layout.mode(), pid);
    all.extend_from_slice(request.extra);
    all.extend(properties::oom_policy(request.resources, manager.version()));
    all.extend(limits);
    manager.start(unit, &all)?;
    let result = take_over(manager, layout, unit, &rounded);
    if result.is_err() {
        // The first failure is what is reported.
        manager.stop(unit).ok();
    }
    result
}

/// What every scope of ours is.
fn first(request: &Request<'_>, mode: Mode, pid: i32) -> Vec<Property> {
    let unit = request.unit;
    let mut all = vec![Property::new("Description", Value::text(request.description))];
    let yes = |name: &str| Property::new(name, Value::Bool(true));
    if unit.is_slice() {
        let wants = Value::list("s", vec![Value::text(unit.slice())]);
        all.push(Property::new("Wants", wants));
    } else {
        all.push(Property::new("Slice", Value::text(unit.slice())));
        // The manager keeps out of what is below the scope, and of the files of which it knows nothing.
        all.push(yes("Delegate"));
        let pids = Value::list("u", vec![Value::U32(pid.cast_unsigned())]);
        all.push(Property::new("PIDs", pids));
    }
    let block = if mode == Mode::V2 { "IOAccounting" } else { "BlockIOAccounting" };
    all.extend(["MemoryAccounting", "CPUAccounting", block, "TasksAccounting"].map(yes));
    // At shutdown the manager would end containers before those that stop them in order.
    all.push(Property::new("DefaultDependencies", Value::Bool(false)));
    all
}

fn take_over(
    manager: &mut Manager,
    layout: &Layout,
    unit: &Unit,
    resources: &Resources,
) -> Result<Started, SystemdError> {
    let path = manager.group(unit)?;
    let group = layout.adopt(&path).map_err(limited(unit))?;
    let group = group.ok_or_else(|| SystemdError::NoGroup {
        unit: unit.name().to_owned(),
        path: path.clone(),
    })?;
    group.update(resources).map_err(limited(unit))?;
    Ok(Started { group, path, waiting: None })
}

/// Changes the limits of a scope.
pub fn update(
    manager: &mut Manager,
    layout: &Layout,
    unit: &Unit,
    group: &Group,
    resources: &Resources,
) -> Result<(), SystemdError> {
    let mode = layout.mode();
    let (limits, rounded) =
        properties::properties(resources, mode, manager.version(), &device_table())?;
    // On v1 the manager denies every device before it allows those of the list again, whatever is changed: a process
    // that opens one in between would fail. Who stands already stays standing.
    let freeze = mode != Mode::V2 && !limits.is_empty() && !group.is_frozen().unwrap_or(true);
    if freeze {
        group.freeze(FREEZE).map_err(limited(unit))?;
    }
    let result = manager.set(unit, &limits);
    if freeze {
        group.thaw(FREEZE).map_err(limited(unit))?;
    }
    result?;
    group.update(&rounded).map_err(limited(unit))
}

/// Stops a scope and removes what the manager leaves of its group. Processes in it are ended.
pub fn stop(
    manager: &mut Manager,
    layout: &Layout,
    unit: &Unit,
    path: &str,
) -> Result<(), SystemdError> {
    manager.stop(unit)?;
    match layout.open(path).map_err(limited(unit))? {
        Some(group) => {
            if !group.remove_empty() {
                group.kill(DELETE).map_err(limited(unit))?;
                group.delete(DELETE).map_err(limited(unit))?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}
