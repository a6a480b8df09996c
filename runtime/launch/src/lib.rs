//! A plan becomes a process.
//!
//! ```text
//! parent (one thread)                     child (allocates nothing)
//!   prepare: open and clone mount sources
//!   clone3 ──────────────────────────────▶ join cgroup and namespaces
//!   id maps, interfaces, "go" ───────────▶ (only with a user, time or joined pid namespace, interfaces, hooks)
//!                                          root, mounts, /dev, terminal, masks
//!   prestart, createRuntime ◀─── HostHooks ┤ (only with these hooks)
//!   "go" ────────────────────────────────▶ createContainer hooks, pivot_root, host name, sysctls
//!   Created ◀──────────── Ready, terminal ─┤
//!   rlimits, oom score; the caller's work  │ waits
//!   start ──────────────── "start" ───────▶ filter, ids, capabilities, directory, startContainer hooks, program
//!   Running ◀─────────── end of file ──────┘ execve
//!           ◀─ {step, index, errno} on failure, at any point
//! ```
//!
//! The parent owns all text; it waits for the channel and the pidfd, never for SIGCHLD and never on a number. Everything
//! before the gate happens before `create` returns, so what the caller does between [`Created`] and [`Running`] (network,
//! state file) sees a complete container in which nothing of the image has run yet. Dropping [`Created`] kills it,
//! and so does the end of the caller's thread, at any time later unless [`Extras::outlives`].
//!
//! What [`Extras`] adds for a runtime command: the gate, descriptors that are passed on, hooks (the plan's, with
//! [`StateText`] on their standard input; those before the root changes find it at [`Rootfs::Path`]), the supervisor of a
//! filter, chroot in place of pivot_root, id maps of the root, times of steps. [`hooks::call`] is for `poststart` and
//! `poststop`, [`handover`] for console and pidfd sockets, [`open_namespace`] for namespaces by path.
//!
//! A starter that may not copy mounts (rootless) makes a user namespace and gives [`Rootfs::Path`] and [`Source::Path`]:
//! the child opens the paths in its own mount namespace, where it may copy, and compares what it finds with what the
//! starter found. Ids are mapped by newuidmap and newgidmap where the starter may not write the maps itself.
//!
//! What runs after clone is in the module `child`, which has no prelude of `std` and so cannot name a type that
//! allocates. This crate never reads a file of the image, never follows a path for a mount source that its caller has not
//! opened too, and never writes `cgroup.procs`.
//!
//! A runtime command that creates a container and exits gives [`Extras::gate`]: the process then waits at a socket in
//! the container's state directory for [`gate::open`] by a later command, and [`Created::leave`] takes the place of
//! [`Created::start`].
//!
//! Reading order: [`Host`], [`Descriptors`], [`Extras`], [`Launch`], [`Created`], [`Running`], [`gate`], [`hooks`],
//! [`handover`], [`Join`] (a process in a running container), [`LaunchError`]. There are no tasks and no locks; the caller must have one thread when it clones.

#![expect(unsafe_code, reason = "clone3 and execve")]

mod channel;
mod child;
mod descriptors;
mod error;
mod extras;
pub mod gate;
pub mod handover;
pub mod hooks;
mod host;
mod idmaps;
mod interfaces;
mod join;
mod mounted;
mod namespace;
mod prepare;
mod spawn;
mod supervisor;
mod times;

pub use descriptors::{CgroupJoin, Descriptors, Rootfs, Source, Stdio};
pub use error::LaunchError;
pub use extras::{Extras, StateText, Supervisor};
pub use host::Host;
pub use join::{Join, JoinDescriptors, namespaces_of};
pub use namespace::open_namespace;
pub use prepare::Launch;
pub use spawn::{Created, Running};
pub use times::StepTime;
