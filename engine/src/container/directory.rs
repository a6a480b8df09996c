//! The directory of a container: `hostname`, `hosts`, `resolv.conf`, and the log, which the shim writes.

use crate::config::Config;
use spec::{ContainerId, Failure};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// The directory of one container.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
    id: ContainerId,
}

impl Directory {
    /// The directory of this container; nothing is made.
    pub(crate) fn of(config: &Config, id: &ContainerId) -> Self {
        Self { path: config.containers().join(id.as_str()), id: id.clone() }
    }

    /// Makes it; no error when it exists.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        match DirBuilder::new().mode(0o710).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.failed("make", &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes it with all that is in it; no error when it is gone.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", &error))
            }
            _ => Ok(()),
        }
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The name of the log.
    pub(crate) fn log_name(&self) -> String {
        format!("{}-json.log", self.id)
    }

    /// Writes a file anew, in place: a container that runs has it mounted.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<(), Failure> {
        let write = || {
            let mut options = File::options();
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
            options.open(self.file(name))?.write_all(content.as_bytes())
        };
        write().map_err(|error| self.failed("write a file in", &error))
    }

    /// Opens a file in it as a bind source.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, Failure> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file = File::options().read(true).custom_flags(flags).open(self.file(name));
        file.map(OwnedFd::from).map_err(|error| self.failed("open a file in", &error))
    }

    /// Opens the directory itself, for the shim to write the log.
    pub(crate) fn open_self(&self) -> Result<OwnedFd, Failure> {
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let directory = File::options().read(true).custom_flags(flags).open(&self.path);
        directory.map(OwnedFd::from).map_err(|error| self.failed("open", &error))
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        Failure::internal(format!("{what} the directory of container {}: {error}", self.id))
    }
}
