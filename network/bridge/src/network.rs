//! What is wanted of the driver: networks and endpoints, already checked.

use netlink::link::OverlinkKind;
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

/// How the containers of a network are reached from elsewhere, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

impl GatewayMode {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Nat, "nat"),
        (Self::NatUnprotected, "nat-unprotected"),
        (Self::Routed, "routed"),
        (Self::Isolated, "isolated"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("nat", |(_, word)| word)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(mode, _)| *mode)
    }

    /// Whether addresses of this family are translated at all.
    pub(crate) fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::NatUnprotected)
    }
}

/// A bridge network as it shall be on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge.
    pub link: InterfaceName,
    /// Its addresses, which are the gateways of those who are plugged in.
    pub gateways: Vec<Prefix>,
    /// Subnets in which the bridge has no address.
    pub unaddressed: Vec<Prefix>,
    /// How containers are reached, over IPv4 and over IPv6.
    pub modes: [GatewayMode; 2],
    /// What packets get as their source that leave the host, instead of the address of the link by which they leave.
    pub sources: Vec<IpAddr>,
    /// Links whose neighbours may reach published ports by the containers' own addresses.
    pub trusted: Vec<InterfaceName>,
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
        self.gateways.iter().chain(&self.unaddressed).copied().filter(move |prefix| !local(prefix))
    }

    /// A network without any setting but its bridge and the bridge's addresses: Docker's usual one.
    pub fn plain(link: InterfaceName, gateways: Vec<Prefix>) -> Self {
        Self {
            link,
            gateways,
            unaddressed: Vec::new(),
            modes: [GatewayMode::Nat; 2],
            sources: Vec::new(),
            trusted: Vec::new(),
            mtu: None,
            icc: true,
            masquerade: true,
            internal: false,
        }
    }

    /// How containers are reached over one family.
    pub(crate) fn mode(&self, ipv6: bool) -> GatewayMode {
        self.modes[usize::from(ipv6)]
    }

    /// Whether packets of a family that leave the host get another source.
    pub(crate) fn hides(&self, ipv6: bool) -> bool {
        self.masquerade && !self.internal && self.mode(ipv6).translates()
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.gateways.iter().chain(&self.unaddressed).any(|prefix| prefix.address.is_ipv6())
    }

    /// Whether two networks are filtered alike: everything but the MTU, and whatever the order of the gateways.
    pub(crate) fn is_filtered_like(&self, other: &Self) -> bool {
        let gateways = |network: &Self| {
            let mut all: Vec<Prefix> = network.subnets().collect();
            all.sort_unstable();
            all
        };
        let flags = |network: &Self| {
            let flags = (network.icc, network.masquerade, network.internal, network.modes);
            (flags, network.sources.clone(), network.trusted.clone())
        };
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
        for (mode, key) in self.modes.iter().zip([" ipv4=", " ipv6="]) {
            if *mode != GatewayMode::Nat {
                alias.push_str(key);
                alias.push_str(mode.word());
            }
        }
        alias
    }

    /// The network of which a link with this alias is the bridge; `None` when it is not ours.
    pub(crate) fn from_alias(link: InterfaceName, alias: &str) -> Option<Self> {
        let words: Vec<&str> = alias.strip_prefix(MARK)?.split(' ').collect();
        let has = |word| words.contains(&word);
        let mode = |key: &str| {
            let word = words.iter().find_map(|word| word.strip_prefix(key));
            word.and_then(GatewayMode::parse).unwrap_or_default()
        };
        Some(Self {
            modes: [mode("ipv4="), mode("ipv6=")],
            icc: has("icc"),
            masquerade: has("masquerade"),
            internal: has("internal"),
            ..Self::plain(link, Vec::new())
        })
    }
}

/// What an interface is and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// One end of a veth pair whose other end is in this bridge.
    Bridge(InterfaceName),
    /// A link over this parent, a link of the host.
    Over(InterfaceName, OverlinkKind),
}

impl Attachment {
    /// The host's link: the bridge or the parent.
    pub fn link(&self) -> &InterfaceName {
        match self {
            Self::Bridge(link) | Self::Over(link, _) => link,
        }
    }

    /// The bridge, if it leads to one.
    pub(crate) fn bridge(&self) -> Option<&InterfaceName> {
        match self {
            Self::Bridge(link) => Some(link),
            Self::Over(..) => None,
        }
    }
}

/// One interface of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it leads.
    pub attachment: Attachment,
    /// Its name in the sandbox.
    pub interface: InterfaceName,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// The next hops of the default routes.
    pub gateways: Vec<IpAddr>,
    /// Default routes without a next hop: whether over IPv4, and over IPv6.
    pub on_link: [bool; 2],
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
        for bits in 0..32usize {
            let network = Network {
                icc: bits & 1 != 0,
                masquerade: bits & 2 != 0,
                internal: bits & 4 != 0,
                modes: [GatewayMode::Nat, GatewayMode::ALL[bits >> 3].0],
                ..Network::plain(link.clone(), Vec::new())
            };
            let read = Network::from_alias(link.clone(), &network.alias()).unwrap();
            assert_eq!(read, network);
        }
        assert!(Network::from_alias(link.clone(), "").is_none());
        assert!(Network::from_alias(link, "somebody's bridge").is_none());
    }
}
