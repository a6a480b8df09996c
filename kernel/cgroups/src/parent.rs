//! The group above those of all containers.

use crate::dir::{self, Dir};
use crate::group::Group;
use crate::layout::{Kind, Mode};
use crate::places::Places;
use crate::settings;
use crate::{CgroupError, Resources};
use rustix::io::Errno;

/// The controllers that are handed down on v2, if the kernel has them.
const CONTROLLERS: [&str; 9] =
    ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc", "dmem"];

/// The group into which a v2 base's own processes move, since a group with controllers for the groups in it may have
/// no processes itself (cgroup-v2.rst, "no internal process constraint").
pub(crate) const LEAF: &str = "init";

/// How often the processes of a group are moved out of it before some controllers are done without.
const VACATE_TRIES: u32 = 20;

/// The group above those of all containers, prepared: on v2 the controllers are handed down (which can take 8 ms and is
/// therefore done once and not per container), on v1 `cpuset` has processors and memory nodes.
#[derive(Debug)]
pub struct Parent {
    pub(crate) mode: Mode,
    pub(crate) hierarchies: Vec<(Kind, Dir)>,
    /// The names from the bases down to here.
    names: Vec<String>,
    /// What this was prepared from, and is again when it has vanished.
    bases: Vec<(Kind, Dir)>,
    pub(crate) places: Places,
}

/// What groups below a [`Parent`] can limit. Found by looking for the kernel's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Memory.
    pub memory: bool,
    /// Swap.
    pub swap: bool,
    /// Swappiness (v1).
    pub swappiness: bool,
    /// Not ending a process when memory is exhausted (v1).
    pub oom_kill_disable: bool,
    /// Relative shares of processors.
    pub cpu_shares: bool,
    /// Processor time per period.
    pub cpu_quota: bool,
    /// Processor time for real-time threads (v1).
    pub cpu_realtime: bool,
    /// Which processors and memory nodes are used.
    pub cpuset: bool,
    /// The number of tasks.
    pub pids: bool,
    /// Relative shares of block devices.
    pub io_weight: bool,
    /// Bytes and operations per second of block devices.
    pub io_throttle: bool,
    /// Which devices are used.
    pub devices: bool,
}

impl Parent {
    pub(crate) fn prepare(
        mode: Mode,
        bases: &[(Kind, Dir)],
        names: &[&str],
    ) -> Result<Self, CgroupError> {
        let mut hierarchies = Vec::with_capacity(bases.len());
        for (kind, base) in bases {
            // On a hybrid host the v2 hierarchy is the service manager's, and which controllers it has is its affair.
            let hands_down = mode == Mode::V2;
            if hands_down {
                hand_down(base)?;
            }
            let mut group = base.share()?;
            for name in names {
                let below = group.create(name, true)?;
                if kind.has("cpuset") {
                    inherit_cpuset(&group, &below)?;
                    // The kernel itself then gives the groups in it what this one has; where it does not, the same is
                    // done group by group.
                    below.try_write("cgroup.clone_children", "1").unwrap_or_default();
                }
                if hands_down {
                    hand_down(&below)?;
                }
                group = below;
            }
            hierarchies.push((kind.clone(), group));
        }
        Self::of(mode, hierarchies, bases, names)
    }

    /// Opens the group that has the path `names` below each base; hierarchies that do not have it are left out.
    pub(crate) fn find(
        mode: Mode,
        bases: &[(Kind, Dir)],
        names: &[&str],
    ) -> Result<Option<Self>, CgroupError> {
        let mut hierarchies = Vec::with_capacity(bases.len());
        for (kind, base) in bases {
            let mut group = Some(base.share()?);
            for name in names {
                group = group.map(|above| above.open(name)).transpose()?.flatten();
            }
            hierarchies.extend(group.map(|group| (kind.clone(), group)));
        }
        (!hierarchies.is_empty()).then(|| Self::of(mode, hierarchies, bases, names)).transpose()
    }

    fn of(
        mode: Mode,
        hierarchies: Vec<(Kind, Dir)>,
        bases: &[(Kind, Dir)],
        names: &[&str],
    ) -> Result<Self, CgroupError> {
        let unified = hierarchies.iter().find(|(kind, _)| *kind == Kind::V2);
        let handed_down = unified.and_then(|(_, dir)| dir.try_read("cgroup.subtree_control").ok());
        let kinds = hierarchies.iter().map(|(kind, _)| kind);
        let places = Places::new(mode == Mode::V2, kinds, &handed_down.unwrap_or_default());
        let share = |(kind, dir): &(Kind, Dir)| Ok((kind.clone(), dir.share()?));
        let bases = bases.iter().map(share).collect::<Result<_, CgroupError>>()?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { mode, hierarchies, names, bases, places })
    }

    /// The version of the hierarchy in which `controller` is, for groups below this one.
    pub(crate) fn version(&self, controller: &str) -> Option<settings::Version> {
        self.places.version(controller)
    }

    /// Makes the group `name` and writes all limits. When one cannot be written, nothing remains. A group that exists is
    /// an error. When somebody has removed this parent, it is made anew first.
    pub fn create(&self, name: &str, resources: &Resources) -> Result<Group, CgroupError> {
        self.or_anew(&|parent| parent.create_here(name, resources))
    }

    /// As [`Self::create`], but a group that exists is taken as it is if it has no processes and is not frozen: a path
    /// that a bundle names may have been prepared by somebody else. When a limit cannot be written, a group that was
    /// there before stays.
    pub fn create_or_take(&self, name: &str, resources: &Resources) -> Result<Group, CgroupError> {
        match self.create(name, resources) {
            Err(CgroupError::Create { errno: Errno::EXIST, .. }) => {}
            other => return other,
        }
        let group = self.or_anew(&|parent| parent.take(name))?;
        if let Some(pid) = group.pids()?.first() {
            return Err(CgroupError::Occupied { group: group.path(), pid: *pid });
        }
        if group.is_frozen().unwrap_or(false) {
            return Err(CgroupError::Frozen { group: group.path() });
        }
        group.update(resources)?;
        Ok(group)
    }

    /// Does something here or, where this directory was removed meanwhile, in a new one of its names: nothing can be made
    /// in a removed one any more.
    fn or_anew(
        &self,
        make: &dyn Fn(&Self) -> Result<Group, CgroupError>,
    ) -> Result<Group, CgroupError> {
        match make(self) {
            Err(CgroupError::Create { errno: Errno::NOENT | Errno::NODEV, .. })
                if !self.names.is_empty() =>
            {
                let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
                make(&Self::prepare(self.mode, &self.bases, &names)?)
            }
            other => other,
        }
    }

    fn create_here(&self, name: &str, resources: &Resources) -> Result<Group, CgroupError> {
        dir::check_name(name)?;
        let settings =
            settings::plan(&self.path_of(name), resources, &|controller| self.version(controller))?;
        let mut made = Vec::with_capacity(self.hierarchies.len());
        self.create_dirs(name, &mut made)?;
        let group = Group::new(self, name, made)?;
        let limited = group.apply(&settings).and_then(|()| group.set_devices(&resources.devices));
        if let Err(error) = limited {
            // The group never had a process, so that this does not fail.
            for (_, parent) in &self.hierarchies {
                parent.remove(name).unwrap_or_default();
            }
            return Err(error);
        }
        Ok(group)
    }

    /// Opens the group `name` in all hierarchies, and makes it where it is not.
    fn take(&self, name: &str) -> Result<Group, CgroupError> {
        let mut dirs = Vec::with_capacity(self.hierarchies.len());
        for (kind, parent) in &self.hierarchies {
            let dir = parent.create(name, true)?;
            if kind.has("cpuset") {
                inherit_cpuset(parent, &dir)?;
            }
            dirs.push((kind.clone(), dir));
        }
        Group::new(self, name, dirs)
    }

    fn path_of(&self, name: &str) -> String {
        let parent = self.hierarchies.first().map(|(_, dir)| dir.name.as_str());
        match parent {
            None | Some("") => name.to_owned(),
            Some(parent) => format!("{parent}/{name}"),
        }
    }

    fn create_dirs(&self, name: &str, made: &mut Vec<(Kind, Dir)>) -> Result<(), CgroupError> {
        for (kind, parent) in &self.hierarchies {
            let group = parent.create(name, false).and_then(|group| {
                if kind.has("cpuset") {
                    inherit_cpuset(parent, &group)?;
                }
                Ok(group)
            });
            match group {
                Ok(group) => made.push((kind.clone(), group)),
                Err(error) => {
                    // Only what was made here is undone: an existing group is somebody's.
                    let own = usize::from(!matches!(error, CgroupError::Create { .. }));
                    for (_, above) in self.hierarchies.iter().take(made.len() + own) {
                        above.remove(name).unwrap_or_default();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Opens the group `name`; `None` when no hierarchy has it. A group that only some have is opened in those, so that
    /// it can be removed.
    pub fn open(&self, name: &str) -> Result<Option<Group>, CgroupError> {
        dir::check_name(name)?;
        let mut found = Vec::with_capacity(self.hierarchies.len());
        for (kind, parent) in &self.hierarchies {
            found.extend(parent.open(name)?.map(|dir| (kind.clone(), dir)));
        }
        if found.is_empty() { Ok(None) } else { Group::new(self, name, found).map(Some) }
    }

    /// Whether any hierarchy has the group `name`.
    pub fn exists(&self, name: &str) -> Result<bool, CgroupError> {
        dir::check_name(name)?;
        Ok(self.hierarchies.iter().any(|(_, parent)| parent.has(name)))
    }

    /// The names of all groups here, of any hierarchy; for finding what a killed engine left behind.
    pub fn groups(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = Vec::new();
        for (_, parent) in &self.hierarchies {
            names.extend(parent.children()?);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Removes this group itself, which must have no groups in it.
    pub fn remove(self) -> Result<(), CgroupError> {
        for (_, dir) in &self.hierarchies {
            let path = dir.name.rsplit('/').next().unwrap_or_default();
            // The directory above is the only way to name this one for removal.
            let above =
                rustix::fs::openat(dir, "..", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty());
            let removed = above.and_then(|above| {
                rustix::fs::unlinkat(&above, path, rustix::fs::AtFlags::REMOVEDIR)
            });
            removed.map_err(|errno| CgroupError::Remove { group: dir.name.clone(), errno })?;
        }
        Ok(())
    }

    /// What can be limited here.
    pub fn features(&self) -> Features {
        let has = |file: &str| self.hierarchies.iter().any(|(_, dir)| dir.has(file));
        Features {
            memory: has("memory.limit_in_bytes") || has("memory.max"),
            swap: has("memory.memsw.limit_in_bytes") || has("memory.swap.max"),
            swappiness: has("memory.swappiness"),
            oom_kill_disable: has("memory.oom_control"),
            cpu_shares: has("cpu.shares") || has("cpu.weight"),
            cpu_quota: has("cpu.cfs_quota_us") || has("cpu.max"),
            cpu_realtime: has("cpu.rt_runtime_us"),
            cpuset: has("cpuset.cpus"),
            pids: has("pids.max"),
            io_weight: ["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"]
                .into_iter()
                .any(has),
            io_throttle: has("blkio.throttle.read_bps_device") || has("io.max"),
            devices: has("devices.allow") || self.mode == Mode::V2,
        }
    }
}

/// Asks for all controllers in the groups of one that belongs to somebody else: what is refused is refused.
pub(crate) fn ask_down(group: &Dir) {
    for name in missing_controllers(group).unwrap_or_default() {
        group.try_write("cgroup.subtree_control", &format!("+{name}")).unwrap_or_default();
    }
}

/// Hands the controllers of a v2 group down to the groups in it.
fn hand_down(group: &Dir) -> Result<(), CgroupError> {
    let wanted = missing_controllers(group)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = wanted.iter().map(|name| format!("+{name}")).collect();
    for _ in 0..VACATE_TRIES {
        match group.try_write("cgroup.subtree_control", &all.join(" ")) {
            Ok(()) => return Ok(()),
            // Those that were born while the others were moved are moved next time.
            Err(Errno::BUSY) => vacate(group)?,
            Err(_) => break,
        }
    }
    // One that cannot be handed down (cpuset in a threaded tree, cpu with real-time processes) must not keep the others
    // from it; a limit that needs it says so later.
    for name in &all {
        group.try_write("cgroup.subtree_control", name).unwrap_or_default();
    }
    Ok(())
}

fn missing_controllers(group: &Dir) -> Result<Vec<String>, CgroupError> {
    let available = group.read("cgroup.controllers")?;
    let enabled = group.read("cgroup.subtree_control")?;
    let is_enabled = |name: &str| enabled.split_whitespace().any(|other| other == name);
    let wanted =
        available.split_whitespace().filter(|name| CONTROLLERS.contains(name) && !is_enabled(name));
    Ok(wanted.map(str::to_owned).collect())
}

/// Moves the processes of a v2 group, ourselves and what was started beside us, into a group of its own in it.
fn vacate(group: &Dir) -> Result<(), CgroupError> {
    let leaf = group.create(LEAF, true)?;
    for pid in group.read("cgroup.procs")?.lines() {
        match leaf.try_write("cgroup.procs", pid) {
            // A process that ended meanwhile, or a kernel thread.
            Ok(()) | Err(Errno::SRCH | Errno::INVAL) => {}
            Err(errno) => return Err(leaf.write_error("cgroup.procs", pid, errno)),
        }
    }
    Ok(())
}

/// A v1 `cpuset` begins empty, and nothing can join it until it has processors and memory nodes.
pub(crate) fn inherit_cpuset(parent: &Dir, group: &Dir) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if group.read(file)?.trim().is_empty() {
            group.write(file, parent.read(file)?.trim())?;
        }
    }
    Ok(())
}
