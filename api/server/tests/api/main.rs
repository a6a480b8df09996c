//! The API as clients see it: a server in this process on real sockets, over a real engine whose storage worker is
//! replaced by one that accepts everything.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the harness of tests fails by panicking")]

mod harness;

mod bodies;
mod cli;
mod images;
mod rules;
mod tls;
mod volumes;
