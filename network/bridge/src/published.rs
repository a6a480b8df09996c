//! One published port, and the elements of the rule set's maps and sets that make it one.

use netlink::nft::transaction::Element;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    /// The transport protocol: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u8,
    /// The address of the host at which the port is; the unspecified address of a family for all of that family.
    pub host: IpAddr,
    /// The port of the host.
    pub host_port: u16,
    /// The address of the container, of the same family.
    pub container: IpAddr,
    /// The port of the container.
    pub container_port: u16,
}

/// A port that is open at a container's own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// The transport protocol.
    pub protocol: u8,
    /// The address of the container.
    pub container: IpAddr,
    /// The port of the container.
    pub port: u16,
}

impl Opened {
    /// The set that lets it pass, and its element there.
    pub(crate) fn element(&self) -> (&'static str, Element) {
        let set = if self.container.is_ipv4() { "open4" } else { "open6" };
        (set, Element::destination(self.container, self.protocol, self.port))
    }

    /// Reads an element of one of the two sets back.
    pub(crate) fn from_element(set: &str, key: &[u8]) -> Option<Self> {
        let width = if set.ends_with('6') { 16 } else { 4 };
        let (container, rest) = (parse_ip(key.get(..width)?)?, &key[width..]);
        let port = u16::from_be_bytes([*rest.get(4)?, *rest.get(5)?]);
        Some(Self { protocol: *rest.first()?, container, port })
    }
}

/// Ports of the host that shall lead to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The transport protocol.
    pub protocol: u8,
    /// Addresses of the host, each with the container's address of the same family; without one of the host the port is
    /// opened at the container's own address only. All get the same port of the host.
    pub routes: Vec<(Option<IpAddr>, IpAddr)>,
    /// The first and the last port of which the first free one is taken; `None` takes any free one.
    pub range: Option<(u16, u16)>,
    /// The port of the container.
    pub container_port: u16,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => "other",
        };
        let host = std::net::SocketAddr::new(self.host, self.host_port);
        write!(f, "{host}/{protocol}")
    }
}

impl Published {
    pub(crate) fn key(&self) -> (u8, IpAddr, u16) {
        (self.protocol, self.host, self.host_port)
    }

    /// The map that translates it, and its element there.
    pub(crate) fn translation(&self) -> (&'static str, Element) {
        let key = match self.host.is_unspecified() {
            true => Element::port(self.protocol, self.host_port),
            false => Element::destination(self.host, self.protocol, self.host_port),
        };
        let map = match (self.host.is_unspecified(), self.host.is_ipv4()) {
            (true, true) => "any4",
            (true, false) => "any6",
            (false, true) => "at4",
            (false, false) => "at6",
        };
        (map, key.to(self.container, self.container_port))
    }

    /// The port of the container to which it leads.
    pub(crate) fn opened(&self) -> Opened {
        let Self { protocol, container, container_port: port, .. } = *self;
        Opened { protocol, container, port }
    }

    /// Reads an element of one of the four maps back.
    pub(crate) fn from_element(map: &str, key: &[u8], data: &[u8]) -> Option<Self> {
        let ipv6 = map.ends_with('6');
        let width = if ipv6 { 16 } else { 4 };
        let unspecified: IpAddr =
            if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let (host, key) = match map.starts_with("any") {
            true => (unspecified, key),
            false => (parse_ip(key.get(..width)?)?, &key[width..]),
        };
        let port = |bytes: &[u8], at: usize| {
            Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
        };
        Some(Self {
            protocol: *key.first()?,
            host,
            host_port: port(key, 4)?,
            container: parse_ip(data.get(..width)?)?,
            container_port: port(data, width)?,
        })
    }
}

fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_elements_are_read_or_left_out(
            map in prop_oneof![Just("at4"), Just("at6"), Just("any4"), Just("any6")],
            key in proptest::collection::vec(any::<u8>(), 0..32),
            data in proptest::collection::vec(any::<u8>(), 0..32),
        ) {
            if let Some(port) = Published::from_element(map, &key, &data) {
                prop_assert_eq!(port.container.is_ipv6(), map.ends_with('6'));
            }
        }
    }

    #[test]
    fn a_port_is_shown_with_its_host_address_and_protocol() {
        let mut port = Published {
            protocol: 6,
            host: Ipv6Addr::UNSPECIFIED.into(),
            host_port: 80,
            container: Ipv6Addr::LOCALHOST.into(),
            container_port: 8080,
        };
        assert_eq!(port.to_string(), "[::]:80/tcp");
        port.protocol = 17;
        port.host = Ipv4Addr::UNSPECIFIED.into();
        assert_eq!(port.to_string(), "0.0.0.0:80/udp");
    }
}
