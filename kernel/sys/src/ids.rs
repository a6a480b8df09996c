//! User and group ids of the calling thread, by the raw calls: the C library's wrappers change all threads by signals.

use crate::raw::check;
use crate::{Arg, Result};

/// Sets real, effective and saved user id. The permitted capabilities are lost unless kept (`process::set_keep_caps`).
pub fn set_uid(uid: u32) -> Result<()> {
    // SAFETY: the call takes numbers only and changes this thread.
    let ret = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    check("setresuid", &[Arg::Int(uid.into()); 3], ret).map(drop)
}

/// Sets real, effective and saved group id.
pub fn set_gid(gid: u32) -> Result<()> {
    // SAFETY: the call takes numbers only and changes this thread.
    let ret = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    check("setresgid", &[Arg::Int(gid.into()); 3], ret).map(drop)
}

/// Sets the supplementary groups; EPERM where the user namespace's `setgroups` says `deny`.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the count describe `groups`, which the kernel only reads; gid_t is u32.
    let ret = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check("setgroups", &[Arg::Int(groups.len() as i64)], ret).map(drop)
}
