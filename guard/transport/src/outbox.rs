//! Answers on their way to one asker, who may not read them now.

use crate::connection::{Connection, Kind, TransportError};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// An answer that did not fit into the socket.
#[derive(Debug)]
struct Waiting {
    kind: Kind,
    sequence: u64,
    payload: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A connection with the answers that wait for room in it. The worker never waits for an asker: one that has been
/// taken over, and whose socket somebody keeps open, would hold up its successor. A forked child may wait; it has
/// nothing else to do.
#[derive(Debug)]
pub(crate) struct Outbox {
    connection: Connection,
    worker: Pid,
    waiting: Mutex<VecDeque<Waiting>>,
}

impl Outbox {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, worker: getpid(), waiting: Mutex::default() }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Sends an answer now or, from the worker itself, when there is room.
    pub(crate) fn send(
        &self,
        kind: Kind,
        sequence: u64,
        payload: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), TransportError> {
        let answer = Waiting { kind, sequence, payload, descriptors };
        if getpid() != self.worker {
            let fds: Vec<_> = answer.descriptors.iter().map(AsFd::as_fd).collect();
            return self.connection.send(kind, sequence, &answer.payload, &fds);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() && self.attempt(&answer)? {
            return Ok(());
        }
        waiting.push_back(answer);
        Ok(())
    }

    /// Sends what there is room for.
    pub(crate) fn flush(&self) -> Result<(), TransportError> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(answer) = waiting.front() {
            match self.attempt(answer) {
                Ok(true) => waiting.pop_front(),
                Ok(false) => return Ok(()),
                Err(error @ TransportError::Socket { .. }) => return Err(error),
                // Nobody can be told what is wrong with this one.
                Err(_) => waiting.pop_front(),
            };
        }
        Ok(())
    }

    /// False when there is no room.
    fn attempt(&self, answer: &Waiting) -> Result<bool, TransportError> {
        let fds: Vec<_> = answer.descriptors.iter().map(AsFd::as_fd).collect();
        match self.connection.try_send(answer.kind, answer.sequence, &answer.payload, &fds) {
            Ok(()) => Ok(true),
            Err(TransportError::Socket { errno: Errno::AGAIN, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_find_no_room_wait_and_arrive_in_their_order() {
        let (one, other) = crate::pair().unwrap();
        let (outbox, asker) = (Outbox::new(one.into()), Connection::from(other));
        let mut sent = 0;
        while outbox.is_empty() || sent % 10 != 0 {
            outbox.send(Kind::Success, sent, vec![7; 10_000], Vec::new()).unwrap();
            sent += 1;
        }
        for expected in 0..sent {
            let frame = asker.receive().unwrap().unwrap();
            assert_eq!((frame.sequence, frame.payload.len()), (expected, 10_000));
            outbox.flush().unwrap();
        }
        assert!(outbox.is_empty());
        drop(asker);
        assert!(outbox.send(Kind::Success, 0, Vec::new(), Vec::new()).is_err());
    }
}
