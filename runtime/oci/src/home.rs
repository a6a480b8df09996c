//! The home directory for a program whose environment names none, as every login gives it.

use safepath::Root;
use std::os::fd::OwnedFd;

/// The most that is read of a user database.
const LONGEST: u64 = 1 << 20;

/// `HOME=...` for the user `uid` of the container with the root `rootfs`: what its `/etc/passwd` says, else the root.
pub(crate) fn of(rootfs: OwnedFd, uid: u32) -> String {
    let home = || {
        let root = Root::from_fd(rootfs).ok()?;
        let users = root.read_small("/etc/passwd", LONGEST).ok()?;
        users.split(|byte| *byte == b'\n').find_map(|line| {
            let mut fields = std::str::from_utf8(line).ok()?.split(':');
            let owner: u32 = fields.nth(2)?.parse().ok()?;
            let home = fields.nth(2)?;
            (owner == uid && home.starts_with('/')).then(|| home.to_owned())
        })
    };
    format!("HOME={}", home().unwrap_or_else(|| "/".to_owned()))
}

/// Whether the environment names one.
pub(crate) fn is_named(env: &[String]) -> bool {
    env.iter().any(|entry| entry.starts_with("HOME="))
}
