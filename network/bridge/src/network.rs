//! What is wanted of the driver: networks and endpoints, already checked.

use netlink::{InterfaceName, Mac};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with the length of its network's prefix, which fits the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `None` when the length is longer than an address of the family.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let limit = if address.is_ipv4() { 32 } else { 128 };
        (length <= limit).then_some(Self { address, length })
    }

    /// The address, with its host bits.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The length of the network part in bits.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let other = Self { address, length: self.length };
        address.is_ipv4() == self.address.is_ipv4() && other.network() == self.network()
    }

    /// The address of the network itself.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A bridge network as it shall be on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge.
    pub link: InterfaceName,
    /// Its addresses, which are the gateways of those who are plugged in.
    pub gateways: Vec<Prefix>,
    /// Bytes; 1500 when not set.
    pub mtu: Option<u32>,
    /// Those who are plugged in may talk with each other.
    pub icc: bool,
    /// What leaves the host gets the host's address.
    pub masquerade: bool,
    /// There is no way out of the host at all.
    pub internal: bool,
}

impl Network {
    /// Its subnets, with the gateways as their addresses; link-local ones are on every link and so no one's.
    pub(crate) fn subnets(&self) -> impl Iterator<Item = Prefix> {
        let local = |prefix: &Prefix| match prefix.address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        self.gateways.iter().copied().filter(move |prefix| !local(prefix))
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.gateways.iter().any(|prefix| prefix.address.is_ipv6())
    }

    /// Whether two networks are filtered alike: everything but the MTU, and whatever the order of the gateways.
    pub(crate) fn is_filtered_like(&self, other: &Self) -> bool {
        let gateways = |network: &Self| {
            let mut all = network.gateways.clone();
            all.sort_unstable();
            all
        };
        let flags = |network: &Self| (network.icc, network.masquerade, network.internal);
        self.link == other.link && flags(self) == flags(other) && gateways(self) == gateways(other)
    }
}

const MARK: &str = "coffer bridge";

impl Network {
    /// The alias of the bridge: the mark that it is ours, and what no other property of the link says.
    pub(crate) fn alias(&self) -> String {
        let mut alias = MARK.to_owned();
        for (set, word) in
            [(self.icc, " icc"), (self.masquerade, " masquerade"), (self.internal, " internal")]
        {
            if set {
                alias.push_str(word);
            }
        }
        alias
    }

    /// The network of which a link with this alias is the bridge; `None` when it is not ours.
    pub(crate) fn from_alias(link: InterfaceName, alias: &str) -> Option<Self> {
        let words: Vec<&str> = alias.strip_prefix(MARK)?.split(' ').collect();
        let has = |word| words.contains(&word);
        Some(Self {
            link,
            gateways: Vec::new(),
            mtu: None,
            icc: has("icc"),
            masquerade: has("masquerade"),
            internal: has("internal"),
        })
    }
}

/// One interface of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The bridge that it is plugged into.
    pub bridge: InterfaceName,
    /// Its name in the sandbox.
    pub interface: InterfaceName,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// The next hops of the default routes.
    pub gateways: Vec<IpAddr>,
    /// Bytes; the bridge's when not set.
    pub mtu: Option<u32>,
}

impl Endpoint {
    pub(crate) fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|prefix| prefix.address.is_ipv6())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_knows_its_network() {
        for (text, length, network) in [
            ("172.17.3.4", 16, "172.17.0.0"),
            ("172.17.3.4", 32, "172.17.3.4"),
            ("172.17.3.4", 0, "0.0.0.0"),
            ("fd00::7:1", 64, "fd00::"),
            ("fd00::7:1", 0, "::"),
        ] {
            let prefix = Prefix::new(text.parse().unwrap(), length).unwrap();
            assert_eq!(prefix.network().to_string(), network);
        }
        assert!(Prefix::new("10.0.0.1".parse().unwrap(), 33).is_none());
        let prefix = Prefix::new("172.17.3.4".parse().unwrap(), 16).unwrap();
        assert!(prefix.contains("172.17.255.255".parse().unwrap()));
        assert!(!prefix.contains("172.18.0.0".parse().unwrap()));
        assert!(!prefix.contains("::ac11:304".parse().unwrap()));
    }

    #[test]
    fn the_alias_tells_the_filter_settings_and_only_ours_are_read() {
        let link = InterfaceName::parse("docker0").unwrap();
        for bits in 0..8u8 {
            let network = Network {
                link: link.clone(),
                gateways: Vec::new(),
                mtu: None,
                icc: bits & 1 != 0,
                masquerade: bits & 2 != 0,
                internal: bits & 4 != 0,
            };
            let read = Network::from_alias(link.clone(), &network.alias()).unwrap();
            assert_eq!(read, network);
        }
        assert!(Network::from_alias(link.clone(), "").is_none());
        assert!(Network::from_alias(link, "somebody's bridge").is_none());
    }
}
