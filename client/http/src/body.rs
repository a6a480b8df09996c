//! How long the body of an answer is, and taking it apart.

use crate::wire::{Head, Wire};
use bytes::Bytes;
use std::io;

/// The longest line before a chunk.
const LINE_LIMIT: usize = 4 << 10;

/// What is left of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes.
    Length(u64),
    /// Chunks; this many bytes of the present one are left, `None` before its size line.
    Chunked(Option<u64>),
    /// All until the other side closes.
    UntilClose,
    /// Nothing any more.
    Done,
}

impl Framing {
    pub(crate) fn of(method: &str, head: &Head) -> Self {
        if method == "HEAD" || head.status == 204 || head.status == 304 || head.status < 200 {
            return Self::Done;
        }
        let chunked = head
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            return Self::Chunked(None);
        }
        match head.header("content-length").and_then(|value| value.parse().ok()) {
            Some(0) => Self::Done,
            Some(length) => Self::Length(length),
            None => Self::UntilClose,
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self, wire: &mut Wire) -> io::Result<Option<Bytes>> {
        loop {
            let left = match self {
                Self::Done => return Ok(None),
                Self::Chunked(None) => {
                    let size = chunk_size(wire).await?;
                    *self = if size == 0 { Self::Done } else { Self::Chunked(Some(size)) };
                    continue;
                }
                Self::Chunked(Some(left)) | Self::Length(left) => *left,
                Self::UntilClose => u64::MAX,
            };
            if wire.buffer.is_empty() && wire.fill().await? == 0 {
                if *self == Self::UntilClose {
                    *self = Self::Done;
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = wire.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = wire.buffer.split_to(take).freeze();
            self.consumed(take as u64, wire).await?;
            return Ok(Some(piece));
        }
    }

    async fn consumed(&mut self, taken: u64, wire: &mut Wire) -> io::Result<()> {
        match self {
            Self::Length(left) => {
                *left -= taken;
                if *left == 0 {
                    *self = Self::Done;
                }
            }
            Self::Chunked(Some(left)) => {
                *left -= taken;
                if *left == 0 {
                    line(wire).await?;
                    *self = Self::Chunked(None);
                }
            }
            Self::Chunked(None) | Self::UntilClose | Self::Done => {}
        }
        Ok(())
    }
}

async fn chunk_size(wire: &mut Wire) -> io::Result<u64> {
    let text = line(wire).await?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    let size = u64::from_str_radix(digits, 16)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk has no size"))?;
    if size == 0 {
        while !line(wire).await?.is_empty() {}
    }
    Ok(size)
}

async fn line(wire: &mut Wire) -> io::Result<String> {
    loop {
        if let Some(end) = wire.buffer.iter().position(|byte| *byte == b'\n') {
            let bytes = wire.buffer.split_to(end + 1);
            return Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        }
        if wire.buffer.len() > LINE_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the line before a chunk is longer than 4 KiB",
            ));
        }
        if wire.fill().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
