//! Paths that somebody else wrote, resolved to descriptors so that nobody has to resolve them again.
//!
//! An image decides what lies below its root: symbolic links that lead out, FIFOs where files should be, directories
//! that change while they are walked. A path becomes a [`Handle`] once, inside a [`Root`], and from then on only the
//! descriptor counts (CVE-2018-15664, CVE-2021-30465, CVE-2024-45310).
//!
//! This crate never mounts and never follows a magic link of procfs.
//!
//! Reading order: [`Root`], [`Handle`], [`ProcHandle`] (a procfs that nothing is mounted over), [`users`] (what
//! `user:group` means in an image), [`walk`] (the part that a child between clone and execve uses: no allocation).
//! There are no tasks and no locks.

#![forbid(unsafe_code)]

mod error;
mod handle;
mod procfs;
mod root;
pub mod users;
pub mod walk;

pub use error::Error;
pub use handle::Handle;
pub use procfs::ProcHandle;
pub use root::Root;
