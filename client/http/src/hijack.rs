//! A connection that no longer speaks HTTP: raw bytes both ways.

use crate::transport::Transport;
use crate::wire::Wire;
use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// Raw bytes both ways, after the engine answered 101.
#[derive(Debug)]
pub struct Hijacked {
    wire: Wire,
    kind: String,
}

/// The side that output comes from.
#[derive(Debug)]
pub struct ReadSide {
    io: ReadHalf<Box<dyn Transport>>,
    buffer: BytesMut,
}

/// The side that input goes to.
#[derive(Debug)]
pub struct WriteSide {
    io: WriteHalf<Box<dyn Transport>>,
}

impl Hijacked {
    pub(crate) fn new(wire: Wire, kind: String) -> Self {
        Self { wire, kind }
    }

    /// True if the engine says that the output is framed; older engines say nothing.
    #[must_use]
    pub fn is_multiplexed(&self) -> bool {
        self.kind == "application/vnd.docker.multiplexed-stream"
    }

    /// Both sides, each usable without the other.
    #[must_use]
    pub fn split(self) -> (ReadSide, WriteSide) {
        let (read, write) = tokio::io::split(self.wire.io);
        (ReadSide { io: read, buffer: self.wire.buffer }, WriteSide { io: write })
    }
}

impl ReadSide {
    /// The next bytes; `None` when the engine closed its side.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn read(&mut self) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() {
            self.buffer.reserve(32 << 10);
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.buffer.split().freeze()))
    }
}

impl WriteSide {
    /// Sends all bytes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Says that no more input comes; output continues.
    ///
    /// # Errors
    /// When the connection is broken already.
    pub async fn close(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }
}
