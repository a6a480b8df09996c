//! The registry over real connections.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod cache;
mod hostile;
mod protocol;
mod rig;
