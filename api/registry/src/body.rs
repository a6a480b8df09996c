//! Bodies of replies.

use crate::outgoing::Outgoing;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) type Reply = hyper::Response<Body>;

/// How much of a file is read at once when the socket cannot take it from the file itself.
const READ: u64 = 256 << 10;
/// Files up to this size are read at once.
pub(crate) const SMALL: u64 = 64 << 10;

/// A reply's body.
#[derive(Debug)]
pub(crate) enum Body {
    /// Bytes in memory; none any more after they were taken.
    Whole(Option<Bytes>),
    /// A part of a file, sent by the kernel.
    Sent(Sent),
    /// A part of a file, read in blocking threads.
    Read(Read),
    /// Bytes that come as they come; of a known number or not.
    Stream {
        /// Where they come from. An error cuts the connection off, so that the client knows.
        source: mpsc::Receiver<io::Result<Bytes>>,
        /// How many are still to come.
        left: Option<u64>,
    },
}

/// See [`Outgoing`]: what hyper gets are blank bytes, and the socket sends the file in their place.
#[derive(Debug)]
pub(crate) struct Sent {
    file: Arc<File>,
    offset: u64,
    left: u64,
    outgoing: Arc<Outgoing>,
}

#[derive(Debug)]
pub(crate) struct Read {
    file: Arc<File>,
    offset: u64,
    left: u64,
    next: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }

    /// `length` bytes of `file` from `offset`, through `outgoing` if the connection has one.
    pub(crate) fn file(
        file: File,
        offset: u64,
        length: u64,
        outgoing: Option<&Arc<Outgoing>>,
    ) -> Self {
        let file = Arc::new(file);
        match outgoing {
            _ if length == 0 => Self::empty(),
            Some(outgoing) => {
                Self::Sent(Sent { file, offset, left: length, outgoing: Arc::clone(outgoing) })
            }
            None => Self::Read(Read { file, offset, left: length, next: None }),
        }
    }

    /// The number of bytes, when known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Sent(sent) => Some(sent.left),
            Self::Read(read) => Some(read.left),
            Self::Stream { left, .. } => *left,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Sent(sent) => Poll::Ready(sent.next().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Read(read) => read.poll(context),
            Self::Stream { source, left } => {
                let next = ready!(source.poll_recv(context));
                if let (Some(Ok(bytes)), Some(left)) = (&next, left) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                Poll::Ready(next.map(|next| next.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Sent {
    fn next(&mut self) -> Option<Bytes> {
        let (bytes, length) = self.outgoing.promise(&self.file, self.offset, self.left)?;
        self.offset += length;
        self.left -= length;
        Some(bytes)
    }
}

impl Read {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let next = match &mut self.next {
            Some(next) => next,
            None => self.next.insert(start(&self.file, self.offset, self.left)),
        };
        let read = ready!(Pin::new(next).poll(context)).map_err(io::Error::other);
        self.next = None;
        let bytes = match read.flatten() {
            Ok(bytes) => bytes,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        self.offset += bytes.len() as u64;
        self.left -= bytes.len() as u64;
        if self.left > 0 {
            // While these bytes are encrypted and sent, the next are read.
            self.next = Some(start(&self.file, self.offset, self.left));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

fn start(file: &Arc<File>, offset: u64, left: u64) -> JoinHandle<io::Result<Bytes>> {
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; left.min(READ) as usize];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(Bytes::from(bytes))
    })
}
