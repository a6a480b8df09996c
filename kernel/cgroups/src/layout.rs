//! Which hierarchies the host has.

use crate::dir::{self, Dir};
use crate::mountinfo::{self, Mounted};
use crate::parent::LEAF;
use crate::places::Places;
use crate::{CgroupError, Group, Parent};
use rustix::fs::Access;
use std::io::Read;

/// The most that is read of a file of /proc.
const MAX_PROC: u64 = 4 << 20;

/// Which of the three ways of mounting cgroups the host follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each controller in a hierarchy of its own; no v2 mount.
    V1,
    /// As v1, with a v2 hierarchy that has few controllers or none.
    Hybrid,
    /// One v2 hierarchy only.
    V2,
}

/// Below which group ours are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The group in which this process runs: what was delegated to us, or, for an engine in a container, the container's
    /// own. Nothing outside is touched. In a unit of systemd it is the top all the same, if that can be written.
    Own,
    /// The top of what is mounted.
    Top,
}

/// Version and controllers of one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    V1 { controllers: Vec<String> },
    V2,
}

impl Kind {
    pub(crate) fn has(&self, controller: &str) -> bool {
        matches!(self, Self::V1 { controllers } if controllers.iter().any(|other| other == controller))
    }
}

/// The hierarchies of this host, opened at the base.
#[derive(Debug)]
pub struct Layout {
    mode: Mode,
    hierarchies: Vec<(Kind, Dir)>,
    /// The path of each base in its hierarchy, as `/proc/PID/cgroup` has it.
    bases: Vec<String>,
}

impl Layout {
    /// Finds the hierarchies and opens our own group in each.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::detect_at(Base::Own)
    }

    /// Finds the hierarchies and opens `base` in each.
    pub fn detect_at(base: Base) -> Result<Self, CgroupError> {
        let own = if base == Base::Own { read_proc("/proc/self/cgroup")? } else { String::new() };
        Self::find(base, &own)
    }

    /// Finds the hierarchies and opens in each the group that `own` says, the content of some `/proc/PID/cgroup`: for
    /// who comes back to what another process made below its own group.
    pub fn detect_below(own: &str) -> Result<Self, CgroupError> {
        Self::find(Base::Own, own)
    }

    fn find(base: Base, own: &str) -> Result<Self, CgroupError> {
        let mountinfo = read_proc("/proc/self/mountinfo")?;
        let (mut hierarchies, mut bases) = (Vec::new(), Vec::new());
        for mounted in mountinfo::parse_mounts(&mountinfo) {
            if let Some((kind, dir, path)) = open_hierarchy(mounted, own, base)? {
                hierarchies.push((kind, dir));
                bases.push(path);
            }
        }
        Ok(Self { bases, ..Self::of(hierarchies)? })
    }

    /// A layout of directories that stand for hierarchies.
    pub(crate) fn of(hierarchies: Vec<(Kind, Dir)>) -> Result<Self, CgroupError> {
        let v1 = hierarchies.iter().any(|(kind, _)| *kind != Kind::V2);
        let v2 = hierarchies.iter().any(|(kind, _)| *kind == Kind::V2);
        let mode = match (v1, v2) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V1,
            (false, true) => Mode::V2,
            (false, false) => return Err(CgroupError::Detect("no cgroup file system is mounted")),
        };
        let bases = vec!["/".to_owned(); hierarchies.len()];
        Ok(Self { mode, hierarchies, bases })
    }

    /// Which way of mounting this is.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Opens the group under which those of all containers are, and makes and prepares it if need be. `path` has one
    /// or more names, as `docker` or `/pods/team-a`, or none for the base itself; a leading slash means nothing.
    pub fn parent(&self, path: &str) -> Result<Parent, CgroupError> {
        Parent::prepare(self.mode, &self.hierarchies, &names(path)?)
    }

    /// Opens the same group where it is, and makes nothing. `None`: no hierarchy has it.
    pub fn existing(&self, path: &str) -> Result<Option<Parent>, CgroupError> {
        Parent::find(self.mode, &self.hierarchies, &names(path)?)
    }

    /// Opens the group in which that at `path` is, and makes and prepares it if need be; answers also the name of that at
    /// `path`, which is not made.
    pub fn place<'a>(&self, path: &'a str) -> Result<(Parent, &'a str), CgroupError> {
        let mut names = names(path)?;
        let name = names.pop().ok_or_else(|| not_a_path(path))?;
        Ok((Parent::prepare(self.mode, &self.hierarchies, &names)?, name))
    }

    /// Opens the group at `path` in the hierarchies that have it, and makes nothing; `None`: no hierarchy has it. What is
    /// above it may be gone, too.
    pub fn open(&self, path: &str) -> Result<Option<Group>, CgroupError> {
        let names = names(path)?;
        self.open_at(&names, &|_| Some(names.clone()))
    }

    /// Opens the group in which the process `pid` is, hierarchy by hierarchy; `None`: it is in none below the base, or it
    /// has ended.
    pub fn group_of(&self, pid: i32) -> Result<Option<Group>, CgroupError> {
        let Ok(own) = read_proc(&format!("/proc/{pid}/cgroup")) else { return Ok(None) };
        let way = |at: usize| {
            let controllers = match &self.hierarchies[at].0 {
                Kind::V1 { controllers } => Some(controllers.as_slice()),
                Kind::V2 => None,
            };
            Some(mountinfo::relative(mountinfo::own_group(&own, controllers)?, &self.bases[at]))
        };
        let deepest = (0..self.bases.len()).filter_map(way).max_by_key(Vec::len);
        self.open_at(&deepest.unwrap_or_default(), &way)
    }

    /// Opens, below the bases, what `way` says for each hierarchy. `names` is the path for messages.
    fn open_at<'a>(
        &self,
        names: &[&str],
        way: &dyn Fn(usize) -> Option<Vec<&'a str>>,
    ) -> Result<Option<Group>, CgroupError> {
        let Some((name, above)) = names.split_last() else { return Ok(None) };
        let (mut dirs, mut parents, mut handed_down) = (Vec::new(), Vec::new(), String::new());
        for (at, (kind, base)) in self.hierarchies.iter().enumerate() {
            let Some(path) = way(at).filter(|path| !path.is_empty()) else { continue };
            let Some((parent, dir)) = descend(base, &path)? else { continue };
            if *kind == Kind::V2 {
                handed_down = parent.try_read("cgroup.subtree_control").unwrap_or_default();
            }
            parents.push(parent.duplicate()?);
            dirs.push((kind.clone(), dir));
        }
        if dirs.is_empty() {
            return Ok(None);
        }
        let v2_only = self.mode == Mode::V2;
        let kinds = self.hierarchies.iter().map(|(kind, _)| kind);
        let places = Places::new(v2_only, kinds, &handed_down);
        Ok(Some(Group::of(self.mode, name, &above.join("/"), dirs, parents, places)))
    }

    /// Takes over the group at `path` that a service manager has made, with a process in it: opens it in every hierarchy,
    /// makes it in those of which the manager knows nothing, and asks the groups above for all controllers. `None`: the
    /// manager's hierarchy does not have it. Processes are not moved.
    pub fn adopt(&self, path: &str) -> Result<Option<Group>, CgroupError> {
        let names = names(path)?;
        if self.open(path)?.is_none() {
            return Ok(None);
        }
        for (kind, base) in &self.hierarchies {
            let mut above = base.share()?;
            for name in &names {
                if *kind == Kind::V2 {
                    crate::parent::ask_down(&above);
                }
                above = match above.open(name)? {
                    Some(there) => there,
                    // On v2, and in the manager's own hierarchy, only the manager makes groups of units.
                    None if *kind == Kind::V2 || kind.has("name=systemd") => break,
                    None => {
                        let made = above.create(name, true)?;
                        if kind.has("cpuset") {
                            crate::parent::inherit_cpuset(&above, &made)?;
                        }
                        made
                    }
                };
            }
        }
        self.open(path)
    }
}

fn not_a_path(path: &str) -> CgroupError {
    CgroupError::Name(path.chars().take(80).collect())
}

/// The names of a path, checked.
fn names(path: &str) -> Result<Vec<&str>, CgroupError> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.iter().try_for_each(|name| dir::check_name(name))?;
    Ok(names)
}

/// The group at `path` below `base`, and the one above it; `None` when any is missing.
fn descend(base: &Dir, path: &[&str]) -> Result<Option<(Dir, Dir)>, CgroupError> {
    let mut parent = base.share()?;
    let Some((last, above)) = path.split_last() else { return Ok(None) };
    for name in above {
        match parent.open(name)? {
            Some(below) => parent = below,
            None => return Ok(None),
        }
    }
    Ok(parent.open(last)?.map(|dir| (parent, dir)))
}

fn read_proc(path: &str) -> Result<String, CgroupError> {
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_PROC).read_to_end(&mut text))
        .map_err(|_| CgroupError::Detect("/proc/self cannot be read"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn open_hierarchy(
    mounted: Mounted,
    own: &str,
    base: Base,
) -> Result<Option<(Kind, Dir, String)>, CgroupError> {
    let kind = match &mounted.controllers {
        None => Kind::V2,
        // A hierarchy without controllers is somebody's private bookkeeping, but systemd's: it takes every process in
        // a service's group there for a part of the service and ends it with the service.
        Some(controllers) => {
            if controllers.iter().all(|name| name.starts_with("name=") && name != "name=systemd") {
                return Ok(None);
            }
            Kind::V1 { controllers: controllers.clone() }
        }
    };
    let mut dir = Dir::open_path(&mounted.point, "")?;
    let mut at = mounted.root.trim_end_matches('/').to_owned();
    if base == Base::Own {
        let path = mountinfo::own_group(own, mounted.controllers.as_deref()).unwrap_or("/");
        let top = rustix::fs::access(&mounted.point, Access::WRITE_OK).is_ok();
        let names = mountinfo::relative(path, &mounted.root);
        for name in mountinfo::base(&names, LEAF, top) {
            match dir.open(name)? {
                Some(below) => dir = below,
                None => break,
            }
            at = format!("{at}/{name}");
        }
        dir.name.clear();
    }
    Ok(Some((kind, dir, at)))
}
