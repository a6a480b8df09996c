//! The engine's end of the connection to a shim.

use crate::client::{receive, register, send};
use crate::connection::{Connection, Kind, TransportError, decode, encode};
use messages::shim::{Event, Request};
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// A connection to a shim: requests go out, events come in.
#[derive(Debug)]
pub struct Channel {
    socket: AsyncFd<Connection>,
}

impl Channel {
    /// Takes over the engine's end of the socket. Must be called inside a tokio runtime.
    pub fn new(socket: OwnedFd) -> std::io::Result<Self> {
        Ok(Self { socket: register(socket)? })
    }

    /// Sends one request with the descriptors that it names.
    pub async fn send(&self, request: &Request, fds: Vec<OwnedFd>) -> Result<(), TransportError> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        send(&self.socket, Kind::Oneway, 0, &encode(request)?, &fds).await
    }

    /// The next event; `None` when the shim has ended. Safe to be cancelled: no event is lost.
    pub async fn receive(&self) -> Result<Option<Event>, TransportError> {
        match receive(&self.socket).await? {
            Some(frame) => Ok(Some(decode(&frame.payload)?)),
            None => Ok(None),
        }
    }
}
