//! Verbs on the engine as a whole, on networks and on volumes.

pub(crate) mod claims;
pub mod disk;
pub mod events;
pub mod host;
pub mod info;
pub mod version;
pub mod volume;

pub use disk::DiskUsageOptions;
pub use events::{EventRange, EventStream};
