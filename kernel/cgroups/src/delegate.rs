//! Giving a group of v2 to the user of a container, who then makes groups in it.

use crate::layout::Mode;
use crate::{CgroupError, Group};
use rustix::fs::{AtFlags, Uid, chownat};
use rustix::io::Errno;
use std::io::Read;

/// The kernel's list of the files of a group that may belong to somebody else (cgroups(7), Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";
/// The list of older kernels.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

impl Group {
    /// Makes `uid` the owner of the group's directory and of the files that the kernel lists for this, and of no other:
    /// the limits stay ours (runtime specification, "Cgroup ownership"). Nothing happens where there is v1, on which
    /// this is not safe.
    pub fn delegate(&self, uid: u32) -> Result<(), CgroupError> {
        let Some(dir) = self.v2().filter(|_| self.mode == Mode::V2) else { return Ok(()) };
        let error = |file: &str, errno| CgroupError::Delegate {
            group: self.path(),
            file: file.to_owned(),
            uid,
            errno,
        };
        let owner = Some(Uid::from_raw(uid));
        rustix::fs::fchown(dir, owner, None).map_err(|errno| error(".", errno))?;
        let mut list = String::new();
        let listed =
            std::fs::File::open(LIST).and_then(|file| file.take(4096).read_to_string(&mut list));
        if listed.is_err() {
            list = FILES.to_owned();
        }
        for file in list.lines().filter(|file| !file.is_empty() && !file.contains('/')) {
            match chownat(dir, file, owner, None, AtFlags::SYMLINK_NOFOLLOW) {
                // Not every group has every file.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(error(file, errno)),
            }
        }
        Ok(())
    }
}
