//! The JSON bodies of the Engine API in their newest form (1.56), as plain data.
//!
//! This crate never does I/O, never asks the clock and decides nothing: what an older API version shows differently is
//! made by the server, after serialization. Serialization gives exactly Docker's JSON: which lists are `null` and which
//! `[]`, which fields are left out when empty, Go's zero time. Input is read as Go reads it: unknown keys are ignored,
//! `null` is the default, and keys match whatever their case — as long as it goes through [`lenient::from_slice`].
//!
//! Reading order: [`list`] (lists and maps that may be `null`), [`lenient`] (reading as Go does), [`time`] (Go's time
//! texts), then one module per area: [`container`], [`exec`], [`image`], [`network`], [`volume`], [`system`],
//! [`event`], [`stats`], [`error`].

#![forbid(unsafe_code)]

pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod host;
pub mod image;
pub mod inspect;
pub mod lenient;
pub mod list;
pub mod mount;
pub mod network;
pub mod stats;
pub mod system;
pub mod time;
pub mod volume;

pub use list::{Empty, List, Map};

/// True for the value that Go's `omitempty` leaves out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
