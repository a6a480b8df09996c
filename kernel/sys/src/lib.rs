//! System calls that rustix does not wrap, as safe functions over descriptors and plain values.
//!
//! This crate and `launch` are where `unsafe` belongs. It takes no decision: it does not probe, log, resolve a path or
//! keep state, and falls back only where the older call gives exactly the same. What rustix wraps already (openat2, fsopen, move_mount, pidfd_open, ...) is
//! called through rustix by everybody and has no second wrapper here.
//!
//! Reading order:
//! - [`Error`]: a failed call, printed as strace prints it; it never allocates, so that a child between clone and execve
//!   may build one;
//! - processes: [`clone`], [`pidfd`], [`process`], [`foreground`], [`fork`], [`enclosure`], [`signals`], [`limits`], [`schedule`];
//! - rights: [`caps`], [`ids`], [`keys`], [`seccomp`], [`landlock`], [`bpf`];
//! - files and memory: [`fds`], [`socket`], [`time`], [`mount`], [`memfd`], [`memory`].
//!
//! Every function may be called between clone and execve unless its documentation says that it allocates.
//! There are no tasks and no locks.

#![expect(unsafe_code, reason = "the layer that makes system calls")]

pub mod bpf;
pub mod caps;
pub mod clone;
pub mod enclosure;
mod error;
pub mod fds;
pub mod foreground;
pub mod fork;
pub mod ids;
pub mod keys;
pub mod landlock;
pub mod limits;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod pidfd;
pub mod process;
mod raw;
pub mod schedule;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod time;

pub use error::{Arg, Error, Result, errno_name};
pub use rustix::io::Errno;
