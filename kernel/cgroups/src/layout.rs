//! Which hierarchies the host has.

use crate::dir::{self, Dir};
use crate::mountinfo::{self, Mounted};
use crate::parent::LEAF;
use crate::{CgroupError, Parent};
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
}

impl Layout {
    /// Finds the hierarchies and opens our own group in each.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::detect_at(Base::Own)
    }

    /// Finds the hierarchies and opens `base` in each.
    pub fn detect_at(base: Base) -> Result<Self, CgroupError> {
        let mountinfo = read_proc("/proc/self/mountinfo")?;
        let own = read_proc("/proc/self/cgroup")?;
        let mut hierarchies = Vec::new();
        for mounted in mountinfo::parse_mounts(&mountinfo) {
            hierarchies.extend(open_hierarchy(mounted, &own, base)?);
        }
        Self::of(hierarchies)
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
        Ok(Self { mode, hierarchies })
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
}

fn names(path: &str) -> Result<Vec<&str>, CgroupError> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.iter().try_for_each(|name| dir::check_name(name))?;
    Ok(names)
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
) -> Result<Option<(Kind, Dir)>, CgroupError> {
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
    if base == Base::Own {
        let path = mountinfo::own_group(own, mounted.controllers.as_deref()).unwrap_or("/");
        let top = rustix::fs::access(&mounted.point, Access::WRITE_OK).is_ok();
        let names = mountinfo::relative(path, &mounted.root);
        for name in mountinfo::base(&names, LEAF, top) {
            match dir.open(name)? {
                Some(below) => dir = below,
                None => break,
            }
        }
        dir.name.clear();
    }
    Ok(Some((kind, dir)))
}
