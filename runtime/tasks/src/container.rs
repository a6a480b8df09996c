//! Starting a container.

use crate::containment::Cgroup;
use crate::host::Host;
use crate::origin;
use crate::received::{Launched, open_log};
use crate::records::{Name, broken, of_cgroup, process};
use crate::start::{Started, announce, finish, inherited, of_launch, of_plan, run, warnings};
use crate::streams::{copy, mapped, pair};
use cgroups::{Group, Join};
use launch::{CgroupJoin, Descriptors, Rootfs, Source};
use messages::task::{Launch, Namespace, Request};
use plan::{Given, Plan, SourceKind};
use rustix::fs::FileType;
use rustix::io::Errno;
use shim::{Task, TaskDir};
use spec::oci::{ConsoleSize, Mount, Spec};
use spec::{Class, Failure};
use std::os::fd::OwnedFd;
use std::time::Duration;
use sys::clone::Namespaces;
use transport::Responder;

/// Where the init program appears in the container, as with dockerd.
const INIT: &str = "/sbin/docker-init";
/// How long what a failed start has left may take to disappear.
const UNDO: Duration = Duration::from_secs(10);

/// Starts the container, answers, and goes on as its shim.
pub(crate) fn start(
    host: &Host,
    launch: Launch,
    descriptors: transport::Descriptors,
    responder: Responder<Request>,
) {
    let received = Launched::of(&launch, descriptors);
    let prepared = received.and_then(|received| {
        let inherited = inherited(&received.numbers())?;
        Ok((received, inherited))
    });
    match prepared {
        Ok((received, inherited)) => {
            let started = attempt(host, launch, received);
            finish(host, &inherited, started, responder);
        }
        Err(failure) => responder.answer(Err(failure)),
    }
}

/// Checks, claims the id, starts; on failure nothing is left.
fn attempt(host: &Host, launch: Launch, received: Launched) -> Result<Started, Failure> {
    host.policy.check_launch(&launch)?;
    origin::check_launch(host, &launch, &received)?;
    // A session of its own: no terminal and no group of the engine's reaches it.
    rustix::process::setsid().ok();
    let id = launch.id.clone();
    let parent = launch.cgroup_parent.clone().unwrap_or_else(|| host.default_parent().to_owned());
    let directory = host.tasks.create(id.as_str()).map_err(|error| match error.errno() {
        Some(Errno::EXIST) => Failure::conflict(format!("{} has a task", Name(&id, None))),
        _ => broken(&error),
    })?;
    let lock = directory.lock().map_err(|error| broken(&error));
    let started = lock.and_then(|lock| {
        announce(host, &directory, &parent)?;
        let group = make_group(host, &launch, &parent)?;
        let started = start_in(host, launch, received, directory, &group, &parent);
        let started = started.map(|(task, warnings)| (task, warnings, lock));
        match started {
            Ok((task, warnings, _lock)) => Ok(Started {
                task,
                cgroup: Cgroup::of_container(group, host.cgroup_mode()),
                warnings,
            }),
            Err(failure) => {
                let empty = group.kill(UNDO).and_then(|()| group.delete(UNDO));
                // With something left the record stays, so that it is found.
                empty.map_err(|error| of_cgroup(&error)).and(Err(failure))
            }
        }
    });
    let is_empty = || host.with_parent(&parent, |parent| parent.exists(id.as_str()));
    if started.is_err() && matches!(is_empty(), Ok(false)) {
        host.tasks.remove(id.as_str()).map_err(|error| broken(&error))?;
    }
    started
}

fn make_group(host: &Host, launch: &Launch, parent: &str) -> Result<Group, Failure> {
    let resources = launch.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let resources = plan::with_default_devices(resources);
    let id = launch.id.as_str();
    host.with_parent(parent, |parent| parent.create(id, &resources))
        .map_err(|error| of_cgroup(&error))
}

fn start_in(
    host: &Host,
    launch: Launch,
    received: Launched,
    directory: TaskDir,
    group: &Group,
    parent: &str,
) -> Result<(Task, Vec<String>), Failure> {
    let Launch { id, mut spec, stdio, .. } = launch;
    let Launched { ends, rootfs, mut sources, netns, log } = received;
    let log = open_log(&launch.log, log)?;
    let joins = joins(host, &launch.joins, netns)?;
    set_terminal(&mut spec, stdio.terminal);
    if launch.init {
        add_init(host, &mut spec, &mut sources)?;
    }
    let given = Given {
        sources: sources
            .iter()
            .map(|fd| fd.as_ref().map(kind_of).transpose())
            .collect::<Result<_, _>>()?,
        joined: joins.iter().fold(Namespaces::empty(), |all, (kind, _)| all | *kind),
        cgroups: host.view.clone(),
        filter: host.filters.filter(&launch.seccomp, &bounding(&spec))?,
        keyring: Some(id.as_str().to_owned()),
        ..Given::default()
    };
    let plan = Plan::new(&spec, &given).map_err(|error| of_plan(&error))?;
    let new_user = plan.namespaces.new.contains(Namespaces::USER);
    let warnings = warnings(host, &plan.process, new_user);
    let streams = pair(host, stdio, host_uid(&plan))?;
    let held = copy(&rootfs)?;
    let descriptors = Descriptors {
        rootfs: Rootfs::Detached(rootfs),
        sources: sources.into_iter().map(|fd| fd.map(Source::File)).collect(),
        joins,
        stdio: streams.given,
        cgroup: join_of(group)?,
    };
    let listener = directory.listen().map_err(|error| broken(&error))?;
    let created = launch::Launch::prepare(&host.launch, plan, descriptors)
        .and_then(launch::Launch::create)
        .map_err(|error| of_launch(&error))?;
    let (running, started_at) = run(created, &directory, parent, Name(&id, None))?;
    let task = Task {
        pid: running.pid,
        pidfd: running.pidfd,
        started_at,
        streams: streams.kept.with_console(running.console)?,
        stdin_once: stdio.stdin_once,
        log,
        clients: ends.clients,
        channel: Some(ends.channel),
        listener: Some(listener),
        directory,
        rootfs: Some(held),
    };
    Ok((task, warnings))
}

/// The capabilities by which the default filter is chosen, as dockerd chooses it.
fn bounding(spec: &Spec) -> Vec<String> {
    let capabilities = spec.process.as_ref().and_then(|process| process.capabilities.as_ref());
    capabilities.map_or_else(Vec::new, |capabilities| capabilities.bounding.clone())
}

fn set_terminal(spec: &mut Spec, terminal: Option<(u16, u16)>) {
    if let Some(process) = &mut spec.process {
        process.terminal = terminal.is_some();
        process.console_size = terminal
            .map(|(width, height)| ConsoleSize { height: height.into(), width: width.into() });
    }
}

/// Puts the init program before the program, and into the container.
fn add_init(
    host: &Host,
    spec: &mut Spec,
    sources: &mut Vec<Option<OwnedFd>>,
) -> Result<(), Failure> {
    let init = host.init.as_ref().ok_or_else(|| {
        Failure::new(Class::NotImplemented, "run init: coffer-init is not installed")
    })?;
    sources.push(Some(copy(init)?));
    spec.mounts.push(Mount {
        destination: INIT.to_owned(),
        kind: Some("bind".to_owned()),
        options: ["bind", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
    if let Some(process) = &mut spec.process {
        process.args.splice(0..0, [INIT, "--"].map(str::to_owned));
    }
    Ok(())
}

/// The namespaces that are joined: the network's own, and those of other containers by the pidfd of their first process.
fn joins(
    host: &Host,
    joins: &[messages::task::Join],
    netns: Option<OwnedFd>,
) -> Result<Vec<(Namespaces, OwnedFd)>, Failure> {
    let mut joined: Vec<_> = netns.map(|fd| (Namespaces::NET, fd)).into_iter().collect();
    for join in joins {
        let kind = match join.kind {
            Namespace::Network => Namespaces::NET,
            Namespace::Pid => Namespaces::PID,
            Namespace::Ipc => Namespaces::IPC,
            Namespace::Uts => Namespaces::UTS,
        };
        if joined.iter().any(|(other, _)| *other == kind) {
            return Err(Failure::invalid("a namespace is joined twice"));
        }
        joined.push((kind, process(host, Name(&join.container, None))?));
    }
    Ok(joined)
}

fn kind_of(source: &OwnedFd) -> Result<SourceKind, Failure> {
    let status = rustix::fs::fstat(source)
        .map_err(|errno| Failure::internal(format!("look at bind source: {errno}")))?;
    Ok(match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => SourceKind::Directory,
        _ => SourceKind::File,
    })
}

fn host_uid(plan: &Plan) -> Option<u32> {
    let uid = plan.process.uid;
    match plan.namespaces.uids.as_slice() {
        [] => Some(uid),
        maps => mapped(uid, maps.iter().map(|map| (map.inside, map.outside, map.count))),
    }
}

pub(crate) fn join_of(group: &Group) -> Result<CgroupJoin, Failure> {
    Ok(match group.join().map_err(|error| of_cgroup(&error))? {
        Join::V2(directory) => CgroupJoin::V2(directory),
        Join::V1 { tasks, unified } => CgroupJoin::V1 { tasks, unified },
    })
}
