//! Published holes of container runtimes, each tried with the Docker CLI against a running engine. docs/SECURITY.md has
//! the table. Each test names the guard that it would fail without.
//!
//! Whoever exchanges names here is a thread of the test, in the host's directory behind a shared volume or in
//! `/proc/PID/root` of a container: it does what a hostile container can do, and faster.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "cve/attacker.rs"]
mod attacker;
#[path = "cve/descriptors.rs"]
mod descriptors;
#[path = "cve/exchange.rs"]
mod exchange;
#[path = "cve/exits.rs"]
mod exits;
#[path = "cve/identity.rs"]
mod identity;
#[path = "cve/kernel_files.rs"]
mod kernel_files;
#[path = "cve/links.rs"]
mod links;
#[path = "cve/namespaces.rs"]
mod namespaces;
#[path = "cve/rights.rs"]
mod rights;
#[path = "cve/runtime_binary.rs"]
mod runtime_binary;
