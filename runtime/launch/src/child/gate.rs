//! The gate between the set-up and the program.

use super::Job;
use super::report::{At, Step, wait};
use ::core::prelude::rust_2024::*;
use ::plan::StepKind;
use ::rustix::io::Errno;
use ::rustix::net::{SocketFlags, accept_with};
use ::std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use ::sys::socket::peer_uid;

/// Waits for the start: the starter's byte, or with a socket first the byte with which the starter leaves and then a
/// connection. Answers the connection, over which failures are reported from now on.
///
/// Until its starter has left, the process ends with it, so that one that was killed in the middle leaves no container
/// that nobody knows of.
pub(super) fn pass(job: &Job<'_>) -> Step<Option<OwnedFd>> {
    wait(job, StepKind::Gate)?;
    let Some(listener) = job.gate else { return Ok(None) };
    loop {
        let connection = match accept_with(listener, SocketFlags::CLOEXEC) {
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            other => other.at(StepKind::Gate, 2)?,
        };
        let connection = above_preserved(job, connection).at(StepKind::Gate, 3)?;
        if may_start(job, connection.as_fd()) && asks_for_start(connection.as_fd()) {
            return Ok(Some(connection));
        }
    }
}

/// Whether the peer is who made the container, or root. Seen from another user namespace both may have no place, and
/// root there is not meant; the socket's directory and mode keep others away in any case.
fn may_start(job: &Job<'_>, connection: BorrowedFd<'_>) -> bool {
    match (peer_uid(connection), peer_uid(job.channel)) {
        (Ok(peer), Ok(starter)) => peer == starter || (peer == 0 && !job.becomes_root),
        _ => false,
    }
}

/// Whether the peer sends the byte. One that goes without a word has changed nothing.
fn asks_for_start(connection: BorrowedFd<'_>) -> bool {
    let mut byte = [0u8; 1];
    loop {
        match ::rustix::io::read(connection, &mut byte) {
            Err(Errno::INTR) => {}
            answer => return answer == Ok(1) && byte == *b"g",
        }
    }
}

/// The connection with a number that the program's own descriptors do not take.
fn above_preserved(job: &Job<'_>, connection: OwnedFd) -> Result<OwnedFd, Errno> {
    let lowest = 3 + job.preserved.len() as i32;
    if connection.as_raw_fd() >= lowest {
        return Ok(connection);
    }
    ::rustix::io::fcntl_dupfd_cloexec(&connection, lowest)
}
