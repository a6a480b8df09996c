//! One container in one network: its addresses, its interface, its default route.

use super::registry::Networks;
use super::{Kind, Network, options};
use crate::container::config::ContainerConfig;
use crate::container::live::{Address, Plugged};
use api_types::network::EndpointSettings;
use messages::network::{Attachment, Endpoint, Family, GatewayMode, IpvlanMode, Prefix};
use spec::Failure;
use std::net::IpAddr;

/// The option by which a user names the interface in the container.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";
/// The option with sysctls of the interface, whose name stands in them as `IFNAME`.
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Takes the addresses of a container in all its networks; none stays taken when one cannot be had.
pub(crate) fn plug_all(
    networks: &Networks,
    config: &ContainerConfig,
) -> Result<Vec<Plugged>, Failure> {
    let mut all: Vec<Plugged> = Vec::new();
    for name in config.networks() {
        let plugged = networks
            .named(name)
            .ok_or_else(|| super::registry::missing(name))
            .and_then(|network| plug(networks, &network, config, &all));
        match plugged {
            Ok(plugged) => all.push(plugged),
            Err(failure) => {
                all.iter().for_each(|plugged| unplug(networks, plugged));
                return Err(failure);
            }
        }
    }
    choose_gateways(config, &mut all);
    Ok(all)
}

/// Takes the addresses of a container in one network; `others` are the interfaces that it has already.
pub(crate) fn plug(
    networks: &Networks,
    network: &Network,
    config: &ContainerConfig,
    others: &[Plugged],
) -> Result<Plugged, Failure> {
    let asked = config.endpoints.get(network.name()).cloned().unwrap_or_default();
    let mut plugged = Plugged {
        id: crate::ids::fresh()?,
        network: network.name().to_owned(),
        network_id: network.id().to_owned(),
        interface: interface(network, &asked, others),
        ..Plugged::default()
    };
    let shown = &network.record.shown;
    for ipv6 in [false, true] {
        if !(if ipv6 { shown.enable_ipv6 } else { shown.enable_ipv4 }) {
            continue;
        }
        match take(networks, network, ipv6, wanted(&asked, ipv6)?) {
            Ok(address) if ipv6 => plugged.ipv6 = Some(address),
            Ok(address) => plugged.ipv4 = Some(address),
            Err(failure) => {
                unplug(networks, &plugged);
                return Err(failure);
            }
        }
    }
    let main = config.network_name() == Some(network.name());
    let text = match asked.mac_address.as_str() {
        "" if main => config.config.mac_address.as_str(),
        text => text,
    };
    plugged.mac = match text {
        "" => default_mac(plugged.ipv4.or(plugged.ipv6).map(|address| address.address)),
        text => crate::container::validate_network::mac(text).inspect_err(|_| {
            unplug(networks, &plugged);
        })?,
    };
    Ok(plugged)
}

fn wanted(asked: &EndpointSettings, ipv6: bool) -> Result<Option<IpAddr>, Failure> {
    let Some(ipam) = &asked.ipam_config else { return Ok(None) };
    let text = if ipv6 { &ipam.ipv6_address } else { &ipam.ipv4_address };
    match text.as_str() {
        "" => Ok(None),
        text => match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == ipv6 => Ok(Some(address)),
            _ => Err(Failure::invalid(format!("invalid IP address: {text}"))),
        },
    }
}

fn take(
    networks: &Networks,
    network: &Network,
    ipv6: bool,
    wanted: Option<IpAddr>,
) -> Result<Address, Failure> {
    let (address, prefix) = networks.take(network.name(), ipv6, wanted)?;
    let mode = network.bridge().map(|settings| {
        let bridge = &settings.bridge;
        if ipv6 { bridge.mode6 } else { bridge.mode4 }
    });
    let is_dead_end = network.record.shown.internal
        || mode == Some(GatewayMode::Isolated)
        || matches!(network.kind, Kind::Ipvlan { mode: IpvlanMode::L3 | IpvlanMode::L3s, .. });
    let gateway = if is_dead_end { None } else { networks.gateway(network.name(), address) };
    Ok(Address { address, prefix, gateway })
}

/// The name that the user wants, or the network's prefix with the first number that is free in the container.
fn interface(network: &Network, asked: &EndpointSettings, others: &[Plugged]) -> String {
    if let Some(name) = asked.driver_opts.get(INTERFACE).filter(|name| !name.is_empty()) {
        return name.clone();
    }
    let prefix = options::interface_prefix(&network.record.shown.options);
    let is_free = |name: &String| others.iter().all(|other| other.interface != *name);
    let mut names = (0..=others.len()).map(|number| format!("{prefix}{number}"));
    names.find(is_free).unwrap_or_else(|| format!("{prefix}{}", others.len() + 1))
}

/// Gives the addresses back.
pub(crate) fn unplug(networks: &Networks, plugged: &Plugged) {
    for address in plugged.addresses() {
        networks.give_back(&plugged.network, address.address);
    }
}

/// Takes the addresses of a container that runs already; false when another has one of them.
pub(crate) fn adopt(networks: &Networks, plugged: &Plugged) -> bool {
    let take = |address: Address| {
        let ipv6 = address.address.is_ipv6();
        networks.take(&plugged.network, ipv6, Some(address.address)).is_ok()
    };
    // All are taken, also behind one that failed.
    plugged.addresses().map(take).fold(true, |all, taken| all & taken)
}

/// Decides which endpoint gives the default route of each family: the one with the highest priority, and among equals
/// the one whose network's name comes first.
pub(crate) fn choose_gateways(config: &ContainerConfig, all: &mut [Plugged]) {
    let priority = |plugged: &Plugged| {
        config.endpoints.get(&plugged.network).map_or(0, |settings| settings.gw_priority)
    };
    for ipv6 in [false, true] {
        let best = all
            .iter()
            .enumerate()
            .filter(|(_, plugged)| plugged.leads_out(ipv6))
            .min_by_key(|(_, plugged)| (-priority(plugged), plugged.network.clone()))
            .map(|(index, _)| index);
        for (index, plugged) in all.iter_mut().enumerate() {
            plugged.main[usize::from(ipv6)] = Some(index) == best;
        }
    }
}

/// The interface as the network worker shall make it.
pub(crate) fn message(networks: &Networks, plugged: &Plugged) -> Result<Endpoint, Failure> {
    let network = networks
        .named(&plugged.network)
        .ok_or_else(|| super::registry::missing(&plugged.network))?;
    let attachment = match &network.kind {
        Kind::Bridge(settings) => Attachment::Bridge(settings.bridge.link.clone()),
        Kind::Macvlan { parent, mode } => {
            Attachment::Macvlan { parent: parent.clone(), mode: *mode }
        }
        Kind::Ipvlan { parent, mode, flags } => {
            Attachment::Ipvlan { parent: parent.clone(), mode: *mode, flags: *flags }
        }
        Kind::Host | Kind::Null | Kind::Configuration => {
            return Err(Failure::invalid(format!("network {} has no interfaces", plugged.network)));
        }
    };
    let mtu = network.record.shown.options.get("com.docker.network.driver.mtu");
    Ok(Endpoint {
        attachment,
        interface: plugged.interface.clone(),
        mac: plugged.mac,
        addresses: plugged
            .addresses()
            .map(|address| Prefix { address: address.address, length: address.prefix })
            .collect(),
        gateways: gateways(plugged).filter_map(|(gateway, _)| gateway).collect(),
        on_link: gateways(plugged)
            .filter(|(gateway, _)| gateway.is_none())
            .map(|(_, family)| family)
            .collect(),
        mtu: mtu.and_then(|mtu| mtu.parse().ok()).filter(|mtu| *mtu > 0),
    })
}

fn gateways(plugged: &Plugged) -> impl Iterator<Item = (Option<IpAddr>, Family)> {
    let v4 = plugged.ipv4.filter(|_| plugged.main[0]);
    let v6 = plugged.ipv6.filter(|_| plugged.main[1]);
    let v4 = v4.map(|address| (address.gateway, Family::Ipv4));
    v4.into_iter().chain(v6.map(|address| (address.gateway, Family::Ipv6)))
}

/// All default routes that a container shall have.
pub(crate) fn default_routes(all: &[Plugged]) -> Vec<(String, Option<IpAddr>, Family)> {
    let of = |plugged: &Plugged| {
        let name = plugged.interface.clone();
        gateways(plugged)
            .map(move |(gateway, family)| (name.clone(), gateway, family))
            .collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

/// The sysctls that a user set for an interface.
pub(crate) fn sysctls(config: &ContainerConfig, plugged: &Plugged) -> Vec<(String, String)> {
    let Some(settings) = config.endpoints.get(&plugged.network) else { return Vec::new() };
    let Some(text) = settings.driver_opts.get(SYSCTLS) else { return Vec::new() };
    let one = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        // A dot of an interface's name is a slash in a sysctl's; clients write the placeholder in small letters, too.
        let interface = plugged.interface.replace('.', "/");
        let name = name
            .trim()
            .replace("IFNAME", &interface)
            .replace(".ifname.", &format!(".{interface}."));
        Some((name, value.trim().to_owned()))
    };
    text.split(',').filter_map(one).collect()
}

/// Docker's hardware addresses: locally administered, the IPv4 address or the end of the IPv6 address in them.
fn default_mac(address: Option<IpAddr>) -> [u8; 6] {
    match address {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            [2, 0x42, a, b, c, d]
        }
        Some(IpAddr::V6(address)) => {
            let bytes = address.octets();
            [2, 0x42, bytes[12], bytes[13], bytes[14], bytes[15]]
        }
        None => [2, 0x42, 0, 0, 0, 1],
    }
}
