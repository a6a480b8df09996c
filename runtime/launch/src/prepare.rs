//! What the parent opens before it clones.

use crate::child::{Job, Layout};
use crate::host::open_device;
use crate::spawn::{self, Created, Explainer, Spawn, above_stdio, check_stdio};
use crate::{CgroupJoin, Descriptors, Extras, Host, LaunchError, Rootfs, Source, Stdio};
use mounts::userns::{self, IdRange};
use mounts::{Change, Detached, Extent, Propagation};
use plan::{
    AttrChange, BindPlan, CapsPlan, DeviceKind, DevicePlan, IdMap, IdmapPlan, MountKind, MountPlan,
    Plan,
};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use sys::clone::{CloneArgs, Namespaces};

/// A container that is ready to be cloned: everything outside it is open.
#[derive(Debug)]
pub struct Launch {
    plan: Box<Plan>,
    caps: CapsPlan,
    rootfs: Detached,
    sources: Vec<Option<Detached>>,
    devices: Vec<Option<Detached>>,
    null: Detached,
    cgroup_namespace: OwnedFd,
    sets_attributes: bool,
    joins: Vec<(Namespaces, OwnedFd)>,
    stdio: Stdio,
    cgroup: CgroupJoin,
    extras: Extras,
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
        let Descriptors { rootfs, sources, joins, stdio, cgroup } = descriptors;
        check_stdio(&stdio, &plan.process)?;
        check_joins(&plan, &joins)?;
        let other_user = plan.namespaces.separate(Namespaces::USER);
        let devices = plan.devices.iter().map(host_device).collect::<Result<_, _>>()?;
        Ok(Self {
            caps: clamp(plan.process.caps, host, other_user),
            rootfs: root(host, rootfs)?,
            sources: bind_sources(host, &plan.mounts, sources)?,
            devices,
            null: Detached::from_fd(above_stdio(host.null_mount()?.into_fd())?),
            cgroup_namespace: above_stdio(host.cgroup_namespace()?)?,
            sets_attributes: host.sets_attributes,
            joins: joins_above_stdio(joins)?,
            stdio: stdio_above(stdio)?,
            cgroup: cgroup_above(cgroup)?,
            extras: extras.prepared()?,
            plan: Box::new(plan),
        })
    }

    /// Clones the process, which sets the container up and waits at the start gate. The caller must have one thread.
    pub fn create(self) -> Result<Created, LaunchError> {
        let made = self.make(&self.spawn())?;
        Ok(Created::new(made, Explainer::First(self.plan), self.extras.gate.is_some()))
    }

    fn spawn(&self) -> Spawn<'_> {
        let namespaces = &self.plan.namespaces;
        let (new, joined) = (namespaces.new, namespaces.joined);
        let user = new.contains(Namespaces::USER);
        // In a new user namespace the right to join namespaces that do not belong to it is gone.
        let joins_first = user && !self.joins.is_empty();
        Spawn {
            args: CloneArgs {
                // A cgroup namespace has its root where its maker is, so it is made after joining the cgroup.
                namespaces: new - Namespaces::CGROUP,
                cgroup: v2(&self.cgroup),
                ..CloneArgs::default()
            },
            intermediate: joins_first || joined.intersects(Namespaces::USER | Namespaces::PID),
            maps: user.then_some((&*namespaces.uids, &*namespaces.gids)),
        }
    }

    fn make(&self, spawn: &Spawn<'_>) -> Result<spawn::Made, LaunchError> {
        let plan = &*self.plan;
        let layout = Layout {
            plan,
            rootfs: self.rootfs.as_fd(),
            sources: &borrow_mounts(&self.sources),
            devices: &borrow_mounts(&self.devices),
            null: self.null.as_fd(),
            cgroup_namespace: self.cgroup_namespace.as_fd(),
            sets_attributes: self.sets_attributes,
        };
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
            waits_for_go: spawn.intermediate || spawn.maps.is_some(),
            joined_outside: spawn.intermediate,
            becomes_root: plan.namespaces.separate(Namespaces::USER),
            gate: self.extras.borrow_gate(),
            outlives: self.extras.outlives,
            preserved: &self.extras.borrow_preserved(),
        };
        let explain = |record| LaunchError::Step(plan.explain(record));
        let process = spawn::make(spawn, &job, &channel, &explain)?;
        drop(theirs);
        spawn::wait_until_ready(spawn, process, channel, &explain)
    }
}

fn borrow_mounts(mounts: &[Option<Detached>]) -> Vec<Option<BorrowedFd<'_>>> {
    mounts.iter().map(|mount| mount.as_ref().map(AsFd::as_fd)).collect()
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
    }
}

fn check_joins(plan: &Plan, joins: &[(Namespaces, OwnedFd)]) -> Result<(), LaunchError> {
    let given = joins.iter().fold(Namespaces::empty(), |all, (which, _)| all | *which);
    if given == plan.namespaces.joined {
        return Ok(());
    }
    let reason = "the plan joins other namespaces than the descriptors are for";
    Err(LaunchError::Mismatch { object: "namespaces".to_owned(), reason })
}

/// The root as a mount of its own that propagates nothing.
fn root(host: &Host, rootfs: Rootfs) -> Result<Detached, LaunchError> {
    let failed = |errno| LaunchError::new("bind", "root file system", errno);
    let mount = match rootfs {
        Rootfs::Detached(fd) => return Ok(Detached::from_fd(above_stdio(fd)?)),
        Rootfs::Directory(fd) => Detached::clone_of(fd, Extent::Tree).map_err(failed)?,
    };
    if host.sets_attributes {
        let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
        mount.set(Extent::Tree, &change).map_err(failed)?;
    }
    Ok(Detached::from_fd(above_stdio(mount.into_fd())?))
}

fn bind_sources(
    host: &Host,
    mounts: &[MountPlan],
    sources: Vec<Option<Source>>,
) -> Result<Vec<Option<Detached>>, LaunchError> {
    let mut sources = sources.into_iter();
    let mut user_namespaces = Vec::new();
    let mut prepare = |mount: &MountPlan| {
        let source = sources.next().flatten();
        let object = || format!("mount {:?}", mount.target.to_string_lossy());
        match (&mount.kind, source) {
            (MountKind::Bind(bind), Some(source)) => {
                bind_source(host, bind, source, &mut user_namespaces, &object()).map(Some)
            }
            (MountKind::Bind(_), None) => {
                let reason = "its source was not given";
                Err(LaunchError::Mismatch { object: object(), reason })
            }
            (_, None) => Ok(None),
            (_, Some(_)) => {
                let reason = "a source was given for a file system that the kernel makes";
                Err(LaunchError::Mismatch { object: object(), reason })
            }
        }
    };
    mounts.iter().map(&mut prepare).collect()
}

/// The namespace files of id maps that were made already, since several mounts often have the same maps.
type UserNamespaces = Vec<(IdmapPlan, OwnedFd)>;

fn bind_source(
    host: &Host,
    bind: &BindPlan,
    source: Source,
    user_namespaces: &mut UserNamespaces,
    object: &str,
) -> Result<Detached, LaunchError> {
    let failed = |errno: Errno| LaunchError::new("prepare", object, errno);
    let mount = match source {
        Source::File(fd) => Detached::clone_of(fd, bind.extent).map_err(failed)?,
        Source::Detached(fd) => Detached::from_fd(fd),
    };
    if !host.sets_attributes {
        // The child sets what it can once the mount is attached.
        check_old_kernel(bind, object)?;
        return Ok(Detached::from_fd(above_stdio(mount.into_fd())?));
    }
    if let Some(idmap) = &bind.idmap {
        let namespace = user_namespace(idmap, user_namespaces, object)?;
        let change = Change { idmap: Some(namespace), ..Change::default() };
        mount.set(idmap.extent, &change).map_err(failed)?;
    }
    set_attributes(bind, &mount).map_err(failed)?;
    Ok(Detached::from_fd(above_stdio(mount.into_fd())?))
}

/// Propagation and attributes of a bind mount's copy.
fn set_attributes(bind: &BindPlan, mount: &Detached) -> Result<(), Errno> {
    // The copy of a shared mount is shared too: left so, what is mounted in the container would appear on the host.
    let (propagation, extent) = bind.propagation;
    let tree = bind.tree;
    let change = Change { set: tree.set, clear: tree.clear, ..Change::default() };
    if extent == Extent::Tree {
        let change = Change { propagation: Some(propagation), ..change };
        mount.set(Extent::Tree, &change)?;
    } else {
        let private = Change { propagation: Some(Propagation::Private), ..change };
        mount.set(Extent::Tree, &private)?;
        let change = Change { propagation: Some(propagation), ..Change::default() };
        mount.set(Extent::Mount, &change)?;
    }
    if !bind.own.set.is_empty() || !bind.own.clear.is_empty() {
        let change = Change { set: bind.own.set, clear: bind.own.clear, ..Change::default() };
        mount.set(Extent::Mount, &change)?;
    }
    Ok(())
}

/// What cannot be had without mount_setattr.
fn check_old_kernel(bind: &BindPlan, object: &str) -> Result<(), LaunchError> {
    let feature = match (&bind.idmap, bind.tree == AttrChange::default()) {
        (None, true) => return Ok(()),
        (Some(_), _) => "an idmapped mount",
        (None, false) => "a recursively changed mount",
    };
    Err(LaunchError::OldKernel { object: object.to_owned(), feature })
}

fn user_namespace<'n>(
    idmap: &IdmapPlan,
    known: &'n mut UserNamespaces,
    object: &str,
) -> Result<BorrowedFd<'n>, LaunchError> {
    let at =
        match known.iter().position(|(maps, _)| maps.uids == idmap.uids && maps.gids == idmap.gids)
        {
            Some(at) => at,
            None => {
                let ranges = |maps: &[IdMap]| maps.iter().map(id_range).collect::<Vec<_>>();
                let made = userns::with_maps(&ranges(&idmap.uids), &ranges(&idmap.gids));
                let failed = |e: mounts::Error| {
                    LaunchError::new("map ids of", object, e.errno().unwrap_or(Errno::IO))
                };
                known.push((idmap.clone(), made.map_err(failed)?));
                known.len() - 1
            }
        };
    Ok(known[at].1.as_fd())
}

pub(crate) fn id_range(map: &IdMap) -> IdRange {
    IdRange { inside: map.inside, outside: map.outside, count: map.count }
}

/// The host's node of the same path, for a container that cannot make nodes; it must be the device that is meant.
fn host_device(device: &DevicePlan) -> Result<Option<Detached>, LaunchError> {
    if !device.bind {
        return Ok(None);
    }
    let path = device.path.to_string_lossy();
    let failed = |errno| LaunchError::new("bind device", path.clone(), errno);
    let kind = match device.kind {
        DeviceKind::Character => FileType::CharacterDevice,
        DeviceKind::Block => FileType::BlockDevice,
        DeviceKind::Fifo => FileType::Fifo,
    };
    let node = open_device(&device.path, kind, (device.major, device.minor)).map_err(failed)?;
    // Nothing can be mounted below a node, so its propagation does not matter.
    let mount = Detached::clone_of(node, Extent::Mount).map_err(failed)?;
    above_stdio(mount.into_fd()).map(Detached::from_fd).map(Some)
}
