//! The asking side: requests of many tasks over one connection, which may be replaced when the worker died.

use crate::connection::{Connection, Frame, Kind, TransportError, decode, encode};
use messages::Request;
use messages::control::Role;
use rustix::io::Errno;
use spec::{Class, Failure};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

/// How often a request that may be repeated is sent to a worker that dies each time.
const ATTEMPTS: u32 = 3;

type Waiting = HashMap<u64, oneshot::Sender<Frame>>;

/// One connection, with those who wait for an answer on it. Dropping the waiters tells them that it is over.
#[derive(Debug)]
struct Link {
    socket: AsyncFd<Connection>,
    waiting: Mutex<Option<Waiting>>,
}

impl Link {
    /// Registers a waiter; `None` when the connection is over.
    fn register(&self, sequence: u64) -> Option<oneshot::Receiver<Frame>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut()?.insert(sequence, sender);
        Some(receiver)
    }

    fn unregister(&self, sequence: u64) -> Option<oneshot::Sender<Frame>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut()?.remove(&sequence)
    }

    fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn send(
        &self,
        sequence: u64,
        payload: &[u8],
        fds: &[OwnedFd],
    ) -> Result<(), TransportError> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        send(&self.socket, Kind::Request, sequence, payload, &fds).await
    }

    /// Hands each answer to who waits for it, until the connection ends.
    async fn read(self: Arc<Self>) {
        while let Ok(Some(frame)) = receive(&self.socket).await {
            if let Some(waiter) = self.unregister(frame.sequence) {
                // Who gave up meanwhile needs no answer; the descriptors in it are closed here.
                waiter.send(frame).ok();
            }
        }
        self.close();
    }
}

/// Sends on a socket that does not block.
pub(crate) async fn send(
    socket: &AsyncFd<Connection>,
    kind: Kind,
    sequence: u64,
    payload: &[u8],
    fds: &[std::os::fd::BorrowedFd<'_>],
) -> Result<(), TransportError> {
    loop {
        match socket.get_ref().send(kind, sequence, payload, fds) {
            Err(TransportError::Socket { errno: Errno::AGAIN, .. }) => {
                let mut ready = socket.writable().await.map_err(|_| closed("send"))?;
                ready.clear_ready();
            }
            result => return result,
        }
    }
}

/// Receives from a socket that does not block.
pub(crate) async fn receive(socket: &AsyncFd<Connection>) -> Result<Option<Frame>, TransportError> {
    loop {
        let mut ready = socket.readable().await.map_err(|_| closed("receive"))?;
        match socket.get_ref().receive() {
            Err(TransportError::Socket { errno: Errno::AGAIN, .. }) => ready.clear_ready(),
            result => return result,
        }
    }
}

fn closed(operation: &'static str) -> TransportError {
    TransportError::Socket { operation, errno: Errno::PIPE }
}

/// Makes a socket fit for tokio.
#[expect(
    deprecated,
    reason = "the successor needs a promise that a Connection, which owns its one descriptor for good, keeps by itself"
)]
pub(crate) fn register(socket: OwnedFd) -> std::io::Result<AsyncFd<Connection>> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    AsyncFd::new(Connection::from(socket))
}

/// Asks one worker. Cheap to clone; all clones share the connection.
#[derive(Debug)]
pub struct Client<R> {
    shared: Arc<Shared>,
    request: PhantomData<fn() -> R>,
}

#[derive(Debug)]
struct Shared {
    role: Role,
    link: watch::Sender<Option<Arc<Link>>>,
    sequence: std::sync::atomic::AtomicU64,
}

impl<R> Clone for Client<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), request: PhantomData }
    }
}

impl<R: Request> Client<R> {
    /// A client of the worker of this role, not yet connected: requests wait for [`Client::connect`].
    pub fn new(role: Role) -> Self {
        let shared = Shared { role, link: watch::Sender::new(None), sequence: 1.into() };
        Self { shared: Arc::new(shared), request: PhantomData }
    }

    /// Uses this socket from now on. Requests in flight on an earlier one fail, or are sent again here if that is
    /// harmless. Must be called inside a tokio runtime.
    pub fn connect(&self, socket: OwnedFd) -> std::io::Result<()> {
        let link =
            Arc::new(Link { socket: register(socket)?, waiting: Mutex::new(Some(HashMap::new())) });
        tokio::spawn(Arc::clone(&link).read());
        if let Some(old) = self.shared.link.send_replace(Some(link)) {
            old.close();
        }
        Ok(())
    }

    /// Asks, and waits for the answer within the request's deadline. Descriptors that the request names by position
    /// are `fds`; those of the answer are in the same way in what is returned.
    ///
    /// A caller that stops waiting leaves the worker to finish; the answer is dropped.
    pub async fn call(
        &self,
        request: R,
        fds: Vec<OwnedFd>,
    ) -> Result<(R::Reply, Vec<OwnedFd>), Failure> {
        let verb = request.verb();
        let payload = encode(&request)
            .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
        let attempts = if request.idempotent() { ATTEMPTS } else { 1 };
        let deadline = Instant::now() + request.deadline();
        for _ in 0..attempts {
            let asked = timeout_at(deadline, self.attempt(&payload, &fds)).await;
            match asked {
                Ok(Ok(frame)) => return answer::<R>(frame),
                Ok(Err(None)) => {}
                Ok(Err(Some(failure))) => return Err(failure),
                Err(_) => return Err(self.late(verb)),
            }
        }
        let role = self.shared.role.name();
        let message = format!("{verb}: the {role} worker ended before it answered");
        Err(Failure::new(Class::Unavailable, message))
    }

    /// One try on the present connection; `Err(None)` when the connection ended first.
    async fn attempt(&self, payload: &[u8], fds: &[OwnedFd]) -> Result<Frame, Option<Failure>> {
        let link = self.link().await;
        let sequence = self.shared.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Some(receiver) = link.register(sequence) else { return Err(None) };
        let _forget = Forget { link: &link, sequence };
        match link.send(sequence, payload, fds).await {
            Ok(()) => receiver.await.map_err(|_| None),
            Err(TransportError::Socket { .. }) => {
                link.close();
                Err(None)
            }
            Err(error) => Err(Some(Failure::from_error(Class::InvalidArgument, &error))),
        }
    }

    /// The present connection if it is alive, or the next.
    async fn link(&self) -> Arc<Link> {
        let mut links = self.shared.link.subscribe();
        let alive = |link: &Option<Arc<Link>>| {
            link.as_ref().is_some_and(|link| {
                link.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
            })
        };
        loop {
            if let Ok(link) = links.wait_for(alive).await
                && let Some(link) = link.as_ref()
            {
                return Arc::clone(link);
            }
        }
    }

    fn late(&self, verb: &str) -> Failure {
        let role = self.shared.role.name();
        Failure::new(
            Class::DeadlineExceeded,
            format!("{verb}: the {role} worker did not answer in time"),
        )
    }
}

/// Takes the waiter away when the asker stops waiting.
struct Forget<'a> {
    link: &'a Link,
    sequence: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.link.unregister(self.sequence);
    }
}

fn answer<R: Request>(frame: Frame) -> Result<(R::Reply, Vec<OwnedFd>), Failure> {
    let broken = |error: TransportError| Failure::from_error(Class::Internal, &error);
    match frame.kind {
        Kind::Success => Ok((decode(&frame.payload).map_err(broken)?, frame.descriptors)),
        Kind::Failure => Err(decode(&frame.payload).map_err(broken)?),
        _ => Err(broken(TransportError::Malformed("answer of a wrong kind"))),
    }
}
