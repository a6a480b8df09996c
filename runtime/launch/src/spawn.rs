//! Cloning, and what the parent does until the program runs.

use crate::channel::{Channel, Message};
use crate::child::{self, Job};
use crate::hooks::HookFiles;
use crate::times::{StepTime, Times};
use crate::{LaunchError, Stdio};
use plan::{IdMap, Plan, ProcessPlan, Record, StepKind};
use rustix::io::Errno;
use safepath::ProcHandle;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use sys::clone::{CloneArgs, Cloned, clone3};
use sys::limits::{self, Resource};

/// A container in which nothing has run yet, or a process that is about to join one. Dropping it kills the process;
/// [`Created::start`] and [`Created::leave`] are the ways on.
#[derive(Debug)]
pub struct Created {
    process: Option<(i32, OwnedFd)>,
    channel: Channel,
    console: Option<OwnedFd>,
    explainer: Explainer,
    gated: bool,
    rootless: bool,
    hooks: Option<HookFiles>,
    times: Option<Times>,
}

/// A process whose program runs, or has run: the caller reaps it by the pidfd.
#[derive(Debug)]
pub struct Running {
    /// Its number in the caller's pid namespace.
    pub pid: i32,
    /// The process.
    pub pidfd: OwnedFd,
    /// The other side of its terminal.
    pub console: Option<OwnedFd>,
    /// The times of its steps, with [`crate::Extras::times`].
    pub times: Vec<StepTime>,
}

/// What a created process keeps besides.
pub(crate) struct Rest {
    /// Whether another process starts it.
    pub(crate) gated: bool,
    /// Whether its starter is not root.
    pub(crate) rootless: bool,
    pub(crate) hooks: Option<HookFiles>,
    pub(crate) times: Option<Times>,
}

/// The plan, kept for the text of failures and for what the parent does to the process.
#[derive(Debug)]
pub(crate) enum Explainer {
    First(Box<Plan>),
    Joining(Box<ProcessPlan>),
}

impl Explainer {
    fn process(&self) -> &ProcessPlan {
        match self {
            Self::First(plan) => &plan.process,
            Self::Joining(process) => process,
        }
    }

    fn failure(&self, record: Record) -> LaunchError {
        LaunchError::Step(match self {
            Self::First(plan) => plan.explain(record),
            Self::Joining(process) => process.explain(record),
        })
    }
}

/// The error that a child's record stands for.
pub(crate) type Explain<'a> = &'a dyn Fn(Record) -> LaunchError;

/// How the clone is made.
pub(crate) struct Spawn<'a> {
    pub(crate) args: CloneArgs<'a>,
    /// Whether an intermediate process joins the namespaces first: those of pids and users change only what its
    /// children are in, or forbid what comes later.
    pub(crate) intermediate: bool,
    /// Maps of a new user namespace.
    pub(crate) maps: Option<(&'a [IdMap], &'a [IdMap])>,
    /// Whether the intermediate process makes the user namespace, and so gets the maps.
    pub(crate) user_first: bool,
    /// Whether the parent has something to do before the process goes on.
    pub(crate) prepares: bool,
}

impl Spawn<'_> {
    /// Whether the process waits for a byte before anything else.
    pub(crate) fn waits_for_go(&self) -> bool {
        self.intermediate || self.maps.is_some() || self.prepares
    }
}

/// A process with the channel to it, and its terminal.
pub(crate) type Made = ((i32, OwnedFd), Channel, Option<OwnedFd>);

/// The channel to a child, and the child's end of it with a number from `lowest` up.
pub(crate) fn channel(lowest: i32) -> Result<(Channel, OwnedFd), LaunchError> {
    let failed = |errno| LaunchError::new("make", "channel to the process", errno);
    let (channel, theirs) = Channel::pair().map_err(failed)?;
    Ok((channel, above(theirs, lowest)?))
}

/// Makes the process. Its end of the channel must be closed here before [`wait_until_ready`].
pub(crate) fn make(
    spawn: &Spawn<'_>,
    job: &Job<'_>,
    channel: &Channel,
    explain: Explain<'_>,
) -> Result<Guard, LaunchError> {
    let process = match spawn.intermediate {
        true => through_intermediate(spawn, job, channel, explain)?,
        false => directly(spawn, job)?,
    };
    Ok(Guard(Some(process)))
}

/// What the parent does at two points while the process waits; it is called with the process's number.
pub(crate) struct Outside<'a> {
    /// When the process exists, before it does anything.
    pub(crate) made: &'a dyn Fn(i32) -> Result<(), LaunchError>,
    /// Before its root changes, if it has hooks.
    pub(crate) hooks: &'a dyn Fn(i32) -> Result<(), LaunchError>,
}

/// Lets the process go on if it waits for that, and waits until it stands at the start gate.
pub(crate) fn wait_until_ready(
    spawn: &Spawn<'_>,
    guard: Guard,
    channel: Channel,
    outside: &Outside<'_>,
    explain: Explain<'_>,
) -> Result<Made, LaunchError> {
    let lost = |errno| LaunchError::new("read", "channel to the process", errno);
    if spawn.waits_for_go() {
        if let Some((uids, gids)) = spawn.maps.filter(|_| !spawn.user_first) {
            crate::idmaps::write(guard.pid(), uids, gids)?;
        }
        (outside.made)(guard.pid())?;
        channel.open_gate().map_err(lost)?;
    }
    loop {
        match channel.receive().map_err(lost)? {
            Message::Record(Record { step: StepKind::Ready, .. }, console) => {
                return Ok((guard.disarm(), channel, console));
            }
            Message::Record(Record { step: StepKind::HostHooks, .. }, _) => {
                (outside.hooks)(guard.pid())?;
                channel.open_gate().map_err(lost)?;
            }
            Message::Record(record, _) => return Err(explain(record)),
            Message::End => return Err(guard.lost()),
        }
    }
}

fn directly(spawn: &Spawn<'_>, job: &Job<'_>) -> Result<(i32, OwnedFd), LaunchError> {
    // SAFETY: the child runs `child`, which allocates nothing and takes no lock, and never returns.
    match unsafe { clone3(&spawn.args) } {
        Ok(Cloned::Child) => child::first(job),
        Ok(Cloned::Parent { pid, pidfd }) => Ok((pid, pidfd)),
        Err(error) => Err(LaunchError::new("make", "process", error)),
    }
}

/// An intermediate process joins the cgroup and the namespaces, and makes the process as the parent's child
/// (CLONE_PARENT). It has a table of descriptors of its own, of which it keeps little.
fn through_intermediate(
    spawn: &Spawn<'_>,
    job: &Job<'_>,
    channel: &Channel,
    explain: Explain<'_>,
) -> Result<(i32, OwnedFd), LaunchError> {
    let args = CloneArgs { cgroup: spawn.args.cgroup, ..CloneArgs::default() };
    let last =
        CloneArgs { namespaces: spawn.args.namespaces, parent: true, ..CloneArgs::default() };
    // SAFETY: as in `directly`.
    let (own, pidfd) = match unsafe { clone3(&args) } {
        Ok(Cloned::Child) => child::intermediate(job, &last),
        Ok(Cloned::Parent { pid, pidfd }) => (pid, pidfd),
        Err(error) => return Err(LaunchError::new("make", "process", error)),
    };
    // Ended and reaped whatever happens to it.
    let intermediate = Guard(Some((own, pidfd)));
    let lost = |errno| LaunchError::new("read", "channel to the process", errno);
    loop {
        match channel.receive_from(intermediate.pidfd()).map_err(lost)? {
            Message::Record(Record { step: StepKind::NeedsMaps, .. }, _) => {
                if let Some((uids, gids)) = spawn.maps {
                    crate::idmaps::write(own, uids, gids)?;
                }
                channel.open_gate().map_err(lost)?;
            }
            Message::Record(Record { step: StepKind::Spawned, index, .. }, _) => {
                let (_, ended) = intermediate.disarm();
                let failed = |error| LaunchError::new("wait for", "process", error);
                sys::pidfd::wait(&ended).map_err(failed)?;
                // Nobody but us can reap our child, so the number is its own even if it has ended.
                let pidfd =
                    pidfd_open(index).map_err(|e| LaunchError::new("open", "process", e))?;
                return Ok((index as i32, pidfd));
            }
            Message::Record(record, _) => return Err(explain(record)),
            Message::End => return Err(intermediate.lost()),
        }
    }
}

fn pidfd_open(pid: u32) -> Result<OwnedFd, Errno> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(pid as i32).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty())
}

/// Kills and reaps the process unless it is disarmed.
pub(crate) struct Guard(Option<(i32, OwnedFd)>);

impl Guard {
    fn pid(&self) -> i32 {
        self.0.as_ref().map_or(0, |(pid, _)| *pid)
    }

    fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(|(_, pidfd)| pidfd.as_fd())
    }

    fn disarm(mut self) -> (i32, OwnedFd) {
        self.0.take().expect("a guard is disarmed once, by value")
    }

    /// The process closed its channel without a word.
    fn lost(self) -> LaunchError {
        let (_, pidfd) = self.disarm();
        match sys::pidfd::wait(&pidfd) {
            Ok(exit) => LaunchError::Lost { status: exit.status() },
            Err(error) => LaunchError::new("wait for", "process", error),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((_, pidfd)) = self.0.take() {
            end(&pidfd);
        }
    }
}

/// Kills and reaps; a process that is gone already is what was wanted.
fn end(pidfd: &OwnedFd) {
    let killed = sys::pidfd::send_signal(pidfd, 9);
    if killed.is_ok() || killed.is_err_and(|error| error.errno() == Errno::SRCH) {
        let _reaped = sys::pidfd::wait(pidfd);
    }
}

impl Created {
    pub(crate) fn new(made: Made, explainer: Explainer, rest: Rest) -> Self {
        let (process, channel, console) = made;
        let Rest { gated, rootless, hooks, times } = rest;
        let process = Some(process);
        Self { process, channel, console, explainer, gated, rootless, hooks, times }
    }

    /// The process's number in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.process.as_ref().map_or(0, |(pid, _)| *pid)
    }

    /// The process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        let (_, pidfd) = self.process.as_ref().expect("taken by start only, which consumes self");
        pidfd.as_fd()
    }

    /// The times of the steps so far, with [`crate::Extras::times`].
    pub fn times(&self) -> Vec<StepTime> {
        self.times.as_ref().map(Times::list).unwrap_or_default()
    }

    /// The other side of its terminal, if it has one.
    pub fn console(&self) -> Option<BorrowedFd<'_>> {
        self.console.as_ref().map(AsFd::as_fd)
    }

    /// Leaves the process alone at its gate: from now on it lives without the caller, and [`crate::gate::open`] starts
    /// it. EINVAL without [`crate::Extras::gate`].
    pub fn leave(mut self) -> Result<Running, LaunchError> {
        let failed = |errno| LaunchError::new("leave", "process", errno);
        if !self.gated {
            return Err(failed(Errno::INVAL));
        }
        self.apply_from_outside()?;
        self.channel.open_gate().map_err(failed)?;
        Ok(self.given_up())
    }

    fn given_up(&mut self) -> Running {
        let (pid, pidfd) = self.process.take().expect("taken by what consumes self");
        if let Some(times) = &mut self.times {
            times.mark("started");
        }
        Running { pid, pidfd, console: self.console.take(), times: self.times() }
    }

    /// Opens the start gate and waits until the program runs. EINVAL with [`crate::Extras::gate`].
    pub fn start(mut self) -> Result<Running, LaunchError> {
        let lost = |errno| LaunchError::new("start", "process", errno);
        if self.gated {
            return Err(lost(Errno::INVAL));
        }
        self.apply_from_outside()?;
        self.channel.open_gate().map_err(lost)?;
        match self.channel.receive().map_err(lost)? {
            Message::End => Ok(self.given_up()),
            Message::Record(record, _) => Err(self.explain(record)),
        }
    }

    /// What needs rights outside the container: limits may be raised and the oom score lowered only by the starter.
    fn apply_from_outside(&self) -> Result<(), LaunchError> {
        let pid = self.pid();
        let process = self.explainer.process();
        for (index, (resource, limit)) in process.rlimits.iter().enumerate() {
            let step = StepKind::Rlimit;
            set_limit(pid, *resource, *limit).map_err(|errno| self.failure(step, index, errno))?;
        }
        if let Some(score) = process.oom_score_adj {
            match set_oom_score(pid, score) {
                // Only who is root outside may lower it; without being that, it stays as it is.
                Err(Errno::ACCESS | Errno::PERM) if self.rootless => {}
                set => set.map_err(|errno| self.failure(StepKind::OomScore, 0, errno))?,
            }
        }
        Ok(())
    }

    fn failure(&self, step: StepKind, index: usize, errno: Errno) -> LaunchError {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.explainer.failure(Record { step, index, errno: errno.raw_os_error() })
    }

    fn explain(&self, record: Record) -> LaunchError {
        match (self.explainer.failure(record), &self.hooks) {
            (LaunchError::Step(failure), Some(hooks)) => LaunchError::Step(hooks.explain(failure)),
            (error, _) => error,
        }
    }
}

fn set_limit(pid: i32, resource: Resource, limit: limits::Limit) -> Result<(), Errno> {
    limits::set(pid, resource, limit).map(drop).map_err(Errno::from)
}

/// Writes the score unless it is that already, which needs no right.
fn set_oom_score(pid: i32, score: i32) -> Result<(), Errno> {
    use rustix::fs::OFlags;
    let proc = ProcHandle::host().map_err(|error| error.errno().unwrap_or(Errno::NODEV))?;
    let path = CString::new(format!("{pid}/oom_score_adj")).map_err(|_| Errno::INVAL)?;
    let mut bytes = [0u8; 16];
    let length = rustix::io::read(proc.open(&path, OFlags::RDONLY)?, &mut bytes)?;
    let present = String::from_utf8_lossy(&bytes[..length]);
    if present.trim() == score.to_string() {
        return Ok(());
    }
    proc.write(&path, score.to_string().as_bytes())
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some((_, pidfd)) = self.process.take() {
            end(&pidfd);
        }
    }
}

/// Whether the streams are what the process plan says.
pub(crate) fn check_stdio(stdio: &Stdio, process: &ProcessPlan) -> Result<(), LaunchError> {
    let reason = match (stdio, process.terminal) {
        (Stdio::Files(_), Some(_)) => "the plan has a terminal, but streams were given",
        (Stdio::Terminal, None) => "the plan has no terminal, and no streams were given",
        _ => return Ok(()),
    };
    Err(LaunchError::Mismatch { object: "standard streams".to_owned(), reason })
}

/// `fd` with a number above the standard streams, so that putting those in place overwrites none of ours.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, LaunchError> {
    above(fd, 3)
}

/// `fd` with a number from `lowest` up.
pub(crate) fn above(fd: OwnedFd, lowest: i32) -> Result<OwnedFd, LaunchError> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() >= lowest {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, lowest)
        .map_err(|errno| LaunchError::new("duplicate", "descriptor", errno))
}
