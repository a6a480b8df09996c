//! What a shim is given.

use crate::log::{JsonLog, Stream};
use crate::state::TaskDir;
use messages::shim::Attach;
use std::os::fd::OwnedFd;

/// The standard streams of the process, as the shim holds them.
#[derive(Debug)]
pub enum Streams {
    /// Pipes; stdin only when it was asked to stay open.
    Pipes {
        /// The end that is written to.
        stdin: Option<OwnedFd>,
        /// The end that is read.
        stdout: OwnedFd,
        /// The end that is read.
        stderr: OwnedFd,
    },
    /// A terminal.
    Terminal {
        /// Its master.
        master: OwnedFd,
        /// A descriptor of the other side, so that the terminal lasts while the process has it closed for a moment.
        slave: Option<OwnedFd>,
        /// Whether clients may write to it.
        open_stdin: bool,
    },
}

/// A process that was just started, with all that a shim needs to look after it.
#[derive(Debug)]
pub struct Task {
    /// The process as the host sees it.
    pub pid: i32,
    /// The process, a child of the caller.
    pub pidfd: OwnedFd,
    /// Nanoseconds since 1970.
    pub started_at: i64,
    /// Its streams.
    pub streams: Streams,
    /// Close stdin for good when the first client that was attached to it leaves.
    pub stdin_once: bool,
    /// Where output is kept.
    pub log: Option<JsonLog>,
    /// Clients that are attached from the start.
    pub clients: Vec<(Attach, OwnedFd)>,
    /// The first connection of an engine.
    pub channel: Option<OwnedFd>,
    /// Where later connections arrive.
    pub listener: Option<OwnedFd>,
    /// The record of the task.
    pub directory: TaskDir,
    /// The container's root file system, held until the shim ends. Otherwise the last process of the container would
    /// unmount it while it exits, and unmounting an overlay writes out the whole file system below: tens of
    /// milliseconds for which everybody would wait who waits for the exit.
    pub rootfs: Option<OwnedFd>,
}

/// A stream that output is read from.
#[derive(Debug)]
pub(crate) struct Source {
    pub stream: Stream,
    /// Until its end.
    pub fd: Option<OwnedFd>,
}

pub(crate) type Connected = (Vec<Source>, Option<(OwnedFd, Option<OwnedFd>)>, Option<OwnedFd>);

/// What is read, the terminal, and what input is written to. All become non-blocking.
pub(crate) fn connect(streams: Streams) -> Connected {
    let unblocked = |fd: OwnedFd| {
        // Cannot fail on an open descriptor.
        rustix::io::ioctl_fionbio(&fd, true).ok();
        fd
    };
    match streams {
        Streams::Pipes { stdin, stdout, stderr } => {
            let source = |stream, fd| Source { stream, fd: Some(unblocked(fd)) };
            let sources = vec![source(Stream::Stdout, stdout), source(Stream::Stderr, stderr)];
            (sources, None, stdin.map(unblocked))
        }
        Streams::Terminal { master, slave, open_stdin } => {
            let master = unblocked(master);
            let copy = || rustix::io::fcntl_dupfd_cloexec(&master, 3).ok();
            let stdin = if open_stdin { copy() } else { None };
            let sources = vec![Source { stream: Stream::Stdout, fd: copy() }];
            (sources, Some((master, slave)), stdin)
        }
    }
}
