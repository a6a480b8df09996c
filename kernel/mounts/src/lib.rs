//! Mounts by descriptor.
//!
//! A mount is made detached, gets its attributes, and is attached to a descriptor, so that no path is resolved twice and
//! nothing is left behind after a crash: a detached mount ends with its last descriptor.
//!
//! This crate never attaches to a path, never makes a directory and keeps no table of what is mounted: that is
//! [`mountinfo`], the kernel's own.
//!
//! Reading order: [`Detached`], [`FsContext`] (a file system that the kernel makes), [`Overlay`], [`userns`] (id maps for
//! mounts), [`mountinfo`], [`Features`] (what the running kernel can do, probed by trying, before the first effect).
//! There are no tasks and no locks.

#![expect(unsafe_code, reason = "clone3 of the process that holds a user namespace")]

mod context;
mod detached;
mod error;
mod features;
pub mod mountinfo;
mod overlay;
pub mod userns;

pub use context::FsContext;
pub use detached::{Detached, unmount};
pub use error::Error;
pub use features::Features;
pub use overlay::{Layers, Overlay};
pub use sys::mount::{Attr, Change, Extent, Propagation};
