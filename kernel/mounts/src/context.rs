//! A file system that is being configured (fsopen, 5.2).

use crate::{Attr, Detached, Error};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file system of one type before it is mounted.
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
    kind: String,
}

impl FsContext {
    /// A new context for the file system type `kind`.
    pub fn open(kind: &CStr) -> Result<Self, Error> {
        let name = kind.to_string_lossy().into_owned();
        match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(fd) => Ok(Self { fd, kind: name }),
            Err(errno) => Err(Error::new("open file system", name, errno)),
        }
    }

    /// Sets an option that has no value.
    pub fn set_flag(&self, key: &CStr) -> Result<(), Error> {
        fsconfig_set_flag(&self.fd, key).map_err(|errno| self.failed(key, errno))
    }

    /// Sets an option to a text.
    pub fn set_string(&self, key: &CStr, value: &CStr) -> Result<(), Error> {
        fsconfig_set_string(&self.fd, key, value).map_err(|errno| self.failed(key, errno))
    }

    /// Sets an option to an open file.
    pub fn set_fd(&self, key: &CStr, value: impl AsFd) -> Result<(), Error> {
        fsconfig_set_fd(&self.fd, key, value).map_err(|errno| self.failed(key, errno))
    }

    /// Makes the file system and mounts it nowhere.
    pub fn mount(self, attributes: Attr) -> Result<Detached, Error> {
        fsconfig_create(&self.fd).map_err(|errno| self.failed(c"", errno))?;
        let bits = u32::try_from(attributes.bits())
            .map_err(|_| Error::new("mount", self.kind.clone(), Errno::INVAL))?;
        let flags = MountAttrFlags::from_bits_retain(bits);
        fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, flags)
            .map(Detached::from_fd)
            .map_err(|errno| self.failed(c"", errno))
    }

    /// The failure, with the kernel's own words if it left any in the context.
    fn failed(&self, key: &CStr, errno: Errno) -> Error {
        let mut object = self.kind.clone();
        if !key.is_empty() {
            object = format!("{object} with option {}", key.to_string_lossy());
        }
        match last_message(self.fd.as_fd()) {
            Some(message) => Error::Explained { object, message, errno },
            None => Error::new("mount", object, errno),
        }
    }
}

impl AsFd for FsContext {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The last message of the context's log: `e overlay: ...`, without its severity.
fn last_message(fd: BorrowedFd<'_>) -> Option<String> {
    let mut last = None;
    // The kernel keeps eight messages.
    for _ in 0..8 {
        let mut buffer = [0u8; 512];
        let Ok(length) = rustix::io::read(fd, &mut buffer) else { break };
        let text = String::from_utf8_lossy(&buffer[..length]);
        if let Some(text) = text.strip_prefix("e ") {
            last = Some(text.trim_end().to_owned());
        }
    }
    last
}
