//! What may be asked of the worker: messages in, checked values of the driver out.

use bridge::{Attachment, DefaultRoute, Endpoint, GatewayMode, Network, Opened, Prefix};
use bridge::{Published, Wanted};
use messages::network as message;
use netlink::link::{IpvlanMode, MacvlanMode, OverlinkKind};
use netlink::{InterfaceName, Mac, NameError};
use spec::Failure;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Addresses of one bridge or interface.
const ADDRESSES: usize = 16;
/// Interfaces of one sandbox.
const ENDPOINTS: usize = 64;
/// Sysctls of one sandbox, and the length of one value in bytes.
const SYSCTLS: usize = 128;
const SYSCTL_VALUE: usize = 256;
/// Bridges of one engine.
const BRIDGES: usize = 8192;
/// Published ports of one container, of one engine, and host addresses of one port.
const PORTS: usize = 16_384;
const ALL_PORTS: usize = 131_072;
const ROUTES: usize = 4;
/// Links whose neighbours a network trusts.
const TRUSTED: usize = 64;
/// Addresses of all containers of one engine.
const ALL_ADDRESSES: usize = 262_144;
/// RFC 791: what every link must carry; and the largest MTU of a veth.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;
/// A network larger than these would swallow a good part of what the host can reach.
const SHORTEST_IPV4: u8 = 8;
const SHORTEST_IPV6: u8 = 16;

/// Why a request is refused before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A name is no interface name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name that belongs to the kernel.
    #[error("invalid interface name {0}: it is the loopback's")]
    Loopback(InterfaceName),
    /// Two interfaces of one sandbox have one name.
    #[error("invalid interface name {0}: another interface of the container has it")]
    NameTwice(InterfaceName),
    /// More of something than any use needs.
    #[error("invalid {what} of {object}: {count} are more than {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// Where.
        object: String,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// An address that no interface can have, or a network of a senseless size.
    #[error("invalid address {address}/{length}: {cause}")]
    Address {
        /// The address.
        address: IpAddr,
        /// The length of its prefix.
        length: u8,
        /// What is wrong.
        cause: &'static str,
    },
    /// Two default routes of one family.
    #[error("invalid gateways of {0}: more than one of a family")]
    Gateways(InterfaceName),
    /// A hardware address of a group, or of nobody.
    #[error("invalid MAC address of {0}: must be a unicast address")]
    Mac(InterfaceName),
    /// An MTU that no link has.
    #[error("invalid MTU of {object}: {mtu} is not within 68 to 65535")]
    Mtu {
        /// The link.
        object: InterfaceName,
        /// The MTU.
        mtu: u32,
    },
    /// A host address and a container address of different families, or no family at all.
    #[error("invalid published port: {host} and {container} are not of one family")]
    Families {
        /// The host's address.
        host: IpAddr,
        /// The container's.
        container: IpAddr,
    },
    /// A port 0, or a range that ends before it begins.
    #[error("invalid published port: {first}-{last} to {container_port}")]
    Port {
        /// The first port of the host.
        first: u16,
        /// The last one.
        last: u16,
        /// The container's port.
        container_port: u16,
    },
    /// A value of a sysctl that is too long or has unprintable characters.
    #[error("invalid value of {0}: must be at most 256 printable characters")]
    SysctlValue(String),
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        Self::invalid(error.to_string())
    }
}

fn few(what: &'static str, object: &str, count: usize, limit: usize) -> Result<(), CheckError> {
    if count <= limit {
        return Ok(());
    }
    Err(CheckError::TooMany { what, object: object.chars().take(80).collect(), count, limit })
}

/// The name of a link other than the loopback.
pub fn link_name(text: &str) -> Result<InterfaceName, CheckError> {
    let name = InterfaceName::parse(text)?;
    if name.as_str() == "lo" { Err(CheckError::Loopback(name)) } else { Ok(name) }
}

/// The names in a list of bridges.
pub fn bridges(names: &[String]) -> Result<Vec<InterfaceName>, CheckError> {
    few("bridges", "the host", names.len(), BRIDGES)?;
    names.iter().map(|name| link_name(name)).collect()
}

/// An address that one host can have, in a network that is no large part of the address space.
pub fn prefix(of: &message::Prefix) -> Result<Prefix, CheckError> {
    let refuse = |cause| CheckError::Address { address: of.address, length: of.length, cause };
    if let Some(cause) = not_a_host(of.address) {
        return Err(refuse(cause));
    }
    let shortest = if of.address.is_ipv4() { SHORTEST_IPV4 } else { SHORTEST_IPV6 };
    if of.length < shortest {
        return Err(refuse("the network is too large"));
    }
    Prefix::new(of.address, of.length).ok_or_else(|| refuse("the prefix is too long"))
}

fn not_a_host(address: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    match address {
        _ if address.is_unspecified() || broadcast => Some("it is no address of a host"),
        _ if address.is_loopback() => Some("it is a loopback address"),
        _ if address.is_multicast() => Some("it is a multicast address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("it is an IPv4 address"),
        _ => None,
    }
}

fn prefixes(object: &str, all: &[message::Prefix]) -> Result<Vec<Prefix>, CheckError> {
    few("addresses", object, all.len(), ADDRESSES)?;
    all.iter().map(prefix).collect()
}

fn mtu(object: &InterfaceName, mtu: Option<u32>) -> Result<Option<u32>, CheckError> {
    match mtu {
        Some(mtu) if !MTU.contains(&mtu) => Err(CheckError::Mtu { object: object.clone(), mtu }),
        mtu => Ok(mtu),
    }
}

/// A bridge network.
pub fn network(of: &message::Bridge) -> Result<Network, CheckError> {
    let link = link_name(&of.link)?;
    few("trusted links", &of.link, of.trusted.len(), TRUSTED)?;
    few("source addresses", &of.link, of.sources.len(), 2)?;
    for source in &of.sources {
        plain_host(*source)?;
    }
    Ok(Network {
        gateways: prefixes(&of.link, &of.gateways)?,
        unaddressed: prefixes(&of.link, &of.unaddressed)?,
        modes: [of.mode4, of.mode6].map(mode),
        sources: of.sources.clone(),
        trusted: of.trusted.iter().map(|name| link_name(name)).collect::<Result<_, _>>()?,
        mtu: mtu(&link, of.mtu)?,
        icc: of.icc,
        masquerade: of.masquerade,
        internal: of.internal,
        link,
    })
}

fn mode(of: message::GatewayMode) -> GatewayMode {
    match of {
        message::GatewayMode::Nat => GatewayMode::Nat,
        message::GatewayMode::NatUnprotected => GatewayMode::NatUnprotected,
        message::GatewayMode::Routed => GatewayMode::Routed,
        message::GatewayMode::Isolated => GatewayMode::Isolated,
    }
}

fn plain_host(address: IpAddr) -> Result<(), CheckError> {
    let length = if address.is_ipv4() { 32 } else { 128 };
    match not_a_host(address) {
        Some(cause) => Err(CheckError::Address { address, length, cause }),
        None => Ok(()),
    }
}

fn attachment(of: &message::Attachment) -> Result<Attachment, CheckError> {
    use message::{IpvlanMode as Ip, MacvlanMode as Mac};
    Ok(match of {
        message::Attachment::Bridge(link) => Attachment::Bridge(link_name(link)?),
        message::Attachment::Macvlan { parent, mode } => {
            let mode = match mode {
                Mac::Private => MacvlanMode::Private,
                Mac::Vepa => MacvlanMode::Vepa,
                Mac::Bridge => MacvlanMode::Bridge,
                Mac::Passthru => MacvlanMode::Passthru,
            };
            Attachment::Over(link_name(parent)?, OverlinkKind::Macvlan(mode))
        }
        message::Attachment::Ipvlan { parent, mode, flags } => {
            let mode = match mode {
                Ip::L2 => IpvlanMode::L2,
                Ip::L3 => IpvlanMode::L3,
                Ip::L3s => IpvlanMode::L3s,
            };
            Attachment::Over(link_name(parent)?, OverlinkKind::Ipvlan(mode, *flags & 3))
        }
    })
}

/// All default routes of a sandbox.
pub fn default_routes(
    all: &[(String, Option<IpAddr>, message::Family)],
) -> Result<Vec<DefaultRoute>, CheckError> {
    few("default routes", "a container", all.len(), 2)?;
    let mut checked = Vec::with_capacity(all.len());
    for (interface, gateway, family) in all {
        if let Some(gateway) = gateway {
            plain_host(*gateway)?;
        }
        let ipv6 = *family == message::Family::Ipv6;
        checked.push((link_name(interface)?, *gateway, ipv6));
    }
    Ok(checked)
}

fn protocol(of: message::Protocol) -> u8 {
    match of {
        message::Protocol::Tcp => 6,
        message::Protocol::Udp => 17,
        message::Protocol::Sctp => 132,
    }
}

/// Ports that are to be published.
pub fn wanted(all: &[message::Wanted]) -> Result<Vec<Wanted>, CheckError> {
    few("published ports", "a container", all.len(), PORTS)?;
    all.iter().map(wanted_one).collect()
}

fn wanted_one(of: &message::Wanted) -> Result<Wanted, CheckError> {
    few("addresses", "a published port", of.routes.len(), ROUTES)?;
    for (host, container) in &of.routes {
        plain_host(*container)?;
        if let Some(host) = host {
            host_address(*host, *container)?;
        }
    }
    let (first, last) = of.range.unwrap_or((1, 1));
    if first == 0 || first > last || of.container_port == 0 {
        return Err(CheckError::Port { first, last, container_port: of.container_port });
    }
    Ok(Wanted {
        protocol: protocol(of.protocol),
        routes: of.routes.clone(),
        range: of.range,
        container_port: of.container_port,
    })
}

/// The unspecified address and loopback ones are good here: what is published at them.
fn host_address(host: IpAddr, container: IpAddr) -> Result<(), CheckError> {
    if host.is_ipv4() != container.is_ipv4() || host.is_multicast() {
        return Err(CheckError::Families { host, container });
    }
    Ok(())
}

/// Ports that are published, apart from those that are only open at a container's own address.
pub fn published(all: &[message::Published]) -> Result<(Vec<Published>, Vec<Opened>), CheckError> {
    few("published ports", "the engine", all.len(), ALL_PORTS)?;
    let (mut published, mut opened) = (Vec::new(), Vec::new());
    for of in all {
        let (protocol, container) = (protocol(of.protocol), of.container);
        plain_host(container)?;
        match of.host {
            Some((host, host_port)) => {
                host_address(host, container)?;
                let container_port = of.container_port;
                published.push(Published { protocol, host, host_port, container, container_port });
            }
            None => opened.push(Opened { protocol, container, port: of.container_port }),
        }
    }
    Ok((published, opened))
}

/// Addresses of containers.
pub fn addresses(all: &[IpAddr]) -> Result<&[IpAddr], CheckError> {
    few("addresses", "the engine", all.len(), ALL_ADDRESSES)?;
    Ok(all)
}

/// One interface.
pub fn one_endpoint(of: &message::Endpoint) -> Result<Endpoint, CheckError> {
    endpoint(of)
}

/// The interfaces of one sandbox.
pub fn endpoints(all: &[message::Endpoint]) -> Result<Vec<Endpoint>, CheckError> {
    few("interfaces", "a container", all.len(), ENDPOINTS)?;
    let mut names = BTreeSet::new();
    let mut checked = Vec::with_capacity(all.len());
    for one in all {
        let endpoint = endpoint(one)?;
        if !names.insert(endpoint.interface.clone()) {
            return Err(CheckError::NameTwice(endpoint.interface));
        }
        checked.push(endpoint);
    }
    Ok(checked)
}

fn endpoint(of: &message::Endpoint) -> Result<Endpoint, CheckError> {
    let interface = link_name(&of.interface)?;
    let ipv6 = of.gateways.iter().filter(|gateway| gateway.is_ipv6()).count();
    if ipv6 > 1 || of.gateways.len() - ipv6 > 1 {
        return Err(CheckError::Gateways(interface));
    }
    for gateway in &of.gateways {
        plain_host(*gateway)?;
    }
    let on_link = [message::Family::Ipv4, message::Family::Ipv6].map(|f| of.on_link.contains(&f));
    if on_link[0] && of.gateways.len() > ipv6 || on_link[1] && ipv6 > 0 {
        return Err(CheckError::Gateways(interface));
    }
    Ok(Endpoint {
        attachment: attachment(&of.attachment)?,
        on_link,
        mac: Mac::from_bytes(of.mac).ok_or_else(|| CheckError::Mac(interface.clone()))?,
        addresses: prefixes(&of.interface, &of.addresses)?,
        gateways: of.gateways.clone(),
        mtu: mtu(&interface, of.mtu)?,
        interface,
    })
}

/// The sysctls of one sandbox; which names there are is the driver's and the kernel's to say.
pub fn sysctls(all: &[(String, String)]) -> Result<(), CheckError> {
    few("sysctls", "a container", all.len(), SYSCTLS)?;
    for (name, value) in all {
        let printable = |b: u8| b == b' ' || b == b'\t' || b.is_ascii_graphic();
        if value.len() > SYSCTL_VALUE || !value.bytes().all(printable) {
            return Err(CheckError::SysctlValue(name.chars().take(80).collect()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str, length: u8) -> message::Prefix {
        message::Prefix { address: text.parse().unwrap(), length }
    }

    fn plain() -> message::Endpoint {
        message::Endpoint {
            attachment: message::Attachment::Bridge("docker0".into()),
            on_link: vec![],
            interface: "eth0".into(),
            mac: [2, 0x42, 172, 17, 0, 2],
            addresses: vec![address("172.17.0.2", 16)],
            gateways: vec!["172.17.0.1".parse().unwrap()],
            mtu: None,
        }
    }

    fn refusal(change: impl FnOnce(&mut message::Endpoint)) -> String {
        let mut endpoint = plain();
        change(&mut endpoint);
        endpoints(&[endpoint]).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_endpoint_passes() {
        let checked = endpoints(&[plain()]).unwrap();
        assert_eq!(checked[0].mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!(checked[0].addresses[0].to_string(), "172.17.0.2/16");
    }

    #[test]
    fn each_part_of_an_endpoint_is_checked() {
        let elsewhere = message::Attachment::Bridge("a/b".into());
        assert!(
            refusal(|e| e.attachment = elsewhere).starts_with("invalid interface name \"a/b\"")
        );
        assert!(refusal(|e| e.interface = "lo".into()).ends_with("it is the loopback's"));
        assert!(refusal(|e| e.interface = "x".repeat(16)).contains("1 to 15"));
        assert!(refusal(|e| e.mac = [1; 6]).contains("invalid MAC address of eth0"));
        assert!(refusal(|e| e.mac = [0; 6]).contains("invalid MAC address of eth0"));
        assert!(refusal(|e| e.mtu = Some(67)).contains("67 is not within"));
        assert!(refusal(|e| e.mtu = Some(65_536)).contains("65536 is not within"));
        assert!(
            refusal(|e| e.gateways.push("172.17.0.9".parse().unwrap())).contains("of a family")
        );
        assert!(refusal(|e| e.gateways = vec!["0.0.0.0".parse().unwrap()]).contains("0.0.0.0/32"));
        let many = vec![address("172.17.0.2", 16); 17];
        assert_eq!(
            refusal(|e| e.addresses = many),
            "invalid addresses of eth0: 17 are more than 16"
        );
    }

    #[test]
    fn addresses_that_no_interface_may_have_are_refused() {
        for (text, length, cause) in [
            ("0.0.0.0", 8, "no address of a host"),
            ("0.1.2.3", 8, "no address of a host"),
            ("255.255.255.255", 32, "no address of a host"),
            ("127.0.0.1", 8, "loopback"),
            ("::1", 128, "loopback"),
            ("224.0.0.1", 24, "multicast"),
            ("ff02::1", 64, "multicast"),
            ("::ffff:10.0.0.1", 120, "IPv4"),
            ("10.0.0.1", 7, "too large"),
            ("10.0.0.1", 33, "too long"),
            ("fd00::1", 15, "too large"),
            ("fd00::1", 129, "too long"),
        ] {
            let error = prefix(&address(text, length)).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }

    #[test]
    fn counts_and_values_are_bounded() {
        let mut two = vec![plain(), plain()];
        assert!(endpoints(&two).unwrap_err().to_string().contains("another interface"));
        two[1].interface = "eth1".into();
        assert!(endpoints(&two).is_ok());
        assert!(endpoints(&vec![plain(); 65]).unwrap_err().to_string().contains("65 are more"));
        assert!(bridges(&vec!["br0".to_owned(); 8193]).is_err());
        let pair = |value: &str| vec![("net.ipv4.x".to_owned(), value.to_owned())];
        assert!(sysctls(&pair("0 1\t2")).is_ok());
        assert!(sysctls(&pair("1\n")).is_err());
        assert!(sysctls(&pair(&"1".repeat(257))).is_err());
        assert!(sysctls(&vec![pair("1")[0].clone(); 129]).is_err());
    }

    #[test]
    fn published_ports_are_of_one_family_and_no_port_is_zero() {
        let wanted_port = |host: &str, range, container_port| message::Wanted {
            protocol: message::Protocol::Tcp,
            routes: vec![(Some(host.parse().unwrap()), "172.17.0.2".parse().unwrap())],
            range,
            container_port,
        };
        let refusal = |port| wanted(&[port]).unwrap_err().to_string();
        assert!(wanted(&[wanted_port("0.0.0.0", None, 80)]).is_ok());
        assert!(wanted(&[wanted_port("127.0.0.1", Some((80, 90)), 80)]).is_ok());
        assert_eq!(
            refusal(wanted_port("::", None, 80)),
            "invalid published port: :: and 172.17.0.2 are not of one family"
        );
        for port in [
            wanted_port("0.0.0.0", Some((0, 9)), 80),
            wanted_port("0.0.0.0", Some((9, 8)), 80),
            wanted_port("0.0.0.0", Some((9, 9)), 0),
        ] {
            assert!(refusal(port).starts_with("invalid published port: "));
        }
    }
}
