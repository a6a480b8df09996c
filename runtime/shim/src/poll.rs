//! What the loop waits for.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// What a descriptor in the poll set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The process.
    Process,
    /// The cgroup's notice that it is out of memory.
    Memory,
    /// An output stream, by position.
    Source(usize),
    /// The way to the process's stdin.
    Stdin,
    /// A client, by position.
    Client(usize),
    /// A connection of an engine, by position.
    Channel(usize),
    /// Where connections arrive.
    Listener,
}

/// One descriptor to wait for.
#[derive(Debug)]
pub(crate) struct Interest<'a> {
    pub token: Token,
    pub fd: BorrowedFd<'a>,
    pub flags: PollFlags,
}

/// Waits `nanos` at most (`i64::MAX` for ever) and answers what is ready, in the order of `interests`.
pub(crate) fn wait(interests: &[Interest<'_>], nanos: i64) -> Vec<(Token, PollFlags)> {
    let mut fds: Vec<_> =
        interests.iter().map(|i| PollFd::from_borrowed_fd(i.fd, i.flags)).collect();
    const SECOND: i64 = 1_000_000_000;
    let timeout = Timespec { tv_sec: nanos.max(0) / SECOND, tv_nsec: nanos.max(0) % SECOND };
    let timeout = (nanos < i64::MAX / 2).then_some(&timeout);
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        // Nothing is known to be ready; the caller's deadlines are absolute, so it just asks again.
        Err(Errno::INTR) => return Vec::new(),
        // No memory for the kernel's tables: not to be asked again at once.
        Err(_) => {
            std::thread::sleep(std::time::Duration::from_millis(10));
            return Vec::new();
        }
    }
    interests
        .iter()
        .zip(&fds)
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(interest, fd)| (interest.token, fd.revents()))
        .collect()
}
