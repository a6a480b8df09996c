//! The words that every layer shares, as plain data: ids, digests, references, error classes and the OCI types.
//!
//! This crate never does I/O, never asks the clock and knows no process. Reading order: [`failure`] (the closed set
//! of error classes, and an error that can cross a process boundary), [`id`] (container, exec and layer ids),
//! [`digest`], [`reference`](mod@reference) (image names as Docker resolves them), [`oci`] (the runtime
//! specification), [`image`] (the image specification), [`platform`], [`linux`] (names that
//! several layers check).

#![forbid(unsafe_code)]

pub mod digest;
pub mod failure;
pub mod id;
pub mod image;
pub mod linux;
pub mod oci;
pub mod platform;
pub mod reference;

pub use digest::Digest;
pub use failure::{Class, Failure};
pub use id::{ContainerId, ExecId, SnapshotKey, VolumeName};
pub use platform::Platform;
pub use reference::Reference;
