//! One attached client: its queue of output, its input, and how it leaves.

use crate::keys::KeyScanner;
use crate::log::Stream;
use crate::mux;
use messages::shim::Attach;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, SocketType};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes that are kept for a client that does not read. The socket's own buffer comes on top.
pub(crate) const QUEUE: usize = 256 * 1024;

/// An attached client.
#[derive(Debug)]
pub(crate) struct Client {
    number: u64,
    stream: OwnedFd,
    stdout: bool,
    stderr: bool,
    framed: bool,
    keys: KeyScanner,
    /// Whether what it sends goes to the process.
    stdin: bool,
    /// Whether it may still send something.
    readable: bool,
    /// The socket is closed on its side; what it sent before may still wait to be read.
    hung_up: bool,
    queue: VecDeque<u8>,
    phase: Phase,
    taken: u64,
}

/// How far a client is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It gets output.
    Attached,
    /// It gets what is queued, and then is closed.
    Leaving {
        /// By its detach keys.
        by_keys: bool,
    },
    /// To be closed.
    Gone {
        /// By its detach keys.
        by_keys: bool,
    },
}

/// What came of reading a client's input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nothing to do.
    Nothing,
    /// Bytes for the process are in the buffer.
    Bytes,
    /// Its stdin ends here, after what is in the buffer.
    End,
    /// It pressed its detach keys, after what is in the buffer.
    Detach,
}

impl Client {
    /// Takes over `stream`; `None` when it is no stream socket.
    ///
    /// The terminal decides about headers and detach keys: without one, input is data in which no byte is special
    /// (dockerd looks for the keys with a terminal only).
    pub(crate) fn new(
        attach: Attach,
        stream: OwnedFd,
        terminal: bool,
        stdin: bool,
    ) -> Option<Self> {
        match rustix::net::sockopt::socket_type(&stream) {
            Ok(SocketType::STREAM) => {}
            Ok(_) | Err(_) => return None,
        }
        Some(Self {
            number: attach.number,
            stream,
            stdout: attach.stdout,
            stderr: attach.stderr,
            framed: !terminal && !attach.raw,
            keys: KeyScanner::new(if terminal { attach.detach_keys } else { Vec::new() }),
            stdin: attach.stdin && stdin,
            readable: true,
            hung_up: false,
            queue: VecDeque::new(),
            phase: Phase::Attached,
            taken: 0,
        })
    }

    /// The number that the engine gave it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How far it is on its way out.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Bytes that it has taken so far, to see whether it still reads.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether it gets output of `stream`.
    pub(crate) fn wants(&self, stream: Stream) -> bool {
        let wanted = if stream == Stream::Stdout { self.stdout } else { self.stderr };
        wanted && self.phase == Phase::Attached
    }

    /// Whether its queue has more than `limit` bytes.
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        self.queue.len() >= limit
    }

    /// What to poll; none while nothing that could happen would be acted on.
    pub(crate) fn interest(&self, stdin_has_room: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::empty();
        if self.readable && (stdin_has_room || !self.stdin) {
            flags |= PollFlags::IN;
        }
        if !self.queue.is_empty() && !self.hung_up {
            flags |= PollFlags::OUT;
        }
        // A hang-up is reported whatever is asked for; once it is known it would only wake us for nothing.
        (!self.hung_up || flags.contains(PollFlags::IN)).then(|| (self.stream.as_fd(), flags))
    }

    /// Sends a piece of output, or queues it.
    pub(crate) fn push(&mut self, stream: Stream, chunk: &[u8]) {
        if self.hung_up {
            return;
        }
        let header = mux::header(stream, chunk.len());
        let header = if self.framed { &header[..] } else { &[] };
        let mut sent = 0;
        if self.queue.is_empty() {
            match send(&self.stream, header, chunk) {
                Ok(count) => sent = count,
                Err(Errno::AGAIN) => {}
                Err(_) => return self.hang_up(),
            }
        }
        self.taken += sent as u64;
        self.queue.extend(header.iter().skip(sent));
        self.queue.extend(chunk.get(sent.saturating_sub(header.len())..).unwrap_or_default());
    }

    /// Sends what is queued as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.hung_up {
            let (head, tail) = self.queue.as_slices();
            match send(&self.stream, head, tail) {
                Ok(count) => {
                    self.taken += count as u64;
                    self.queue.drain(..count);
                }
                Err(Errno::AGAIN) => return,
                Err(_) => self.hang_up(),
            }
        }
        self.queue = VecDeque::new();
        if let Phase::Leaving { by_keys } = self.phase {
            self.phase = Phase::Gone { by_keys };
        }
    }

    /// Lets it go after what is queued.
    pub(crate) fn leave(&mut self, by_keys: bool) {
        if self.phase == Phase::Attached {
            self.phase = Phase::Leaving { by_keys };
            self.readable = false;
        }
        self.flush();
    }

    /// Whether it may still send something.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether what it sends goes to the process.
    pub(crate) fn feeds_stdin(&self) -> bool {
        self.stdin
    }

    /// The other end is closed: no output from now on, and it is gone once its input has been read.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up = true;
        self.queue = VecDeque::new();
        if !self.readable {
            self.gone();
        }
    }

    fn gone(&mut self) {
        self.phase = match self.phase {
            Phase::Leaving { by_keys } | Phase::Gone { by_keys } => Phase::Gone { by_keys },
            Phase::Attached => Phase::Gone { by_keys: false },
        };
    }

    /// Reads once, through `buffer`, and leaves in `passed` what the process shall get.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], passed: &mut Vec<u8>) -> Input {
        let count = match rustix::net::recv(&self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return self.end(passed),
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Input::Nothing,
            Err(_) => {
                self.hung_up = true;
                return self.end(passed);
            }
        };
        if !self.stdin {
            return Input::Nothing;
        }
        let input = buffer.get(..count).unwrap_or_default();
        if self.keys.scan(input, passed) { Input::Detach } else { Input::Bytes }
    }

    fn end(&mut self, passed: &mut Vec<u8>) -> Input {
        self.readable = false;
        if self.hung_up {
            self.gone();
        }
        if !self.stdin {
            return Input::Nothing;
        }
        self.keys.finish(passed);
        self.stdin = false;
        Input::End
    }
}

impl Drop for Client {
    /// Ends the connection even if somebody else still has a descriptor of it. What was sent and never read is read
    /// now, because closing a TCP socket with unread input would take back output that is still under way.
    fn drop(&mut self) {
        rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write).ok();
        let mut buffer = [0; 4096];
        for _ in 0..64 {
            match rustix::net::recv(&self.stream, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((1.., _)) => {}
                _ => return,
            }
        }
    }
}

fn send(stream: &OwnedFd, first: &[u8], second: &[u8]) -> rustix::io::Result<usize> {
    let parts = [IoSlice::new(first), IoSlice::new(second)];
    let mut nothing = SendAncillaryBuffer::default();
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(stream, &parts, &mut nothing, flags))
}
