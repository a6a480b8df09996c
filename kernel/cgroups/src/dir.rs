//! One directory of a hierarchy, and its files.

use crate::CgroupError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most that is read of one file; `memory.stat` has 2 kB, `cgroup.procs` a line per process.
const MAX_READ: usize = 1 << 20;
/// Groups are not looked for deeper than this below a container's.
const MAX_DEPTH: usize = 32;

/// An open directory of a cgroup file system.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// The path below the base, for messages: `docker/<id>`.
    pub(crate) name: String,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whether `name` is one path component that cannot lead elsewhere, and no file of the kernel's. Service managers escape
/// with a backslash.
pub(crate) fn check_name(name: &str) -> Result<(), CgroupError> {
    let safe = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'-' | b':' | b'@' | b'+' | b'\\' | b'=' | b',')
    };
    let good = (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(safe);
    // Names of this form are the kernel's own files.
    if good && !name.starts_with("cgroup.") {
        Ok(())
    } else {
        Err(CgroupError::Name(name.chars().take(80).collect()))
    }
}

impl Dir {
    /// Opens an absolute path, which comes from the kernel's own list of mounts.
    pub(crate) fn open_path(path: &std::path::Path, name: &str) -> Result<Self, CgroupError> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())
            .map_err(|errno| CgroupError::Open { group: path.display().to_string(), errno })?;
        Ok(Self { fd, name: name.to_owned() })
    }

    /// A directory that is open already.
    pub(crate) fn from_fd(fd: OwnedFd, name: &str) -> Self {
        Self { fd, name: name.to_owned() }
    }

    fn below(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}/{name}", self.name) }
    }

    /// Opens the group `name` in this one; `None`: there is none.
    pub(crate) fn open(&self, name: &str) -> Result<Option<Self>, CgroupError> {
        match rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, name: self.below(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(CgroupError::Open { group: self.below(name), errno }),
        }
    }

    /// Makes the group `name` in this one and opens it. `reuse`: an existing one is as good.
    pub(crate) fn create(&self, name: &str, reuse: bool) -> Result<Self, CgroupError> {
        let error = |errno| CgroupError::Create { group: self.below(name), errno };
        match rustix::fs::mkdirat(&self.fd, name, Mode::from(0o755)) {
            Err(Errno::EXIST) if reuse => {}
            other => other.map_err(error)?,
        }
        self.open(name)?.ok_or_else(|| error(Errno::NOENT))
    }

    /// Whether the file exists.
    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::statat(&self.fd, file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Opens one of the kernel's files for writing.
    pub(crate) fn open_file(&self, file: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(
            &self.fd,
            file,
            flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    /// Writes `value` in one call, as the kernel's files want it.
    pub(crate) fn try_write(&self, file: &str, value: &str) -> Result<(), Errno> {
        let fd = self.open_file(file, OFlags::WRONLY)?;
        rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes()))?;
        Ok(())
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        self.try_write(file, value).map_err(|errno| self.write_error(file, value, errno))
    }

    pub(crate) fn write_error(&self, file: &str, value: &str, errno: Errno) -> CgroupError {
        CgroupError::Write {
            group: self.name.clone(),
            file: file.to_owned(),
            value: value.chars().take(80).collect(),
            errno,
        }
    }

    /// Reads a file whole, at most [`MAX_READ`] bytes.
    pub(crate) fn try_read(&self, file: &str) -> Result<String, Errno> {
        let fd = self.open_file(file, OFlags::RDONLY)?;
        let mut content = Vec::with_capacity(4096);
        while content.len() < MAX_READ {
            let mut buffer = [0; 4096];
            let count = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut buffer))?;
            if count == 0 {
                break;
            }
            content.extend_from_slice(&buffer[..count]);
        }
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    pub(crate) fn read(&self, file: &str) -> Result<String, CgroupError> {
        self.try_read(file).map_err(|errno| self.read_error(file, errno))
    }

    pub(crate) fn read_error(&self, file: &str, errno: Errno) -> CgroupError {
        CgroupError::Read { group: self.name.clone(), file: file.to_owned(), errno }
    }

    /// Reads a file; `None` when this kernel does not have it.
    pub(crate) fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError> {
        match self.try_read(file) {
            Ok(content) => Ok(Some(content)),
            // ENODEV: the group was removed meanwhile; EOPNOTSUPP: the file is there, swap or pressure is switched off.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.read_error(file, errno)),
        }
    }

    /// The groups in this one.
    pub(crate) fn children(&self) -> Result<Vec<String>, CgroupError> {
        let error = |errno| CgroupError::Open { group: self.name.clone(), errno };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(error)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(error(errno)),
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Calls `visit` for this group and all below it, a group before those in it.
    pub(crate) fn walk(
        &self,
        visit: &mut dyn FnMut(&Self) -> Result<(), CgroupError>,
    ) -> Result<(), CgroupError> {
        self.walk_to(MAX_DEPTH, visit)
    }

    fn walk_to(
        &self,
        depth: usize,
        visit: &mut dyn FnMut(&Self) -> Result<(), CgroupError>,
    ) -> Result<(), CgroupError> {
        visit(self)?;
        if depth == 0 {
            return Ok(());
        }
        for name in self.children()? {
            if let Some(child) = self.open(&name)? {
                child.walk_to(depth - 1, visit)?;
            }
        }
        Ok(())
    }

    /// Removes the group `name` and all groups in it; one that is not there is removed already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Errno> {
        self.remove_to(MAX_DEPTH, name)
    }

    fn remove_to(&self, depth: usize, name: &str) -> Result<(), Errno> {
        let first = rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        match first {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) if depth > 0 => {}
            Err(errno) => return Err(errno),
        }
        if let Ok(Some(child)) = self.open(name) {
            for grandchild in child.children().unwrap_or_default() {
                child.remove_to(depth - 1, &grandchild)?;
            }
        }
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// The files whose names begin with `prefix`.
    pub(crate) fn files(&self, prefix: &str) -> Result<Vec<String>, CgroupError> {
        let error = |errno| CgroupError::Open { group: self.name.clone(), errno };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(error)? {
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(error(errno)),
            };
            if entry.file_type() == FileType::RegularFile
                && entry.file_name().to_bytes().starts_with(prefix.as_bytes())
            {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// The same directory once more.
    pub(crate) fn share(&self) -> Result<Self, CgroupError> {
        Ok(Self { fd: self.duplicate()?, name: self.name.clone() })
    }

    /// A descriptor of its own of this directory.
    pub(crate) fn duplicate(&self) -> Result<OwnedFd, CgroupError> {
        rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)
            .map_err(|errno| CgroupError::Open { group: self.name.clone(), errno })
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_safe_components_are_names() {
        for good in
            ["docker", &"a1".repeat(32), "coffer-test_1", "user@1000.service", "a:b", "a\\x2db+c"]
        {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "a/b", ".hidden", "cgroup.procs", "a b", "a\n", "é", &"x".repeat(256)]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
