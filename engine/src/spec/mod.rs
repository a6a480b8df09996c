//! From a container's configuration to the OCI specification: pure, nothing is opened or asked.
//!
//! Reading order: [`build`] (the whole), [`namespaces`], [`mounts`], [`devices`], [`resources`], [`caps`],
//! [`environment`], [`rlimits`], [`tmpfs`], [`paths`].

pub mod build;
pub mod caps;
pub mod devices;
pub mod environment;
pub mod mounts;
pub mod namespaces;
pub mod paths;
pub mod resources;
pub mod rlimits;
pub mod tmpfs;
