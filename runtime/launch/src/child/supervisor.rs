//! The listener of a system call filter, handed to its supervisor.
//!
//! From the moment that the filter is loaded, its supervisor decides what the process may call, and knows of it only
//! when it has the listener. So a second process, without the filter and with the same table of descriptors, hands it
//! over:
//!
//! ```text
//! process                                 messenger (CLONE_FILES)
//!   clone3 ──────────────────────────────▶
//!   seccomp(NEW_LISTENER) → n
//!   write n ─────────────────────────────▶ sendmsg(supervisor, state, SCM_RIGHTS n)
//!   read ◀────────────────────────── errno ┤
//! ```
//!
//! The process needs write, read and waitid only, which a filter that notifies cannot forbid: nobody would answer.

use super::Job;
use super::report::{At, Step, record};
use ::core::mem::MaybeUninit;
use ::core::prelude::rust_2024::*;
use ::plan::StepKind;
use ::rustix::io::Errno;
use ::rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use ::std::io::IoSlice;
use ::std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use ::sys::clone::{CloneArgs, Cloned, clone3};
use ::sys::seccomp::FilterFlags;
use ::sys::{pidfd, process, seccomp};

/// The longest state of a process that is sent with a listener, in bytes.
pub(crate) const LONGEST: usize = 32 * 1024;

/// The supervisor of a filter.
#[derive(Clone, Copy)]
pub(crate) struct Supervisor<'a> {
    /// Its socket, connected.
    pub(crate) socket: BorrowedFd<'a>,
    /// The state of the container's process; a file.
    pub(crate) state: BorrowedFd<'a>,
}

/// Loads the filter and hands its listener over.
pub(super) fn load(job: &Job<'_>, program: &[u8], flags: FilterFlags) -> Step<()> {
    let step = StepKind::Listener;
    let supervisor = job.supervisor.ok_or(Errno::NOTCONN).at(step, 0)?;
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).at(step, 1)?;
    let args = CloneArgs { shared_files: true, ..CloneArgs::default() };
    // SAFETY: the child goes on in this module, which allocates nothing, and never returns.
    let messenger = match unsafe { clone3(&args) }.at(step, 2)? {
        Cloned::Child => hand_over(supervisor, theirs.as_fd()),
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    let listener = seccomp::load(program, flags).at(StepKind::Seccomp, 0)?;
    let listener = listener.ok_or(Errno::BADF).at(step, 3)?;
    let number = listener.as_raw_fd().to_ne_bytes();
    ::rustix::io::write(&ours, &number).at(step, 4)?;
    let mut answer = [0u8; 4];
    loop {
        match ::rustix::io::read(&ours, &mut answer) {
            Ok(4) => break,
            Ok(_) => return Err(record(step, 5, Errno::PIPE)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(record(step, 5, errno)),
        }
    }
    // A filter may forbid this; then the program reaps it, as it may any process that lost its parent.
    pidfd::wait(&messenger).ok();
    match i32::from_ne_bytes(answer) {
        0 => Ok(()),
        errno => Err(record(step, 6, Errno::from_raw_os_error(errno))),
    }
}

/// The messenger.
fn hand_over(supervisor: Supervisor<'_>, channel: BorrowedFd<'_>) -> ! {
    let sent = process::set_parent_death_signal(9).map_err(Errno::from);
    let sent = sent.and_then(|()| send_listener(supervisor, channel));
    let errno = sent.err().map_or(0, Errno::raw_os_error);
    let _answered = ::rustix::io::write(channel, &errno.to_ne_bytes());
    process::exit(0)
}

fn send_listener(supervisor: Supervisor<'_>, channel: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut number = [0u8; 4];
    while ::rustix::io::read(channel, &mut number)? != 4 {}
    // SAFETY: the other process has opened this number in the table that both use, and keeps it until the answer.
    let listener = unsafe { BorrowedFd::borrow_raw(i32::from_ne_bytes(number)) };
    let mut text = [0u8; LONGEST];
    let length = ::rustix::io::pread(supervisor.state, &mut text, 0)?;
    let mut rest = &text[..length];
    let mut space = [MaybeUninit::uninit(); ::rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [listener];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    // A stream may take a part of it; the descriptor goes with the first.
    while !rest.is_empty() {
        let slices = [IoSlice::new(rest)];
        let sent = sendmsg(supervisor.socket, &slices, &mut control, SendFlags::NOSIGNAL)?;
        control.clear();
        rest = &rest[sent..];
    }
    Ok(())
}
