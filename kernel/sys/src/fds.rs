//! Ranges of descriptors.

use crate::limits::{self, Resource};
use crate::raw::check;
use crate::{Arg, Result};
use rustix::io::Errno;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;

/// Marks every descriptor from `first` up as closed by execve (close_range with CLOEXEC, 5.11). Before 5.11 each number
/// up to the soft limit of descriptors is marked by itself, which gives the same.
pub fn set_cloexec_from(first: u32) -> Result<()> {
    match close_range(first, CLOSE_RANGE_CLOEXEC) {
        Err(error) if matches!(error.errno(), Errno::NOSYS | Errno::INVAL) => one_by_one(first),
        other => other,
    }
}

fn one_by_one(first: u32) -> Result<()> {
    // A descriptor may lie above a limit that was lowered after it was opened, but not above fs.nr_open's default.
    let most = limits::get(0, Resource::NOFILE)?.soft.clamp(1 << 16, 1 << 20) as u32;
    for number in first..most {
        // SAFETY: marking a number that is not open is EBADF and changes nothing.
        unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// A copy of a descriptor that this process was started with and knows by its number only, with a number from `lowest`
/// up, closed by execve. EBADF if there is none.
pub fn copy_of(number: RawFd, lowest: RawFd) -> Result<OwnedFd> {
    // SAFETY: the call takes numbers only, and makes a descriptor that nobody owns.
    let ret = unsafe { libc::syscall(libc::SYS_fcntl, number, libc::F_DUPFD_CLOEXEC, lowest) };
    let made = check("fcntl", &[Arg::Int(number.into()), Arg::Name("F_DUPFD_CLOEXEC")], ret)?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(made as RawFd) })
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
        fcntl_setfd(&high, FdFlags::empty()).unwrap();
        one_by_one(500).unwrap();
        assert_eq!(fcntl_getfd(&high).unwrap(), FdFlags::CLOEXEC);
    }
}
