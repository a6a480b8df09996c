//! What a restarted task worker and a restarted engine find of each task.
//!
//! ```text
//!   <exec root>/task/                0700 root
//!     <container id>/                made first, so that no process exists without a record
//!       state                        what runs, complete before the process's program starts
//!       exit                         how it ended
//!       sock                         SEQPACKET, on which the shim takes connections
//!       exec/<exec id>/              the same three files
//! ```
//!
//! Files are written under another name and renamed; none is synced, since nothing of it survives a boot. A lock (flock)
//! on the directory of a container is held while it is launched or deleted.

use messages::shim::Exit;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Bytes of the longest file that is read.
const LONGEST: u64 = 16 * 1024;

const MODE: Mode = Mode::RWXU;

/// Why the record of a task cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The kernel refused.
    #[error("{operation} {name}: {errno}")]
    Kernel {
        /// `create`, `open`, `write`, `lock`, `listen on`, `connect to` or `remove`.
        operation: &'static str,
        /// The file, below the exec root.
        name: String,
        /// The cause.
        errno: Errno,
    },
    /// A file could not be read or written.
    #[error("{operation} {name}")]
    File {
        /// `read` or `write`.
        operation: &'static str,
        /// The file.
        name: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what this version writes.
    #[error("read {0}: the content is malformed")]
    Malformed(&'static str),
}

impl StateError {
    fn kernel(operation: &'static str, name: &str, errno: Errno) -> Self {
        Self::Kernel { operation, name: name.to_owned(), errno }
    }

    /// The kernel's answer, if it was one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::File { source, .. } => Errno::from_io_error(source),
            Self::Malformed(_) => None,
        }
    }
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// As the host sees it.
    pub pid: i32,
    /// When it started: clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
}

impl Process {
    /// The process with this number now.
    pub fn of(pid: i32) -> Option<Self> {
        let mut text = String::new();
        std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read_to_string(&mut text).ok()?;
        // The name in field 2 may contain anything, parentheses too.
        let (_, rest) = text.rsplit_once(')')?;
        let start = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start })
    }

    /// A descriptor of the process; none when it has ended and was reaped.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Compared after the opening: the descriptor cannot change its mind any more.
        (Self::of(self.pid) == Some(self)).then_some(pidfd)
    }

    /// Whether it still runs; an unreaped one does not.
    pub fn is_running(self) -> bool {
        self.open().is_some_and(|pidfd| sys::pidfd::has_ended(pidfd) == Ok(false))
    }
}

/// The content of `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The container's first process, or the exec's.
    pub process: Process,
    /// The shim.
    pub shim: Process,
    /// Nanoseconds since 1970.
    pub started_at: i64,
    /// The parent of the container's cgroup; empty for an exec.
    pub cgroup_parent: String,
}

impl State {
    fn encode(&self) -> String {
        format!(
            "coffer-task 1\nprocess {} {}\nshim {} {}\nstarted {}\ncgroup-parent {}\n",
            self.process.pid,
            self.process.start,
            self.shim.pid,
            self.shim.start,
            self.started_at,
            self.cgroup_parent,
        )
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        (field("coffer-task")? == "1").then_some(())?;
        let process = |text: &str| {
            let (pid, start) = text.split_once(' ')?;
            Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
        };
        Some(Self {
            process: process(field("process")?)?,
            shim: process(field("shim")?)?,
            started_at: field("started")?.parse().ok()?,
            cgroup_parent: field("cgroup-parent")?.to_owned(),
        })
    }
}

/// The directory of all tasks.
#[derive(Debug)]
pub struct TaskRoot(OwnedFd);

impl TaskRoot {
    /// Opens `task` in the directory `exec_root`, and makes it if it is missing.
    pub fn open(exec_root: impl AsFd) -> Result<Self, StateError> {
        open_or_create(exec_root, "task").map(Self)
    }

    /// Makes the directory of a container; fails with EEXIST when it has one.
    pub fn create(&self, id: &str) -> Result<TaskDir, StateError> {
        TaskDir::create(&self.0, id)
    }

    /// The directory of a container, if it has one.
    pub fn task(&self, id: &str) -> Result<Option<TaskDir>, StateError> {
        TaskDir::find(&self.0, id)
    }

    /// The names of all directories.
    pub fn names(&self) -> Result<Vec<String>, StateError> {
        names(&self.0)
    }

    /// Removes the directory of a container with all that is in it.
    pub fn remove(&self, id: &str) -> Result<(), StateError> {
        if let Some(task) = self.task(id)? {
            for exec in task.exec_names()? {
                task.remove_exec(&exec)?;
            }
            remove_directory(&task.fd, "exec")?;
            return task.remove_from(&self.0, id);
        }
        Ok(())
    }
}

/// More files than a shim can still write into a directory: its state and its exit status, each under two names.
const MOST_LATE_FILES: usize = 8;

/// The directory of one container or exec.
#[derive(Debug)]
pub struct TaskDir {
    fd: OwnedFd,
}

impl TaskDir {
    fn create(parent: &OwnedFd, name: &str) -> Result<Self, StateError> {
        rustix::fs::mkdirat(parent, name, MODE)
            .map_err(|errno| StateError::kernel("create", name, errno))?;
        open_directory(parent, name).map(|fd| Self { fd })
    }

    fn find(parent: &OwnedFd, name: &str) -> Result<Option<Self>, StateError> {
        match open_directory(parent, name) {
            Ok(fd) => Ok(Some(Self { fd })),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the directory of an exec in a container's; fails with EEXIST when it has one.
    pub fn create_exec(&self, exec: &str) -> Result<Self, StateError> {
        Self::create(&open_or_create(&self.fd, "exec")?, exec)
    }

    /// The directory of an exec, if it has one.
    pub fn exec(&self, exec: &str) -> Result<Option<Self>, StateError> {
        match open_directory(&self.fd, "exec") {
            Ok(execs) => Self::find(&execs, exec),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of the directories of all execs.
    pub fn exec_names(&self) -> Result<Vec<String>, StateError> {
        match open_directory(&self.fd, "exec") {
            Ok(execs) => names(&execs),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Removes the directory of an exec with all that is in it.
    pub fn remove_exec(&self, exec: &str) -> Result<(), StateError> {
        let Some(directory) = self.exec(exec)? else { return Ok(()) };
        directory.remove_from(&open_directory(&self.fd, "exec")?, exec)
    }

    /// Removes this directory with its files. Its shim may still be writing the exit status of a process that was killed;
    /// what it has written in between is removed too.
    fn remove_from(&self, parent: &OwnedFd, name: &str) -> Result<(), StateError> {
        for _ in 1..MOST_LATE_FILES {
            self.clear()?;
            match remove_directory(parent, name) {
                Err(error) if error.errno() == Some(Errno::NOTEMPTY) => {}
                removed => return removed,
            }
        }
        self.clear()?;
        remove_directory(parent, name)
    }

    fn clear(&self) -> Result<(), StateError> {
        for name in ["sock", "state", "state.new", "exit", "exit.new"] {
            match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(StateError::kernel("remove", name, errno)),
            }
        }
        Ok(())
    }

    /// Waits for the lock of this directory, against everybody; it is held until the answer is dropped, also by forked
    /// children.
    pub fn lock(&self) -> Result<OwnedFd, StateError> {
        self.lock_as(FlockOperation::LockExclusive)
    }

    /// Waits for the lock of this directory, shared with others who ask for this one.
    pub fn lock_shared(&self) -> Result<OwnedFd, StateError> {
        self.lock_as(FlockOperation::LockShared)
    }

    /// The lock of this directory against everybody, if nobody has it now.
    pub fn try_lock(&self) -> Result<Option<OwnedFd>, StateError> {
        match self.lock_as(FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.errno() == Some(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock_as(&self, how: FlockOperation) -> Result<OwnedFd, StateError> {
        // A descriptor of its own, since the lock belongs to the open file and ends with it.
        let fd = open_directory(&self.fd, ".")?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, how))
            .map_err(|errno| StateError::kernel("lock", "task", errno))?;
        Ok(fd)
    }

    /// Whether the directory has been removed meanwhile.
    pub fn is_removed(&self) -> bool {
        rustix::fs::fstat(&self.fd).is_ok_and(|status| status.st_nlink == 0)
    }

    /// Writes `state`.
    pub fn write_state(&self, state: &State) -> Result<(), StateError> {
        self.write("state", "state.new", &state.encode())
    }

    /// Reads `state`; none while the task is being launched.
    pub fn state(&self) -> Result<Option<State>, StateError> {
        let Some(text) = self.read("state")? else { return Ok(None) };
        State::decode(&text).map(Some).ok_or(StateError::Malformed("state"))
    }

    /// Writes `exit`.
    pub fn write_exit(&self, exit: &Exit) -> Result<(), StateError> {
        let mut text = String::new();
        let oom = u8::from(exit.oom_killed);
        writeln!(text, "coffer-exit 1 {} {oom} {}", exit.code, exit.at)
            .expect("a string takes all that is written to it");
        self.write("exit", "exit.new", &text)
    }

    /// Reads `exit`; none while the process runs, or when its shim was killed.
    pub fn exit(&self) -> Result<Option<Exit>, StateError> {
        let Some(text) = self.read("exit")? else { return Ok(None) };
        let decode = || {
            let mut fields = text.trim_end().strip_prefix("coffer-exit 1 ")?.split(' ');
            let code = fields.next()?.parse().ok()?;
            let oom_killed = fields.next()? == "1";
            Some(Exit { code, oom_killed, at: fields.next()?.parse().ok()? })
        };
        decode().map(Some).ok_or(StateError::Malformed("exit"))
    }

    /// Listens at `sock`.
    pub fn listen(&self) -> Result<OwnedFd, StateError> {
        let failed = |errno| StateError::kernel("listen on", "sock", errno);
        let socket = socket().map_err(failed)?;
        rustix::net::bind(&socket, &self.address().map_err(failed)?).map_err(failed)?;
        rustix::net::listen(&socket, 16).map_err(failed)?;
        Ok(socket)
    }

    /// Connects to the shim that listens at `sock`. Does not wait: a shim takes connections at once or is stuck. The
    /// errors of a shim that has ended are ENOENT and ECONNREFUSED.
    pub fn connect(&self) -> Result<OwnedFd, StateError> {
        let failed = |errno| StateError::kernel("connect to", "sock", errno);
        let socket = socket().map_err(failed)?;
        rustix::net::connect(&socket, &self.address().map_err(failed)?).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, false).map_err(failed)?;
        Ok(socket)
    }

    /// A socket's path has 107 bytes at most, and the exec root may be deep: the way through the descriptor is short.
    fn address(&self) -> rustix::io::Result<rustix::net::SocketAddrUnix> {
        let path = format!("/proc/self/fd/{}/sock", self.fd.as_raw_fd());
        rustix::net::SocketAddrUnix::new(path)
    }

    fn write(&self, name: &'static str, new: &str, text: &str) -> Result<(), StateError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&self.fd, new, flags, mode)
            .map_err(|errno| StateError::kernel("create", new, errno))?;
        std::fs::File::from(file)
            .write_all(text.as_bytes())
            .map_err(|source| StateError::File { operation: "write", name, source })?;
        rustix::fs::renameat(&self.fd, new, &self.fd, name)
            .map_err(|errno| StateError::kernel("write", name, errno))
    }

    fn read(&self, name: &'static str) -> Result<Option<String>, StateError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(StateError::kernel("open", name, errno)),
        };
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(|source| StateError::File {
            operation: "read",
            name,
            source,
        })?;
        Ok(Some(text))
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn open_directory(parent: &OwnedFd, name: &str) -> Result<OwnedFd, StateError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(|errno| StateError::kernel("open", name, errno))
}

fn open_or_create(parent: impl AsFd, name: &str) -> Result<OwnedFd, StateError> {
    match rustix::fs::mkdirat(&parent, name, MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(StateError::kernel("create", name, errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&parent, name, flags, Mode::empty())
        .map_err(|errno| StateError::kernel("open", name, errno))
}

fn names(directory: &OwnedFd) -> Result<Vec<String>, StateError> {
    let failed = |errno| StateError::kernel("read", "task directory", errno);
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

fn remove_directory(parent: &OwnedFd, name: &str) -> Result<(), StateError> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(StateError::kernel("remove", name, errno)),
    }
}
