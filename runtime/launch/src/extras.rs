//! What a runtime command asks for beyond what an engine needs.

use crate::LaunchError;
use crate::spawn::above;
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
}

impl Extras {
    /// The same with numbers above those that the program gets.
    pub(crate) fn prepared(self) -> Result<Self, LaunchError> {
        let lowest = self.lowest();
        let lift = |fd| above(fd, lowest);
        Ok(Self {
            outlives: self.outlives || self.gate.is_some(),
            gate: self.gate.map(lift).transpose()?,
            preserved: self.preserved.into_iter().map(lift).collect::<Result<_, _>>()?,
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
