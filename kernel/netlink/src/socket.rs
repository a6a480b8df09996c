//! Netlink sockets, and batches of requests with their acknowledgements.
//!
//! ```text
//! we:      [request 1][request 2]...[request n]      one send, each with NLM_F_ACK
//! kernel:  [ack 1][ack 2]...[ack n]                  one to n datagrams, matched by sequence number
//! ```
//!
//! A socket is connected to the kernel (port 0), so that a datagram of any other process is never delivered, and has
//! a receive timeout, so that a lost acknowledgement is an error and not a hang. It belongs to the network namespace
//! in which it was opened, whatever namespace its user is in.

use crate::NetlinkError;
use crate::wire::{self, Attributes, Encoder, Message, Messages};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The largest datagram that the kernel builds for a dump (NLMSG_GOODSIZE is smaller, 32 KiB its upper limit).
const DATAGRAM: usize = 32 * 1024;
/// What a dump may hold in all: beyond this something is wrong with the host or with us.
const DUMP_LIMIT: usize = 64 * 1024 * 1024;
/// How often an inconsistent dump is made again.
const DUMP_TRIES: usize = 8;
/// How many requests go in one send: their acknowledgements must fit the receive buffer (about 1 KiB each).
const CHUNK: usize = 96;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests to be sent together, each with the words for its failure.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) encoder: Encoder,
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    offset: usize,
    operation: &'static str,
    object: String,
    tolerated: Option<Errno>,
}

impl Batch {
    /// No request yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of requests.
    pub fn len(&self) -> usize {
        self.asked.len()
    }

    /// True without any request.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Takes `errno` as a success of the request that was added last: `EXIST` makes a creation idempotent.
    pub fn tolerate(&mut self, errno: Errno) {
        if let Some(last) = self.asked.last_mut() {
            last.tolerated = Some(errno);
        }
    }

    pub(crate) fn begin(
        &mut self,
        kind: u16,
        flags: u16,
        operation: &'static str,
        object: impl Into<String>,
    ) -> &mut Encoder {
        let offset = self.encoder.bytes().len();
        self.asked.push(Asked { offset, operation, object: object.into(), tolerated: None });
        self.encoder.begin(kind, flags | wire::REQUEST, 0);
        &mut self.encoder
    }

    fn refused(&self, index: usize, errno: Errno, hint: Option<String>) -> NetlinkError {
        let (operation, object) = match self.asked.get(index) {
            Some(asked) => (asked.operation, asked.object.clone()),
            None => ("commit", "batch".to_owned()),
        };
        NetlinkError::Refused { operation, object, hint, errno }
    }

    fn unanswered(&self, index: usize) -> NetlinkError {
        let asked = self.asked.get(index);
        NetlinkError::Unanswered {
            operation: asked.map_or("commit", |a| a.operation),
            object: asked.map_or_else(|| "batch".to_owned(), |a| a.object.clone()),
        }
    }
}

/// A NETLINK_ROUTE socket: links, addresses, routes.
#[derive(Debug)]
pub struct RouteSocket(Channel);

/// A NETLINK_NETFILTER socket: nftables.
#[derive(Debug)]
pub struct NetfilterSocket(pub(crate) Channel);

impl RouteSocket {
    /// A socket of the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        // Protocol 0 of the family is NETLINK_ROUTE.
        Channel::open(None).map(Self)
    }

    /// Sends the requests and waits until each is acknowledged. The first refusal is the error; the requests before
    /// and behind it have been tried all the same, in order.
    pub fn run(&mut self, batch: Batch) -> Result<(), NetlinkError> {
        self.0.run(batch)
    }

    pub(crate) fn list<T>(
        &mut self,
        object: &'static str,
        batch: Batch,
        parse: impl Fn(Message<'_>) -> Result<Option<T>, NetlinkError>,
    ) -> Result<Vec<T>, NetlinkError> {
        self.0.list(object, batch, parse)
    }

    /// The answer to one request that is no dump.
    pub(crate) fn get_one<T>(
        &mut self,
        batch: Batch,
        parse: impl Fn(Message<'_>) -> Result<Option<T>, NetlinkError>,
    ) -> Result<Option<T>, NetlinkError> {
        Ok(self.0.list_once(&batch, wire::ACK, &parse)?.and_then(|mut all| all.pop()))
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl NetfilterSocket {
    /// A socket of the calling thread's network namespace. EPROTONOSUPPORT: the kernel is built without nfnetlink.
    pub fn open() -> Result<Self, NetlinkError> {
        Channel::open(Some(netlink::NETFILTER)).map(Self)
    }
}

/// Hears of every change of the packet filter in the namespace in which it was opened, whoever made it.
#[derive(Debug)]
pub struct RuleMonitor(OwnedFd);

impl RuleMonitor {
    /// Begins to listen. Needs CAP_NET_ADMIN; EPROTONOSUPPORT where the kernel has no nfnetlink.
    pub fn open() -> Result<Self, NetlinkError> {
        /// NFNLGRP_NFTABLES is the seventh group.
        const GROUP: u32 = 1 << 6;
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::NETFILTER),
        )
        .map_err(failed("socket"))?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, GROUP)).map_err(failed("bind"))?;
        Ok(Self(fd))
    }

    /// Forgets what was heard so far. That some of it was lost (ENOBUFS) does not matter: whoever listens looks at
    /// the rules themselves.
    pub fn drain(&self) {
        let mut buffer = [0; 4096];
        loop {
            match rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for RuleMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[derive(Debug)]
pub(crate) struct Channel {
    fd: OwnedFd,
    sequence: u32,
}

fn failed(call: &'static str) -> impl Fn(Errno) -> NetlinkError {
    move |errno| NetlinkError::Socket { call, errno }
}

impl Channel {
    fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(failed("socket"))?;
        rustix::net::connect(&fd, &SocketAddrNetlink::new(0, 0)).map_err(failed("connect"))?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(TIMEOUT))
            .map_err(failed("setsockopt SO_RCVTIMEO"))?;
        // Both options are conveniences: without them (Linux before 4.12) errors carry the request and no text.
        set_option(fd.as_fd(), libc::NETLINK_EXT_ACK)?;
        set_option(fd.as_fd(), libc::NETLINK_CAP_ACK)?;
        Ok(Self { fd, sequence: 1 })
    }

    pub(crate) fn run(&mut self, batch: Batch) -> Result<(), NetlinkError> {
        let mut first = None;
        let mut from = 0;
        while from < batch.asked.len() {
            let to = (from + CHUNK).min(batch.asked.len());
            if let Err(error) = self.run_part(&batch, from, to) {
                first.get_or_insert(error);
            }
            from = to;
        }
        first.map_or(Ok(()), Err)
    }

    fn run_part(&mut self, batch: &Batch, from: usize, to: usize) -> Result<(), NetlinkError> {
        let base = self.send(batch, from, to, wire::ACK)?;
        let mut waiting = to - from;
        let mut refused: Option<(usize, NetlinkError)> = None;
        while waiting > 0 {
            let datagram = self.receive().map_err(|error| match error.errno() {
                Some(Errno::AGAIN) => batch.unanswered(to - 1),
                _ => error,
            })?;
            for message in Messages::new(&datagram) {
                let Some((index, answer)) = acknowledgement(&message?, base, to - from)? else {
                    continue;
                };
                waiting = waiting.saturating_sub(1);
                let Err((errno, hint)) = answer else { continue };
                let tolerated = batch.asked[from + index].tolerated == Some(errno);
                if !tolerated && refused.as_ref().is_none_or(|(at, _)| index < *at) {
                    refused = Some((index, batch.refused(from + index, errno, hint)));
                }
            }
        }
        refused.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Sends an nftables transaction whose last change (the request before the closing message) is acknowledged only
    /// when everything has been committed. Everything happens inside the send: what is not in the receive queue
    /// after it will not come.
    pub(crate) fn commit(&mut self, batch: Batch) -> Result<(), NetlinkError> {
        let count = batch.asked.len();
        let base = self.send(&batch, 0, count, 0)?;
        let mut committed = false;
        let mut refused: Option<(usize, NetlinkError)> = None;
        while let Some(datagram) = self.receive_queued()? {
            for message in Messages::new(&datagram) {
                let Some((index, answer)) = acknowledgement(&message?, base, count)? else {
                    continue;
                };
                match answer {
                    Ok(()) => committed |= index + 2 == count,
                    // A follow-up of an earlier failure never hides it.
                    Err((errno, hint)) if refused.as_ref().is_none_or(|(at, _)| index < *at) => {
                        refused = Some((index, batch.refused(index, errno, hint)));
                    }
                    Err(_) => {}
                }
            }
        }
        match refused {
            Some((_, error)) => Err(error),
            None if committed => Ok(()),
            None => Err(batch.unanswered(count.saturating_sub(2))),
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        object: &'static str,
        batch: Batch,
        parse: impl Fn(Message<'_>) -> Result<Option<T>, NetlinkError>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            if let Some(all) = self.list_once(&batch, 0, &parse)? {
                return Ok(all);
            }
        }
        Err(NetlinkError::Unstable { object })
    }

    /// `None` when the dump was not consistent.
    pub(crate) fn list_once<T>(
        &mut self,
        batch: &Batch,
        flags: u16,
        parse: &impl Fn(Message<'_>) -> Result<Option<T>, NetlinkError>,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        let base = self.send(batch, 0, 1, flags)?;
        let mut all = Vec::new();
        let mut received = 0;
        let mut consistent = true;
        loop {
            let datagram = self.receive().map_err(|error| match error.errno() {
                Some(Errno::AGAIN) => batch.unanswered(0),
                _ => error,
            })?;
            received += datagram.len();
            if received > DUMP_LIMIT {
                return Err(NetlinkError::Malformed("a listing of more than 64 MiB"));
            }
            for message in Messages::new(&datagram) {
                let message = message?;
                if message.sequence != base {
                    continue;
                }
                consistent &= message.flags & wire::DUMP_INTERRUPTED == 0;
                match message.kind {
                    wire::DONE => return Ok(consistent.then_some(all)),
                    wire::ERROR => {
                        if let Some((_, Err((errno, hint)))) = acknowledgement(&message, base, 1)? {
                            return Err(batch.refused(0, errno, hint));
                        }
                        return Ok(consistent.then_some(all));
                    }
                    _ => all.extend(parse(message)?),
                }
            }
        }
    }

    /// Sends the requests `from..to`; answers the sequence number of the first.
    fn send(
        &mut self,
        batch: &Batch,
        from: usize,
        to: usize,
        flags: u16,
    ) -> Result<u32, NetlinkError> {
        let base = self.sequence;
        let start = batch.asked.get(from).map_or(0, |a| a.offset);
        let all = batch.encoder.bytes();
        let end = batch.asked.get(to).map_or(all.len(), |a| a.offset);
        let mut bytes = all[start..end].to_vec();
        for asked in &batch.asked[from..to] {
            let at = asked.offset - start;
            bytes[at + 8..at + 12].copy_from_slice(&self.sequence.to_ne_bytes());
            self.sequence = self.sequence.wrapping_add(1).max(1);
            let old = u16::from_ne_bytes([bytes[at + 6], bytes[at + 7]]);
            bytes[at + 6..at + 8].copy_from_slice(&(old | flags).to_ne_bytes());
        }
        if bytes.len() > 64 * 1024 {
            // The send buffer must hold the whole batch; the default is 208 KiB of kernel memory.
            sockopt::set_socket_send_buffer_size_force(&self.fd, bytes.len() * 2)
                .map_err(failed("setsockopt SO_SNDBUFFORCE"))?;
        }
        rustix::net::send(&self.fd, &bytes, SendFlags::empty()).map_err(failed("send"))?;
        Ok(base)
    }

    fn receive(&self) -> Result<Vec<u8>, NetlinkError> {
        self.receive_with(RecvFlags::empty())
    }

    fn receive_queued(&self) -> Result<Option<Vec<u8>>, NetlinkError> {
        match self.receive_with(RecvFlags::DONTWAIT) {
            Ok(datagram) => Ok(Some(datagram)),
            Err(error) if error.errno() == Some(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive_with(&self, flags: RecvFlags) -> Result<Vec<u8>, NetlinkError> {
        let mut buffer = vec![0; DATAGRAM];
        let (_, length) = loop {
            match rustix::net::recv(&self.fd, &mut buffer[..], flags | RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                other => break other.map_err(failed("recv"))?,
            }
        };
        if length > buffer.len() {
            return Err(NetlinkError::Malformed("a datagram of more than 32 KiB"));
        }
        buffer.truncate(length);
        Ok(buffer)
    }
}

type Answer = Result<(), (Errno, Option<String>)>;

/// Reads `message` as the acknowledgement of one of the `count` requests that begin at `base`: its index and what it
/// says. Anything else is nothing.
fn acknowledgement(
    message: &Message<'_>,
    base: u32,
    count: usize,
) -> Result<Option<(usize, Answer)>, NetlinkError> {
    if message.kind != wire::ERROR {
        return Ok(None);
    }
    let index = usize::try_from(message.sequence.wrapping_sub(base)).unwrap_or(usize::MAX);
    let code = wire::number(message.body)?.cast_signed();
    if index >= count {
        return Ok(None);
    }
    if code == 0 {
        return Ok(Some((index, Ok(()))));
    }
    let errno = code
        .checked_neg()
        .filter(|code| (1..4096).contains(code))
        .ok_or(NetlinkError::Malformed("an acknowledgement with an impossible error number"))?;
    Ok(Some((index, Err((Errno::from_raw_os_error(errno), hint(message)?)))))
}

/// The kernel's sentence in an error, behind the error number and the header of the request (NETLINK_CAP_ACK).
fn hint(message: &Message<'_>) -> Result<Option<String>, NetlinkError> {
    const MESSAGE: u16 = 1;
    if message.flags & wire::ACK_ATTRIBUTES == 0 {
        return Ok(None);
    }
    for attribute in Attributes::after(message.body, 20)? {
        if let (MESSAGE, value) = attribute? {
            return Ok(Some(wire::text(value).chars().take(200).collect()));
        }
    }
    Ok(None)
}

#[expect(unsafe_code, reason = "setsockopt at level SOL_NETLINK has no safe wrapper")]
fn set_option(fd: BorrowedFd<'_>, option: libc::c_int) -> Result<(), NetlinkError> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is borrowed for the call, `on` outlives it, and its size is passed with it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => match Errno::from_io_error(&std::io::Error::last_os_error()) {
            Some(Errno::NOPROTOOPT) | None => Ok(()),
            Some(errno) => Err(failed("setsockopt")(errno)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_acknowledgements_never_panic(
            flags in any::<u16>(),
            sequence in any::<u32>(),
            body in proptest::collection::vec(any::<u8>(), 0..128),
        ) {
            let message = Message { kind: wire::ERROR, flags, sequence, body: &body };
            if let Ok(Some((index, _))) = acknowledgement(&message, 1, 3) {
                prop_assert!(index < 3);
            }
        }
    }

    #[test]
    fn an_acknowledgement_of_another_request_is_ignored() {
        let body = [0u8; 20];
        let message = Message { kind: wire::ERROR, flags: 0, sequence: 9, body: &body };
        assert!(acknowledgement(&message, 1, 3).unwrap().is_none());
        let message = Message { sequence: 2, ..message };
        assert!(matches!(acknowledgement(&message, 1, 3).unwrap(), Some((1, Ok(())))));
    }
}
