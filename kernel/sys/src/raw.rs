//! The answer of a raw call as a result.

use crate::{Arg, Error, Result};
use rustix::io::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// The error number that the C library holds for this thread.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: the pointer is to this thread's own errno and always valid.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// `ret` of the call `call(args)`, or its error if `ret` is -1.
pub(crate) fn check(call: &'static str, args: &[Arg], ret: libc::c_long) -> Result<libc::c_long> {
    if ret == -1 { Err(Error::new(call, args, last_errno())) } else { Ok(ret) }
}

/// The descriptor that the call `call(args)` returned as `ret`, which nobody else owns.
pub(crate) fn check_fd(call: &'static str, args: &[Arg], ret: libc::c_long) -> Result<OwnedFd> {
    let fd = check(call, args, ret)?;
    let fd = i32::try_from(fd).map_err(|_| Error::new(call, args, Errno::RANGE))?;
    // SAFETY: the kernel returned this number as a new descriptor, and only this value owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
