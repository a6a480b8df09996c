//! What the kernel tells of a link.

use crate::link::{
    IFLA_ADDRESS, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_MODE, IFLA_GROUP, IFLA_IFALIAS, IFLA_IFNAME,
    IFLA_INFO_KIND, IFLA_INFO_SLAVE_DATA, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, PortSpec,
    RTM_NEWLINK, UP,
};
use crate::wire::{self, Attributes, Message, u64_at};
use crate::{Batch, NetlinkError, RouteSocket};

const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
/// IF_OPER_UP of RFC 2863.
const OPERATIONAL: u8 = 6;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;

/// A link as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What kind of link it is (`bridge`, `veth`, ...); empty for hardware and the loopback.
    pub kind: String,
    /// It is up.
    pub up: bool,
    /// It has a carrier and its queue works (operational state UP): until then what is sent is dropped. The kernel
    /// gets there in its own time after the link came up. Never for links that do not know, such as the loopback.
    pub operational: bool,
    /// The hardware address; zero bytes where the link has none.
    pub mac: [u8; 6],
    /// The MTU in bytes.
    pub mtu: u32,
    /// The number of the bridge whose port it is; 0 for none.
    pub master: u32,
    /// The number of the other end of a veth pair, in that end's namespace; 0 for none.
    pub peer: u32,
    /// The other end of a veth pair is in another namespace.
    pub peer_elsewhere: bool,
    /// The group, as given at creation.
    pub group: u32,
    /// The alias; empty for none.
    pub alias: String,
    /// How it forwards as a port of a bridge.
    pub port: Option<PortSpec>,
    /// Its counters.
    pub statistics: Statistics,
}

/// The counters of a link (struct rtnl_link_stats64), as seen from the namespace in which it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets dropped on the way in.
    pub rx_dropped: u64,
    /// Packets dropped on the way out.
    pub tx_dropped: u64,
}

impl Statistics {
    fn parse(value: &[u8]) -> Option<Self> {
        let at = |index: usize| u64_at(value, index * 8);
        Some(Self {
            rx_packets: at(0)?,
            tx_packets: at(1)?,
            rx_bytes: at(2)?,
            tx_bytes: at(3)?,
            rx_errors: at(4)?,
            tx_errors: at(5)?,
            rx_dropped: at(6)?,
            tx_dropped: at(7)?,
        })
    }
}

impl Link {
    fn parse(message: Message<'_>) -> Result<Option<Self>, NetlinkError> {
        if message.kind != RTM_NEWLINK {
            return Ok(None);
        }
        let short = NetlinkError::Malformed("a link shorter than its fixed part");
        let (Some(index), Some(flags)) =
            (wire::u32_at(message.body, 4), wire::u32_at(message.body, 8))
        else {
            return Err(short);
        };
        let mut link = Self { index, up: flags & UP != 0, ..Self::default() };
        for attribute in Attributes::after(message.body, 16)? {
            let (kind, value) = attribute?;
            link.take(kind, value)?;
        }
        Ok(Some(link))
    }

    fn take(&mut self, kind: u16, value: &[u8]) -> Result<(), NetlinkError> {
        match kind {
            IFLA_IFNAME => self.name = wire::text(value),
            IFLA_ADDRESS => self.mac = value.try_into().unwrap_or_default(),
            IFLA_MTU => self.mtu = wire::number(value)?,
            IFLA_OPERSTATE => self.operational = value.first() == Some(&OPERATIONAL),
            IFLA_MASTER => self.master = wire::number(value)?,
            IFLA_LINK => self.peer = wire::number(value)?,
            IFLA_LINK_NETNSID => self.peer_elsewhere = true,
            IFLA_GROUP => self.group = wire::number(value)?,
            IFLA_IFALIAS => self.alias = wire::text(value),
            IFLA_STATS64 => {
                self.statistics = Statistics::parse(value)
                    .ok_or(NetlinkError::Malformed("counters of a link that are too short"))?;
            }
            IFLA_LINKINFO => {
                for attribute in Attributes::new(value) {
                    match attribute? {
                        (IFLA_INFO_KIND, kind) => self.kind = wire::text(kind),
                        (IFLA_INFO_SLAVE_DATA, data) => self.port = Some(parse_port(data)?),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn parse_port(data: &[u8]) -> Result<PortSpec, NetlinkError> {
    let mut port = PortSpec { hairpin: false, isolated: false };
    for attribute in Attributes::new(data) {
        match attribute? {
            (IFLA_BRPORT_MODE, value) => port.hairpin = value.first() == Some(&1),
            (IFLA_BRPORT_ISOLATED, value) => port.isolated = value.first() == Some(&1),
            _ => {}
        }
    }
    Ok(port)
}

impl RouteSocket {
    /// All links of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let mut batch = Batch::new();
        batch.list_links();
        self.list("links", batch, Link::parse)
    }

    /// The link of this name, if there is one.
    pub fn find_link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut batch = Batch::new();
        batch.get_link(name);
        self.one_link(batch)
    }

    /// The link of this number, if there is one.
    pub fn find_link_by_index(&mut self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut batch = Batch::new();
        batch.get_link_by_index(index);
        self.one_link(batch)
    }

    /// The link of this name; [`NetlinkError::Missing`] without one.
    pub fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        self.find_link(name)?
            .ok_or_else(|| NetlinkError::Missing { kind: "link", object: name.to_owned() })
    }

    fn one_link(&mut self, batch: Batch) -> Result<Option<Link>, NetlinkError> {
        match self.get_one(batch, Link::parse) {
            Ok(link) => Ok(link),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_links_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let message = Message { kind: RTM_NEWLINK, flags: 0, sequence: 1, body: &body };
            if let Ok(Some(link)) = Link::parse(message) {
                prop_assert!(link.name.len() <= 3 * body.len());
            }
        }
    }
}
