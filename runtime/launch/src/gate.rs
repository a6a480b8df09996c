//! Starting a container that another process created.
//!
//! ```text
//! create                                  the container's process
//!   bind ── Extras::gate ─ Launch::create ▶ sets up
//!   leave ──────────────────── "g" ───────▶ accept4
//!   (exits)                                 │
//! start                                     │
//!   open: connect ── "g" ─────────────────▶ SO_PEERCRED, filter, rights, program
//!   Ok ◀──────────────── end of file ──────┘ execve
//!      ◀─ {step, index, errno} on failure
//! ```
//!
//! Only who may write to the socket (mode 0600) can connect, and the process checks that it is who created it, or root.
//! A second start at the same time, and one after the first, are [`LaunchError::NotAtGate`]: the socket is closed
//! by execve.

use crate::LaunchError;
use crate::channel::decode;
use plan::ProcessPlan;
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to,
    connect, listen, recv, send, socket_with,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A listening socket `name` in `directory`, for [`crate::Extras::gate`]. The caller removes the name when it deletes
/// the container. The name must be new (EADDRINUSE) and short enough to be named through procfs: about 80 bytes.
pub fn bind(directory: impl AsFd, name: &str) -> Result<OwnedFd, LaunchError> {
    let failed = |errno: Errno| LaunchError::new("bind", format!("start socket {name:?}"), errno);
    let make = || {
        let socket = seqpacket()?;
        // The mode of the name that bind makes.
        fchmod(&socket, Mode::from_raw_mode(0o600))?;
        bind_to(&socket, &address(directory.as_fd(), name)?)?;
        listen(&socket, 8)?;
        Ok(socket)
    };
    make().map_err(failed)
}

/// Starts the container whose socket is `name` in `directory`, and waits until its program runs. `process` is only for
/// the text of a failure: [`ProcessPlan::joining`] makes one from the bundle.
pub fn open(directory: impl AsFd, name: &str, process: &ProcessPlan) -> Result<(), LaunchError> {
    let failed = |errno: Errno| match errno {
        Errno::CONNREFUSED | Errno::NOENT | Errno::CONNRESET | Errno::PIPE => {
            LaunchError::NotAtGate
        }
        errno => LaunchError::new("start", "container", errno),
    };
    let socket = seqpacket().map_err(failed)?;
    let address = address(directory.as_fd(), name).map_err(failed)?;
    connect(&socket, &address).map_err(failed)?;
    send(&socket, b"g", SendFlags::NOSIGNAL).map_err(failed)?;
    match answer(&socket).map_err(failed)? {
        None => Ok(()),
        Some(record) => Err(LaunchError::Step(process.explain(record))),
    }
}

/// What the process says; nothing if it has become the program.
fn answer(socket: &OwnedFd) -> Result<Option<plan::Record>, Errno> {
    let mut bytes = [0u8; plan::Record::SIZE];
    loop {
        match recv(socket, &mut bytes, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok((_, 0)) => return Ok(None),
            Ok((_, length)) => return decode(&bytes, length).map(Some),
        }
    }
}

fn seqpacket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The name through the descriptor of its directory: nothing above it is resolved, and its length does not count.
fn address(directory: std::os::fd::BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix, Errno> {
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        return Err(Errno::INVAL);
    }
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}
