//! The file that output is logged to, and those that it was before.
//!
//! ```text
//!   <name>      the current file
//!   <name>.1    the one before, ... up to <name>.<max_files - 1>
//! ```
//!
//! The directory belongs to a worker without privilege. So everything is opened relative to its descriptor, a symbolic
//! link or a file with a second name is refused, and files are owned as the directory is.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Bytes of the longest file name, so that a number can be appended.
const LONGEST_NAME: usize = 240;
/// Files that are kept at most, whatever the request says.
const MOST_FILES: u32 = 1000;

/// Why a log file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The name is not one path component.
    #[error("open log file {0:?}: the name must be one path component of 1 to 240 bytes")]
    Name(String),
    /// The kernel refused.
    #[error("{operation} log file {name:?}: {errno}")]
    Kernel {
        /// `open`, `write to` or `rotate`.
        operation: &'static str,
        /// The file.
        name: String,
        /// The cause.
        errno: Errno,
    },
    /// Something else has the name.
    #[error("open log file {0:?}: it is not a regular file with a single name")]
    NotPlain(String),
}

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    directory: OwnedFd,
    name: String,
    max_size: u64,
    max_files: u32,
    file: OwnedFd,
    /// Bytes in the current file, all of them complete lines.
    size: u64,
}

impl LogFile {
    /// Opens or creates the file `name` in `directory` to append to it. It is rotated once it has `max_size` bytes;
    /// `max_files` are kept, the current one counted.
    pub fn open(
        directory: OwnedFd,
        name: &str,
        max_size: Option<u64>,
        max_files: u32,
    ) -> Result<Self, LogFileError> {
        let plain = (1..=LONGEST_NAME).contains(&name.len())
            && !name.bytes().any(|byte| matches!(byte, b'/' | 0))
            && !matches!(name, "." | "..");
        if !plain {
            return Err(LogFileError::Name(name.chars().take(80).collect()));
        }
        let (file, size) = open(&directory, name)?;
        let max_size = max_size.unwrap_or(u64::MAX).max(1);
        let max_files = max_files.clamp(1, MOST_FILES);
        Ok(Self { directory, name: name.to_owned(), max_size, max_files, file, size })
    }

    /// How many bytes may be written before [`LogFile::rotate`] is due; 0 when it is.
    pub(crate) fn room(&self) -> u64 {
        self.max_size.saturating_sub(self.size)
    }

    /// Writes complete lines. On failure the file ends with a complete line again, and the answer is how many of the
    /// bytes are in it.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), (usize, LogFileError)> {
        let mut written = 0;
        while written < lines.len() {
            match rustix::io::write(&self.file, &lines[written..]) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let whole = lines[..written].iter().rposition(|&byte| byte == b'\n');
                    let kept = whole.map_or(0, |end| end + 1);
                    let size = self.size + kept as u64;
                    let cut = written > kept && rustix::fs::ftruncate(&self.file, size).is_err();
                    self.size = if cut { self.size + written as u64 } else { size };
                    return Err((kept, self.failed("write to", errno)));
                }
            }
        }
        self.size += written as u64;
        Ok(())
    }

    /// Moves the files one number up, drops the oldest and begins a new one. A reader that has a file open reads it to
    /// its end, since no file is ever cut. The new file is made first: without room for it nothing is moved.
    pub(crate) fn rotate(&mut self) -> Result<(), LogFileError> {
        let fresh = format!("{}.new", self.name);
        match rustix::fs::unlinkat(&self.directory, &fresh, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed("rotate", errno)),
        }
        let (file, size) = open(&self.directory, &fresh)?;
        for number in (1..self.max_files).rev() {
            let from = match number {
                1 => self.name.clone(),
                _ => format!("{}.{}", self.name, number - 1),
            };
            match self.rename(&from, &format!("{}.{number}", self.name)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.failed("rotate", errno)),
            }
        }
        self.rename(&fresh, &self.name).map_err(|errno| self.failed("rotate", errno))?;
        (self.file, self.size) = (file, size);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.directory, from, &self.directory, to)
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> LogFileError {
        LogFileError::Kernel { operation, name: self.name.clone(), errno }
    }
}

/// Opens or creates the file, and ends a last line that a writer which was killed left open. Answers its size too.
fn open(directory: &OwnedFd, name: &str) -> Result<(OwnedFd, u64), LogFileError> {
    let failed = |errno| LogFileError::Kernel { operation: "open", name: name.to_owned(), errno };
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
    // Not blocking, since somebody could have put a fifo there; it says nothing for a regular file.
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o640));
    let file = file.map_err(failed)?;
    let status = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile || status.st_nlink != 1 {
        return Err(LogFileError::NotPlain(name.to_owned()));
    }
    let owner = rustix::fs::fstat(directory).map_err(failed)?;
    if (status.st_uid, status.st_gid) != (owner.st_uid, owner.st_gid) {
        let uid = rustix::fs::Uid::from_raw(owner.st_uid);
        let gid = rustix::fs::Gid::from_raw(owner.st_gid);
        rustix::fs::fchown(&file, Some(uid), Some(gid)).map_err(failed)?;
    }
    let mut size = u64::try_from(status.st_size).unwrap_or_default();
    let mut last = [b'\n'];
    if size > 0
        && rustix::io::pread(&file, &mut last, size - 1).map_err(failed)? == 1
        && last != *b"\n"
        && rustix::io::write(&file, b"\n") == Ok(1)
    {
        size += 1;
    }
    Ok((file, size))
}
