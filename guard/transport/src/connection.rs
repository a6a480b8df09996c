//! One datagram with its descriptors: writing, reading, and what is refused.

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Bytes of payload that travel in the datagram itself. Below the default send buffer of 208 KiB, so that two fit.
pub const INLINE: usize = 64 * 1024;

/// Bytes of payload at most.
pub const LIMIT: usize = 16 * 1024 * 1024;

/// Descriptors in one message at most (`SCM_MAX_FD` of the kernel).
const DESCRIPTORS: usize = 253;

const HEADER: usize = 16;
const MAGIC: u16 = 0xC0FF;
const VERSION: u8 = 1;
const IN_MEMFD: u8 = 0x80;

/// Why a message could not be sent or was refused.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The socket failed; the connection is of no use any more.
    #[error("{operation} message: {errno}")]
    Socket {
        /// `send` or `receive`.
        operation: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The message broke the format; the connection is of no use any more.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The payload is larger than [`LIMIT`].
    #[error("message of {0} bytes is too large")]
    TooLarge(usize),
    /// The payload is not what was expected.
    #[error("decode message")]
    Payload(#[from] postcard::Error),
    /// The memfd of a large payload could not be made or read.
    #[error("large message")]
    Large(#[source] std::io::Error),
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request; the answer has the same sequence number.
    Request,
    /// The answer to a request that succeeded.
    Success,
    /// The answer to a request that failed: a [`spec::Failure`].
    Failure,
    /// Not to be answered: control messages, a shim's requests and events.
    Oneway,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Success => 2,
            Self::Failure => 3,
            Self::Oneway => 4,
        }
    }

    fn of(byte: u8) -> Result<Self, TransportError> {
        match byte {
            1 => Ok(Self::Request),
            2 => Ok(Self::Success),
            3 => Ok(Self::Failure),
            4 => Ok(Self::Oneway),
            _ => Err(TransportError::Malformed("unknown kind")),
        }
    }
}

/// One message.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which request it belongs to; 0 for [`Kind::Oneway`].
    pub sequence: u64,
    /// The encoded value.
    pub payload: Vec<u8>,
    /// What travelled with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Encodes a value for [`Frame::payload`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, TransportError> {
    Ok(postcard::to_stdvec(value)?)
}

/// Decodes a payload; bytes that are left over are refused.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, TransportError> {
    let (value, rest) = postcard::take_from_bytes(payload)?;
    if rest.is_empty() { Ok(value) } else { Err(TransportError::Malformed("trailing bytes")) }
}

/// Two connected sockets, closed on exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd), TransportError> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| TransportError::Socket { operation: "open", errno })
}

/// One end of a SOCK_SEQPACKET connection. Blocking or not is the descriptor's own setting.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// What tokio asks for; the number is not used here.
impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<OwnedFd> for Connection {
    fn from(socket: OwnedFd) -> Self {
        Self { socket }
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.socket
    }
}

impl Connection {
    /// Sends one message, whole or not at all. On a socket that does not block, [`Errno::AGAIN`] means: later.
    pub fn send(
        &self,
        kind: Kind,
        sequence: u64,
        payload: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TransportError> {
        self.send_with(SendFlags::empty(), kind, sequence, payload, descriptors)
    }

    /// The same without ever waiting, whatever the socket's own setting is.
    pub(crate) fn try_send(
        &self,
        kind: Kind,
        sequence: u64,
        payload: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TransportError> {
        self.send_with(SendFlags::DONTWAIT, kind, sequence, payload, descriptors)
    }

    fn send_with(
        &self,
        flags: SendFlags,
        kind: Kind,
        sequence: u64,
        payload: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TransportError> {
        let (length, kind) = (payload.len(), kind.byte());
        if length > LIMIT {
            return Err(TransportError::TooLarge(length));
        }
        if length <= INLINE {
            return self.send_datagram(flags, kind, sequence, length, payload, descriptors);
        }
        let memfd = seal(payload).map_err(TransportError::Large)?;
        let mut all = descriptors.to_vec();
        all.push(memfd.as_fd());
        self.send_datagram(flags, kind | IN_MEMFD, sequence, length, &[], &all)
    }

    fn send_datagram(
        &self,
        flags: SendFlags,
        kind: u8,
        sequence: u64,
        length: usize,
        inline: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TransportError> {
        if descriptors.len() > DESCRIPTORS {
            return Err(TransportError::Malformed("too many descriptors"));
        }
        let mut header = [0; HEADER];
        header[0..2].copy_from_slice(&MAGIC.to_le_bytes());
        header[2] = VERSION;
        header[3] = kind;
        let length = u32::try_from(length).map_err(|_| TransportError::TooLarge(length))?;
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(TransportError::Malformed("too many descriptors"));
        }
        let parts = [IoSlice::new(&header), IoSlice::new(inline)];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.socket, &parts, &mut ancillary, flags | SendFlags::NOSIGNAL)
        })
        .map_err(|errno| TransportError::Socket { operation: "send", errno })?;
        Ok(())
    }

    /// Receives one message; `None` when the other end is closed. On a socket that does not block, [`Errno::AGAIN`]
    /// means: later.
    pub fn receive(&self) -> Result<Option<Frame>, TransportError> {
        let mut buffer = vec![0; self.next_length()?.clamp(HEADER, HEADER + INLINE)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut buffer)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        });
        let received = match received {
            Ok(received) => received,
            Err(Errno::CONNRESET) => return Ok(None),
            Err(errno) => return Err(receiving(errno)),
        };
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 && descriptors.is_empty() {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(TransportError::Malformed("truncated"));
        }
        buffer.truncate(received.bytes);
        parse(buffer, descriptors).map(Some)
    }

    /// Waits for a message as [`Connection::receive`] does and leaves it there; its length, 0 at the end. Nearly all have
    /// some hundred bytes: room for the longest would have to be found and cleared for each.
    fn next_length(&self) -> Result<usize, TransportError> {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        let peek = || rustix::net::recv(&self.socket, &mut [0; 1][..], flags);
        match rustix::io::retry_on_intr(peek) {
            Ok((_, length)) => Ok(length),
            Err(Errno::CONNRESET) => Ok(0),
            Err(errno) => Err(receiving(errno)),
        }
    }
}

fn receiving(errno: Errno) -> TransportError {
    TransportError::Socket { operation: "receive", errno }
}

fn parse(mut buffer: Vec<u8>, mut descriptors: Vec<OwnedFd>) -> Result<Frame, TransportError> {
    let header: [u8; HEADER] = buffer
        .get(..HEADER)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(TransportError::Malformed("shorter than its header"))?;
    let [m0, m1, version, kind, l0, l1, l2, l3, sequence @ ..] = header;
    if u16::from_le_bytes([m0, m1]) != MAGIC || version != VERSION {
        return Err(TransportError::Malformed("unknown format"));
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let sequence = u64::from_le_bytes(sequence);
    let payload = if kind & IN_MEMFD == 0 {
        buffer.drain(..HEADER);
        buffer
    } else {
        let memfd = descriptors.pop().ok_or(TransportError::Malformed("no memfd"))?;
        unseal(memfd, length)?
    };
    if payload.len() != length {
        return Err(TransportError::Malformed("wrong length"));
    }
    Ok(Frame { kind: Kind::of(kind & !IN_MEMFD)?, sequence, payload, descriptors })
}

fn seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

fn seal(payload: &[u8]) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("message", flags)?);
    file.write_all(payload)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(&file, seals())?;
    Ok(file.into())
}

/// Reads a payload out of a memfd. Only a sealed memfd is read: any other file could block the reader for ever or
/// change while it is read.
fn unseal(memfd: OwnedFd, length: usize) -> Result<Vec<u8>, TransportError> {
    if length > LIMIT {
        return Err(TransportError::TooLarge(length));
    }
    match rustix::fs::fcntl_get_seals(&memfd) {
        Ok(set) if set.contains(seals()) => {}
        _ => return Err(TransportError::Malformed("memfd is not sealed")),
    }
    let mut file = std::fs::File::from(memfd);
    file.rewind().map_err(TransportError::Large)?;
    let mut payload = Vec::with_capacity(length);
    let limit = length as u64 + 1;
    file.take(limit).read_to_end(&mut payload).map_err(TransportError::Large)?;
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (Connection, Connection) {
        let (one, other) = pair().unwrap();
        (one.into(), other.into())
    }

    #[test]
    fn a_message_arrives_whole_with_its_descriptors() {
        let (one, other) = connected();
        let file = std::fs::File::open("/dev/null").unwrap();
        one.send(Kind::Request, 7, b"hello", &[file.as_fd(), file.as_fd()]).unwrap();
        let frame = other.receive().unwrap().unwrap();
        assert_eq!((frame.kind, frame.sequence), (Kind::Request, 7));
        assert_eq!(frame.payload, b"hello");
        assert_eq!(frame.descriptors.len(), 2);
    }

    #[test]
    fn a_large_message_travels_in_a_memfd_that_is_not_among_its_descriptors() {
        let (one, other) = connected();
        let payload: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        one.send(Kind::Success, 1, &payload, &[]).unwrap();
        let frame = other.receive().unwrap().unwrap();
        assert_eq!(frame.payload, payload);
        assert!(frame.descriptors.is_empty());
    }

    #[test]
    fn a_message_over_the_limit_is_not_sent() {
        let (one, _other) = connected();
        let result = one.send(Kind::Request, 1, &vec![0; LIMIT + 1], &[]);
        assert!(matches!(result, Err(TransportError::TooLarge(_))));
    }

    #[test]
    fn the_end_of_the_other_side_is_none() {
        let (one, other) = connected();
        drop(one);
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn what_is_not_a_frame_is_refused() {
        for bytes in [&b"x"[..], &[0; 16], &[0xFF; 40]] {
            let (one, other) = connected();
            rustix::net::send(&one.socket, bytes, SendFlags::NOSIGNAL).unwrap();
            assert!(matches!(other.receive(), Err(TransportError::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_whose_length_lies_is_refused() {
        let (one, other) = connected();
        one.send_datagram(SendFlags::empty(), 1, 1, 100, b"short", &[]).unwrap();
        assert!(matches!(other.receive(), Err(TransportError::Malformed("wrong length"))));
    }

    #[test]
    fn a_datagram_longer_than_the_format_allows_is_refused() {
        let (one, other) = connected();
        one.send_datagram(SendFlags::empty(), 1, 1, INLINE + 1, &vec![0; INLINE + 1], &[]).unwrap();
        assert!(matches!(other.receive(), Err(TransportError::Malformed("truncated"))));
    }

    #[test]
    fn a_large_message_in_an_unsealed_file_is_refused() {
        let (one, other) = connected();
        let file = std::fs::File::open("/dev/zero").unwrap();
        one.send_datagram(SendFlags::empty(), 1 | IN_MEMFD, 1, INLINE * 2, &[], &[file.as_fd()])
            .unwrap();
        assert!(matches!(other.receive(), Err(TransportError::Malformed("memfd is not sealed"))));
    }

    #[test]
    fn decode_refuses_bytes_that_are_left_over() {
        let mut payload = encode(&5_u32).unwrap();
        assert_eq!(decode::<u32>(&payload).unwrap(), 5);
        payload.push(0);
        assert!(decode::<u32>(&payload).is_err());
    }
}
