//! The caller's terminal for the container's.

use crate::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::os::fd::OwnedFd;

/// Bytes that one read takes.
const CHUNK: usize = 8192;
/// How long the rest of the output is waited for when the process has ended but others keep the terminal open.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Copies between standard streams and a terminal's master. The caller's terminal is in raw mode meanwhile.
#[derive(Debug)]
pub(crate) struct Relay {
    master: OwnedFd,
    former: Option<Termios>,
    /// Input that the container has not taken yet.
    queued: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    pub(crate) fn begin(master: OwnedFd) -> Result<Self, Error> {
        let failed = |errno| Error::system("set up", "terminal", errno);
        rustix::io::ioctl_fionbio(&master, true).map_err(failed)?;
        let stdin = rustix::stdio::stdin();
        let former = match isatty(stdin) {
            true => Some(tcgetattr(stdin).map_err(failed)?),
            false => None,
        };
        let relay = Self {
            master,
            former: former.clone(),
            queued: Vec::new(),
            input_open: true,
            output_open: true,
        };
        if let Some(mut raw) = former {
            raw.make_raw();
            tcsetattr(stdin, OptionalActions::Now, &raw).map_err(failed)?;
            relay.resize();
        }
        Ok(relay)
    }

    /// Gives the container's terminal the size of the caller's.
    pub(crate) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
            // A terminal that is closed has no size to keep.
            tcsetwinsize(&self.master, size).unwrap_or_default();
        }
    }

    /// What is waited for.
    pub(crate) fn interests(&self) -> Vec<PollFd<'_>> {
        let mut fds = Vec::with_capacity(2);
        let mut flags = PollFlags::empty();
        if self.output_open {
            flags |= PollFlags::IN;
        }
        if !self.queued.is_empty() {
            flags |= PollFlags::OUT;
        }
        if !flags.is_empty() {
            fds.push(PollFd::new(&self.master, flags));
        }
        if self.input_open && self.queued.is_empty() {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        fds
    }

    /// Copies what can be copied.
    pub(crate) fn turn(&mut self) {
        self.copy_output();
        if self.input_open && self.queued.is_empty() && readable() {
            let mut buffer = [0u8; CHUNK];
            match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) => self.input_open = false,
                Ok(length) => self.queued.extend_from_slice(&buffer[..length]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                // The terminal is gone: the container goes on without it.
                Err(_) => self.input_open = false,
            }
        }
        self.flush_input();
    }

    fn flush_input(&mut self) {
        while !self.queued.is_empty() {
            match rustix::io::write(&self.master, &self.queued) {
                Ok(length) => drop(self.queued.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.queued.clear();
                    self.input_open = false;
                }
            }
        }
    }

    fn copy_output(&mut self) {
        let mut buffer = [0u8; CHUNK];
        while self.output_open {
            match rustix::io::read(&self.master, &mut buffer) {
                Ok(0) => self.output_open = false,
                Ok(length) => write_all(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // EIO: nobody has the other side open.
                Err(_) => self.output_open = false,
            }
        }
    }

    /// Copies the rest of the output and gives the caller's terminal back.
    pub(crate) fn finish(mut self) {
        while self.output_open {
            self.copy_output();
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            if self.output_open && poll(&mut fds, Some(&REST)) == Ok(0) {
                return;
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(former) = &self.former {
            tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, former).unwrap_or_default();
        }
    }
}

fn readable() -> bool {
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

/// Writes to standard output; where nobody reads, output is lost as in a closed terminal.
fn write_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
                poll(&mut fds, None).unwrap_or_default();
            }
            Err(_) => return,
        }
    }
}
