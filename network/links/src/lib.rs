//! The network worker: answers [`messages::network::Request`] by the bridge driver.
//!
//! Whoever asks may be an attacker who took the api worker over, so everything that arrives is checked here again
//! before it reaches the driver ([`check`]): names, addresses, hardware addresses, sizes, counts. The worker stores
//! nothing; at its start it reads from the kernel what an earlier one left, and goes on with it.
//!
//! What it needs of the process around it, which the caller sets up before [`Worker::start`]:
//! - CAP_NET_ADMIN, CAP_SYS_ADMIN (unshare and setns of network namespaces) and CAP_NET_BIND_SERVICE (published ports
//!   below 1024 are held by bound sockets) in the host's user namespace, and the host's network namespace; no other
//!   capability, uid 0 (the files of a network namespace's sysctls belong to it);
//! - `/proc` with `/proc/sys/net` writable, and no other file: no path is ever built from a request but the name of a
//!   sysctl below that directory;
//! - the system calls of sockets, threads, `unshare(CLONE_NEWNET)`, `setns` and `ioctl(SIOCGSKNS)`; never `execve`.
//!
//! Threads: the one that calls [`serve`] polls and answers, one request after the other (a few netlink calls each,
//! 0.2 to 3 ms), and never leaves the host's namespace; the pool's thread prepares namespaces; each namespace is
//! entered by a thread that ends there. Locks are those of [`bridge::Driver`].
//!
//! Reading order: [`Worker`], [`serve`], [`check`].

#![forbid(unsafe_code)]

pub mod check;
mod worker;

pub use bridge::Permitted;
pub use worker::{StartError, Worker, serve};
