//! Forking a process that has one thread: what the task worker does for each request.

use crate::raw::check;
use crate::{Arg, Error, Result};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `child` in a copy of this process, which ends with the status that it answers (101 when it panics), and
/// answers the copy's process id at once. Allocates.
///
/// Fails with EBUSY when this process has more than one thread: a lock that another thread holds, the allocator's too,
/// would stay locked in the copy for ever.
pub fn fork_child(child: impl FnOnce() -> u8) -> Result<i32> {
    if threads()? != 1 {
        return Err(Error::new("fork", &[Arg::Name("several threads")], Errno::BUSY));
    }
    // SAFETY: the process has one thread, so the copy is whole and may do whatever this process may. Neither side
    // shares memory with the other.
    let ret = unsafe { libc::fork() };
    match check("fork", &[], ret.into())? {
        0 => {
            // The copy must not go on where the caller goes on: neither by a return nor by unwinding.
            let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: ends the copy; nothing of the caller's destructors or exit handlers may run twice.
            unsafe { libc::_exit(status.into()) }
        }
        pid => Ok(pid as i32),
    }
}

/// The descriptors from 3 up that this process has. Allocates.
pub fn descriptors() -> Result<Vec<RawFd>> {
    let failed = |errno| Error::new("open", &[Arg::Name("/proc/self/fd")], errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()).map_err(failed)?;
    let own = directory.as_raw_fd();
    let mut entries = Dir::new(directory).map_err(failed)?;
    let mut numbers = Vec::new();
    while let Some(entry) = entries.read() {
        let name = entry.map_err(failed)?;
        let number: Option<RawFd> = name.file_name().to_str().ok().and_then(|n| n.parse().ok());
        numbers.extend(number.filter(|number| *number > 2 && *number != own));
    }
    Ok(numbers)
}

/// Closes what a forked child inherited and will not use, and points its standard streams at `null`.
///
/// For a child of [`fork_child`] that goes on as something else: as long as it lives, the other end of each socket that
/// it inherited sees no end. The owners of `inherited` stay behind in frames to which the child never returns; the
/// caller answers for not naming a descriptor that something in use owns, or has owned and given back since.
pub fn leave_parent(inherited: &[RawFd], null: impl AsFd) -> Result<()> {
    let failed = |errno| Error::new("dup2", &[Arg::Name("/dev/null")], errno);
    rustix::stdio::dup2_stdin(&null).map_err(failed)?;
    rustix::stdio::dup2_stdout(&null).map_err(failed)?;
    rustix::stdio::dup2_stderr(&null).map_err(failed)?;
    for number in inherited {
        // SAFETY: by the contract above nothing uses the descriptor any more.
        unsafe { libc::close(*number) };
    }
    Ok(())
}

/// Reaps children that have ended, without waiting. Answers how many there were.
pub fn reap_children() -> usize {
    let mut reaped = 0;
    // SAFETY: no status is asked for; the call touches no memory of ours.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {
        reaped += 1;
    }
    reaped
}

/// How many threads this process has: what `/proc/self/task` has as directories.
fn threads() -> Result<i128> {
    let failed = |errno| Error::new("stat", &[Arg::Name("/proc/self/task")], errno);
    let status = rustix::fs::stat(c"/proc/self/task").map_err(failed)?;
    // The type differs between architectures.
    Ok(i128::from(status.st_nlink) - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_several_threads_is_not_forked() {
        // The test harness runs this in a thread beside its main one.
        let error = fork_child(|| 0).unwrap_err();
        assert_eq!(error.errno(), Errno::BUSY);
    }
}
