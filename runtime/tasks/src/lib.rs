//! The task worker: answers [`messages::task::Request`] by starting shims and by working on the cgroups of containers.
//!
//! It is one thread that polls and forks. It parses nothing but requests, never waits for a container, and holds no
//! state: what exists is in the records below the exec root and in the kernel, so a restarted worker knows as much as
//! the one before. Containers are not its children and outlive it.
//!
//! ```text
//!   api worker ──Request──▶ worker ──fork──▶ child ──Reply──▶ api worker
//!                           (polls)            │
//!                                              ├─ most requests: ends
//!                                              └─ Launch, Exec: becomes the shim, parent of the new process
//! ```
//!
//! Reading order: [`Settings`] and [`Host`] (what is ready before the first request), [`run`] (the loop), `container`,
//! `exec` and `start` (starting, and becoming a shim), `origin` (where descriptors come from), `containment` (the cgroup as a shim sees it), `records`, `group`,
//! `top`, `list`, `delete` (the other requests). The files are drawn in [`shim::TaskRoot`]'s module.
//!
//! Locks: the directory of a task is locked (flock) while the task is launched or deleted.

#![forbid(unsafe_code)]

mod container;
mod containment;
mod delete;
mod exec;
mod filters;
mod group;
mod host;
mod list;
mod origin;
mod received;
mod records;
mod start;
mod streams;
mod top;
mod view;
mod worker;

pub use host::{Host, HostError, Settings};
pub use worker::{WorkerError, run};
