//! Records and the gates.

use super::Job;
use ::core::mem::MaybeUninit;
use ::core::prelude::rust_2024::*;
use ::plan::{Record, StepKind};
use ::rustix::io::Errno;
use ::rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use ::std::io::IoSlice;
use ::std::os::fd::{AsRawFd, BorrowedFd};

/// The answer of a step.
pub(super) type Step<T> = Result<T, Record>;

/// Turns a kernel's answer into a step's.
pub(super) trait At<T> {
    /// The value, or the record that `step` failed at the object `index`.
    fn at(self, step: StepKind, index: usize) -> Step<T>;
}

impl<T, E: Into<Errno>> At<T> for Result<T, E> {
    fn at(self, step: StepKind, index: usize) -> Step<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(record(step, index, error.into())),
        }
    }
}

/// The record of a failure.
pub(super) fn record(step: StepKind, index: usize, errno: Errno) -> Record {
    Record { step, index: index as u32, errno: errno.raw_os_error() }
}

/// Writes a record; write(2) is allowed by every usable system call filter. If it fails the parent sees the end only.
pub(super) fn report(channel: BorrowedFd<'_>, record: Record) {
    let _sent = ::rustix::io::write(channel, &record.to_bytes());
}

/// Says that the container is set up, and hands the terminal over.
pub(super) fn ready(job: &Job<'_>, console: Option<BorrowedFd<'_>>) -> Step<()> {
    let bytes = Record { step: StepKind::Ready, index: 0, errno: 0 }.to_bytes();
    let mut space = [MaybeUninit::uninit(); ::rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds;
    if let Some(console) = console {
        fds = [console];
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(record(StepKind::Console, 0, Errno::NOBUFS));
        }
    }
    let slices = [IoSlice::new(&bytes)];
    sendmsg(job.channel, &slices, &mut control, SendFlags::NOSIGNAL).at(StepKind::Gate, 0).map(drop)
}

/// Closes the copy of the parent's end, so that [`wait`] ends when the parent does.
pub(super) fn leave_starter(job: &Job<'_>) {
    // SAFETY: the process has a table of its own, in which nothing uses this descriptor; what else has it ends by
    // execve or exit, which run no destructor.
    unsafe { ::libc::close(job.starter.as_raw_fd()) };
}

/// Waits for the parent's byte. Its end means that the parent is gone: nothing may start then.
pub(super) fn wait(job: &Job<'_>, step: StepKind) -> Step<()> {
    let mut byte = [0u8; 1];
    loop {
        match ::rustix::io::read(job.channel, &mut byte) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err(record(step, 0, Errno::PIPE)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(record(step, 0, errno)),
        }
    }
}
