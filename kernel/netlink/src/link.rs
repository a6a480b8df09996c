//! Requests that make, change and remove links (linux/if_link.h; rtnetlink(7)).
//!
//! A veth pair costs one message here: the host's end gets its bridge and comes up at creation, and the other end is
//! made directly in the namespace where it belongs, under its final name, so that no rename and no move follow.

use crate::wire::{self, Encoder};
use crate::{Batch, InterfaceName, Mac};
use std::os::fd::{AsRawFd, BorrowedFd};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

pub(crate) const IFLA_ADDRESS: u16 = 1;
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
pub(crate) const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
pub(crate) const IFLA_INFO_KIND: u16 = 1;
pub(crate) const IFLA_INFO_DATA: u16 = 2;
pub(crate) const IFLA_INFO_SLAVE_KIND: u16 = 4;
pub(crate) const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_LINK: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
pub(crate) const IFLA_BRPORT_MODE: u16 = 4;
pub(crate) const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// `IPV4_DEVCONF_ROUTE_LOCALNET` of linux/ip.h.
const ROUTE_LOCALNET: u16 = 26;
/// No link-local address is made by the kernel (IN6_ADDR_GEN_MODE_NONE).
const GENERATE_NONE: u8 = 1;

pub(crate) const UP: u32 = 0x1;

/// A bridge to be made.
#[derive(Debug, Clone)]
pub struct BridgeSpec<'a> {
    /// Its name.
    pub name: &'a InterfaceName,
    /// A fixed hardware address; without one it changes whenever the port with the lowest address changes.
    pub mac: Option<Mac>,
    /// The MTU in bytes; without one the kernel follows the ports.
    pub mtu: Option<u32>,
}

/// A veth pair to be made.
#[derive(Debug, Clone)]
pub struct VethSpec<'a> {
    /// The name of the end that stays in the socket's namespace.
    pub name: &'a InterfaceName,
    /// The bridge, by index, whose port the end becomes.
    pub master: Option<u32>,
    /// A mark for finding the link again (`ip link show group`).
    pub group: u32,
    /// The MTU in bytes of both ends.
    pub mtu: Option<u32>,
    /// The name of the other end.
    pub peer_name: &'a InterfaceName,
    /// The hardware address of the other end.
    pub peer_mac: Option<Mac>,
    /// The namespace in which the other end is made.
    pub peer_namespace: Option<BorrowedFd<'a>>,
}

/// How links over one parent forward among each other (MACVLAN_MODE_* of linux/if_link.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// By the switch behind the parent, which must send frames back.
    Vepa,
    /// Directly.
    Bridge,
    /// There is one such link only, and it has the parent's address.
    Passthru,
}

/// On which layer links over one parent forward (IPVLAN_MODE_* of linux/if_link.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanMode {
    /// As a switch.
    L2,
    /// As a router.
    L3,
    /// As a router whose packets pass the host's packet filter.
    L3s,
}

/// What a link over a parent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlinkKind {
    /// With a hardware address of its own.
    Macvlan(MacvlanMode),
    /// With the parent's hardware address; the flags are IPVLAN_F_PRIVATE 1 and IPVLAN_F_VEPA 2.
    Ipvlan(IpvlanMode, u16),
}

/// A link over a parent, to be made in another namespace than the parent's.
#[derive(Debug, Clone)]
pub struct OverlinkSpec<'a> {
    /// Its name there.
    pub name: &'a InterfaceName,
    /// The parent, by index.
    pub parent: u32,
    /// What it is.
    pub kind: OverlinkKind,
    /// Its hardware address; not for an ipvlan.
    pub mac: Option<Mac>,
    /// The MTU in bytes; the parent's when not set.
    pub mtu: Option<u32>,
    /// The namespace in which it is made.
    pub namespace: BorrowedFd<'a>,
}

/// What to change of a link; what is not set stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkChange {
    /// Bring it up.
    pub up: bool,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: Option<u32>,
    /// Its group.
    pub group: Option<u32>,
    /// The bridge, by index, whose port it becomes; 0 for none.
    pub master: Option<u32>,
}

/// How a port of a bridge forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSpec {
    /// Frames may leave by the port on which they came (a container that reaches its own published port).
    pub hairpin: bool,
    /// No frames pass between this port and another isolated one (Linux 4.18).
    pub isolated: bool,
}

/// The fixed part of a link message: struct ifinfomsg.
fn ifinfomsg(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

impl Batch {
    /// Makes a bridge, down, without spanning tree. EEXIST when any link has the name.
    pub fn create_bridge(&mut self, spec: &BridgeSpec<'_>) {
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let m = self.begin(RTM_NEWLINK, flags, "create bridge", spec.name.as_str());
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, spec.name.as_str());
        if let Some(mac) = spec.mac {
            m.put(IFLA_ADDRESS, &mac.bytes());
        }
        if let Some(mtu) = spec.mtu {
            m.put_u32(IFLA_MTU, mtu);
        }
        m.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "bridge");
            info.nest(IFLA_INFO_DATA, |data| {
                data.put_u32(IFLA_BR_STP_STATE, 0);
                data.put_u32(IFLA_BR_FORWARD_DELAY, 0);
            });
        });
        m.end();
    }

    /// Makes a veth pair. The end of this namespace comes up; the other one cannot before both exist (veth_open
    /// answers ENOTCONN), so it is brought up in its own namespace. EEXIST when the name is taken on either side, ENODEV without the bridge.
    pub fn create_veth(&mut self, spec: &VethSpec<'_>) {
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let m = self.begin(RTM_NEWLINK, flags, "create veth pair", spec.name.as_str());
        m.fixed(&ifinfomsg(0, UP, UP));
        m.put_text(IFLA_IFNAME, spec.name.as_str());
        m.put_u32(IFLA_GROUP, spec.group);
        if let Some(master) = spec.master {
            m.put_u32(IFLA_MASTER, master);
        }
        if let Some(mtu) = spec.mtu {
            m.put_u32(IFLA_MTU, mtu);
        }
        m.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, "veth");
            info.nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| veth_peer(peer, spec));
            });
        });
        m.end();
    }

    /// Makes a macvlan or ipvlan link, down. EOPNOTSUPP where the kernel has no such links, EBUSY when the parent is used
    /// in another way, EINVAL when the modes of one parent differ.
    pub fn create_overlink(&mut self, spec: &OverlinkSpec<'_>) {
        let flags = wire::CREATE | wire::EXCLUSIVE;
        let kind = match spec.kind {
            OverlinkKind::Macvlan(_) => "macvlan",
            OverlinkKind::Ipvlan(..) => "ipvlan",
        };
        let m = self.begin(RTM_NEWLINK, flags, "create link", format!("{kind} {}", spec.name));
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, spec.name.as_str());
        m.put_u32(IFLA_LINK, spec.parent);
        m.put_u32(IFLA_NET_NS_FD, spec.namespace.as_raw_fd().cast_unsigned());
        if let Some(mac) = spec.mac {
            m.put(IFLA_ADDRESS, &mac.bytes());
        }
        if let Some(mtu) = spec.mtu {
            m.put_u32(IFLA_MTU, mtu);
        }
        m.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_KIND, kind);
            info.nest(IFLA_INFO_DATA, |data| match spec.kind {
                OverlinkKind::Macvlan(mode) => {
                    let mode = match mode {
                        MacvlanMode::Private => 1,
                        MacvlanMode::Vepa => 2,
                        MacvlanMode::Bridge => 4,
                        MacvlanMode::Passthru => 8,
                    };
                    data.put_u32(IFLA_MACVLAN_MODE, mode);
                }
                OverlinkKind::Ipvlan(mode, flags) => {
                    let mode: u16 = match mode {
                        IpvlanMode::L2 => 0,
                        IpvlanMode::L3 => 1,
                        IpvlanMode::L3s => 2,
                    };
                    data.put(IFLA_IPVLAN_MODE, &mode.to_ne_bytes());
                    data.put(IFLA_IPVLAN_FLAGS, &flags.to_ne_bytes());
                }
            });
        });
        m.end();
    }

    /// Brings a link up or down.
    pub fn set_up(&mut self, index: u32, name: &str, up: bool) {
        let operation = if up { "bring up" } else { "bring down" };
        let m = self.begin(RTM_NEWLINK, 0, operation, name);
        m.fixed(&ifinfomsg(index, if up { UP } else { 0 }, UP));
        m.end();
    }

    /// Brings a link up by its name.
    pub fn set_up_by_name(&mut self, name: &InterfaceName) {
        let m = self.begin(RTM_NEWLINK, 0, "bring up", name.as_str());
        m.fixed(&ifinfomsg(0, UP, UP));
        m.put_text(IFLA_IFNAME, name.as_str());
        m.end();
    }

    /// Changes several properties of a link in one message.
    pub fn change_link(&mut self, index: u32, name: &str, change: LinkChange) {
        let m = self.begin(RTM_SETLINK, 0, "change link", name);
        let flag = if change.up { UP } else { 0 };
        m.fixed(&ifinfomsg(index, flag, flag));
        if let Some(mac) = change.mac {
            m.put(IFLA_ADDRESS, &mac.bytes());
        }
        for (attribute, value) in
            [(IFLA_MTU, change.mtu), (IFLA_GROUP, change.group), (IFLA_MASTER, change.master)]
        {
            if let Some(value) = value {
                m.put_u32(attribute, value);
            }
        }
        m.end();
    }

    /// Makes a link a port of a bridge, or with master 0 of none.
    pub fn set_master(&mut self, index: u32, name: &str, master: u32) {
        let m = self.begin(RTM_SETLINK, 0, "set master of", name);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.put_u32(IFLA_MASTER, master);
        m.end();
    }

    /// Sets the MTU of a link, in bytes.
    pub fn set_mtu(&mut self, index: u32, name: &str, mtu: u32) {
        let m = self.begin(RTM_SETLINK, 0, "set mtu of", name);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.put_u32(IFLA_MTU, mtu);
        m.end();
    }

    /// Renames a link. Before Linux 6.0 it must be down.
    pub fn rename(&mut self, index: u32, old: &str, new: &InterfaceName) {
        let m = self.begin(RTM_SETLINK, 0, "rename", old);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.put_text(IFLA_IFNAME, new.as_str());
        m.end();
    }

    /// Moves a link to another network namespace, where it is called `new` from its first moment. It arrives down and
    /// without addresses. EEXIST: the name is taken there.
    pub fn move_to_namespace(
        &mut self,
        index: u32,
        name: &str,
        namespace: BorrowedFd<'_>,
        new: &InterfaceName,
    ) {
        let m = self.begin(RTM_NEWLINK, 0, "move", name);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.put_u32(IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
        m.put_text(IFLA_IFNAME, new.as_str());
        m.end();
    }

    /// Sets the alias, the kernel's free text of a link (at most 255 bytes).
    pub fn set_alias(&mut self, name: &InterfaceName, alias: &str) {
        let m = self.begin(RTM_SETLINK, 0, "set alias of", name.as_str());
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, name.as_str());
        // The kernel takes the text without terminator.
        m.put(IFLA_IFALIAS, alias.as_bytes());
        m.end();
    }

    /// Sets how a port of a bridge forwards.
    pub fn set_port(&mut self, name: &InterfaceName, port: PortSpec) {
        let m = self.begin(RTM_NEWLINK, 0, "set bridge port", name.as_str());
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, name.as_str());
        m.nest(IFLA_LINKINFO, |info| {
            info.put_text(IFLA_INFO_SLAVE_KIND, "bridge");
            info.nest(IFLA_INFO_SLAVE_DATA, |data| {
                data.put_u8(IFLA_BRPORT_MODE, u8::from(port.hairpin));
                data.put_u8(IFLA_BRPORT_ISOLATED, u8::from(port.isolated));
            });
        });
        m.end();
    }

    /// Lets the kernel give a link no link-local IPv6 address; before the link comes up. EAFNOSUPPORT where IPv6 is
    /// not there at all.
    pub fn set_no_link_local(&mut self, name: &InterfaceName) {
        let m = self.begin(RTM_SETLINK, 0, "set address generation of", name.as_str());
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, name.as_str());
        m.nest(IFLA_AF_SPEC, |spec| {
            spec.nest(libc::AF_INET6 as u16, |inet6| {
                inet6.put_u8(IFLA_INET6_ADDR_GEN_MODE, GENERATE_NONE);
            });
        });
        m.end();
    }

    /// Lets 127.0.0.0/8 be routed through a link, so that a port published on the loopback address reaches a
    /// container without a proxy. Whoever sets this drops loopback addresses that arrive on the link
    /// (CVE-2020-8558).
    pub fn set_route_localnet(&mut self, index: u32, name: &str, on: bool) {
        let m = self.begin(RTM_SETLINK, 0, "set route_localnet of", name);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.nest(IFLA_AF_SPEC, |spec| {
            spec.nest(libc::AF_INET as u16, |inet| {
                inet.nest(IFLA_INET_CONF, |conf| conf.put_u32(ROUTE_LOCALNET, u32::from(on)));
            });
        });
        m.end();
    }

    /// Deletes a link; the other end of a veth goes with it. The kernel waits for a grace period of about 30 ms.
    pub fn delete_link(&mut self, index: u32, name: &str) {
        let m = self.begin(RTM_DELLINK, 0, "delete link", name);
        m.fixed(&ifinfomsg(index, 0, 0));
        m.end();
    }

    /// Deletes all links of a group, waiting for one grace period only.
    pub fn delete_group(&mut self, group: u32) {
        let m = self.begin(RTM_DELLINK, 0, "delete links of group", group.to_string());
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_u32(IFLA_GROUP, group);
        m.end();
    }

    pub(crate) fn get_link(&mut self, name: &str) {
        let m = self.begin(RTM_GETLINK, 0, "find link", name);
        m.fixed(&ifinfomsg(0, 0, 0));
        m.put_text(IFLA_IFNAME, name);
        m.end();
    }

    pub(crate) fn get_link_by_index(&mut self, index: u32) {
        let m = self.begin(RTM_GETLINK, 0, "find link", format!("number {index}"));
        m.fixed(&ifinfomsg(index, 0, 0));
        m.end();
    }

    pub(crate) fn list_links(&mut self) {
        let m = self.begin(RTM_GETLINK, wire::DUMP, "list", "links");
        m.fixed(&ifinfomsg(0, 0, 0));
        m.end();
    }
}

fn veth_peer(peer: &mut Encoder, spec: &VethSpec<'_>) {
    peer.fixed(&ifinfomsg(0, 0, 0));
    peer.put_text(IFLA_IFNAME, spec.peer_name.as_str());
    if let Some(mac) = spec.peer_mac {
        peer.put(IFLA_ADDRESS, &mac.bytes());
    }
    if let Some(mtu) = spec.mtu {
        peer.put_u32(IFLA_MTU, mtu);
    }
    if let Some(namespace) = spec.peer_namespace {
        peer.put_u32(IFLA_NET_NS_FD, namespace.as_raw_fd().cast_unsigned());
    }
}
