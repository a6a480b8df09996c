//! A plan becomes a process.
//!
//! ```text
//! parent (one thread)                     child (allocates nothing)
//!   prepare: open and clone mount sources
//!   clone3 ──────────────────────────────▶ join cgroup and namespaces
//!   id maps, "go" ───────────────────────▶ (only with a user namespace or joined pid namespace)
//!                                          root, mounts, /dev, masks, terminal, pivot_root, host name, sysctls
//!   Created ◀──────────── Ready, terminal ─┤
//!   rlimits, oom score; the caller's work  │ waits
//!   start ──────────────── "start" ───────▶ filter, ids, capabilities, directory, program
//!   Running ◀─────────── end of file ──────┘ execve
//!           ◀─ {step, index, errno} on failure, at any point
//! ```
//!
//! The parent owns all text; it waits for the channel and the pidfd, never for SIGCHLD and never on a number. Everything
//! before the gate happens before `create` returns, so what the caller does between [`Created`] and [`Running`] (network,
//! state file) sees a complete container in which nothing of the image has run yet. Dropping [`Created`] kills it,
//! and so does the end of the caller's thread, at any time later unless [`Extras::outlives`].
//!
//! What runs after clone is in the module `child`, which has no prelude of `std` and so cannot name a type that
//! allocates. This crate never reads a file of the image, never takes a path for a mount source, and never writes
//! `cgroup.procs`.
//!
//! A runtime command that creates a container and exits gives [`Extras::gate`]: the process then waits at a socket in
//! the container's state directory for [`gate::open`] by a later command, and [`Created::leave`] takes the place of
//! [`Created::start`].
//!
//! Reading order: [`Host`], [`Descriptors`], [`Extras`], [`Launch`], [`Created`], [`Running`], [`gate`], [`Join`] (a
//! process in a running container), [`LaunchError`]. There are no tasks and no locks; the caller must have one thread when it clones.

#![expect(unsafe_code, reason = "clone3 and execve")]

mod channel;
mod child;
mod descriptors;
mod error;
mod extras;
pub mod gate;
mod host;
mod join;
mod prepare;
mod spawn;

pub use descriptors::{CgroupJoin, Descriptors, Rootfs, Source, Stdio};
pub use error::LaunchError;
pub use extras::Extras;
pub use host::Host;
pub use join::{Join, JoinDescriptors, namespaces_of};
pub use prepare::Launch;
pub use spawn::{Created, Running};
