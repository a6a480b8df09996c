//! Published ports: from what a user asked for to what the network worker is told, and back.

use super::registry::Networks;
use crate::config::Config;
use crate::container::config::ContainerConfig;
use crate::container::live::Plugged;
use api_types::inspect::Port;
use api_types::network::PortBinding;
use api_types::{List, Map};
use messages::network::{GatewayMode, Protocol, Published, Wanted};
use spec::Failure;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `80/tcp` as number and protocol.
pub(crate) fn parse(text: &str) -> Option<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some((number.parse().ok().filter(|number| *number > 0)?, protocol))
}

/// The protocol's name.
pub(crate) fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// Where a container's ports can be published, in one family.
#[derive(Debug, Clone, Copy)]
struct Way {
    container: IpAddr,
    /// The address at which ports are published whose user names none.
    usual: IpAddr,
    mode: GatewayMode,
}

/// What shall be published for a container that is plugged in like this.
pub(crate) fn wanted(
    engine: &Config,
    networks: &Networks,
    config: &ContainerConfig,
    all: &[Plugged],
) -> Result<Vec<Wanted>, Failure> {
    let ways: Vec<Way> =
        [false, true].into_iter().filter_map(|ipv6| way(engine, networks, all, ipv6)).collect();
    let mut wanted = Vec::new();
    if ways.is_empty() {
        return Ok(wanted);
    }
    for (text, bindings) in &config.host.port_bindings {
        let Some((container_port, protocol)) = parse(text) else {
            return Err(Failure::invalid(format!("invalid port specification: {text:?}")));
        };
        for binding in bindings {
            if let Some(one) = one(&ways, binding, container_port, protocol)? {
                wanted.push(one);
            }
        }
    }
    if config.host.publish_all_ports {
        let is_bound = |port: &str| {
            config.host.port_bindings.get(port).is_some_and(|bindings| !bindings.is_empty())
        };
        for text in config.config.exposed_ports.keys().filter(|port| !is_bound(port)) {
            let Some((container_port, protocol)) = parse(text) else { continue };
            let anywhere = PortBinding::default();
            wanted.extend(one(&ways, &anywhere, container_port, protocol)?);
        }
    }
    Ok(wanted)
}

fn way(engine: &Config, networks: &Networks, all: &[Plugged], ipv6: bool) -> Option<Way> {
    let plugged = all.iter().find(|plugged| plugged.main[usize::from(ipv6)])?;
    let network = networks.named(&plugged.network)?;
    let settings = network.bridge()?;
    let container = if ipv6 { plugged.ipv6 } else { plugged.ipv4 }?.address;
    let mode = if ipv6 { settings.bridge.mode6 } else { settings.bridge.mode4 };
    let any: IpAddr =
        if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let of_engine = engine.publish_address;
    let usual = match settings.bind[usize::from(ipv6)] {
        Some(bind) => bind,
        None if of_engine.is_ipv6() == ipv6 => of_engine,
        None if of_engine.is_unspecified() => any,
        // The engine publishes at one address, and that is of the other family.
        None => return None,
    };
    Some(Way { container, usual, mode })
}

fn one(
    ways: &[Way],
    binding: &PortBinding,
    container_port: u16,
    protocol: Protocol,
) -> Result<Option<Wanted>, Failure> {
    let wrong = |what: &str, text: &str| Failure::invalid(format!("invalid {what} {text:?}"));
    let asked: Option<IpAddr> = match binding.host_ip.as_str() {
        "" => None,
        text => {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            Some(bare.parse().map_err(|_| wrong("IP address in port binding", text))?)
        }
    };
    let range = match binding.host_port.as_str() {
        "" | "0" => None,
        text => Some(
            crate::container::validate_network::port_range(text)
                .filter(|(first, _)| *first > 0)
                .ok_or_else(|| wrong("port specification", text))?,
        ),
    };
    let routes: Vec<(Option<IpAddr>, IpAddr)> = ways
        .iter()
        .filter(|way| asked.is_none_or(|asked| asked.is_ipv4() == way.container.is_ipv4()))
        .filter(|way| match way.mode {
            GatewayMode::Isolated => false,
            // Nothing is translated, so nothing of the host's loopback can lead there.
            GatewayMode::Routed => !asked.unwrap_or(way.usual).is_loopback(),
            _ => true,
        })
        .map(|way| match way.mode {
            GatewayMode::Routed => (None, way.container),
            _ => (Some(asked.unwrap_or(way.usual)), way.container),
        })
        .collect();
    Ok((!routes.is_empty()).then_some(Wanted { protocol, routes, range, container_port }))
}

/// `NetworkSettings.Ports`: exposed ports, with where they are published.
pub(crate) fn by_port(config: &ContainerConfig, published: &[Published]) -> Map<List<PortBinding>> {
    let mut all: Map<List<PortBinding>> = Map::empty();
    for port in config.config.exposed_ports.keys() {
        all.insert(port.clone(), List::default());
    }
    for port in published {
        let key = format!("{}/{}", port.container_port, word(port.protocol));
        let Some((host, number)) = port.host else {
            all.entry(key).or_default();
            continue;
        };
        let binding = PortBinding { host_ip: host.to_string(), host_port: number.to_string() };
        match all.get_mut(&key) {
            Some(list) => list.push(binding),
            None => {
                all.insert(key, List::from(vec![binding]));
            }
        }
    }
    all
}

/// The ports of a container in a list.
pub(crate) fn listed(config: &ContainerConfig, published: &[Published]) -> Vec<Port> {
    let shown = |port: &Published| {
        let (host, public_port) = port.host?;
        let kind = word(port.protocol).to_owned();
        Some(Port { ip: host.to_string(), private_port: port.container_port, public_port, kind })
    };
    let mut all: Vec<Port> = published.iter().filter_map(shown).collect();
    for text in config.config.exposed_ports.keys() {
        let Some((private_port, protocol)) = parse(text) else { continue };
        let kind = word(protocol);
        if !all.iter().any(|port| port.private_port == private_port && port.kind == kind) {
            all.push(Port { private_port, kind: kind.to_owned(), ..Port::default() });
        }
    }
    all
}

/// What is wanted so that published ports are published again as they are, at other addresses of the container.
pub(crate) fn again(wanted: Vec<Wanted>, before: &[Published]) -> Vec<Wanted> {
    let mut left: Vec<&Published> = before.iter().collect();
    let same = |one: Wanted| {
        let fits = |port: &&Published| {
            let at = port.host.map(|(host, _)| host);
            (port.protocol, port.container_port) == (one.protocol, one.container_port)
                && one.routes.iter().any(|(host, _)| *host == at)
        };
        let Some(index) = left.iter().position(fits) else { return one };
        let number = left.remove(index).host.map(|(_, number)| number);
        Wanted { range: number.map_or(one.range, |number| Some((number, number))), ..one }
    };
    wanted.into_iter().map(same).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways() -> [Way; 2] {
        let ip = |text: &str| text.parse().unwrap();
        let way = |container, usual| Way {
            container: ip(container),
            usual: ip(usual),
            mode: GatewayMode::Nat,
        };
        [way("172.17.0.2", "0.0.0.0"), way("fd00::2", "::")]
    }

    fn binding(ip: &str, port: &str) -> PortBinding {
        PortBinding { host_ip: ip.into(), host_port: port.into() }
    }

    #[test]
    fn a_binding_without_address_is_one_port_of_both_families() {
        let wanted = one(&ways(), &binding("", "8080"), 80, Protocol::Tcp).unwrap().unwrap();
        assert_eq!(wanted.routes.len(), 2);
        assert_eq!(wanted.range, Some((8080, 8080)));
        let wanted = one(&ways(), &binding("0.0.0.0", ""), 80, Protocol::Tcp).unwrap().unwrap();
        assert_eq!(wanted.routes, [(Some("0.0.0.0".parse().unwrap()), ways()[0].container)]);
        assert_eq!(wanted.range, None);
        let wanted = one(&ways(), &binding("::1", "1-3"), 80, Protocol::Udp).unwrap().unwrap();
        assert_eq!(wanted.routes, [(Some("::1".parse().unwrap()), ways()[1].container)]);
        assert_eq!(wanted.range, Some((1, 3)));
        assert!(one(&ways()[..1], &binding("::1", "1"), 80, Protocol::Tcp).unwrap().is_none());
        assert!(one(&ways(), &binding("x", "1"), 80, Protocol::Tcp).is_err());
        assert!(one(&ways(), &binding("", "70000"), 80, Protocol::Tcp).is_err());
    }

    #[test]
    fn a_routed_network_publishes_at_the_containers_own_address() {
        let mut ways = ways();
        ways[1].mode = GatewayMode::Routed;
        let wanted = one(&ways, &binding("", "8080"), 80, Protocol::Tcp).unwrap().unwrap();
        assert_eq!(wanted.routes[1], (None, ways[1].container));
    }

    #[test]
    fn ports_are_read_with_their_protocol() {
        assert_eq!(parse("80"), Some((80, Protocol::Tcp)));
        assert_eq!(parse("53/udp"), Some((53, Protocol::Udp)));
        for bad in ["0/tcp", "x", "80/icmp", "70000"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
