//! An answer whose body is read piece by piece.

use crate::ClientError;
use crate::body::Framing;
use crate::client::Idle;
use crate::hijack::Hijacked;
use crate::objects::Objects;
use crate::wire::{Head, Wire};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use std::io;

/// The largest body that is read as a whole, in bytes.
const BODY_LIMIT: usize = 256 << 20;

/// An answer below 400. Reading it to the end gives the connection back.
#[derive(Debug)]
pub struct Response {
    pub(crate) head: Head,
    pub(crate) wire: Option<Wire>,
    pub(crate) framing: Framing,
    pub(crate) idle: Idle,
    pub(crate) host: String,
}

impl Response {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// A header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks within the body.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(wire) = &mut self.wire else { return Ok(None) };
        match self.framing.next(wire).await {
            Ok(Some(piece)) => Ok(Some(piece)),
            Ok(None) => {
                self.release();
                Ok(None)
            }
            Err(source) => Err(ClientError::Io { host: self.host.clone(), source }),
        }
    }

    /// Gives the connection back if the body is at its end.
    pub(crate) fn release(&mut self) {
        let close =
            self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if self.framing == Framing::Done
            && !close
            && let Some(wire) = self.wire.take()
        {
            self.idle.put(wire);
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// When the connection breaks, or the body is larger than 256 MiB.
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if all.len() + piece.len() > BODY_LIMIT {
                let source = io::Error::other("the body is larger than 256 MiB");
                return Err(ClientError::Io { host: self.host.clone(), source });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// The whole body as JSON; keys match whatever their case.
    ///
    /// # Errors
    /// Those of [`Response::bytes`], and JSON that is not what was expected.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }

    /// The body as a stream of JSON objects.
    #[must_use]
    pub fn objects(self) -> Objects {
        Objects::new(self)
    }

    /// The connection after 101, or after 200 of an engine that hijacks without saying so.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn hijack(self) -> Result<Hijacked, ClientError> {
        let kind = self.header("content-type").unwrap_or_default().to_owned();
        match self.wire {
            Some(wire) => Ok(Hijacked::new(wire, kind)),
            None => Err(ClientError::Malformed {
                host: self.host,
                reason: "the connection was not upgraded".into(),
            }),
        }
    }
}
