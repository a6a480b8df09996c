//! A shim: the process that holds one container's or exec's streams, log and exit status.
//!
//! It is the process's parent, outlives every other process of the engine, and ends when the exit is acknowledged. It
//! has one thread and no queue that grows without bound. This crate starts nothing and knows no cgroup: `tasks` gives it
//! a process that runs already, and [`Containment`] answers what only a cgroup can.
//!
//! Reading order: [`Task`] and [`supervise`] (the loop), `client`, `stdin` and `channels` (who is served),
//! [`JsonLog`] with [`LogFile`] (what is kept), [`TaskRoot`], [`TaskDir`] and [`State`] (what a restarted engine finds;
//! the files are drawn there).

#![forbid(unsafe_code)]

mod channels;
mod client;
mod json;
mod keys;
mod lines;
mod log;
mod logfile;
mod mux;
mod poll;
mod stamp;
mod state;
mod stdin;
mod supervise;
mod task;

pub use keys::KeyScanner;
pub use lines::LONGEST as LONGEST_MESSAGE;
pub use log::{JsonLog, Stream};
pub use logfile::{LogFile, LogFileError};
pub use stamp::now;
pub use state::{Process, State, StateError, TaskDir, TaskRoot};
pub use supervise::supervise;
pub use task::{Streams, Task};

use std::os::fd::BorrowedFd;

/// What the shim must know of the cgroup around its process.
pub trait Containment {
    /// Readable when the kernel may have killed for want of memory; none when the kernel does not tell.
    fn memory_event(&self) -> Option<BorrowedFd<'_>>;

    /// Whether the kernel has killed for want of memory since this was asked the last time. Clears the event.
    fn killed_for_memory(&mut self) -> bool;

    /// Whether the kernel has ever killed for want of memory here.
    fn has_killed_for_memory(&self) -> bool;

    /// The first process has ended; what is left of the others must not live on.
    fn process_ended(&mut self);
}
