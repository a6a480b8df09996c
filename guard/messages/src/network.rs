//! Requests to the network worker: bridges, network namespaces, published ports, and nothing else.

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

/// How the containers of a network are reached from elsewhere, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum GatewayMode {
    /// Published ports by the host's addresses; nothing by the containers' own.
    #[default]
    Nat,
    /// As `Nat`, and every port of a container by its own address.
    NatUnprotected,
    /// Published ports by the containers' own addresses; nothing is translated.
    Routed,
    /// The host itself has no address on the bridge.
    Isolated,
}

/// A bridge network as it shall be on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bridge {
    /// The name of the link, at most 15 bytes: `docker0` or `br-` and twelve digits.
    pub link: String,
    /// The bridge's own addresses, which are its containers' gateways.
    pub gateways: Vec<Prefix>,
    /// Subnets in which the bridge has no address.
    pub unaddressed: Vec<Prefix>,
    /// Bytes; 1500 when not set.
    pub mtu: Option<u32>,
    /// Whether containers on the bridge may talk with each other.
    pub icc: bool,
    /// Whether packets that leave the host get the host's address.
    pub masquerade: bool,
    /// Whether the network has no way out of the host at all.
    pub internal: bool,
    /// How containers are reached over IPv4.
    pub mode4: GatewayMode,
    /// How containers are reached over IPv6.
    pub mode6: GatewayMode,
    /// The addresses that packets get which leave the host, instead of that of the link by which they leave; at most
    /// one of each family.
    pub sources: Vec<IpAddr>,
    /// Links of the host whose neighbours may reach published ports by the containers' own addresses.
    pub trusted: Vec<String>,
}

/// How links over one parent forward among each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// By the switch behind the parent.
    Vepa,
    /// Directly.
    Bridge,
    /// There is one such link only.
    Passthru,
}

/// On which layer links over one parent forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// As a switch.
    L2,
    /// As a router.
    L3,
    /// As a router whose packets pass the host's packet filter.
    L3s,
}

/// What an interface is and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attachment {
    /// One end of a veth pair whose other end is in this bridge; [`Request::EnsureBridge`] must have succeeded for it.
    Bridge(String),
    /// A macvlan link.
    Macvlan {
        /// A link of the host.
        parent: String,
        /// How it forwards.
        mode: MacvlanMode,
    },
    /// An ipvlan link.
    Ipvlan {
        /// A link of the host.
        parent: String,
        /// How it forwards.
        mode: IpvlanMode,
        /// IPVLAN_F_PRIVATE 1, IPVLAN_F_VEPA 2.
        flags: u16,
    },
}

/// One interface of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it leads.
    pub attachment: Attachment,
    /// The interface's name in the container: `eth0`.
    pub interface: String,
    /// The hardware address.
    pub mac: [u8; 6],
    /// The interface's addresses.
    pub addresses: Vec<Prefix>,
    /// The default routes' next hops, at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// The families whose default route leads over the interface without a next hop.
    pub on_link: Vec<Family>,
    /// Bytes; the bridge's when not set.
    pub mtu: Option<u32>,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Ports of the host that shall lead to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The protocol.
    pub protocol: Protocol,
    /// Addresses of the host, each with the container's address of the same family. They all get the same port. The
    /// unspecified address of a family is all addresses of the host; none at all opens the port at the container's own
    /// address only.
    pub routes: Vec<(Option<IpAddr>, IpAddr)>,
    /// The first and the last port of the host of which the first free one is taken; `None` takes any free one.
    pub range: Option<(u16, u16)>,
    /// The port of the container.
    pub container_port: u16,
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    /// The protocol.
    pub protocol: Protocol,
    /// The address of the host and its port; `None` when the port is only open at the container's own address.
    pub host: Option<(IpAddr, u16)>,
    /// The container's address.
    pub container: IpAddr,
    /// The container's port.
    pub container_port: u16,
}

/// The counters of one interface, as the container sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The interface.
    pub interface: String,
    /// Bytes, packets, errors and drops on the way in.
    pub received: [u64; 4],
    /// The same on the way out.
    pub sent: [u64; 4],
}

/// What may be asked of the network worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Makes the bridge and its firewall rules, or brings an existing one of ours into this form. Legal at any time.
    /// Refused for a bridge that somebody else made, unless root has named it.
    EnsureBridge(Bridge),
    /// Removes a bridge of ours and its rules. Legal when no container is plugged into it; no error when it is gone.
    RemoveBridge {
        /// The name of the link.
        link: String,
    },
    /// Makes a network namespace with loopback up and these interfaces, and publishes ports, all or nothing. The
    /// namespace lives as long as somebody holds its descriptor or a process is in it; the ports until they are
    /// released.
    CreateSandbox {
        /// None for network mode `none`.
        endpoints: Vec<Endpoint>,
        /// `net.*` sysctls to set in the namespace: dotted name, value.
        sysctls: Vec<(String, String)>,
        /// Ports to be published; the container's addresses must be in networks of ours.
        ports: Vec<Wanted>,
        /// Whether the sandbox gets sockets for a name server at 127.0.0.11.
        resolver: bool,
    },
    /// Sockets for a name server in a namespace that is there already, instead of those that it had.
    Resolver {
        /// The namespace, which must not be the host's.
        sandbox: Fd,
    },
    /// Plugs a running sandbox into one more network. Legal for any namespace but the host's.
    Connect {
        /// The namespace.
        sandbox: Fd,
        /// The interface; its own gateways are not used.
        endpoint: Endpoint,
        /// All default routes that the sandbox shall have: interface, next hop or none.
        gateways: Vec<(String, Option<IpAddr>, Family)>,
        /// `net.*` sysctls of the new interface.
        sysctls: Vec<(String, String)>,
    },
    /// Takes an interface out of a running sandbox; no error when it is gone.
    Disconnect {
        /// The namespace.
        sandbox: Fd,
        /// The interface's name in it.
        interface: String,
        /// All default routes that the sandbox shall have.
        gateways: Vec<(String, Option<IpAddr>, Family)>,
    },
    /// Reads the counters of a sandbox's interfaces.
    Statistics {
        /// The namespace.
        sandbox: Fd,
    },
    /// Publishes ports of a running container, all or none.
    Publish {
        /// The ports.
        ports: Vec<Wanted>,
    },
    /// Takes published ports back, and forgets the connections that lead to these addresses of containers. Ports that
    /// are not published are no error.
    Release {
        /// The ports.
        ports: Vec<Published>,
        /// The addresses that are nobody's any more.
        addresses: Vec<IpAddr>,
    },
    /// The networks that the host has routes to, so that a new pool does not overlap them.
    HostRoutes,
    /// Removes each bridge and rule of ours that is not in this list, and ports and connections of containers that
    /// are not there.
    Reconcile {
        /// The names of the bridges that exist by right.
        bridges: Vec<String>,
        /// The ports that are published by right; what is missing is published again.
        ports: Vec<Published>,
        /// The addresses of the containers that run.
        addresses: Vec<IpAddr>,
        /// Whether nothing else can be under way. If not, what this worker made itself stays, though it is in no list.
        complete: bool,
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
        /// What was published.
        ports: Vec<Published>,
        /// The name server's sockets, if they were asked for: UDP, and TCP that listens.
        resolver: Option<(Fd, Fd)>,
    },
    /// A name server's sockets.
    Resolver {
        /// For datagrams.
        udp: Fd,
        /// It listens.
        tcp: Fd,
    },
    /// What was published.
    Published(Vec<Published>),
    /// The counters of the interfaces but the loopback.
    Statistics(Vec<Counters>),
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
            Self::Resolver { .. } => "open resolver",
            Self::Connect { .. } => "connect sandbox",
            Self::Disconnect { .. } => "disconnect sandbox",
            Self::Statistics { .. } => "read network statistics",
            Self::Publish { .. } => "publish ports",
            Self::Release { .. } => "release ports",
            Self::HostRoutes => "host routes",
            Self::Reconcile { .. } => "reconcile networks",
        }
    }

    fn idempotent(&self) -> bool {
        // A sandbox that nobody holds disappears by itself, so making it once more is harmless. Ports that a worker
        // published before it died are in the way of the same ones, and of no other.
        match self {
            Self::CreateSandbox { ports, .. } | Self::Publish { ports } => ports.is_empty(),
            Self::Connect { .. } => false,
            _ => true,
        }
    }

    fn deadline(&self) -> std::time::Duration {
        crate::SHORT
    }
}
