//! Everything that one engine process may ask of another: one closed enum of requests per worker, as plain data.
//!
//! This crate never does I/O. The api worker, which holds no privilege and reads all untrusted bytes, is the only
//! one that asks; the workers with privilege answer, and check each request again, because an attacker inside the
//! api worker can send any of them with any content.
//!
//! Reading order: [`Fd`] (how a descriptor travels), [`storage`], [`network`], [`task`] (the three workers), [`shim`]
//! (the channel to the supervisor process of one container or exec), [`control`] (how the supervisor of the engine
//! connects the workers with each other).

#![forbid(unsafe_code)]

pub mod control;
pub mod network;
pub mod shim;
pub mod storage;
pub mod task;

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The position of a descriptor among those that travel with the message (SCM_RIGHTS).
///
/// A receiver looks it up in what really arrived and refuses a message whose position has no descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fd(pub u16);

/// A request to a worker.
pub trait Request: Serialize + for<'de> Deserialize<'de> + Send + 'static {
    /// What a success carries.
    type Reply: Serialize + for<'de> Deserialize<'de> + Send + 'static;

    /// The verb in a word, for logs and deadline messages.
    fn verb(&self) -> &'static str;

    /// True when asking twice has the same effect as asking once; such a request is sent again to a restarted worker.
    fn idempotent(&self) -> bool;

    /// How long the asker waits for the answer before it reports the worker, or the container, as stuck.
    fn deadline(&self) -> Duration;
}

/// For requests that do a few system calls: far more than they ever take, little enough to say "stuck".
const SHORT: Duration = Duration::from_secs(30);

/// For requests that move data whose amount the user chose.
const STREAM: Duration = Duration::from_secs(6 * 3600);
