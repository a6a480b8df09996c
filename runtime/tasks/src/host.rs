//! What is opened, compiled and probed once, before the first request; forked children find it in their memory.

use crate::filters::Filters;
use crate::view;
use cgroups::{Layout, Parent};
use plan::CgroupView;
use policy::Policy;
use rustix::fs::{FileType, Mode, OFlags};
use shim::TaskRoot;
use spec::Failure;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What the task worker is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory for run-time state; below it is `task` ([`shim::TaskRoot`]).
    pub exec_root: PathBuf,
    /// The directory of persistent state, in which volumes and the engine's own files for containers lie.
    pub data_root: PathBuf,
    /// The policy; without it the default place is looked at.
    pub policy: Option<PathBuf>,
    /// The program that is the first process with `--init`.
    pub init: PathBuf,
    /// The group above those of containers that name none.
    pub cgroup_parent: String,
}

/// Why the worker cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A directory or file cannot be opened.
    #[error("open {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `/dev/null` is something else.
    #[error("open /dev/null: it is not the null device")]
    Null,
    /// The records of tasks.
    #[error("open records of tasks")]
    Records(#[from] shim::StateError),
    /// Cgroups.
    #[error("prepare cgroups")]
    Cgroups(#[from] cgroups::CgroupError),
    /// What launching needs.
    #[error("prepare launches")]
    Launch(#[from] launch::LaunchError),
    /// The policy.
    #[error("load policy")]
    Policy(#[from] policy::PolicyError),
    /// A system call.
    #[error("set up worker")]
    System(#[from] sys::Error),
    /// The default system call filter.
    #[error("compile default seccomp profile: {0}")]
    Filter(Failure),
}

/// All of it.
#[derive(Debug)]
pub struct Host {
    /// Where tasks are recorded.
    pub tasks: TaskRoot,
    /// What the administrator allows.
    pub policy: Policy,
    /// The directory of persistent state, without links in its path.
    pub data_root: PathBuf,
    /// Compiled system call filters.
    pub filters: Filters,
    /// What launching needs: rights, and the null device that covers files.
    pub launch: launch::Host,
    /// What a container sees of cgroup file systems.
    pub view: CgroupView,
    /// `/dev/null`, verified: the stdin of most processes.
    pub null: OwnedFd,
    /// The init program, if it is installed.
    pub init: Option<OwnedFd>,
    layout: Layout,
    parent: Parent,
    parent_name: String,
    worker: Option<rustix::process::Pid>,
}

impl Host {
    /// Opens, compiles and probes.
    pub fn prepare(settings: &Settings) -> Result<Self, HostError> {
        let failed =
            |path: &Path, source: std::io::Error| HostError::Open { path: path.to_owned(), source };
        std::fs::create_dir_all(&settings.exec_root)
            .map_err(|source| failed(&settings.exec_root, source))?;
        let exec_root = std::fs::File::open(&settings.exec_root)
            .map_err(|source| failed(&settings.exec_root, source))?;
        let policy = settings.policy.as_deref().unwrap_or(Path::new(policy::DEFAULT_PATH));
        let mountinfo = Path::new("/proc/self/mountinfo");
        let mountinfo =
            std::fs::read_to_string(mountinfo).map_err(|source| failed(mountinfo, source))?;
        let layout = Layout::detect()?;
        let parent = layout.parent(&settings.cgroup_parent)?;
        Ok(Self {
            tasks: TaskRoot::open(&exec_root)?,
            policy: Policy::load(policy)?,
            data_root: crate::origin::resolved(&settings.data_root),
            filters: Filters::prepare().map_err(HostError::Filter)?,
            launch: launch::Host::open()?,
            view: view::view(&mountinfo),
            null: open_null()?,
            // Without it only `--init` fails, by a sentence that names the file.
            init: std::fs::File::open(&settings.init).ok().map(OwnedFd::from),
            layout,
            parent,
            parent_name: settings.cgroup_parent.clone(),
            worker: Some(rustix::process::getpid()),
        })
    }

    /// In a child that has claimed an id by locking its record: whether the worker still lived then. Otherwise the engine
    /// may have had the record removed before there was one, and nobody would look for it again.
    pub fn is_current(&self) -> bool {
        rustix::process::getppid() == self.worker
    }

    /// How the host mounts cgroups.
    pub fn cgroup_mode(&self) -> cgroups::Mode {
        self.layout.mode()
    }

    /// The name of the group above those of containers that name none.
    pub fn default_parent(&self) -> &str {
        &self.parent_name
    }

    /// Does something with the group of this name above those of containers.
    pub fn with_parent<T>(
        &self,
        name: &str,
        action: impl FnOnce(&Parent) -> Result<T, cgroups::CgroupError>,
    ) -> Result<T, cgroups::CgroupError> {
        if name == self.parent_name {
            return action(&self.parent);
        }
        action(&self.layout.parent(name)?)
    }
}

fn open_null() -> Result<OwnedFd, HostError> {
    let path = Path::new("/dev/null");
    let failed =
        |errno: rustix::io::Errno| HostError::Open { path: path.to_owned(), source: errno.into() };
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let null = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    let status = rustix::fs::fstat(&null).map_err(failed)?;
    let is_null = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice
        && status.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(null) } else { Err(HostError::Null) }
}
