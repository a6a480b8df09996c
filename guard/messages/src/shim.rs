//! The channel to a shim, the process that holds one container's or exec's streams and exit status.
//!
//! A SEQPACKET socket; the engine sends [`Request`], the shim sends [`Event`]. A shim takes any number of
//! connections; each is told the present state first. The shim stays until the engine has acknowledged the exit, so
//! no exit status is lost while no engine runs.
//!
//! ```text
//!   engine                              shim
//!     |  <- Status (on each connection)   |
//!     |  Attach + stream descriptor ->    |
//!     |  Resize, CloseStdin ->            |
//!     |  <- Detached                      |
//!     |  <- Exited                        |
//!     |  Acknowledge ->                   |  ends
//! ```

use crate::Fd;
use serde::{Deserialize, Serialize};

/// A client that is attached by a stream socket: the shim writes output to it and reads stdin from it.
///
/// Without a terminal each piece of output has Docker's eight-byte header (stream, 0, 0, 0, length big-endian); with
/// one it is raw. The end of the client's writing closes its stdin; the shim closes the socket at the exit, after the
/// last byte of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// A number that the engine chose, for [`Event::Detached`].
    pub number: u64,
    /// Read stdin from the client.
    pub stdin: bool,
    /// Send stdout.
    pub stdout: bool,
    /// Send stderr.
    pub stderr: bool,
    /// Write pieces without header even when there is no terminal (attach by websocket).
    pub raw: bool,
    /// The keys that detach the client when they come on stdin; empty for none. At most 16.
    pub detach_keys: Vec<u8>,
}

/// What the engine asks of a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Attach the client behind the descriptor, a stream socket.
    Attach {
        /// How.
        attach: Attach,
        /// The socket.
        stream: Fd,
    },
    /// Set the terminal's size. Legal with a terminal only.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Close stdin for good.
    CloseStdin,
    /// The exit has been written down; the shim may end.
    Acknowledge,
}

/// What a shim reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The present state; the first message on each connection.
    Status {
        /// The process as the host sees it.
        pid: i32,
        /// Nanoseconds since 1970.
        started_at: i64,
        /// Set once it has ended.
        exit: Option<Exit>,
    },
    /// The process has ended and all its output has been written.
    Exited(Exit),
    /// The kernel killed a process of the container for want of memory.
    OutOfMemory,
    /// A client left: it closed its socket, or pressed the detach keys.
    Detached {
        /// The client's number.
        number: u64,
        /// By its detach keys.
        by_keys: bool,
    },
    /// Output that could not be written to the log since the last such report.
    LogLost {
        /// Bytes.
        bytes: u64,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Whether the kernel killed a process of the container for want of memory.
    pub oom_killed: bool,
    /// Nanoseconds since 1970.
    pub at: i64,
}
