//! Which address belongs to whom: pools of subnets, subnets of networks, addresses of containers.
//!
//! Pure data and arithmetic: this crate asks neither the kernel nor a disk, keeps no clock and no thread. Whoever
//! uses it tells it the host's routes, stores the state (everything is serialisable) or builds it anew from the
//! containers that there are, by [`Subnet::take`] for each of their addresses.
//!
//! Reading order: [`AddressPool`] and [`default_pools`] (where subnets come from), [`choose`] (one that is free),
//! [`Subnet`] (addresses: the next one, a certain one, never twice), [`AddressSpace`] (the subnets of all networks,
//! none overlapping another), [`IpamError`].

#![forbid(unsafe_code)]

mod error;
mod pool;
mod space;
mod subnet;

pub use error::IpamError;
pub use ipnet::IpNet;
pub use pool::{AddressPool, choose, default_pools, overlap, unique_local_pool};
pub use space::AddressSpace;
pub use subnet::{Subnet, SubnetConfig};
