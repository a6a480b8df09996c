//! The driver on a host of its own: a fresh network namespace that plays the host, another that plays the outside,
//! and sandboxes. Packets are real, and `ip` and `nft` are the judges of what is there.

#![expect(clippy::unwrap_used, reason = "a test whose preparation fails has failed")]

mod firewall;
mod life;
mod sandboxes;
mod world;
