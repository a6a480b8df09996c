//! What the parent opens before it clones.

use crate::child::{Job, Layout};
use crate::hooks::{self, HookFiles};
use crate::mounted::{self, Held, HeldPlace};
use crate::spawn::{
    self, Created, Explainer, Outside, Rest, Spawn, above, above_stdio, check_stdio,
};
use crate::supervisor::{borrow_supervisor, check_supervisor, supervisor_file, tell_supervisor};
use crate::times::Times;
use crate::{CgroupJoin, Descriptors, Extras, Host, LaunchError, Stdio, interfaces, namespace};
use mounts::userns::IdRange;
use plan::{CapsPlan, IdMap, Label, Plan, ProcessPlan};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;
use sys::clone::{CloneArgs, Namespaces};

/// A container that is ready to be cloned: everything outside it is open.
#[derive(Debug)]
pub struct Launch {
    plan: Box<Plan>,
    caps: CapsPlan,
    rootfs: Held,
    root_place: Option<HeldPlace>,
    sources: Vec<Option<Held>>,
    devices: Vec<Option<Held>>,
    null: Held,
    cgroup_namespace: OwnedFd,
    sets_attributes: bool,
    rootless: bool,
    joins: Vec<(Namespaces, OwnedFd)>,
    stdio: Stdio,
    cgroup: CgroupJoin,
    extras: Extras,
    hooks: Option<HookFiles>,
    supervisor: Option<OwnedFd>,
    times: Option<Times>,
}

impl Launch {
    /// Opens and clones all that `plan` needs from outside the container. Capabilities that the caller does not have are
    /// left out; [`Host::missing`] says which.
    pub fn prepare(host: &Host, plan: Plan, descriptors: Descriptors) -> Result<Self, LaunchError> {
        Self::prepare_with(host, plan, descriptors, Extras::default())
    }

    /// The same with more.
    pub fn prepare_with(
        host: &Host,
        plan: Plan,
        descriptors: Descriptors,
        extras: Extras,
    ) -> Result<Self, LaunchError> {
        let times = Times::begin(extras.times)?;
        let Descriptors { rootfs, sources, joins, stdio, cgroup } = descriptors;
        check_stdio(&stdio, &plan.process)?;
        check_supervisor(&plan.process, &extras)?;
        check_label(&plan.process)?;
        check_state(&plan, &extras)?;
        namespace::check(&joins, plan.namespaces.joined)?;
        let other_user = plan.namespaces.separate(Namespaces::USER);
        let extras = extras.prepared()?;
        let lowest = extras.lowest();
        let device = |device| mounted::device(host, device, lowest);
        let devices = plan.devices.iter().map(device).collect::<Result<_, _>>()?;
        let (rootfs, root_place) = mounted::root(host, &plan, rootfs, &extras)?;
        Ok(Self {
            caps: clamp(plan.process.caps, host, other_user),
            rootfs,
            root_place,
            sources: mounted::sources(host, &plan.mounts, sources, lowest)?,
            devices,
            null: mounted::null(host, lowest)?,
            cgroup_namespace: above(host.cgroup_namespace()?, lowest)?,
            sets_attributes: host.sets_attributes,
            rootless: !host.copies_mounts,
            joins: joins_above_stdio(joins)?,
            stdio: stdio_above(stdio)?,
            cgroup: cgroup_above(cgroup)?,
            hooks: HookFiles::of_plan(&plan.hooks, lowest)?,
            supervisor: supervisor_file(&extras)?,
            extras,
            times,
            plan: Box::new(plan),
        })
    }

    /// Clones the process, which sets the container up and waits at the start gate. The caller must have one thread.
    pub fn create(mut self) -> Result<Created, LaunchError> {
        if let Some(times) = &mut self.times {
            times.mark("prepared");
        }
        let made = self.make(&self.spawn())?;
        let rest = Rest {
            gated: self.extras.gate.is_some(),
            rootless: self.rootless,
            hooks: self.hooks,
            times: self.times,
        };
        Ok(Created::new(made, Explainer::First(self.plan), rest))
    }

    fn spawn(&self) -> Spawn<'_> {
        let namespaces = &self.plan.namespaces;
        let (new, joined) = (namespaces.new, namespaces.joined);
        let user = new.contains(Namespaces::USER);
        // In a new user namespace the right to join namespaces that do not belong to it is gone.
        let joins_first = user && !self.joins.is_empty();
        // A process that makes a time namespace is in it from execve on only since 6.2, but its children always are. The
        // namespace belongs to the user namespace, so that comes before.
        let time_first = new.contains(Namespaces::TIME);
        let user_first = user && time_first;
        let made_before = if user_first { Namespaces::USER } else { Namespaces::empty() };
        Spawn {
            args: CloneArgs {
                // A cgroup namespace has its root where its maker is, so it is made after joining the cgroup; and a time
                // namespace gets its clocks before anybody is in it.
                namespaces: new - Namespaces::CGROUP - Namespaces::TIME - made_before,
                cgroup: v2(&self.cgroup),
                ..CloneArgs::default()
            },
            intermediate: joins_first
                || time_first
                || joined.intersects(Namespaces::USER | Namespaces::PID),
            maps: user.then_some((&*namespaces.uids, &*namespaces.gids)),
            user_first,
            prepares: self.hooks.is_some()
                || self.supervisor.is_some()
                || !self.plan.net_devices.is_empty(),
        }
    }

    fn make(&self, spawn: &Spawn<'_>) -> Result<spawn::Made, LaunchError> {
        let plan = &*self.plan;
        let layout = Layout {
            plan,
            rootfs: self.rootfs.borrow(),
            root_place: self.root_place.as_ref().map(HeldPlace::borrow),
            no_pivot: self.extras.no_pivot,
            sources: &mounted::borrow_all(&self.sources),
            devices: &mounted::borrow_all(&self.devices),
            null: self.null.borrow(),
            cgroup_namespace: self.cgroup_namespace.as_fd(),
            sets_attributes: self.sets_attributes,
        };
        let create = hooks::strings(&plan.hooks.create_container);
        let create = hooks::hooks(&plan.hooks.create_container, &create);
        let start = hooks::strings(&plan.hooks.start_container);
        let start = hooks::hooks(&plan.hooks.start_container, &start);
        let waits = plan.hooks.before_root();
        let hooks = self.hooks.as_ref().map(|files| files.borrow(waits, &create, &start));
        let (channel, theirs) = spawn::channel(self.extras.lowest())?;
        let job = Job {
            process: &plan.process,
            layout: Some(&layout),
            caps: self.caps,
            channel: theirs.as_fd(),
            starter: channel.as_fd(),
            joins: &borrow_joins(&self.joins),
            tasks: &v1(&self.cgroup),
            stdio: files(&self.stdio),
            argv: &pointers(&plan.process.argv),
            env: &pointers(&plan.process.env),
            waits_for_go: spawn.waits_for_go(),
            joined_outside: spawn.intermediate,
            user_first: spawn.user_first,
            becomes_root: plan.namespaces.separate(Namespaces::USER),
            gate: self.extras.borrow_gate(),
            outlives: self.extras.outlives,
            preserved: &self.extras.borrow_preserved(),
            hooks: hooks.as_ref(),
            supervisor: borrow_supervisor(&self.extras, &self.supervisor),
            marks: self.times.as_ref().map(Times::marks),
        };
        let explain = |record| {
            let failure = plan.explain(record);
            LaunchError::Step(match &self.hooks {
                Some(files) => files.explain(failure),
                None => failure,
            })
        };
        let process = spawn::make(spawn, &job, &channel, &explain)?;
        drop(theirs);
        let state = self.extras.state.as_ref();
        let outside = Outside {
            made: &|pid| self.prepare_made(pid),
            hooks: &|pid| hooks::call_outside(&plan.hooks, state, pid),
        };
        spawn::wait_until_ready(spawn, process, channel, &outside, &explain)
    }

    /// What is done for the process as soon as it has a number.
    fn prepare_made(&self, pid: i32) -> Result<(), LaunchError> {
        if let (Some(files), Some(state)) = (&self.hooks, &self.extras.state) {
            files.write(state, hooks::number_inside(&self.plan, pid))?;
        }
        tell_supervisor(&self.extras, &self.supervisor, pid)?;
        if self.plan.net_devices.is_empty() {
            return Ok(());
        }
        let joined = self.joins.iter().find(|(which, _)| *which == Namespaces::NET);
        let namespace = match joined {
            Some((_, fd)) => fd.try_clone().map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                LaunchError::new("copy", "network namespace", errno)
            })?,
            None => {
                let path = format!("/proc/{pid}/ns/net");
                namespace::open_namespace(Path::new(&path), Namespaces::NET)?
            }
        };
        interfaces::move_in(&self.plan.net_devices, namespace)
    }
}

/// Hooks read the container's state.
fn check_state(plan: &Plan, extras: &Extras) -> Result<(), LaunchError> {
    if plan.hooks.launch_calls() && extras.state.is_none() {
        let reason = "the container's state was not given";
        return Err(LaunchError::Mismatch { object: "hooks".to_owned(), reason });
    }
    Ok(())
}

/// Whether the kernel has what confines the process.
pub(crate) fn check_label(process: &ProcessPlan) -> Result<(), LaunchError> {
    let (object, missing) = match &process.label {
        None => return Ok(()),
        Some(Label::AppArmor(_)) => {
            let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
            let enabled = enabled.is_ok_and(|text| text.trim() == "Y");
            ("AppArmor profile", (!enabled).then_some("AppArmor is not enabled"))
        }
        Some(Label::Selinux(_)) => {
            let enabled = rustix::fs::stat("/sys/fs/selinux/enforce").is_ok();
            ("SELinux label", (!enabled).then_some("SELinux is not enabled"))
        }
    };
    match missing {
        None => Ok(()),
        Some(reason) => Err(LaunchError::Mismatch { object: object.to_owned(), reason }),
    }
}

/// Pointers to the strings and a null at the end, as execve reads them.
pub(crate) fn pointers(list: &[std::ffi::CString]) -> Vec<*const libc::c_char> {
    list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

pub(crate) fn borrow_joins(joins: &[(Namespaces, OwnedFd)]) -> Vec<(Namespaces, BorrowedFd<'_>)> {
    joins.iter().map(|(which, fd)| (*which, fd.as_fd())).collect()
}

pub(crate) fn files(stdio: &Stdio) -> Option<[BorrowedFd<'_>; 3]> {
    match stdio {
        Stdio::Files([input, output, error]) => {
            Some([input.as_fd(), output.as_fd(), error.as_fd()])
        }
        Stdio::Terminal => None,
    }
}

pub(crate) fn v2(cgroup: &CgroupJoin) -> Option<BorrowedFd<'_>> {
    match cgroup {
        CgroupJoin::V2(directory) => Some(directory.as_fd()),
        CgroupJoin::V1 { unified, .. } => unified.as_ref().map(AsFd::as_fd),
        CgroupJoin::None => None,
    }
}

pub(crate) fn v1(cgroup: &CgroupJoin) -> Vec<BorrowedFd<'_>> {
    match cgroup {
        CgroupJoin::V1 { tasks, .. } => tasks.iter().map(AsFd::as_fd).collect(),
        CgroupJoin::V2(_) | CgroupJoin::None => Vec::new(),
    }
}

pub(crate) fn joins_above_stdio(
    joins: Vec<(Namespaces, OwnedFd)>,
) -> Result<Vec<(Namespaces, OwnedFd)>, LaunchError> {
    joins.into_iter().map(|(which, fd)| Ok((which, above_stdio(fd)?))).collect()
}

pub(crate) fn stdio_above(stdio: Stdio) -> Result<Stdio, LaunchError> {
    Ok(match stdio {
        Stdio::Files([input, output, error]) => {
            Stdio::Files([above_stdio(input)?, above_stdio(output)?, above_stdio(error)?])
        }
        Stdio::Terminal => Stdio::Terminal,
    })
}

pub(crate) fn cgroup_above(cgroup: CgroupJoin) -> Result<CgroupJoin, LaunchError> {
    Ok(match cgroup {
        CgroupJoin::V1 { tasks, unified } => {
            let tasks = tasks.into_iter().map(above_stdio).collect::<Result<_, _>>()?;
            CgroupJoin::V1 { tasks, unified }
        }
        other => other,
    })
}

/// The capabilities that the starter can give.
pub(crate) fn clamp(caps: CapsPlan, host: &Host, new_user_namespace: bool) -> CapsPlan {
    let most = if new_user_namespace { host.known_caps } else { host.own_caps };
    CapsPlan {
        bounding: caps.bounding.and(most),
        effective: caps.effective.and(most),
        permitted: caps.permitted.and(most),
        ambient: caps.ambient.and(most),
        inheritable: caps.inheritable.and(most),
    }
}

pub(crate) fn id_range(map: &IdMap) -> IdRange {
    IdRange { inside: map.inside, outside: map.outside, count: map.count }
}
