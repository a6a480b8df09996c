//! The group of one container.

use crate::devices::{self, Policy};
use crate::dir::Dir;
use crate::layout::{Kind, Mode};
use crate::parent::Parent;
use crate::settings::{self, Missing, Setting, Version};
use crate::{CgroupError, Resources};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use spec::oci::DeviceRule;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use sys::bpf::{self, AttachMode};

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
    versions: Vec<(&'static str, Version)>,
}

/// The controllers of which a group must know where they are when limits change.
const KNOWN: [&str; 11] = [
    "cpuset", "cpu", "memory", "pids", "blkio", "io", "hugetlb", "rdma", "net_cls", "net_prio",
    "devices",
];

impl Group {
    pub(crate) fn new(
        parent: &Parent,
        name: &str,
        dirs: Vec<(Kind, Dir)>,
    ) -> Result<Self, CgroupError> {
        let parents = parent.hierarchies.iter().map(|(_, dir)| dir.duplicate());
        let version = |name: &'static str| parent.version(name).map(|version| (name, version));
        Ok(Self {
            mode: parent.mode,
            dirs,
            name: name.to_owned(),
            parents: parents.collect::<Result<_, _>>()?,
            parent_name: parent
                .hierarchies
                .first()
                .map(|(_, dir)| dir.name.clone())
                .unwrap_or_default(),
            versions: KNOWN.into_iter().filter_map(version).collect(),
        })
    }

    /// The name, without those of the groups above.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names from the base down, as `docker/<id>`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.parent_name, self.name)
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

    /// Changes the limits of a group that may have processes. Fields that are not set stay as they are. When a write
    /// fails, those before it hold.
    pub fn update(&self, resources: &Resources) -> Result<(), CgroupError> {
        let version = |name: &str| {
            self.versions.iter().find(|(other, _)| *other == name).map(|(_, version)| *version)
        };
        let mut settings = settings::plan(&self.path(), resources, &version)?;
        if self.mode == Mode::V2 {
            self.keep_quota(resources, &mut settings)?;
        }
        self.apply(&settings)?;
        self.set_devices(&resources.devices)
    }

    /// A new period without a quota must not lift the quota, which is in the same file.
    fn keep_quota(
        &self,
        resources: &Resources,
        settings: &mut [Setting],
    ) -> Result<(), CgroupError> {
        let quota = resources.cpu.as_ref().and_then(|cpu| cpu.quota).filter(|quota| *quota != 0);
        let setting = settings.iter_mut().find(|setting| setting.file == "cpu.max");
        if let (None, Some(setting), Some(dir)) = (quota, setting, self.v2()) {
            let current = dir.read("cpu.max")?;
            let quota = current.split_whitespace().next().unwrap_or("max");
            setting.value = setting.value.replacen("max", quota, 1);
        }
        Ok(())
    }

    fn dir_of(&self, setting: &Setting) -> Result<&Dir, CgroupError> {
        let dir = match setting.version {
            Version::V1 => self.v1(setting.controller),
            Version::V2 => self.v2(),
        };
        dir.ok_or_else(|| CgroupError::NoController {
            group: self.path(),
            file: setting.file.clone(),
            controller: setting.controller,
        })
    }

    /// Writes settings. Where two files limit each other (memory with memory and swap; quota, period and burst) the right
    /// order depends on their present values: what the kernel calls invalid is tried once more after all others.
    pub(crate) fn apply(&self, settings: &[Setting]) -> Result<(), CgroupError> {
        let mut again = Vec::new();
        for setting in settings {
            match self.apply_one(setting) {
                Err(CgroupError::Write { errno: Errno::INVAL, .. }) => again.push(setting),
                other => other?,
            }
        }
        again.into_iter().try_for_each(|setting| self.apply_one(setting))
    }

    fn apply_one(&self, setting: &Setting) -> Result<(), CgroupError> {
        let dir = self.dir_of(setting)?;
        let (mut file, mut value) = (&setting.file, &setting.value);
        let mut result = dir.try_write(file, value);
        if let (Err(Errno::NOENT), Some((other, text))) = (result, &setting.instead) {
            (file, value) = (other, text);
            result = dir.try_write(file, value);
        }
        match result {
            Err(Errno::NOENT | Errno::OPNOTSUPP) if setting.missing == Missing::Skip => Ok(()),
            Err(Errno::BUSY) if file == "memory.limit_in_bytes" => {
                let usage = dir.read("memory.usage_in_bytes")?.trim().parse().unwrap_or(0);
                Err(CgroupError::MemoryInUse { group: self.path(), limit: value.clone(), usage })
            }
            Err(errno) => Err(dir.write_error(file, value, errno)),
            Ok(()) => Ok(()),
        }
    }

    /// Sets which devices may be used; without rules everything stays as it is.
    pub(crate) fn set_devices(&self, rules: &[DeviceRule]) -> Result<(), CgroupError> {
        if rules.is_empty() {
            return Ok(());
        }
        let rules = devices::check(rules)?;
        if self.mode == Mode::V2 {
            let dir = self.v2().ok_or_else(|| self.no_devices())?;
            return self.attach_devices(dir, &rules);
        }
        let dir = self.v1("devices").ok_or_else(|| self.no_devices())?;
        let current = Policy::parse(&dir.read("devices.list")?);
        let mut open: Option<(&str, OwnedFd)> = None;
        for (file, line) in Policy::of(&rules)?.writes(current.as_ref()) {
            let failed = |errno| dir.write_error(file, &line, errno);
            let fd = match open.take() {
                Some((name, fd)) if name == file => fd,
                _ => dir.open_file(file, OFlags::WRONLY).map_err(failed)?,
            };
            rustix::io::retry_on_intr(|| rustix::io::write(&fd, line.as_bytes()))
                .map_err(failed)?;
            open = Some((file, fd));
        }
        Ok(())
    }

    fn no_devices(&self) -> CgroupError {
        CgroupError::NoController {
            group: self.path(),
            file: "devices.allow".into(),
            controller: "devices",
        }
    }

    /// Attaches the program for `rules`, in the place of the one that is there, if there is one: at no time is the group
    /// without any.
    pub(crate) fn attach_devices(
        &self,
        dir: &Dir,
        rules: &[devices::Rule],
    ) -> Result<(), CgroupError> {
        let attach = || {
            let program = bpf::load_device_program(&crate::program::compile(rules))?;
            let former = bpf::query_device_programs(dir)?;
            if let [only] = former[..] {
                return bpf::replace_device_program(dir, &program, bpf::program_by_id(only)?);
            }
            bpf::attach_device_program(dir, &program, AttachMode::Multi)?;
            former
                .into_iter()
                .try_for_each(|id| bpf::detach_device_program(dir, bpf::program_by_id(id)?))
        };
        attach().map_err(|source| CgroupError::DeviceProgram {
            group: self.path(),
            source: Box::new(source),
        })
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
