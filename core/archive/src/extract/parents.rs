//! The directories that entries lie in.

use super::error::ExtractError;
use super::{Extraction, nodes};
use crate::directory::{self, DIRECTORY, is_whiteout};
use crate::entry::Entry;
use crate::name::{join, split};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// Why a directory on the way to an entry could not be opened or made.
#[derive(Debug)]
pub(super) struct ParentError(Errno);

impl ParentError {
    pub(super) fn of(self, entry: &Entry, step: &'static str) -> ExtractError {
        ExtractError::failed(entry, step, self.0)
    }
}

impl Extraction<'_> {
    /// Opens a directory, from the root, and makes it and those above it when they are missing: mode 0755, owned by
    /// root as Docker does.
    pub(super) fn parent(&mut self, path: &[u8]) -> Result<OwnedFd, ParentError> {
        if let Some((_, directory)) = self.parent.take_if(|(cached, _)| cached == path) {
            return Ok(directory);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match directory::open_in_root(self.root, path, flags) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_parents(path).map_err(ParentError),
            Err(errno) => Err(ParentError(errno)),
        }
    }

    /// Goes down from the root and makes what is missing.
    fn make_parents(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut done = Vec::new();
        let mut at = directory::open_in_root(self.root, b"", flags)?;
        for component in path.split(|b| *b == b'/') {
            let next = join(&done, component);
            at = match directory::open_in_root(self.root, &next, flags) {
                Ok(directory) => directory,
                Err(Errno::NOENT) => {
                    make_directory(&at, component)?;
                    self.owned_parent(&at, component)?
                }
                Err(Errno::NOTDIR) if self.options.layer && is_deleted(&at, component)? => {
                    rustix::fs::unlinkat(&at, component, AtFlags::empty())?;
                    make_directory(&at, component)?;
                    self.opaque.insert(next.clone());
                    self.owned_parent(&at, component)?
                }
                Err(errno) => return Err(errno),
            };
            done = next;
        }
        Ok(at)
    }

    /// Opens a directory that was just made and gives it its owner and mode.
    fn owned_parent(&self, at: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
        let directory = rustix::fs::openat(at, name, DIRECTORY, Mode::empty())?;
        let (uid, gid) = self.owner_of(0, 0);
        nodes::chown(directory.as_fd(), uid, gid)?;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
        Ok(directory)
    }
}

fn make_directory(at: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    // EEXIST here means a symbolic link that leads to nothing, which cannot be a directory.
    rustix::fs::mkdirat(at, name, Mode::RWXU)
}

fn is_deleted(at: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
    let (_, name) = split(name);
    Ok(directory::stat(at.as_fd(), name)?.is_some_and(|found| is_whiteout(&found)))
}
