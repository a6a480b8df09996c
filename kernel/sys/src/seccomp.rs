//! Loading of a compiled system call filter.

use crate::raw::{check, check_fd};
use crate::{Arg, Error, Result};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

bitflags::bitflags! {
    /// SECCOMP_FILTER_FLAG_* of linux/seccomp.h.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FilterFlags: u32 {
        /// All threads of the process get the filter.
        const TSYNC = 1;
        /// Every action but ALLOW is logged.
        const LOG = 2;
        /// The speculative store bypass mitigation stays off.
        const SPEC_ALLOW = 4;
        /// The call answers a descriptor on which a supervisor is notified.
        const NEW_LISTENER = 8;
        /// The supervisor's wait cannot be interrupted by a signal of the target (5.19).
        const WAIT_KILLABLE_RECV = 32;
    }
}

#[repr(C)]
struct Program {
    length: libc::c_ushort,
    filter: *const u8,
}

const SET_MODE_FILTER: libc::c_uint = 1;
const GET_ACTION_AVAIL: libc::c_uint = 2;

/// Loads `program`, a sequence of `struct sock_filter` (8 bytes each, at most 4096 of them), for the calling thread.
/// The process must have no_new_privs or CAP_SYS_ADMIN. Answers a descriptor with NEW_LISTENER only.
pub fn load(program: &[u8], flags: FilterFlags) -> Result<Option<OwnedFd>> {
    let args = [Arg::Name("SECCOMP_SET_MODE_FILTER"), Arg::Hex(flags.bits().into())];
    let count = program.len() / 8;
    if !program.len().is_multiple_of(8) || count == 0 || count > 4096 {
        return Err(Error::new("seccomp", &args, Errno::INVAL));
    }
    let raw = Program { length: count as libc::c_ushort, filter: program.as_ptr() };
    // SAFETY: `raw` describes `count` instructions inside `program`; the kernel copies them (without alignment needs)
    // and checks each.
    let ret =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags.bits(), &raw const raw) };
    if flags.contains(FilterFlags::NEW_LISTENER) {
        return check_fd("seccomp", &args, ret).map(Some);
    }
    match check("seccomp", &args, ret)? {
        0 => Ok(None),
        // With TSYNC a positive answer is the thread that could not follow.
        _ => Err(Error::new("seccomp", &args, Errno::SRCH)),
    }
}

/// Whether the kernel knows the return action `action` (SECCOMP_RET_*).
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads one u32.
    let ret = unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) };
    ret == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{CloneArgs, Cloned, clone3};
    use crate::pidfd::{Exit, wait};

    /// `BPF_RET | BPF_K` with the value `k`.
    fn ret(k: u32) -> [u8; 8] {
        let [a, b, c, d] = k.to_ne_bytes();
        let [lo, hi] = 0x06u16.to_ne_bytes();
        [lo, hi, 0, 0, a, b, c, d]
    }

    #[test]
    fn a_filter_that_kills_ends_the_process_with_sigsys() {
        let program = ret(0x8000_0000);
        // SAFETY: the child allocates nothing.
        match unsafe { clone3(&CloneArgs::default()) }.unwrap() {
            Cloned::Child => {
                let loaded = load(&program, FilterFlags::empty());
                // SAFETY: _exit is async-signal-safe; the filter kills it before it acts.
                unsafe { libc::_exit(if loaded.is_ok() { 1 } else { 2 }) }
            }
            Cloned::Parent { pidfd, .. } => {
                assert!(matches!(wait(&pidfd).unwrap(), Exit::Signal { signal: 31, .. }));
            }
        }
    }

    #[test]
    fn a_program_of_half_an_instruction_is_refused() {
        assert_eq!(load(&[0; 12], FilterFlags::empty()).unwrap_err().errno(), Errno::INVAL);
        assert!(knows_action(0x7fff_0000));
        assert!(!knows_action(0x1234_0000));
    }
}
