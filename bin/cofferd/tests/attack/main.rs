//! An attacker inside the api worker: what it can send to each privileged worker, and that nothing comes of it.
//!
//! The workers are the built programs. `coffer-shim` is looked for beside `cofferd`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod connection;
mod container;
mod descriptors;
mod network;
mod rig;
mod storage;
mod task;
