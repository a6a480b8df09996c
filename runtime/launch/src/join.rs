//! A process in a running container.

use crate::child::Job;
use crate::prepare::{
    borrow_joins, cgroup_above, check_label, clamp, files, joins_above_stdio, pointers,
    stdio_above, v1, v2,
};
use crate::spawn::{self, Created, Explainer, Outside, Rest, Spawn, check_stdio};
use crate::supervisor::{borrow_supervisor, check_supervisor, supervisor_file, tell_supervisor};
use crate::times::Times;
use crate::{CgroupJoin, Extras, Host, LaunchError, Stdio};
use plan::{CapsPlan, ProcessPlan};
use rustix::fs::{OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use sys::clone::{CloneArgs, Namespaces};
use sys::schedule;

/// Descriptors of a process that joins a container.
#[derive(Debug)]
pub struct JoinDescriptors {
    /// The container's first process.
    pub init: OwnedFd,
    /// The namespaces that it does not share with the caller: [`namespaces_of`].
    pub namespaces: Namespaces,
    /// Standard streams; a terminal if the plan says so.
    pub stdio: Stdio,
    /// The container's cgroup.
    pub cgroup: CgroupJoin,
}

/// A process that is ready to join a container.
#[derive(Debug)]
pub struct Join {
    process: Box<ProcessPlan>,
    caps: CapsPlan,
    joins: Vec<(Namespaces, OwnedFd)>,
    stdio: Stdio,
    cgroup: CgroupJoin,
    extras: Extras,
    supervisor: Option<OwnedFd>,
    rootless: bool,
    times: Option<Times>,
}

impl Join {
    /// Prepares a process with the plan `process`. Capabilities that the caller does not have are left out.
    pub fn prepare(
        host: &Host,
        process: ProcessPlan,
        descriptors: JoinDescriptors,
    ) -> Result<Self, LaunchError> {
        Self::prepare_with(host, process, descriptors, Extras::default())
    }

    /// The same with more.
    pub fn prepare_with(
        host: &Host,
        process: ProcessPlan,
        descriptors: JoinDescriptors,
        extras: Extras,
    ) -> Result<Self, LaunchError> {
        let JoinDescriptors { init, namespaces, stdio, cgroup } = descriptors;
        let times = Times::begin(extras.times)?;
        check_stdio(&stdio, &process)?;
        check_supervisor(&process, &extras)?;
        check_label(&process)?;
        let extras = extras.prepared()?;
        let user = namespaces.contains(Namespaces::USER);
        Ok(Self {
            caps: clamp(process.caps, host, user),
            joins: joins_above_stdio(vec![(namespaces, init)])?,
            stdio: stdio_above(stdio)?,
            cgroup: cgroup_above(cgroup)?,
            supervisor: supervisor_file(&extras)?,
            extras,
            rootless: !host.copies_mounts,
            times,
            process: Box::new(process),
        })
    }

    /// Clones the process, which joins the container and waits at the start gate. The caller must have one thread.
    pub fn create(mut self) -> Result<Created, LaunchError> {
        if let Some(times) = &mut self.times {
            times.mark("prepared");
        }
        let made = self.make()?;
        let rest = Rest {
            gated: self.extras.gate.is_some(),
            rootless: self.rootless,
            hooks: None,
            times: self.times,
        };
        Ok(Created::new(made, Explainer::Joining(self.process), rest))
    }

    fn make(&self) -> Result<spawn::Made, LaunchError> {
        let process = &*self.process;
        // The process itself must be a child made after setns, or it would not be in the pid namespace.
        let args = CloneArgs { cgroup: v2(&self.cgroup), ..CloneArgs::default() };
        let spawn =
            Spawn { args, intermediate: true, maps: None, user_first: false, prepares: false };
        let (channel, theirs) = spawn::channel(self.extras.lowest())?;
        let job = Job {
            process,
            layout: None,
            caps: self.caps,
            channel: theirs.as_fd(),
            starter: channel.as_fd(),
            joins: &borrow_joins(&self.joins),
            tasks: &v1(&self.cgroup),
            stdio: files(&self.stdio),
            argv: &pointers(&process.argv),
            env: &pointers(&process.env),
            waits_for_go: true,
            user_first: false,
            hooks: None,
            supervisor: borrow_supervisor(&self.extras, &self.supervisor),
            marks: self.times.as_ref().map(Times::marks),
            joined_outside: true,
            gate: self.extras.borrow_gate(),
            outlives: self.extras.outlives,
            preserved: &self.extras.borrow_preserved(),
            becomes_root: self.joins.iter().any(|(which, _)| which.contains(Namespaces::USER)),
        };
        let explain = |record| LaunchError::Step(process.explain(record));
        let made = begin_on(process.schedule.initial_affinity.as_deref(), || {
            spawn::make(&spawn, &job, &channel, &explain)
        })?;
        drop(theirs);
        let outside = Outside {
            made: &|pid| tell_supervisor(&self.extras, &self.supervisor, pid),
            hooks: &|_| Ok(()),
        };
        spawn::wait_until_ready(&spawn, made, channel, &outside, &explain)
    }
}

/// Calls `make` while this process is bound to `cpus`, so that what it makes begins there, before it joins a cgroup.
fn begin_on<T>(
    cpus: Option<&[u64]>,
    make: impl FnOnce() -> Result<T, LaunchError>,
) -> Result<T, LaunchError> {
    let Some(cpus) = cpus else { return make() };
    let failed = |error: sys::Error| LaunchError::new("set", "initial CPU affinity", error);
    let before = schedule::cpu_affinity().map_err(failed)?;
    schedule::set_cpu_affinity(cpus).map_err(failed)?;
    let made = make();
    schedule::set_cpu_affinity(&before).map_err(failed)?;
    made
}

/// The namespaces in which the process `pid` is and the caller is not. The answer is only right if the process is still
/// the same afterwards, which the caller knows by its pidfd.
pub fn namespaces_of(pid: i32) -> Result<Namespaces, LaunchError> {
    const FILES: [(&str, Namespaces); 8] = [
        ("mnt", Namespaces::MOUNT),
        ("pid", Namespaces::PID),
        ("net", Namespaces::NET),
        ("ipc", Namespaces::IPC),
        ("uts", Namespaces::UTS),
        ("user", Namespaces::USER),
        ("cgroup", Namespaces::CGROUP),
        ("time", Namespaces::TIME),
    ];
    let failed = |errno| LaunchError::new("read namespaces of", format!("process {pid}"), errno);
    let identity = |owner: &str, file: &str| {
        let path = format!("/proc/{owner}/ns/{file}");
        let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
        fstat(&fd).map(|stat| (stat.st_dev, stat.st_ino))
    };
    let mut found = Namespaces::empty();
    for (file, bit) in FILES {
        let theirs = match identity(&pid.to_string(), file) {
            // Of 5.6.
            Err(Errno::NOENT) if bit == Namespaces::TIME => continue,
            other => other.map_err(failed)?,
        };
        if theirs != identity("self", file).map_err(failed)? {
            found |= bit;
        }
    }
    Ok(found)
}
