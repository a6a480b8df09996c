//! Copying between our standard streams and a container's.

use crate::failure::Failure;
use crate::output;
use crate::stream::detach::Keys;
use crate::stream::{input, terminal};
use client_http::frames::{Channel, Demultiplexer};
use client_http::{Client, Hijacked, Query, ReadSide, Request, WriteSide, escape_path};
use std::io::{self, Write as _};

/// Which streams are attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) input: bool,
    pub(crate) output: bool,
    pub(crate) error: bool,
}

impl Streams {
    pub(crate) fn any(self) -> bool {
        self.input || self.output || self.error
    }
}

/// Why copying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The container closed its output.
    Output,
    /// The user typed the detach keys.
    Detached,
}

/// A connection whose other end is a container's streams.
#[derive(Debug)]
pub(crate) struct Attached {
    connection: Hijacked,
    input: bool,
    tty: bool,
    keys: Keys,
}

impl Attached {
    /// Attaches to a container.
    pub(crate) async fn open(
        client: &Client,
        id: &str,
        streams: Streams,
        tty: bool,
        keys: &str,
    ) -> Result<Self, Failure> {
        let switch = |query: Query, name, on| if on { query.with(name, "1") } else { query };
        let mut query = Query::new().with("stream", "1").with_some("detachKeys", keys);
        query = switch(query, "stdin", streams.input);
        query = switch(query, "stdout", streams.output);
        query = switch(query, "stderr", streams.error);
        let request = Request::post(format!("/containers/{}/attach", escape_path(id))).query(query);
        let request = request.header("Content-Type", "text/plain");
        let connection = client.upgrade(request, "tcp").await?;
        Self::over(connection, streams.input, tty, keys)
    }

    /// Takes a connection that is attached already.
    pub(crate) fn over(
        connection: Hijacked,
        input: bool,
        tty: bool,
        keys: &str,
    ) -> Result<Self, Failure> {
        let keys =
            Keys::parse(keys).map_err(|reason| Failure::flag("detach-keys", keys, &reason))?;
        Ok(Self { connection, input, tty, keys })
    }

    /// Copies until the container closes its output or the user detaches.
    pub(crate) async fn copy(self) -> Result<End, Failure> {
        let _raw = (self.tty && self.input).then(terminal::Raw::set).flatten();
        let (read, write) = self.connection.split();
        let output = copy_output(read, self.tty);
        if !self.input {
            output.await?;
            return Ok(End::Output);
        }
        let keys = self.tty.then_some(self.keys);
        tokio::pin!(output);
        tokio::select! {
            result = &mut output => result.map(|()| End::Output),
            detached = copy_input(write, keys) => {
                if detached {
                    return Ok(End::Detached);
                }
                output.await.map(|()| End::Output)
            }
        }
    }
}

async fn copy_output(mut read: ReadSide, tty: bool) -> Result<(), Failure> {
    let mut frames = Demultiplexer::default();
    loop {
        let bytes = match read.read().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            // An engine that ends the connection hard has ended it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if tty {
            output::bytes(&bytes)?;
            continue;
        }
        for frame in frames.push(bytes)? {
            show(frame.channel, &frame.bytes)?;
        }
    }
}

/// Writes a piece of output to the stream that it belongs to.
pub(crate) fn show(channel: Channel, bytes: &[u8]) -> io::Result<()> {
    match channel {
        Channel::Output => output::bytes(bytes),
        Channel::Error => io::stderr().write_all(bytes),
    }
}

/// Sends what is typed. True if the user detached; at the end of input the engine is told and this ends with false.
async fn copy_input(mut write: WriteSide, keys: Option<Keys>) -> bool {
    let mut pieces = input::pieces();
    let mut keys = keys;
    while let Some(piece) = pieces.recv().await {
        let (piece, detached) = match &mut keys {
            Some(keys) => keys.filter(&piece),
            None => (piece, false),
        };
        // A container that ended takes no more; its output says the rest.
        if write.write(&piece).await.is_err() {
            return false;
        }
        if detached {
            return true;
        }
    }
    drop(write.close().await);
    // The connection stays open until the output ends.
    drop(write);
    false
}
