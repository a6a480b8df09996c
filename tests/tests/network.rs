//! Networks as users see them: who reaches whom, names, ports, changes while containers run, and what is left after a
//! crash.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "network/crash.rs"]
mod crash;
#[path = "network/live.rs"]
mod live;
#[path = "network/matrix.rs"]
mod matrix;
#[path = "network/names.rs"]
mod names;
#[path = "network/ports.rs"]
mod ports;
#[path = "network/world.rs"]
mod world;
