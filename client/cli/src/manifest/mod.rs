//! Manifest lists that are put together here and pushed from here, without an engine.
//!
//! ```text
//! ~/.docker/manifests/<list>/<image>     one JSON file for each image of a list that was not pushed yet
//! ```
//! The names of directories and files are references with `/` as `_` and `:` as `-`, as Docker's client names them, so
//! that either can go on with a list of the other.

pub(crate) mod entry;
pub(crate) mod platform;
pub(crate) mod remote;
pub(crate) mod store;
