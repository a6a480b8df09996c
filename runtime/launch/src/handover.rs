//! Descriptors that are handed to another program by a unix socket: terminals and pidfds.

use crate::LaunchError;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Connects to the stream socket at `path` of the host: `--console-socket`, `--pidfd-socket`, `listenerPath`.
pub fn connect_to(path: &Path) -> Result<OwnedFd, LaunchError> {
    let failed = |errno: Errno| {
        LaunchError::new("connect to", format!("socket {:?}", path.display().to_string()), errno)
    };
    let flags = SocketFlags::CLOEXEC;
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
    connect(&socket, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
    Ok(socket)
}

/// Sends `fd` with `name` as the message: a terminal with its name, a pidfd with any text that is not empty.
pub fn send(socket: impl AsFd, name: &str, fd: impl AsFd) -> Result<(), LaunchError> {
    let failed = |errno: Errno| LaunchError::new("send", format!("descriptor of {name}"), errno);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    if name.is_empty() || !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(failed(Errno::INVAL));
    }
    let slices = [IoSlice::new(name.as_bytes())];
    sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL).map_err(failed).map(drop)
}
