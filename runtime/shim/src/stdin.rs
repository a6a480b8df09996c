//! The way from attached clients to the process's standard input.

use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The writing end of a pipe, or a terminal's master; not blocking.
#[derive(Debug)]
pub(crate) struct Stdin {
    target: Option<OwnedFd>,
    pending: Vec<u8>,
    written: usize,
    /// Close once `pending` is written.
    closing: bool,
}

impl Stdin {
    /// Stdin that is written to `target`; without one, clients' input is dropped.
    pub(crate) fn new(target: Option<OwnedFd>) -> Self {
        Self { target, pending: Vec::new(), written: 0, closing: false }
    }

    /// Whether more input may be read from clients. While the process does not read, at most one read is held here.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the process can still be sent input.
    pub(crate) fn is_open(&self) -> bool {
        self.target.is_some() && !self.closing
    }

    /// The descriptor to poll: for writing if something is pending, for an error (no reader is left) in any case.
    pub(crate) fn target(&self) -> Option<BorrowedFd<'_>> {
        self.target.as_ref().map(AsFd::as_fd)
    }

    /// Writes what the target takes now and keeps the rest.
    pub(crate) fn push(&mut self, input: &[u8]) {
        if self.is_open() && !input.is_empty() {
            self.pending.extend_from_slice(input);
            self.flush();
        }
    }

    /// Writes what is pending as far as the target takes it.
    pub(crate) fn flush(&mut self) {
        let Some(target) = &self.target else { return };
        while self.written < self.pending.len() {
            match rustix::io::write(target, &self.pending[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // EPIPE: no reader is left; the process has closed its stdin or ended.
                Err(_) => return self.abandon(),
            }
        }
        self.written = 0;
        // Large pieces are rare: most input is typed.
        self.pending = Vec::new();
        if self.closing {
            self.target = None;
        }
    }

    /// Closes for good, after what is pending.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        if self.pending.is_empty() {
            self.target = None;
        }
    }

    /// Closes at once: nobody reads.
    pub(crate) fn abandon(&mut self) {
        *self = Self::new(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::io::Read;

    #[test]
    fn what_the_pipe_does_not_take_is_kept_and_closing_waits_for_it() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut stdin = Stdin::new(Some(writer));
        let input: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        stdin.push(&input);
        assert!(!stdin.has_room());
        stdin.close();
        let mut reader = std::fs::File::from(reader);
        let mut got = Vec::new();
        let mut buffer = [0; 10_000];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stdin.flush(),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(got, input);
        assert!(stdin.target().is_none());
    }

    #[test]
    fn without_a_reader_input_is_dropped() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        drop(reader);
        let mut stdin = Stdin::new(Some(writer));
        stdin.push(b"x");
        assert!(stdin.has_room());
        assert!(!stdin.is_open());
    }
}
