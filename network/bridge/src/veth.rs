//! Veth pairs: made ahead by the pool, or for an endpoint at once.

use crate::{BridgeError, Endpoint, error::during};
use netlink::link::{LinkChange, OverlinkKind, OverlinkSpec, PortSpec, VethSpec};
use netlink::{Batch, InterfaceName, NetlinkError, RouteSocket};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// The group of every veth that is plugged into a bridge for a container (`ip link show group 12648431`).
pub(crate) const GROUP: u32 = 0x00c0_ffef;
/// The group of those that wait in the pool.
pub(crate) const WAITING: u32 = GROUP - 1;
/// The group of links that are deleted with the next request.
pub(crate) const DOOMED: u32 = GROUP - 2;
/// How often another random name is tried for a veth whose name is taken.
const NAME_TRIES: usize = 4;

/// The host's end of a pair.
#[derive(Debug)]
pub(crate) struct HostEnd {
    pub(crate) name: InterfaceName,
    pub(crate) index: u32,
}

/// A bridge that containers may be plugged into.
#[derive(Debug, Clone)]
pub(crate) struct Bridge {
    pub(crate) index: u32,
    pub(crate) icc: bool,
    pub(crate) mtu: Option<u32>,
}

impl Bridge {
    /// How a container's port forwards. Hairpin: with br_netfilter loaded, destination translation happens inside the
    /// bridge, and a container that asks for its own published port is sent back out of the port on which it came.
    /// Isolated: frames between two such ports never pass, whatever a packet filter says.
    fn port(&self) -> PortSpec {
        PortSpec { hairpin: true, isolated: !self.icc }
    }

    /// The MTU of an interface on this bridge; `None` for the kernel's default of 1500.
    pub(crate) fn mtu_of(&self, endpoint: &Endpoint) -> Option<u32> {
        endpoint.mtu.or(self.mtu)
    }
}

/// Makes a pair that waits: both ends up, `inside` in the namespace, the other one in none of our bridges yet.
pub(crate) fn make_waiting(
    host: &mut RouteSocket,
    inside: &InterfaceName,
    namespace: BorrowedFd<'_>,
) -> Result<HostEnd, NetlinkError> {
    let name = with_random_name(|name| {
        let mut batch = Batch::new();
        batch.create_veth(&VethSpec {
            name,
            master: None,
            group: WAITING,
            mtu: None,
            peer_name: inside,
            peer_mac: None,
            peer_namespace: Some(namespace),
        });
        // A port of a bridge needs no address of its own. Without IPv6 in the kernel there is nothing to turn off.
        batch.set_no_link_local(name);
        batch.tolerate(Errno::AFNOSUPPORT);
        host.run(batch)
    })?;
    let index = host.link(name.as_str())?.index;
    Ok(HostEnd { name, index })
}

/// Plugs a waiting end into a bridge.
pub(crate) fn plug_waiting(
    host: &mut RouteSocket,
    end: &HostEnd,
    bridge: &Bridge,
    endpoint: &Endpoint,
) -> Result<(), BridgeError> {
    let mut batch = Batch::new();
    let change = LinkChange {
        mtu: bridge.mtu_of(endpoint),
        group: Some(GROUP),
        master: Some(bridge.index),
        ..LinkChange::default()
    };
    batch.change_link(end.index, end.name.as_str(), change);
    batch.set_port(&end.name, bridge.port());
    host.run(batch).map_err(during("plug into bridge", endpoint.attachment.link().as_str()))
}

/// Makes the pair of an endpoint, one end in its bridge and the other, still down, in the namespace; answers the name
/// of the host's end.
pub(crate) fn plug_new(
    host: &mut RouteSocket,
    bridge: &Bridge,
    endpoint: &Endpoint,
    namespace: BorrowedFd<'_>,
) -> Result<InterfaceName, BridgeError> {
    let made = with_random_name(|name| {
        let mut batch = Batch::new();
        batch.create_veth(&VethSpec {
            name,
            master: Some(bridge.index),
            group: GROUP,
            mtu: bridge.mtu_of(endpoint),
            peer_name: &endpoint.interface,
            peer_mac: Some(endpoint.mac),
            peer_namespace: Some(namespace),
        });
        batch.set_port(name, bridge.port());
        host.run(batch)
    });
    made.map_err(during("plug into bridge", endpoint.attachment.link().as_str()))
}

/// Makes the link of an endpoint over its parent, down, in the namespace.
pub(crate) fn put_over(
    host: &mut RouteSocket,
    parent: &InterfaceName,
    kind: OverlinkKind,
    endpoint: &Endpoint,
    namespace: BorrowedFd<'_>,
) -> Result<(), BridgeError> {
    let name = parent.as_str();
    let failed = || during("make an interface over", name);
    let Some(link) = host.find_link(name).map_err(failed())? else {
        return Err(BridgeError::NoParent { link: name.to_owned() });
    };
    let mut batch = Batch::new();
    let with_mac = matches!(kind, OverlinkKind::Macvlan(_));
    batch.create_overlink(&OverlinkSpec {
        name: &endpoint.interface,
        parent: link.index,
        kind,
        mac: with_mac.then_some(endpoint.mac),
        mtu: endpoint.mtu,
        namespace,
    });
    match host.run(batch) {
        Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => Err(BridgeError::NoSuchKind {
            kind: if with_mac { "macvlan" } else { "ipvlan" },
            source: error,
        }),
        other => other.map_err(failed()),
    }
}

/// Calls `make` with another name as long as the name is taken.
fn with_random_name(
    mut make: impl FnMut(&InterfaceName) -> Result<(), NetlinkError>,
) -> Result<InterfaceName, NetlinkError> {
    let mut tries = 1;
    loop {
        let name = random_name();
        match make(&name) {
            Ok(()) => return Ok(name),
            Err(error) if error.is_exists() && tries < NAME_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// `veth` and seven hexadecimal digits, as Docker names them.
fn random_name() -> InterfaceName {
    let number = u32::from_ne_bytes(random::<4>()) >> 4;
    InterfaceName::parse(&format!("veth{number:07x}")).expect("eleven letters and digits")
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Fewer bytes than 256 always come in full, and the call cannot fail once the machine has booted.
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    if filled != Ok(N) {
        // A name that repeats is refused by the kernel and another is tried: nothing here is a secret.
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos());
        for (byte, value) in bytes.iter_mut().zip(nanos.to_le_bytes()) {
            *byte = value;
        }
    }
    bytes
}
