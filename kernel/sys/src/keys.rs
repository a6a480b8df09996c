//! Session keyrings.

use crate::raw::check;
use crate::{Arg, Result};
use std::ffi::CStr;

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Joins a new session keyring called `name`, so that a container does not see the keys of its starter. Answers the
/// keyring's serial number. ENOSYS on kernels without keys.
pub fn join_session_keyring(name: &CStr) -> Result<i32> {
    // SAFETY: the name is a C string that the kernel only reads.
    let ret =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    check("keyctl", &[Arg::Name("KEYCTL_JOIN_SESSION_KEYRING")], ret).map(|serial| serial as i32)
}
