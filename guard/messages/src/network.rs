//! Requests to the network worker: it makes bridges and network namespaces, and nothing else.

use crate::Fd;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Prefix {
    /// The address itself, host bits included.
    pub address: IpAddr,
    /// The length of the network part in bits.
    pub length: u8,
}

/// A bridge network as it shall be on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The name of the link, at most 15 bytes: `docker0` or `br-` and twelve digits.
    pub link: String,
    /// The bridge's own addresses, which are its containers' gateways.
    pub gateways: Vec<Prefix>,
    /// Bytes; 1500 when not set.
    pub mtu: Option<u32>,
    /// Whether containers on the bridge may talk with each other.
    pub icc: bool,
    /// Whether packets that leave the host get the host's address.
    pub masquerade: bool,
    /// Whether the network has no way out of the host at all.
    pub internal: bool,
}

/// One interface of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The bridge that it is plugged into; [`Request::EnsureBridge`] must have succeeded for it.
    pub bridge: String,
    /// The interface's name in the container: `eth0`.
    pub interface: String,
    /// The hardware address.
    pub mac: [u8; 6],
    /// The interface's addresses.
    pub addresses: Vec<Prefix>,
    /// The default routes' next hops, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// Bytes; the bridge's when not set.
    pub mtu: Option<u32>,
}

/// What may be asked of the network worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Makes the bridge and its firewall rules, or brings an existing one of ours into this form. Legal at any time.
    EnsureBridge(Bridge),
    /// Removes a bridge of ours and its rules. Legal when no container is plugged into it; no error when it is gone.
    RemoveBridge {
        /// The name of the link.
        link: String,
    },
    /// Makes a network namespace with loopback up and these interfaces. The namespace lives as long as somebody holds
    /// its descriptor or a process is in it; nothing has to be removed later.
    CreateSandbox {
        /// None for network mode `none`.
        endpoints: Vec<Endpoint>,
        /// `net.*` sysctls to set in the namespace: dotted name, value.
        sysctls: Vec<(String, String)>,
    },
    /// The networks that the host has routes to, so that a new pool does not overlap them.
    HostRoutes,
    /// Removes each bridge and rule of ours that is not in this list.
    Reconcile {
        /// The names of the bridges that exist by right.
        bridges: Vec<String>,
    },
}

/// What the network worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// The new namespace.
    Sandbox {
        /// The namespace (`/proc/PID/ns/net`).
        netns: Fd,
    },
    /// Destinations of the host's routes, the default routes left out.
    Routes(Vec<Prefix>),
}

impl crate::Request for Request {
    type Reply = Reply;

    fn verb(&self) -> &'static str {
        match self {
            Self::EnsureBridge(_) => "ensure bridge",
            Self::RemoveBridge { .. } => "remove bridge",
            Self::CreateSandbox { .. } => "create sandbox",
            Self::HostRoutes => "host routes",
            Self::Reconcile { .. } => "reconcile networks",
        }
    }

    fn idempotent(&self) -> bool {
        // A sandbox that nobody holds disappears by itself, so making it once more is harmless.
        true
    }

    fn deadline(&self) -> std::time::Duration {
        crate::SHORT
    }
}
