//! The group of one container.

use crate::CgroupError;
use crate::dir::{self, Dir};
use crate::layout::{Kind, Mode};
use crate::parent::Parent;
use crate::places::Places;
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How a process comes into a group.
#[derive(Debug)]
pub enum Join {
    /// v2: give the directory to `clone3` with `CLONE_INTO_CGROUP`.
    V2(OwnedFd),
    /// v1: the new process, while it has one thread, writes `0` to each of `tasks`. The kernel checks the rights of who
    /// opened the files, so that the process needs none.
    V1 {
        /// The open `tasks` files, one for each hierarchy.
        tasks: Vec<OwnedFd>,
        /// On a hybrid host the directory for `CLONE_INTO_CGROUP`.
        unified: Option<OwnedFd>,
    },
}

/// The group of one container, open in every hierarchy.
#[derive(Debug)]
pub struct Group {
    pub(crate) mode: Mode,
    pub(crate) dirs: Vec<(Kind, Dir)>,
    name: String,
    parents: Vec<OwnedFd>,
    parent_name: String,
    pub(crate) places: Places,
}

impl Group {
    pub(crate) fn new(
        parent: &Parent,
        name: &str,
        dirs: Vec<(Kind, Dir)>,
    ) -> Result<Self, CgroupError> {
        let parents = parent.hierarchies.iter().map(|(_, dir)| dir.duplicate());
        let above = parent.hierarchies.first().map(|(_, dir)| dir.name.as_str());
        Ok(Self::of(
            parent.mode,
            name,
            above.unwrap_or_default(),
            dirs,
            parents.collect::<Result<_, _>>()?,
            parent.places.clone(),
        ))
    }

    /// A group of open directories; `parents` are those in which it can be removed.
    pub(crate) fn of(
        mode: Mode,
        name: &str,
        above: &str,
        dirs: Vec<(Kind, Dir)>,
        parents: Vec<OwnedFd>,
        places: Places,
    ) -> Self {
        let (name, parent_name) = (name.to_owned(), above.to_owned());
        Self { mode, dirs, name, parents, parent_name, places }
    }

    /// The name, without those of the groups above.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names from the base down, as `docker/<id>`.
    pub fn path(&self) -> String {
        if self.parent_name.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.parent_name, self.name)
        }
    }

    pub(crate) fn v1(&self, controller: &str) -> Option<&Dir> {
        self.dirs.iter().find(|(kind, _)| kind.has(controller)).map(|(_, dir)| dir)
    }

    pub(crate) fn v2(&self) -> Option<&Dir> {
        self.dirs.iter().find(|(kind, _)| *kind == Kind::V2).map(|(_, dir)| dir)
    }

    /// What a new process needs in order to come into the group. It remains valid for any number of processes.
    pub fn join(&self) -> Result<Join, CgroupError> {
        let unified = self.v2().map(Dir::duplicate).transpose()?;
        if self.mode == Mode::V2 {
            let open = CgroupError::Open { group: self.path(), errno: Errno::NOENT };
            return unified.map(Join::V2).ok_or(open);
        }
        let v1 = self.dirs.iter().filter(|(kind, _)| *kind != Kind::V2);
        let tasks = v1.map(|(_, dir)| {
            dir.open_file("tasks", OFlags::WRONLY)
                .map_err(|errno| dir.write_error("tasks", "0", errno))
        });
        Ok(Join::V1 { tasks: tasks.collect::<Result<_, _>>()?, unified })
    }

    /// The group at `path` in this one, to join it: for a process that is to run beside the container's first one, with
    /// limits of its own. Where `controllers` are named, in their v1 hierarchies only, and in the others this one. It
    /// must exist; removing it is the affair of who has made it.
    pub fn below(&self, path: &str, controllers: &[&str]) -> Result<Self, CgroupError> {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        names.iter().try_for_each(|name| dir::check_name(name))?;
        let missing = |dir: &Dir, name: &str| CgroupError::Open {
            group: format!("{}/{name}", dir.name),
            errno: Errno::NOENT,
        };
        let mut dirs = Vec::with_capacity(self.dirs.len());
        for (kind, dir) in &self.dirs {
            let mut dir = dir.share()?;
            if controllers.is_empty() || controllers.iter().any(|name| kind.has(name)) {
                for name in &names {
                    dir = dir.open(name)?.ok_or_else(|| missing(&dir, name))?;
                }
            }
            dirs.push((kind.clone(), dir));
        }
        if let Some(other) =
            controllers.iter().find(|name| !self.dirs.iter().any(|(kind, _)| kind.has(name)))
        {
            return Err(CgroupError::NoController {
                group: self.path(),
                file: path.chars().take(80).collect(),
                controller: (*other).to_owned(),
            });
        }
        let name = names.last().copied().unwrap_or(&self.name);
        Ok(Self::of(self.mode, name, &self.path(), dirs, Vec::new(), self.places.clone()))
    }

    /// Moves the process `pid` with all its threads into the group. It waits for the kernel up to 20 ms: what we start
    /// ourselves is born in its group ([`Self::join`]); this is for what somebody else has started.
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        let pid = pid.to_string();
        self.dirs.iter().try_for_each(|(_, dir)| dir.write("cgroup.procs", &pid))
    }

    /// The processes in the group and the groups in it, as this process's pid namespace numbers them.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        // A process in the midst of joining is in some hierarchies only: all are read.
        for (_, dir) in &self.dirs {
            dir.walk(&mut |dir| {
                let procs = dir.read_if_there("cgroup.procs")?.unwrap_or_default();
                pids.extend(
                    procs
                        .lines()
                        .filter_map(|line| line.parse::<i32>().ok())
                        .filter(|pid| *pid > 0),
                );
                Ok(())
            })?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Whether the group has no process.
    pub fn is_empty(&self) -> Result<bool, CgroupError> {
        Ok(self.pids()?.is_empty())
    }

    /// Removes the group if it has neither processes nor groups in it, which the kernel itself judges: the short way after
    /// the end of a container. Answers whether it is gone; where it is not, a part of it may be.
    pub fn remove_empty(&self) -> bool {
        self.parents.iter().all(|parent| {
            let removed = rustix::fs::unlinkat(parent, self.name.as_str(), AtFlags::REMOVEDIR);
            matches!(removed, Ok(()) | Err(Errno::NOENT))
        })
    }

    /// Removes the group and all groups in it. A process that has just ended can keep the group busy for a moment: this
    /// tries again until `within` has passed, and then says what stands against it. A group that is gone is success.
    pub fn delete(&self, within: Duration) -> Result<(), CgroupError> {
        let end = Instant::now() + within;
        let mut pause = Duration::from_micros(200);
        loop {
            match self.remove_once() {
                Ok(()) => return Ok(()),
                Err(Errno::BUSY | Errno::NOTEMPTY) if Instant::now() < end => {}
                Err(errno) => return Err(CgroupError::Remove { group: self.path(), errno }),
            }
            std::thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// Tries every hierarchy, also when one fails, so that as little as possible remains.
    fn remove_once(&self) -> Result<(), Errno> {
        let mut result = Ok(());
        for parent in &self.parents {
            let parent = rustix::io::fcntl_dupfd_cloexec(parent, 3)?;
            result = result.and(Dir::from_fd(parent, "").remove(&self.name));
        }
        result
    }
}
