//! Children that inherit three descriptors and nothing else.

use crate::{Arg, Error, Result, fds, fork};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use std::os::fd::{AsFd, BorrowedFd};

/// What a child inherits.
#[derive(Debug, Clone, Copy)]
pub struct Inherited<'a> {
    /// Its working directory.
    pub directory: BorrowedFd<'a>,
    /// Its descriptor 0.
    pub input: BorrowedFd<'a>,
    /// Its descriptor 1.
    pub output: BorrowedFd<'a>,
    /// Bytes for it.
    pub bytes: &'a [u8],
}

/// Runs `child` in a copy of this process that has only the descriptors 0, 1 and 2 (the caller's own) left, and is
/// killed when the calling thread ends. It ends with the status that `child` answers. Answers its process id at once.
/// Allocates.
///
/// `child` is a plain function: it has no captured values, so it owns none of the descriptors that are closed under it.
/// Statics must own none that it uses.
///
/// Fails with EBUSY when this process has more than one thread.
pub fn fork_enclosed(inherited: Inherited<'_>, child: fn(&[u8]) -> u8) -> Result<i32> {
    let parent = rustix::process::getpid();
    fork::fork_child(|| match enclose(inherited) {
        Ok(()) if rustix::process::getppid() == Some(parent) => child(inherited.bytes),
        _ => 101,
    })
}

fn enclose(inherited: Inherited<'_>) -> Result<()> {
    let failed = |call| move |errno: Errno| Error::new(call, &[Arg::Name("of a new child")], errno);
    crate::process::set_parent_death_signal(libc::SIGKILL)?;
    rustix::process::fchdir(inherited.directory).map_err(failed("fchdir"))?;
    // Above the three, so that neither copy overwrites the other's source.
    let input = fcntl_dupfd_cloexec(inherited.input, 3).map_err(failed("fcntl"))?;
    let output = fcntl_dupfd_cloexec(inherited.output, 3).map_err(failed("fcntl"))?;
    rustix::stdio::dup2_stdin(input.as_fd()).map_err(failed("dup2"))?;
    rustix::stdio::dup2_stdout(output.as_fd()).map_err(failed("dup2"))?;
    drop((input, output));
    // SAFETY: this copy of the process runs a function without captured values next and then ends by _exit, so none of
    // the values that own the closed descriptors is used or dropped.
    unsafe { fds::close_from(3) }
}
