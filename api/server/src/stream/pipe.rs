//! Pipes between a client's body and a part of the engine that reads or writes a descriptor.

use crate::http::reply::Pieces;
use crate::http::request::Payload;
use bytes::{Bytes, BytesMut};
use spec::Failure;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

/// Bytes read from a pipe at once; what a pipe holds by default.
const CHUNK: usize = 64 << 10;

/// A pipe whose reading end is a plain blocking descriptor for the engine.
pub(crate) fn for_reader() -> Result<(pipe::Sender, OwnedFd), Failure> {
    let failed = |cause: io::Error| Failure::internal(format!("make pipe: {cause}"));
    let (sender, receiver) = pipe::pipe().map_err(failed)?;
    Ok((sender, receiver.into_blocking_fd().map_err(failed)?))
}

/// Copies a body into a pipe and closes it. A reader that stops early is no failure; what stays is not read.
pub(crate) async fn fill(mut body: Payload, mut pipe: pipe::Sender) -> Result<(), Failure> {
    while let Some(piece) = body.next().await {
        match pipe.write_all(&piece?).await {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(cause) => return Err(Failure::internal(format!("write pipe: {cause}"))),
        }
    }
    Ok(())
}

/// The pieces of what is read from a pipe.
#[derive(Debug)]
pub(crate) struct Reader(pipe::Receiver);

impl Reader {
    /// Reads the pipe `descriptor`.
    pub(crate) fn new(descriptor: OwnedFd) -> Result<Self, Failure> {
        pipe::Receiver::from_owned_fd(descriptor)
            .map(Self)
            .map_err(|cause| Failure::internal(format!("read pipe: {cause}")))
    }

    /// The next piece; empty at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Bytes> {
        let mut bytes = BytesMut::with_capacity(CHUNK);
        self.0.read_buf(&mut bytes).await?;
        Ok(bytes.freeze())
    }

    /// Copies all to a reply's body, after `first`; true when it has all arrived.
    pub(crate) async fn copy(mut self, first: Bytes, pieces: &Pieces) -> bool {
        if !pieces.send(first).await {
            return false;
        }
        loop {
            match self.next().await {
                Ok(piece) if piece.is_empty() => return true,
                Ok(piece) => {
                    if !pieces.send(piece).await {
                        return false;
                    }
                }
                Err(cause) => {
                    pieces.fail(cause).await;
                    return false;
                }
            }
        }
    }
}
