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

/// How much of what was sent the other side has not taken yet (SIOCOUTQ): 0 when it has read everything. Of a unix socket
/// it is the memory that is held, of TCP the bytes that are not acknowledged.
pub fn unread(socket: impl AsFd) -> Result<u32> {
    let socket = socket.as_fd();
    let mut held: libc::c_int = 0;
    // SAFETY: the kernel writes one int to where the pointer says (unix(7), tcp(7)).
    let ret = unsafe {
        libc::syscall(libc::SYS_ioctl, socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut held)
    };
    check("ioctl", &[socket.into(), Arg::Name("SIOCOUTQ")], ret)?;
    Ok(held.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_unread_until_the_other_side_has_read_it() {
        use std::io::{Read, Write};
        let (mut one, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(unread(&one).unwrap(), 0);
        one.write_all(b"head").unwrap();
        assert!(unread(&one).unwrap() > 0);
        other.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(unread(&one).unwrap(), 0);
    }

    #[test]
    fn the_peer_of_an_own_pair_is_the_caller() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(peer_uid(&one).unwrap(), rustix::process::geteuid().as_raw());
    }
}
