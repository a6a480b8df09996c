//! Ranges of descriptors.

use crate::raw::check;
use crate::{Arg, Result};

const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;

/// Marks every descriptor from `first` up as closed by execve (close_range with CLOEXEC, 5.11).
pub fn set_cloexec_from(first: u32) -> Result<()> {
    close_range(first, CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` up (close_range, 5.9).
///
/// Descriptors that some value of this process owns are closed too: that value must not be used or dropped any more.
///
/// # Safety
/// No `OwnedFd` or other owner of a descriptor from `first` up may be used afterwards.
pub unsafe fn close_from(first: u32) -> Result<()> {
    close_range(first, 0)
}

fn close_range(first: u32, flags: libc::c_uint) -> Result<()> {
    // SAFETY: the call takes numbers only; callers answer for what is closed.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    check("close_range", &[Arg::Int(first.into()), Arg::Name("~0U"), Arg::Hex(flags.into())], ret)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

    #[test]
    fn a_range_is_marked_close_on_exec() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let high = rustix::io::fcntl_dupfd_cloexec(&file, 500).unwrap();
        fcntl_setfd(&high, FdFlags::empty()).unwrap();
        set_cloexec_from(500).unwrap();
        assert_eq!(fcntl_getfd(&high).unwrap(), FdFlags::CLOEXEC);
    }
}
