//! Whether a client is still there, and how long it may take.
//!
//! hyper drops a request's future when it reads the end of the connection, and then a client that sends its request,
//! closes its writing side and waits for the answer gets none; told to allow that, hyper no longer notices clients that
//! leave. So the end of the connection is kept from hyper while a request is answered: [`Link::left`] resolves for the
//! verbs that want to know, and hyper reads the end only when the answer is out.
//!
//! ```text
//! Idle ──first bytes──▶ deadline for the head ──request──▶ Body ──all read──▶ Busy ──reply sent──▶ Idle
//! the end is told to hyper: at once                         at once           when Idle again
//! ```

use super::socket::Socket;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;

/// How long the head of a request may take from its first byte on.
pub(crate) const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a connection may be silent between requests.
pub(crate) const IDLE_DEADLINE: Duration = Duration::from_secs(300);

/// How long a client may go on sending after its answer, before its connection is cut.
pub(crate) const PARTING_DEADLINE: Duration = Duration::from_secs(2);
/// The same when the server ends, which a client that has nothing to say must not hold up.
const LAST_PARTING: Duration = Duration::from_millis(200);

const IDLE: u8 = 0;
const BODY: u8 = 1;
const BUSY: u8 = 2;

/// What a connection and the request on it know of each other; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    phase: Arc<AtomicU8>,
    requests: Arc<AtomicU64>,
    /// Woken when a reply is out, to read the end of the connection that was kept back meanwhile.
    kept_back: Arc<AtomicWaker>,
    left: Arc<watch::Sender<bool>>,
    stopping: watch::Receiver<bool>,
}

impl Link {
    /// A connection that no request is on; `stopping` becomes true when the server ends.
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Self {
        let (left, _) = watch::channel(false);
        Self {
            phase: Arc::new(AtomicU8::new(IDLE)),
            requests: Arc::new(AtomicU64::new(0)),
            kept_back: Arc::new(AtomicWaker::new()),
            left: Arc::new(left),
            stopping,
        }
    }

    /// A request has arrived; its body comes next when it has one.
    pub(crate) fn begin(&self, has_body: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.phase.store(if has_body { BODY } else { BUSY }, Ordering::Release);
    }

    /// The request's body has been read to its end.
    pub(crate) fn body_done(&self) {
        self.phase.store(BUSY, Ordering::Release);
    }

    /// The reply has been sent or given up.
    pub(crate) fn finish(&self) {
        self.phase.store(IDLE, Ordering::Release);
        self.kept_back.wake();
    }

    /// True when a request is on the connection.
    pub(crate) fn in_use(&self) -> bool {
        self.phase.load(Ordering::Acquire) != IDLE
    }

    /// Resolves when the client has closed its side of the connection, or the server ends.
    pub(crate) async fn left(&self) {
        let (mut left, mut stopping) = (self.left.subscribe(), self.stopping.clone());
        tokio::select! {
            _ = left.wait_for(|left| *left) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Resolves when the server ends.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stopping.clone();
        if stopping.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn mark_left(&self) {
        self.left.send_replace(true);
    }
}

/// What a client that no request is answered for is given time to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The first byte of a request.
    Request,
    /// The rest of a request's head.
    Head,
}

/// A connection as hyper sees it: first the bytes that were already read, then the socket.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Socket,
    already: Bytes,
    link: Link,
    deadline: Pin<Box<Sleep>>,
    awaited: Option<Awaited>,
    /// How many requests there had been when the deadline was set.
    requests: u64,
    /// From the last byte of ours on: when the client's rest is no longer waited for.
    parting: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    /// The rest of `socket` after `already`.
    pub(crate) fn new(socket: Socket, already: Bytes, link: Link) -> Self {
        let deadline = Box::pin(tokio::time::sleep(HEAD_DEADLINE));
        Self {
            socket,
            already,
            link,
            deadline,
            awaited: Some(Awaited::Head),
            requests: 0,
            parting: None,
        }
    }

    /// The socket, and what was read from it but not yet given on.
    pub(crate) fn into_parts(self) -> (Socket, Bytes) {
        (self.socket, self.already)
    }

    /// Fails when the client has been silent for too long; without effect while a request is answered.
    fn poll_deadline(
        &mut self,
        context: &mut Context<'_>,
        awaited: Awaited,
    ) -> Poll<io::Result<()>> {
        let requests = self.link.requests.load(Ordering::Relaxed);
        if self.link.in_use() || requests != self.requests {
            self.awaited = None;
            self.requests = requests;
        }
        if self.link.in_use() {
            return Poll::Pending;
        }
        if self.awaited.is_none() || awaited == Awaited::Head && self.awaited != Some(awaited) {
            self.awaited = Some(awaited);
            let time = if awaited == Awaited::Head { HEAD_DEADLINE } else { IDLE_DEADLINE };
            self.deadline.as_mut().reset(tokio::time::Instant::now() + time);
        }
        self.deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.already.is_empty() {
            let count = this.already.len().min(buffer.remaining());
            buffer.put_slice(&this.already.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(context, buffer);
        let ended = match &read {
            Poll::Pending => return this.poll_deadline(context, Awaited::Request),
            Poll::Ready(Ok(())) => buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
        };
        if !ended {
            return match this.poll_deadline(context, Awaited::Head) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => read,
            };
        }
        this.link.mark_left();
        this.link.kept_back.register(context.waker());
        if this.link.phase.load(Ordering::Acquire) == BUSY { Poll::Pending } else { read }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    /// Closes our side, then reads away what the client still sends: a socket that is closed with bytes unread resets
    /// the connection, and a client in the middle of its upload would see that instead of the answer.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.parting.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
        }
        let time = if *this.link.stopping.borrow() { LAST_PARTING } else { PARTING_DEADLINE };
        let parting = this.parting.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        if parting.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut rest = [MaybeUninit::uninit(); 16 << 10];
        loop {
            let mut rest = ReadBuf::uninit(&mut rest);
            match ready!(Pin::new(&mut this.socket).poll_read(context, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
