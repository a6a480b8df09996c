//! Starting a process in a running container.

use crate::container::join_of;
use crate::containment::Cgroup;
use crate::host::Host;
use crate::origin::check_ends;
use crate::received::Ends;
use crate::records::{Name, broken, directory, group, state};
use crate::start::{Started, announce, finish, inherited, of_launch, of_plan, run, warnings};
use crate::streams::{mapped, pair};
use cgroups::Group;
use launch::{Join, JoinDescriptors, namespaces_of};
use messages::task::{Exec, Request};
use plan::{Given, ProcessPlan};
use rustix::io::Errno;
use shim::{Task, TaskDir};
use spec::oci::ConsoleSize;
use spec::{ContainerId, Failure};
use std::os::fd::OwnedFd;
use sys::clone::Namespaces;
use transport::{Descriptors, Responder};

/// Starts the process, answers, and goes on as its shim.
pub(crate) fn start(
    host: &Host,
    exec: Exec,
    descriptors: Descriptors,
    responder: Responder<Request>,
) {
    let prepared = Ends::of_exec(&exec, descriptors).and_then(|ends| {
        let inherited = inherited(&ends.numbers())?;
        Ok((ends, inherited))
    });
    match prepared {
        Ok((ends, inherited)) => {
            let started = attempt(host, exec, ends);
            finish(host, &inherited, started, responder);
        }
        Err(failure) => responder.answer(Err(failure)),
    }
}

/// The container around an exec, as it is now.
struct Surroundings {
    init: OwnedFd,
    pid: i32,
    group: Group,
}

fn attempt(host: &Host, exec: Exec, ends: Ends) -> Result<Started, Failure> {
    host.policy.check_exec(&exec)?;
    check_ends(&ends)?;
    rustix::process::setsid().ok();
    let container = directory(host, Name(&exec.id, None))?;
    // Held until the process runs: the container is not deleted meanwhile.
    let _container = container.lock_shared().map_err(|error| broken(&error))?;
    let around = surroundings(host, &exec.id)?;
    let name = exec.exec.clone();
    let directory = container.create_exec(name.as_str()).map_err(|error| match error.errno() {
        Some(Errno::EXIST) => {
            Failure::conflict(format!("{} has a task", Name(&exec.id, Some(&name))))
        }
        _ => broken(&error),
    })?;
    let lock = directory.lock().map_err(|error| broken(&error));
    let started = lock.and_then(|_lock| start_in(host, exec, ends, directory, around));
    if started.is_err() {
        container.remove_exec(name.as_str()).map_err(|error| broken(&error))?;
    }
    started
}

fn not_running(id: &ContainerId) -> Failure {
    Failure::conflict(format!("{} is not running", Name(id, None)))
}

/// The container's first process by a descriptor, which cannot become another process afterwards.
fn surroundings(host: &Host, id: &ContainerId) -> Result<Surroundings, Failure> {
    let name = Name(id, None);
    let process = state(host, name)?.process;
    let init = process.open().filter(|pidfd| sys::pidfd::has_ended(pidfd) == Ok(false));
    let init = init.ok_or_else(|| not_running(id))?;
    let group = group(host, id)?;
    if group.is_frozen().unwrap_or(false) {
        return Err(Failure::conflict(format!("{name} is paused, unpause it before exec")));
    }
    Ok(Surroundings { init, pid: process.pid, group })
}

fn start_in(
    host: &Host,
    exec: Exec,
    ends: Ends,
    directory: TaskDir,
    around: Surroundings,
) -> Result<Started, Failure> {
    let Exec { id, exec, mut process, seccomp, stdio, .. } = exec;
    let Surroundings { init, pid, group } = around;
    announce(host, &directory, "")?;
    process.terminal = stdio.terminal.is_some();
    process.console_size = stdio
        .terminal
        .map(|(width, height)| ConsoleSize { height: height.into(), width: width.into() });
    let capabilities = process.capabilities.as_ref();
    let bounding = capabilities.map_or_else(Vec::new, |caps| caps.bounding.clone());
    let given = Given {
        filter: host.filters.filter(&seccomp, &bounding)?,
        keyring: Some(id.as_str().to_owned()),
        ..Given::default()
    };
    let plan = ProcessPlan::joining(&process, &given).map_err(|error| of_plan(&error))?;
    let namespaces = namespaces_of(pid).map_err(|error| of_launch(&error))?;
    let new_user = namespaces.contains(Namespaces::USER);
    let warnings = warnings(host, &plan, new_user);
    let uid = if new_user { uid_on_host(pid, plan.uid) } else { Some(plan.uid) };
    let streams = pair(host, stdio, uid)?;
    let listener = directory.listen().map_err(|error| broken(&error))?;
    let descriptors =
        JoinDescriptors { init, namespaces, stdio: streams.given, cgroup: join_of(&group)? };
    let created = Join::prepare(&host.launch, plan, descriptors)
        .and_then(Join::create)
        .map_err(|error| of_launch(&error))?;
    let (running, started_at) = run(created, &directory, "", Name(&id, Some(&exec)))?;
    let task = Task {
        pid: running.pid,
        pidfd: running.pidfd,
        started_at,
        streams: streams.kept.with_console(running.console)?,
        stdin_once: stdio.stdin_once,
        log: None,
        clients: ends.clients,
        channel: Some(ends.channel),
        listener: Some(listener),
        directory,
        rootfs: None,
    };
    Ok(Started { task, cgroup: Cgroup::of_exec(group), warnings })
}

/// What `uid` of the user namespace in which `pid` is means on the host.
fn uid_on_host(pid: i32, uid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).ok()?;
    let maps = text.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    });
    mapped(uid, maps)
}
