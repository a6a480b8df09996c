//! From a container's configuration to the OCI specification; pure.

pub mod caps;
pub mod devices;
pub mod environment;
pub mod rlimits;
pub mod tmpfs;
