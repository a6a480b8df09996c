//! What a runtime command asks for beyond what an engine needs.

use crate::LaunchError;
use crate::spawn::above;
use plan::IdmapPlan;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a launch or a joining process gets besides its plan and its descriptors; nothing of it by default.
#[derive(Debug, Default)]
pub struct Extras {
    /// A socket from [`crate::gate::bind`]: the process waits there until [`crate::gate::open`], perhaps by another
    /// process, after [`crate::Created::leave`]. Without it [`crate::Created::start`] starts the program.
    pub gate: Option<OwnedFd>,
    /// Whether the program goes on when the thread that made it ends; by default it is killed then. Always so with a
    /// gate.
    pub outlives: bool,
    /// What the program gets as descriptors 3, 4, ... Its environment (`LISTEN_FDS`) is the specification's business.
    pub preserved: Vec<OwnedFd>,
    /// The container's state, for hooks: needed if the plan has any that the launch calls.
    pub state: Option<StateText>,
    /// Who is notified by the filter: needed if it has NEW_LISTENER.
    pub supervisor: Option<Supervisor>,
    /// Whether the root is changed by chroot(2) and not by pivot_root(2), which refuses where the host's own root is
    /// a ramfs.
    pub no_pivot: bool,
    /// Id maps of the root file system; it must be one that can be idmapped.
    pub rootfs_idmap: Option<IdmapPlan>,
    /// Whether the times of steps are noted: [`crate::Created::times`], [`crate::Running::times`].
    pub times: bool,
}

/// Makes the JSON text of a container's state from the number of its process and its status.
pub struct StateText(Box<MakeText>);

type MakeText = dyn Fn(i32, &str) -> String + Send;

impl StateText {
    /// `make` is called with the process as who reads the text sees it (1 for hooks inside a pid namespace of its own),
    /// and with `creating` or `created`.
    pub fn new(make: impl Fn(i32, &str) -> String + Send + 'static) -> Self {
        Self(Box::new(make))
    }

    pub(crate) fn make(&self, pid: i32, status: &str) -> String {
        (self.0)(pid, status)
    }
}

impl fmt::Debug for StateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateText")
    }
}

/// Who is notified by a filter (`linux.seccomp.listenerPath`).
#[derive(Debug)]
pub struct Supervisor {
    /// A stream or packet socket that is connected to it. It gets the state below with one descriptor: the listener.
    pub socket: OwnedFd,
    /// The state of the container's process (config-linux.md, the container process state): its `fds` are
    /// `["seccompFd"]`. At most 32 KiB. The number is the process's in the caller's pid namespace.
    pub state: StateText,
}

impl Extras {
    /// The same with numbers above those that the program gets.
    pub(crate) fn prepared(self) -> Result<Self, LaunchError> {
        let lowest = self.lowest();
        let lift = |fd| above(fd, lowest);
        let lift_supervisor = |supervisor: Supervisor| -> Result<Supervisor, LaunchError> {
            Ok(Supervisor { socket: lift(supervisor.socket)?, ..supervisor })
        };
        Ok(Self {
            outlives: self.outlives || self.gate.is_some(),
            gate: self.gate.map(lift).transpose()?,
            preserved: self.preserved.into_iter().map(lift).collect::<Result<_, _>>()?,
            supervisor: self.supervisor.map(lift_supervisor).transpose()?,
            ..self
        })
    }

    /// The lowest number that nothing is put to.
    pub(crate) fn lowest(&self) -> i32 {
        i32::try_from(self.preserved.len()).unwrap_or(i32::MAX).saturating_add(3)
    }

    pub(crate) fn borrow_preserved(&self) -> Vec<BorrowedFd<'_>> {
        self.preserved.iter().map(AsFd::as_fd).collect()
    }

    pub(crate) fn borrow_gate(&self) -> Option<BorrowedFd<'_>> {
        self.gate.as_ref().map(AsFd::as_fd)
    }
}
