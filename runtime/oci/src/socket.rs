//! Handing a descriptor to who waits for it on a unix socket: the terminal's master, or a pidfd.

use crate::Error;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Connects to the stream socket at `path`, before anything is made that would have to be undone.
pub(crate) fn open(what: &'static str, path: &Path) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::system(what, path.display().to_string(), errno);
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let socket = socket.map_err(failed)?;
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    connect(&socket, &address).map_err(failed)?;
    Ok(socket)
}

/// Sends `fd` with `name` as the text beside it.
pub(crate) fn send(socket: &OwnedFd, fd: impl AsFd, name: &str) -> Result<(), Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    let fits = control.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = match fits {
        true => {
            let text = [IoSlice::new(name.as_bytes())];
            sendmsg(socket, &text, &mut control, SendFlags::NOSIGNAL)
        }
        false => Err(Errno::NOBUFS),
    };
    sent.map(drop).map_err(|errno| Error::system("send descriptor", name, errno))
}
