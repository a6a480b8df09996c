//! Forking a process that has one thread: what the task worker does for each request.

use crate::raw::check;
use crate::{Arg, Error, Result};
use rustix::io::Errno;
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
