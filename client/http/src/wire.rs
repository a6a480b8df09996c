//! One connection: what was read and not yet used, and the head of an answer.

use crate::transport::Transport;
use bytes::BytesMut;
use std::io;
use tokio::io::AsyncReadExt;

/// The longest head of an answer.
const HEAD_LIMIT: usize = 64 << 10;
/// The most headers of an answer.
const HEADER_LIMIT: usize = 100;

/// A connection with what was read from it and not yet used.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) io: Box<dyn Transport>,
    pub(crate) buffer: BytesMut,
}

/// The status line and the headers.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl Wire {
    pub(crate) fn new(io: Box<dyn Transport>) -> Self {
        Self { io, buffer: BytesMut::with_capacity(8 << 10) }
    }

    /// Reads more; 0 means that the other side closed.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(8 << 10);
        self.io.read_buf(&mut self.buffer).await
    }

    /// Reads the head of an answer; those of 1xx but 101 are skipped.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, length)) = parse(&self.buffer)? {
                drop(self.buffer.split_to(length));
                if head.status >= 200 || head.status == 101 {
                    return Ok(head);
                }
                continue;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the head is longer than 64 KiB",
                ));
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(format!("this is not HTTP: {error}"))),
    };
    let headers = response
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    Ok(Some((Head { status: response.code.unwrap_or_default(), headers }, length)))
}
