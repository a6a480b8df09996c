//! The answering side: one thread that polls the control socket and the askers' connections.

use crate::connection::{Connection, Frame, Kind, TransportError, decode, encode};
use crate::descriptors::Descriptors;
use crate::outbox::Outbox;
use messages::Request;
use messages::control::{Control, Role};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use spec::{Class, Failure};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// Requests of one connection that may be unanswered before the next is read. A flood waits in the asker's process.
const IN_FLIGHT: usize = 128;

/// After so long without anything to do a worker gives back the memory that only work needs.
const QUIET: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// How often a full peer is looked at.
const FULL: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// A request that arrived.
#[derive(Debug)]
pub struct Incoming<R: Request> {
    /// What is asked.
    pub request: R,
    /// What travelled with it.
    pub descriptors: Descriptors,
    /// Where the answer goes.
    pub responder: Responder<R>,
}

/// Answers one request, from any thread, or from a forked child.
#[derive(Debug)]
pub struct Responder<R> {
    outbox: Arc<Outbox>,
    sequence: u64,
    _place: Place,
    verb: &'static str,
    /// Told the process id when the request has been answered.
    report: Option<Arc<OwnedFd>>,
    request: PhantomData<fn() -> R>,
}

/// One of the requests of a connection that are unanswered.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(in_flight: &Arc<AtomicUsize>) -> Self {
        in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(in_flight))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<R: Request> Responder<R> {
    /// Sends the answer. An asker that is gone is no error: nobody is left to be told.
    pub fn answer(self, result: Result<(R::Reply, Vec<OwnedFd>), Failure>) {
        let sent = match result {
            Ok((reply, descriptors)) => encode(&reply).and_then(|payload| {
                self.outbox.send(Kind::Success, self.sequence, payload, descriptors)
            }),
            Err(failure) => self.refuse(&failure),
        };
        if let Err(TransportError::TooLarge(size)) = sent {
            let message = format!("{}: answer of {size} bytes is too large", self.verb);
            self.refuse(&Failure::internal(message)).ok();
        }
    }

    fn refuse(&self, failure: &Failure) -> Result<(), TransportError> {
        self.outbox.send(Kind::Failure, self.sequence, encode(failure)?, Vec::new())
    }

    /// The connection that the request came on, to be closed or kept by a forked child.
    pub fn connection(&self) -> &Connection {
        self.outbox.connection()
    }

    /// The request's verb, for logs.
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// What may refuse the request later, for a worker whose forked child takes this along.
    pub fn stand_in(&self) -> StandIn {
        StandIn {
            outbox: Arc::downgrade(&self.outbox),
            sequence: self.sequence,
            _place: Place::take(&self._place.0),
            verb: self.verb,
        }
    }

    /// In a forked child: `report` is sent the child's process id, as four bytes in the machine's order, as soon as the
    /// request has been answered or given up.
    pub fn reporting_to(mut self, report: &Arc<OwnedFd>) -> Self {
        self.report = Some(Arc::clone(report));
        self
    }
}

/// Refuses a request in the place of a forked child that has died before it answered. It keeps no connection open. As
/// long as it exists the request counts as unanswered, so drop it when the child has answered.
#[derive(Debug)]
pub struct StandIn {
    outbox: Weak<Outbox>,
    sequence: u64,
    _place: Place,
    verb: &'static str,
}

impl StandIn {
    /// Sends the failure. An asker who has been answered already does not know the number any more, and drops it.
    pub fn refuse(self, failure: &Failure) {
        if let (Some(outbox), Ok(payload)) = (self.outbox.upgrade(), encode(failure)) {
            // An asker that is gone is no error: nobody is left to be told.
            outbox.send(Kind::Failure, self.sequence, payload, Vec::new()).ok();
        }
    }

    /// The request's verb.
    pub fn verb(&self) -> &'static str {
        self.verb
    }
}

impl<R> Drop for Responder<R> {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            let pid = rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes();
            // A worker that is gone counts no more.
            rustix::net::send(&*report, &pid, rustix::net::SendFlags::NOSIGNAL).ok();
        }
    }
}

/// What a worker does with what arrives.
pub trait Handler<R: Request> {
    /// A request. What takes long must not be done here: other requests wait meanwhile.
    fn request(&mut self, incoming: Incoming<R>);

    /// The supervisor said something else than [`Control::Peer`] and [`Control::Stop`].
    fn control(&mut self, _control: Control) {}

    /// Descriptors of the worker's own that shall be polled for reading too.
    fn watched(&self) -> Vec<std::os::fd::BorrowedFd<'_>> {
        Vec::new()
    }

    /// One of [`Handler::watched`] is readable, by position.
    fn readable(&mut self, _position: usize) {}
}

struct Peer {
    outbox: Arc<Outbox>,
    in_flight: Arc<AtomicUsize>,
}

impl Peer {
    fn new(socket: OwnedFd) -> Self {
        Self { outbox: Arc::new(Outbox::new(socket.into())), in_flight: Arc::default() }
    }

    fn is_full(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) >= IN_FLIGHT
    }

    /// While answers wait for the asker to read, no more requests are taken from it.
    fn awaited(&self) -> PollFlags {
        if !self.outbox.is_empty() {
            PollFlags::OUT
        } else if self.is_full() {
            PollFlags::empty()
        } else {
            PollFlags::IN
        }
    }
}

/// The poll loop of a worker.
#[derive(Debug)]
pub struct Server<R> {
    control: Connection,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Server<R> {
    /// A worker whose control socket is this one.
    pub fn new(control: OwnedFd) -> Self {
        Self { control: control.into(), request: PhantomData }
    }

    /// Serves until the supervisor says stop or is gone.
    pub fn run(&self, handler: &mut impl Handler<R>) -> Result<(), TransportError> {
        let mut peers: Vec<Peer> = Vec::new();
        loop {
            let (control, ready, watched) = self.wait(&peers, handler)?;
            for position in watched {
                handler.readable(position);
            }
            let mut closed = Vec::new();
            for position in ready {
                if let Some(peer) = peers.get(position)
                    && !serve_one(peer, handler)
                {
                    closed.push(position);
                }
            }
            for position in closed.into_iter().rev() {
                peers.swap_remove(position);
            }
            if control && !self.obey(&mut peers, handler)? {
                return Ok(());
            }
        }
    }

    /// Waits; answers whether the control socket, which peers, and which of the handler's own are readable.
    fn wait(
        &self,
        peers: &[Peer],
        handler: &impl Handler<R>,
    ) -> Result<(bool, Vec<usize>, Vec<usize>), TransportError> {
        let watched = handler.watched();
        let mut fds = vec![PollFd::new(&self.control, PollFlags::IN)];
        for peer in peers {
            fds.push(PollFd::new(peer.outbox.connection(), peer.awaited()));
        }
        fds.extend(watched.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        // A full peer becomes readable again when an answer was sent by another thread, which no descriptor tells.
        let any_full = peers.iter().any(|peer| peer.outbox.is_empty() && peer.is_full());
        let mut poll = |timeout: Option<&Timespec>| {
            rustix::io::retry_on_intr(|| poll(&mut fds, timeout))
                .map_err(|errno| TransportError::Socket { operation: "poll", errno })
        };
        if any_full {
            poll(Some(&FULL))?;
        } else if poll(Some(&QUIET))? == 0 {
            sys::memory::trim();
            sys::memory::release_program();
            poll(None)?;
        }
        let readable = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let control = fds.first().is_some_and(readable);
        let of = |range: std::ops::Range<usize>| {
            fds.get(range.clone())
                .unwrap_or_default()
                .iter()
                .enumerate()
                .filter(|(_, fd)| readable(fd))
                .map(|(position, _)| position)
                .collect()
        };
        let first_watched = 1 + peers.len();
        Ok((control, of(1..first_watched), of(first_watched..fds.len())))
    }

    /// Reads one control message; false when the worker shall end.
    fn obey(
        &self,
        peers: &mut Vec<Peer>,
        handler: &mut impl Handler<R>,
    ) -> Result<bool, TransportError> {
        let Some(frame) = self.control.receive()? else { return Ok(false) };
        match decode(&frame.payload)? {
            Control::Stop => return Ok(false),
            Control::Peer(Role::Api) => {
                let mut descriptors = frame.descriptors.into_iter();
                let socket = descriptors.next().ok_or(TransportError::Malformed("no peer"))?;
                peers.push(Peer::new(socket));
            }
            other => handler.control(other),
        }
        Ok(true)
    }
}

/// Sends what waits for a peer, or reads one message of it; false when the connection is over. A peer that breaks the
/// format is cut off.
fn serve_one<R: Request>(peer: &Peer, handler: &mut impl Handler<R>) -> bool {
    if !peer.outbox.is_empty() {
        return peer.outbox.flush().is_ok();
    }
    let frame = match peer.outbox.connection().receive() {
        Ok(Some(frame)) if frame.kind == Kind::Request => frame,
        Ok(_) | Err(_) => return false,
    };
    let Frame { sequence, payload, descriptors, .. } = frame;
    let decoded = decode::<R>(&payload);
    let responder = Responder {
        outbox: Arc::clone(&peer.outbox),
        sequence,
        _place: Place::take(&peer.in_flight),
        report: None,
        verb: decoded.as_ref().map_or("request", R::verb),
        request: PhantomData,
    };
    match decoded {
        Ok(request) => {
            let descriptors = Descriptors::new(descriptors);
            handler.request(Incoming { request, descriptors, responder });
        }
        Err(error) => responder.answer(Err(Failure::from_error(Class::InvalidArgument, &error))),
    }
    true
}
