//! The connections of engines: one from the start, others when an engine was restarted.

use messages::shim::{Event, Request};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use transport::{Connection, Descriptors, Kind, TransportError, decode, encode};

/// Connections at once; one engine uses one, so more means that somebody opens them for nothing.
const MOST: usize = 16;
/// Events that wait for an engine that does not read; then its connection is closed, and the next one is told the state.
const WAITING: usize = 256;

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Channels(Vec<Channel>);

#[derive(Debug)]
struct Channel {
    connection: Connection,
    waiting: VecDeque<Vec<u8>>,
    closed: bool,
}

impl Channels {
    /// Adds a connection and tells it `status`. What cannot be one is closed.
    pub(crate) fn add(&mut self, socket: OwnedFd, status: &Event) {
        if self.0.len() >= MOST || rustix::io::ioctl_fionbio(&socket, true).is_err() {
            return;
        }
        let mut channel =
            Channel { connection: socket.into(), waiting: VecDeque::new(), closed: false };
        channel.send(status);
        self.0.push(channel);
    }

    /// The connections with whether something waits to be sent, for polling, by position.
    pub(crate) fn polled(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        self.0.iter().map(|channel| (channel.connection.as_fd(), !channel.waiting.is_empty()))
    }

    /// Whether no engine is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all engines.
    pub(crate) fn send(&mut self, event: &Event) {
        for channel in &mut self.0 {
            channel.send(event);
        }
    }

    /// Sends what waits at this position.
    pub(crate) fn flush(&mut self, position: usize) {
        if let Some(channel) = self.0.get_mut(position) {
            channel.flush();
        }
    }

    /// Reads one request at this position. A connection that ends or breaks the format is closed at the next
    /// [`Channels::sweep`].
    pub(crate) fn receive(&mut self, position: usize) -> Option<(Request, Descriptors)> {
        let channel = self.0.get_mut(position)?;
        match channel.connection.receive() {
            Ok(Some(frame)) => match decode(&frame.payload) {
                Ok(request) => return Some((request, Descriptors::new(frame.descriptors))),
                Err(_) => channel.closed = true,
            },
            Err(TransportError::Socket { errno: Errno::AGAIN, .. }) => {}
            Ok(None) | Err(_) => channel.closed = true,
        }
        None
    }

    /// Closes what has ended.
    pub(crate) fn sweep(&mut self) {
        self.0.retain(|channel| !channel.closed);
    }
}

impl Channel {
    fn send(&mut self, event: &Event) {
        match encode(event) {
            Ok(payload) if self.waiting.len() < WAITING => self.waiting.push_back(payload),
            Ok(_) | Err(_) => self.closed = true,
        }
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(payload) = self.waiting.front() {
            match self.connection.send(Kind::Oneway, 0, payload, &[]) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(TransportError::Socket { errno: Errno::AGAIN, .. }) => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }
}
