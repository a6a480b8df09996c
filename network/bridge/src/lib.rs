//! The bridge driver: bridges on the host, network namespaces plugged into them, and the firewall around both.
//!
//! The driver keeps nothing on disk. What it made carries its marks in the kernel (an alias on each bridge that also
//! says how the network is to be filtered, a group on each veth, one nftables table), and a new driver adopts it from
//! there. The end of a container takes its veths along, asynchronously, where deleting them by hand would wait for
//! 30 ms: that is done only for a running container that is disconnected, and for strays.
//!
//! ```text
//!                 host                                    │  sandbox (network namespace)
//!   outside ── eth0 ──(routing, table inet coffer)── docker0 ── vethXXXXXXX ══╪══ eth0 172.17.0.2/16, default via .1
//!                                                   172.17.0.1 └─ veth...     │
//! ```
//!
//! Reading order: [`Network`] and [`Endpoint`] (what is wanted), [`Driver`] (ensure, remove, make sandboxes, connect
//! and disconnect running ones, publish, adopt, reconcile), [`pool`] (namespaces prepared ahead), [`firewall`] (the
//! rules, replaced atomically; published ports), [`host`] (forwarding), [`files`] (contents of `/etc/hosts` and `/etc/resolv.conf`, pure).
//!
//! A kernel without nftables has no bridge networks: that is said when the first one is made. There is no fallback to
//! the iptables command.
//!
//! Threads and locks: the pool has one thread that refills it; [`Driver`] has one lock around its sockets and
//! what it knows of bridges, held for the time of a few netlink calls. The pool's lock is never held together with it.

#![forbid(unsafe_code)]

mod driver;
mod error;
pub mod files;
pub mod firewall;
pub mod host;
mod network;
pub mod pool;
mod published;
mod reserve;
mod resolver;
mod rules;
mod running;
mod sandbox;
mod veth;

pub use driver::{ByRight, Driver, Permitted, Sandbox, SandboxSpec};
pub use error::BridgeError;
pub use network::{Attachment, Endpoint, GatewayMode, Network, Prefix};
pub use published::{Opened, Published, Wanted};
pub use resolver::{ADDRESS as RESOLVER, Resolver};
pub use running::DefaultRoute;
