//! Judging what a client asks for about networks: modes, ports, names, endpoints.

use super::config::Mode;
use super::validate::refuse;
use api_types::container::{Config, CreateBody};
use api_types::host::HostConfig;
use spec::Failure;

/// What cannot be combined with the host's or another container's network.
pub(super) fn network_mode(config: &Config, host: &mut HostConfig) -> Result<(), Failure> {
    if matches!(host.network_mode.as_str(), "" | "default") {
        host.network_mode = "bridge".into();
    }
    let mode = Mode::of(&host.network_mode);
    if Mode::of(&host.uts_mode) == Mode::Host && !config.hostname.is_empty() {
        return refuse("conflicting options: hostname and the UTS mode");
    }
    if mode == Mode::Host && !host.links.is_empty() {
        return refuse(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    let Mode::Container(other) = mode else { return Ok(()) };
    let conflicts = [
        (other.is_empty(), "Invalid network mode: container:<name|id> needs a container"),
        (!config.hostname.is_empty(), "conflicting options: hostname and the network mode"),
        (
            !host.links.is_empty(),
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (!host.dns.is_empty(), "conflicting options: dns and the network mode"),
        (
            !host.extra_hosts.is_empty(),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            !host.port_bindings.is_empty() || host.publish_all_ports,
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            !config.exposed_ports.is_empty(),
            "conflicting options: port exposing and the container type network mode",
        ),
        (!config.mac_address.is_empty(), "conflicting options: mac-address and the network mode"),
    ];
    match conflicts.iter().find(|(conflict, _)| *conflict) {
        Some((_, text)) => refuse(*text),
        None => Ok(()),
    }
}

/// `80`, `80/tcp`, `53/udp`, a range as `8000-8010/tcp`.
pub(super) fn exposed_port(text: &str) -> Result<(), Failure> {
    let wrong = || Failure::invalid(format!("invalid port specification: {text:?}"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    port_range(ports).ok_or_else(wrong).map(|_| ())
}

pub(crate) fn port_range(text: &str) -> Option<(u16, u16)> {
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some((first, last))
}

pub(super) fn extra_host(text: &str) -> Result<(), Failure> {
    let Some((name, address)) = text.split_once(':').filter(|(name, _)| !name.is_empty()) else {
        return refuse(format!("bad format for add-host: {text:?}"));
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse(format!("bad format for add-host: {text:?}"));
    }
    if address == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok() {
        Ok(())
    } else {
        refuse(format!("invalid IP address in add-host: {address:?}"))
    }
}

pub(super) fn endpoints(body: &mut CreateBody) -> Result<(), Failure> {
    let asked = std::mem::take(&mut body.networking_config.endpoints_config);
    let mode = body.host_config.network_mode.clone();
    for (name, settings) in asked {
        let name = if name == "default" { mode.clone() } else { name };
        let Some(settings) = settings else {
            return refuse(format!("invalid config for network {name}: EndpointsConfig is nil"));
        };
        // Whether there is a network of another name is found out at the start: told of something that is not found
        // at create, clients pull the image.
        let known = matches!(name.as_str(), "bridge" | "host" | "none");
        let alone = |name: &str| Mode::of(name) != Mode::Own;
        if name != mode && (alone(&name) || alone(&mode)) {
            return refuse(format!(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes: {name} and {mode}"
            ));
        }
        let address = settings
            .ipam_config
            .as_ref()
            .map(|ipam| ipam.ipv4_address.as_str())
            .unwrap_or_default();
        if !address.is_empty() && known {
            return refuse("user specified IP address is supported on user defined networks only");
        }
        if !settings.aliases.is_empty() && known {
            return refuse(format!(
                "invalid config for network {name}: invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks"
            ));
        }
        if !settings.mac_address.is_empty() {
            mac(&settings.mac_address)?;
        }
        body.networking_config.endpoints_config.insert(name, Some(settings));
    }
    if !body.config.mac_address.is_empty() {
        mac(&body.config.mac_address)?;
    }
    Ok(())
}

/// Reads a hardware address.
pub(crate) fn mac(text: &str) -> Result<[u8; 6], Failure> {
    let wrong = || Failure::invalid(format!("invalid MAC address: {text}"));
    let mut bytes = [0u8; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    if parts.next().is_some() { Err(wrong()) } else { Ok(bytes) }
}
