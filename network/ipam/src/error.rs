//! Why an address or a subnet cannot be had.

use ipnet::IpNet;
use spec::Class;
use std::net::IpAddr;

/// Why a request for an address or a subnet failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// Every address of the subnet, or of its range, is taken.
    #[error(
        "no available {} addresses on this network's address pools: {network} ({pool})",
        family(pool)
    )]
    Exhausted {
        /// The network.
        network: String,
        /// The subnet or range that is full.
        pool: IpNet,
    },
    /// The address is somebody's already.
    #[error("address {address} of network {network} is already in use")]
    Taken {
        /// The network.
        network: String,
        /// The address.
        address: IpAddr,
    },
    /// The address is not one that a container may have.
    #[error("invalid address {address} for network {network}: {cause} {subnet}")]
    Unusable {
        /// The network.
        network: String,
        /// The address.
        address: IpAddr,
        /// What is wrong, ready to be followed by the subnet.
        cause: &'static str,
        /// The subnet.
        subnet: IpNet,
    },
    /// The range is no part of the subnet.
    #[error("invalid range {range} for network {network}: it is not within {subnet}")]
    RangeOutside {
        /// The network.
        network: String,
        /// The range.
        range: IpNet,
        /// The subnet.
        subnet: IpNet,
    },
    /// The subnet has no address for a container.
    #[error(
        "invalid subnet {subnet} for network {network}: it has no room for a gateway and a container"
    )]
    TooSmall {
        /// The network.
        network: String,
        /// The subnet.
        subnet: IpNet,
    },
    /// The subnet belongs, in part at least, to another network.
    #[error(
        "invalid pool request: subnet {subnet} of network {network} overlaps {other} of network {holder}"
    )]
    Overlaps {
        /// The network that asks.
        network: String,
        /// Its subnet.
        subnet: IpNet,
        /// The network that has it.
        holder: String,
        /// That network's subnet.
        other: IpNet,
    },
    /// No pool has a subnet left that touches neither a network nor a route of the host.
    #[error("all predefined address pools have been fully subnetted: {pools}")]
    PoolsExhausted {
        /// The pools that were tried, as `base/size`.
        pools: String,
    },
    /// A pool cannot be cut into subnets of its size.
    #[error(
        "invalid address pool {base} with size {size}: the size must be from the base's prefix to {limit}"
    )]
    BadPool {
        /// The base.
        base: IpNet,
        /// The prefix length of its subnets.
        size: u8,
        /// The greatest size that leaves room for a gateway and a container.
        limit: u8,
    },
    /// The network is not known.
    #[error("network {network} has no address pool")]
    UnknownNetwork {
        /// The network.
        network: String,
    },
}

fn family(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "IPv4",
        IpNet::V6(_) => "IPv6",
    }
}

impl IpamError {
    /// The class of the failure.
    pub fn class(&self) -> Class {
        match self {
            Self::Exhausted { .. } | Self::PoolsExhausted { .. } => Class::Unavailable,
            Self::Taken { .. } | Self::Overlaps { .. } => Class::Forbidden,
            Self::Unusable { .. }
            | Self::RangeOutside { .. }
            | Self::TooSmall { .. }
            | Self::BadPool { .. } => Class::InvalidArgument,
            Self::UnknownNetwork { .. } => Class::NotFound,
        }
    }
}
