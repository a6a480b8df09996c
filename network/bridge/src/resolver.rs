//! Sockets for a container's name server, in its namespace.
//!
//! The container asks 127.0.0.11 port 53. The sockets are on other ports of that address, so that a program of the
//! container may have port 53 at every address; a table of our own in the namespace translates the one to the other.
//! Who answers on the sockets is none of this crate's business.

use crate::BridgeError;
use crate::error::during;
use netlink::nft::{BaseChain, ChainKind, Family, Hook, Policy, Rule, Transaction};
use netlink::{Namespace, NetfilterSocket, NetlinkError};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// The address of the name server.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
const TABLE: &str = "coffer";
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Connections that wait to be taken.
const BACKLOG: i32 = 32;

/// A name server's sockets.
#[derive(Debug)]
pub struct Resolver {
    /// For datagrams; non-blocking.
    pub udp: OwnedFd,
    /// Listens; non-blocking.
    pub tcp: OwnedFd,
}

/// Opens them; those that were opened before get no more questions.
pub(crate) fn open(namespace: &Namespace) -> Result<Resolver, BridgeError> {
    namespace.run(open_here).map_err(during("open the name server of", "sandbox"))
}

fn open_here() -> Result<Resolver, NetlinkError> {
    let failed = |call| move |errno| NetlinkError::Socket { call, errno };
    let (udp, udp_port) = bound(SocketType::DGRAM).map_err(failed("bind"))?;
    let (tcp, tcp_port) = bound(SocketType::STREAM).map_err(failed("bind"))?;
    net::listen(&tcp, BACKLOG).map_err(failed("listen"))?;
    let mut t = Transaction::new(Family::Ipv4, TABLE);
    t.replace_table();
    let chain = BaseChain {
        kind: ChainKind::Nat,
        hook: Hook::Output,
        priority: -100,
        policy: Policy::Accept,
    };
    t.add_base_chain("output", chain);
    for (protocol, port) in [(UDP, udp_port), (TCP, tcp_port)] {
        let rule = Rule::new().destination(ADDRESS.into(), 32).transport(protocol);
        t.add_rule("output", &rule.destination_port(PORT).destination_nat(ADDRESS.into(), port));
    }
    NetfilterSocket::open()?.commit(t)?;
    Ok(Resolver { udp, tcp })
}

fn bound(kind: SocketType) -> Result<(OwnedFd, u16), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::INET, kind, flags, None)?;
    net::bind(&socket, &SocketAddr::new(IpAddr::V4(ADDRESS), 0))?;
    let port = SocketAddr::try_from(net::getsockname(&socket)?)?.port();
    Ok((socket, port))
}
