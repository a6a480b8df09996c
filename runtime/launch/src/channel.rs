//! The parent's side of the channel to the child.

use plan::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
    SocketFlags, SocketType, recvmsg, send, socketpair,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The record in the first `length` of `bytes`; EBADMSG if there is none.
pub(crate) fn decode(bytes: &[u8; Record::SIZE], length: usize) -> Result<Record, Errno> {
    Record::from_bytes(bytes).filter(|_| length == Record::SIZE).ok_or(Errno::BADMSG)
}

/// The parent's end; records come from it and a byte for each gate goes into it. The child's end is closed by execve.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What was read.
#[derive(Debug)]
pub(crate) enum Message {
    /// A record, perhaps with a descriptor.
    Record(Record, Option<OwnedFd>),
    /// The other end is closed: execve happened, or the process ended.
    End,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// A pair: ours, and the child's. Packets keep records whole.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// The next message; waits for it. A child that ends closes its end, so this does not wait for ever.
    pub(crate) fn receive(&self) -> Result<Message, Errno> {
        let mut bytes = [0u8; Record::SIZE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // The child ended with our byte unread.
                Err(Errno::CONNRESET) => return Ok(Message::End),
                other => break other?,
            }
        };
        let mut passed = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                passed = fds.last();
            }
        }
        if received.bytes == 0 {
            return Ok(Message::End);
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(Errno::BADMSG);
        }
        Ok(Message::Record(decode(&bytes, received.bytes)?, passed))
    }

    /// The next message of the process `pidfd`, while this process still has the other end too and so would not see it
    /// closed: [`Message::End`] when the process has ended.
    pub(crate) fn receive_from(&self, pidfd: Option<BorrowedFd<'_>>) -> Result<Message, Errno> {
        let pidfd = pidfd.ok_or(Errno::SRCH)?;
        loop {
            let mut fds = [
                PollFd::new(&self.0, PollFlags::IN),
                PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            if fds[0].revents().contains(PollFlags::IN) {
                return self.receive();
            }
            if !fds[1].revents().is_empty() {
                // It may have written between the two looks; now it cannot any more.
                return match self.has_message()? {
                    true => self.receive(),
                    false => Ok(Message::End),
                };
            }
        }
    }

    fn has_message(&self) -> Result<bool, Errno> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Err(Errno::INTR) => {}
                Ok(_) => return Ok(fds[0].revents().contains(PollFlags::IN)),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Opens the gate that the child waits at. A child that is gone is noticed by the next [`Self::receive`].
    pub(crate) fn open_gate(&self) -> Result<(), Errno> {
        match send(&self.0, b"g", SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
