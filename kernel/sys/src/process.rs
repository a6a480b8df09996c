//! Attributes of the calling process: prctl(2) and personality(2).

use crate::raw::check;
use crate::{Arg, Result};

fn prctl(name: &'static str, option: libc::c_int, value: libc::c_ulong) -> Result<libc::c_long> {
    let zero: libc::c_ulong = 0;
    // SAFETY: only called with options whose arguments are numbers.
    let ret = unsafe { libc::syscall(libc::SYS_prctl, option, value, zero, zero, zero) };
    check("prctl", &[Arg::Name(name), Arg::Int(value as i64)], ret)
}

/// Ends the calling process at once, without running destructors or flushing anything: for a child after clone.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit is always allowed and does not return.
    unsafe { libc::_exit(code) }
}

/// Sends a signal to every process of the group `group`, real-time signals included.
pub fn signal_group(group: i32, signal: i32) -> Result<()> {
    let args = [Arg::Int(-i64::from(group)), Arg::Int(signal.into())];
    if group <= 1 {
        // 0 and -1 would mean other sets of processes.
        return Err(crate::Error::new("kill", &args, rustix::io::Errno::INVAL));
    }
    // SAFETY: the call takes numbers only.
    let ret = unsafe { libc::syscall(libc::SYS_kill, -group, signal) };
    check("kill", &args, ret).map(drop)
}

/// No execve gains a right any more; cannot be undone.
pub fn set_no_new_privs() -> Result<()> {
    prctl("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Whether [`set_no_new_privs`] was called by this process or an ancestor.
pub fn no_new_privs() -> Result<bool> {
    prctl("PR_GET_NO_NEW_PRIVS", libc::PR_GET_NO_NEW_PRIVS, 0).map(|value| value == 1)
}

/// Whether others of the same user may trace this process and open its /proc files. Off while entering a container
/// (CVE-2016-9962).
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl("PR_SET_DUMPABLE", libc::PR_SET_DUMPABLE, dumpable.into()).map(drop)
}

/// The signal that this process gets when the thread that made it ends; 0 for none.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl("PR_SET_PDEATHSIG", libc::PR_SET_PDEATHSIG, signal as libc::c_ulong).map(drop)
}

/// Whether orphaned descendants become children of this process.
pub fn set_child_subreaper(on: bool) -> Result<()> {
    prctl("PR_SET_CHILD_SUBREAPER", libc::PR_SET_CHILD_SUBREAPER, on.into()).map(drop)
}

/// Whether the permitted capabilities survive a change of the user id from 0; cleared by execve.
pub fn set_keep_caps(keep: bool) -> Result<()> {
    prctl("PR_SET_KEEPCAPS", libc::PR_SET_KEEPCAPS, keep.into()).map(drop)
}

/// The execution domain; `0xffff_ffff` only asks. Answers the former one. OCI: LINUX is 0, LINUX32 is 8.
pub fn personality(domain: u32) -> Result<u32> {
    // SAFETY: the call takes a number only.
    let ret = unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) };
    check("personality", &[Arg::Hex(domain.into())], ret).map(|old| old as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_new_privs_is_read_back_on_the_thread_that_set_it() {
        std::thread::spawn(|| {
            set_no_new_privs().unwrap();
            assert!(no_new_privs().unwrap());
        })
        .join()
        .unwrap();
        assert!(!no_new_privs().unwrap());
    }
}
