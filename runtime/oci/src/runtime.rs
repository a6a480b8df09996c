//! What every command knows: where containers are kept, and what was asked for globally.

use crate::root::{Entry, Root, file};
use crate::stages::Stages;
use crate::{Error, Id, Process, Record, State, Status};
use cgroups::Group;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where something that is not an error is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What is done.
    Debug,
    /// What was asked for and is not done.
    Warning,
}

/// Takes what is worth saying.
pub type Note = Box<dyn Fn(Level, &str)>;

/// Whether a missing right to make cgroups is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rootless {
    /// It is not.
    True,
    /// It is.
    False,
    /// It is for root of the machine.
    #[default]
    Auto,
}

/// What was asked for globally.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of all containers.
    pub root: PathBuf,
    /// Whether systemd makes cgroups.
    pub systemd_cgroup: bool,
    /// Whether cgroups may be missing.
    pub rootless: Rootless,
    /// The program that freezes processes into files.
    pub criu: PathBuf,
    /// Whether the times of steps are noted.
    pub timings: bool,
}

/// The runtime: one value for each call of the program.
pub struct Runtime {
    pub(crate) root: Root,
    pub(crate) options: Options,
    note: Note,
    stages: RefCell<Stages>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Opens the directory of all containers. `note` gets what is worth saying.
    pub fn open(options: Options, note: Note) -> Result<Self, Error> {
        let root = Root::open(&options.root)?;
        Ok(Self { root, options, note, stages: RefCell::new(Stages::begin()) })
    }

    pub(crate) fn warn(&self, text: &str) {
        (self.note)(Level::Warning, text);
    }

    pub(crate) fn debug(&self, text: &str) {
        (self.note)(Level::Debug, text);
    }

    /// Notes that a step is done.
    pub(crate) fn stage(&self, name: &'static str) {
        self.stages.borrow_mut().done(name);
    }

    /// Notes the steps of a launch.
    pub(crate) fn steps(&self, times: &[launch::StepTime]) {
        self.stages.borrow_mut().launched(times);
    }

    /// The steps that were done, with their times.
    pub fn timings(&self) -> String {
        self.stages.borrow().to_string()
    }

    /// Whether missing rights on cgroups are passed over.
    pub(crate) fn tolerates_missing_cgroups(&self) -> bool {
        match self.options.rootless {
            Rootless::True => true,
            Rootless::False => false,
            Rootless::Auto => !is_machines_root(),
        }
    }

    /// The container of this name.
    pub(crate) fn container(&self, id: &Id) -> Result<Container, Error> {
        let entry = self.root.find(id)?;
        let record = entry.record()?.ok_or(Error::NotFound)?;
        Ok(Container { entry, record })
    }

    /// The state of a container, as the specification's `state` answers it.
    pub fn state(&self, id: &Id) -> Result<State, Error> {
        self.container(id)?.state()
    }
}

/// Whether this is root of the machine.
pub(crate) fn is_machines_root() -> bool {
    rustix::process::geteuid().is_root() && owns_all_ids()
}

/// Whether this is the machine's own user namespace, or one with the same ids.
fn owns_all_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// A container that is on record.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) entry: Entry,
    pub(crate) record: Record,
}

impl Container {
    pub(crate) fn state(&self) -> Result<State, Error> {
        Ok(self.record.state(self.status()?))
    }

    /// Asks the kernel: whether the process runs, whether its group is frozen, whether it waits at its gate.
    pub(crate) fn status(&self) -> Result<Status, Error> {
        if self.record.process == Process::NONE {
            return Ok(match self.entry.try_lock()? {
                Some(_) => Status::Stopped,
                None => Status::Creating,
            });
        }
        if self.init().is_none() {
            return Ok(Status::Stopped);
        }
        if self.is_frozen() {
            return Ok(Status::Paused);
        }
        Ok(if self.waits_at_gate()? { Status::Created } else { Status::Running })
    }

    /// The first process, while it runs.
    pub(crate) fn init(&self) -> Option<OwnedFd> {
        self.record.process.open()
    }

    /// The cgroup; nothing if it has none, or none any more.
    pub(crate) fn group(&self) -> Result<Option<Group>, Error> {
        match &self.record.cgroup {
            Some(place) => Ok(place.open()?),
            None => Ok(None),
        }
    }

    fn is_frozen(&self) -> bool {
        let group = self.group().ok().flatten();
        group.is_some_and(|group| group.is_frozen().unwrap_or(false))
    }

    /// Whether somebody listens at the gate: the program that the process becomes does not have the socket any more. A
    /// connection without a word changes nothing.
    fn waits_at_gate(&self) -> Result<bool, Error> {
        let failed = |errno| Error::system("look at start of", self.record.id.as_str(), errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(failed)?;
        let path = format!("/proc/self/fd/{}/{}", self.entry.fd().as_raw_fd(), file::GATE);
        let address = SocketAddrUnix::new(path).map_err(failed)?;
        match connect(&socket, &address) {
            // The queue is full of others that ask the same.
            Ok(()) | Err(Errno::AGAIN) => Ok(true),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// The directory of all containers if none is named: of the machine for root, else of the user's session.
pub fn default_root() -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let machine = is_machines_root();
    match session.filter(|path| !machine && path.is_absolute()) {
        Some(session) => session.join("coffer-runtime"),
        None => Path::new("/run/coffer-runtime").to_owned(),
    }
}
