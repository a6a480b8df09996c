//! What a socket says about its peer.

use crate::raw::check;
use crate::{Arg, Result};
use std::os::fd::{AsFd, AsRawFd};

/// The user id of the process that connected, or made the pair, as seen from the caller's user namespace (SO_PEERCRED);
/// 65534 if it has no place there. Not from a wrapper: the peer's process id may be 0 here, which those do not expect.
pub fn peer_uid(socket: impl AsFd) -> Result<u32> {
    let socket = socket.as_fd();
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the buffer is a struct ucred of the given length, which the kernel fills.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_getsockopt,
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            &raw mut peer,
            &raw mut length,
        )
    };
    check("getsockopt", &[socket.into(), Arg::Name("SO_PEERCRED")], ret)?;
    Ok(peer.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_of_an_own_pair_is_the_caller() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(peer_uid(&one).unwrap(), rustix::process::geteuid().as_raw());
    }
}
