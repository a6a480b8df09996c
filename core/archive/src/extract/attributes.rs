//! Extended attributes, modes and times.

use super::Extraction;
use super::error::ExtractError;
use crate::entry::{Entry, Time};
use rustix::fs::{Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// Whether an attribute may travel in an archive. `security.capability` makes `ping` work without root; `user.` is
/// the user's own. `trusted.` belongs to the host's administrator and to overlayfs, which an archive must not steer;
/// `security.selinux` and the like are labels of the host that made them.
pub(crate) fn travels(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// Both times, as the kernel takes them.
pub(super) fn timestamps(time: Time) -> Timestamps {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

pub(super) fn set_mode_and_time(file: BorrowedFd<'_>, mode: u32, time: Time) -> Result<(), Errno> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    rustix::fs::futimens(file, &timestamps(time))
}

impl Extraction<'_> {
    /// Sets those attributes that may travel. A file system without them is no error, as in Docker, except for
    /// capabilities: a program without them would fail later and far away.
    pub(super) fn set_attributes(
        &mut self,
        file: BorrowedFd<'_>,
        entry: &Entry,
    ) -> Result<(), ExtractError> {
        for (name, value) in &entry.attributes {
            if !travels(name) {
                self.result.skipped_attributes += 1;
                continue;
            }
            match rustix::fs::fsetxattr(file, &**name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP | Errno::PERM) if name != b"security.capability" => {
                    self.result.skipped_attributes += 1;
                }
                Err(errno) => {
                    return Err(ExtractError::failed(entry, "set an extended attribute", errno));
                }
            }
        }
        Ok(())
    }
}
