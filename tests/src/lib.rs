//! End-to-end tests: the real programs, driven as users drive them, with the Docker CLI and with `coffer`.
//!
//! Each [`Engine`] is a daemon of its own in directories, a network namespace and a cgroup of its own, so tests run in
//! parallel and beside any other engine of the machine. Nothing here imports the engine's crates: what users cannot
//! see is not tested here.
//!
//! Reading order: [`Engine`] (start, drive, kill, restart), [`Said`] (what a command said), [`Space`] (a network
//! namespace that outlives daemons), [`Member`] (the daemon's processes), [`Traces`] (what it has left on the machine),
//! [`image`] (images made on the spot), [`Reference`] (the engine to compare with).

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod engine;
mod family;
pub mod image;
mod reference;
mod said;
mod space;
mod traces;

pub use engine::{Engine, eventually, happens, program, send};
pub use family::{Kind, Member};
pub use reference::Reference;
pub use said::Said;
pub use space::Space;
pub use traces::Traces;
