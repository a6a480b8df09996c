//! A failed system call with its arguments.

use rustix::io::Errno;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What the functions of this crate answer.
pub type Result<T> = std::result::Result<T, Error>;

/// One argument of a call, as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// A signed number: a descriptor, an id, a size.
    Int(i64),
    /// A flag word.
    Hex(u64),
    /// A constant by its name in the kernel's headers.
    Name(&'static str),
}

impl From<BorrowedFd<'_>> for Arg {
    fn from(fd: BorrowedFd<'_>) -> Self {
        Self::Int(i64::from(fd.as_raw_fd()))
    }
}

/// A system call that the kernel refused: the call, its arguments and the error number.
///
/// Printed as strace prints it: `setns(5, 0x20000000) = EPERM (Operation not permitted)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    call: &'static str,
    args: [Option<Arg>; 4],
    errno: Errno,
}

impl Error {
    /// The failure of `call`. Only the first four of `args` are kept.
    pub fn new(call: &'static str, args: &[Arg], errno: Errno) -> Self {
        let mut kept = [None; 4];
        for (slot, arg) in kept.iter_mut().zip(args) {
            *slot = Some(*arg);
        }
        Self { call, args: kept, errno }
    }

    /// The name of the call.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The kernel's error number.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.call)?;
        for (index, arg) in self.args.iter().flatten().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match arg {
                Arg::Int(number) => write!(f, "{number}")?,
                Arg::Hex(bits) => write!(f, "{bits:#x}")?,
                Arg::Name(name) => f.write_str(name)?,
            }
        }
        f.write_str(") = ")?;
        let text = std::io::Error::from(self.errno).to_string();
        let reason = text.split(" (os error").next().unwrap_or_default();
        match errno_name(self.errno) {
            Some(name) => write!(f, "{name} ({reason})"),
            None => write!(f, "{} ({reason})", self.errno.raw_os_error()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        error.errno
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        error.errno.into()
    }
}

/// The symbolic name of the error numbers that this project meets.
pub fn errno_name(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::PERM => "EPERM",
        Errno::NOENT => "ENOENT",
        Errno::SRCH => "ESRCH",
        Errno::INTR => "EINTR",
        Errno::IO => "EIO",
        Errno::NXIO => "ENXIO",
        Errno::TOOBIG => "E2BIG",
        Errno::NOEXEC => "ENOEXEC",
        Errno::BADF => "EBADF",
        Errno::CHILD => "ECHILD",
        Errno::AGAIN => "EAGAIN",
        Errno::NOMEM => "ENOMEM",
        Errno::ACCESS => "EACCES",
        Errno::FAULT => "EFAULT",
        Errno::BUSY => "EBUSY",
        Errno::EXIST => "EEXIST",
        Errno::XDEV => "EXDEV",
        Errno::NODEV => "ENODEV",
        Errno::NOTDIR => "ENOTDIR",
        Errno::ISDIR => "EISDIR",
        Errno::INVAL => "EINVAL",
        Errno::NFILE => "ENFILE",
        Errno::MFILE => "EMFILE",
        Errno::NOTTY => "ENOTTY",
        Errno::TXTBSY => "ETXTBSY",
        Errno::FBIG => "EFBIG",
        Errno::NOSPC => "ENOSPC",
        Errno::ROFS => "EROFS",
        Errno::RANGE => "ERANGE",
        Errno::NAMETOOLONG => "ENAMETOOLONG",
        Errno::NOSYS => "ENOSYS",
        Errno::NOTEMPTY => "ENOTEMPTY",
        Errno::LOOP => "ELOOP",
        Errno::USERS => "EUSERS",
        Errno::OPNOTSUPP => "EOPNOTSUPP",
        Errno::TIMEDOUT => "ETIMEDOUT",
        Errno::STALE => "ESTALE",
        Errno::DQUOT => "EDQUOT",
        Errno::CANCELED => "ECANCELED",
        Errno::NOKEY => "ENOKEY",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_prints_like_strace() {
        let error = Error::new("setns", &[Arg::Int(5), Arg::Hex(0x2000_0000)], Errno::PERM);
        assert_eq!(error.to_string(), "setns(5, 0x20000000) = EPERM (Operation not permitted)");
    }

    #[test]
    fn an_error_fits_in_a_register_window_of_128_bytes() {
        assert!(size_of::<Error>() <= 128, "{}", size_of::<Error>());
    }
}
