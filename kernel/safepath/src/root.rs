//! A directory that paths are resolved inside.

use crate::{Error, Handle, walk};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A directory that acts as `/` for every path given to it: absolute links and `..` stay inside.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The directory at `path` of the host, which the caller trusts.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty())
            .map(Self)
            .map_err(|errno| Error::path("open", path, errno))
    }

    /// The directory that `fd` names.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        let stat = fstat(&fd).map_err(|errno| Error::path("stat", Path::new("/"), errno))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            Ok(Self(fd))
        } else {
            let path = Path::new("/").to_owned();
            Err(Error::Kind { action: "open", path, wanted: "directory" })
        }
    }

    /// The file at `path`, links followed inside the root.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<Handle, Error> {
        self.open_file(path, OFlags::PATH, Mode::empty()).map(Handle::from_fd)
    }

    /// The file at `path`; if the last component is a symbolic link, the link itself.
    pub fn resolve_link(&self, path: impl AsRef<Path>) -> Result<Handle, Error> {
        self.open_file(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).map(Handle::from_fd)
    }

    /// The file at the relative `path`, with no symbolic link and no `..` that leads above the root on the way. For
    /// names that we wrote ourselves, where a link is a sign of tampering.
    pub fn beneath(&self, path: impl AsRef<Path>) -> Result<Handle, Error> {
        let path = path.as_ref();
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        self.openat2(path, OFlags::PATH, Mode::empty(), how).map(Handle::from_fd)
    }

    /// Opens `path` with `flags`, links followed inside the root.
    pub fn open_file(
        &self,
        path: impl AsRef<Path>,
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd, Error> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        self.openat2(path.as_ref(), flags, mode, how)
    }

    fn openat2(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        how: ResolveFlags,
    ) -> Result<OwnedFd, Error> {
        // EAGAIN: something was renamed during the walk. An attacker who does it for ever gets an error, not a loop.
        let mut tries = 64;
        loop {
            match openat2(&self.0, path, flags | OFlags::CLOEXEC, mode, how) {
                Err(Errno::AGAIN | Errno::INTR) if tries > 0 => tries -= 1,
                Ok(fd) => return Ok(fd),
                Err(errno) => return Err(Error::path("open", path, errno)),
            }
        }
    }

    /// The directory at `path`; directories that are missing are made with `mode`, links followed inside the root even
    /// where they dangle.
    pub fn mkdir_all(&self, path: impl AsRef<Path>, mode: u32) -> Result<Handle, Error> {
        self.ensure(path.as_ref(), walk::Last::Directory, mode)
    }

    /// The file at `path`; if it is missing an empty regular file is made, and parents with mode 0755.
    pub fn ensure_file(&self, path: impl AsRef<Path>, mode: u32) -> Result<Handle, Error> {
        self.ensure(path.as_ref(), walk::Last::File, mode)
    }

    fn ensure(&self, path: &Path, last: walk::Last, mode: u32) -> Result<Handle, Error> {
        let failed = |errno| Error::path("create", path, errno);
        let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
        walk::ensure(self.0.as_fd(), &text, last, mode).map(Handle::from_fd).map_err(failed)
    }

    /// The content of the regular file at `path`, at most `limit` bytes of it; links are followed inside the root. A
    /// FIFO or a device is refused without waiting for it; a longer file is an error.
    pub fn read_small(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.open_file(path, flags, Mode::empty())?;
        let failed = |errno| Error::path("read", path, errno);
        let stat = fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let path = path.to_owned();
            return Err(Error::Kind { action: "read", path, wanted: "regular file" });
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(limit + 1).read_to_end(&mut bytes).map_err(|error| {
            failed(error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
        })?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { path: path.to_owned(), limit });
        }
        Ok(bytes)
    }

    /// The descriptor.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
