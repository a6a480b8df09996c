//! The standard streams of a new process.

use crate::host::Host;
use launch::Stdio;
use messages::task;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use shim::Streams;
use spec::Failure;
use std::os::fd::{AsFd, OwnedFd};

/// Both ends of the streams: what the process gets, and what the shim keeps.
#[derive(Debug)]
pub(crate) struct Pair {
    /// For the process.
    pub given: Stdio,
    /// For the shim; the terminal's side is known only when the container is made.
    pub kept: Kept,
}

/// The shim's side.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Pipes.
    Pipes(Streams),
    /// A terminal that is made in the container.
    Terminal {
        /// Whether clients may write to it.
        open_stdin: bool,
    },
}

/// Makes pipes for a process that runs as `uid` (as the host counts), which shall be able to open `/dev/stdout` anew:
/// for this the pipes are its own. In a user namespace the process could not take them itself.
pub(crate) fn pair(host: &Host, stdio: task::Stdio, uid: Option<u32>) -> Result<Pair, Failure> {
    if stdio.terminal.is_some() {
        let kept = Kept::Terminal { open_stdin: stdio.open_stdin };
        return Ok(Pair { given: Stdio::Terminal, kept });
    }
    make(host, stdio.open_stdin, uid)
        .map_err(|errno| Failure::internal(format!("make standard streams: {errno}")))
}

fn make(host: &Host, open_stdin: bool, uid: Option<u32>) -> Result<Pair, Errno> {
    let pipe = || {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        if let Some(uid) = uid.filter(|uid| *uid != 0) {
            rustix::fs::fchown(&writer, Some(rustix::fs::Uid::from_raw(uid)), None)?;
        }
        Ok::<_, Errno>((reader, writer))
    };
    let (stdin_given, stdin) = match open_stdin {
        true => pipe().map(|(reader, writer)| (reader, Some(writer)))?,
        false => (rustix::io::fcntl_dupfd_cloexec(&host.null, 3)?, None),
    };
    let (stdout, stdout_given) = pipe()?;
    let (stderr, stderr_given) = pipe()?;
    Ok(Pair {
        given: Stdio::Files([stdin_given, stdout_given, stderr_given]),
        kept: Kept::Pipes(Streams::Pipes { stdin, stdout, stderr }),
    })
}

impl Kept {
    /// The shim's side, with the terminal if there is one.
    pub(crate) fn with_console(self, console: Option<OwnedFd>) -> Result<Streams, Failure> {
        match (self, console) {
            (Self::Pipes(streams), _) => Ok(streams),
            (Self::Terminal { open_stdin }, Some(master)) => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                // Without it the terminal's output ends when the process closes it for a moment: bearable.
                let slave = ioctl_tiocgptpeer(&master, flags).ok();
                Ok(Streams::Terminal { master, slave, open_stdin })
            }
            (Self::Terminal { .. }, None) => Err(Failure::internal("the process has no terminal")),
        }
    }
}

/// The id on the host of `inside` under these maps (first inside, first outside, count); nothing when it has none.
pub(crate) fn mapped(inside: u32, maps: impl IntoIterator<Item = (u32, u32, u32)>) -> Option<u32> {
    maps.into_iter().find_map(|(first, outside, count)| {
        let offset = inside.checked_sub(first).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

/// A copy of a descriptor.
pub(crate) fn copy(fd: impl AsFd) -> Result<OwnedFd, Failure> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
        .map_err(|errno| Failure::internal(format!("duplicate descriptor: {errno}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mapped_as_the_kernel_maps_them() {
        let maps = [(0, 100_000, 10), (1000, 5, 1)];
        assert_eq!(mapped(0, maps), Some(100_000));
        assert_eq!(mapped(9, maps), Some(100_009));
        assert_eq!(mapped(10, maps), None);
        assert_eq!(mapped(1000, maps), Some(5));
    }
}
