//! Connecting containers with networks and disconnecting them.

use super::registry::Networks;
use super::{Kind, Network};
use crate::container::actor::Command;
use crate::container::config::{ContainerConfig, Mode};
use crate::container::validate_network;
use crate::open::Engine;
use api_types::container::CreateBody;
use api_types::network::{ConnectBody, DisconnectBody, EndpointSettings};
use spec::{Class, Failure};

fn forbidden(text: impl Into<String>) -> Failure {
    Failure::new(Class::Forbidden, text)
}

impl Engine {
    /// Connects a container with a network; one that runs at once.
    pub async fn network_connect(&self, name: &str, body: ConnectBody) -> Result<(), Failure> {
        let network = self.network_for(name)?;
        let handle = self.0.containers.find(&body.container)?;
        let config = std::sync::Arc::clone(&handle.view().config);
        may_connect(&config, &network)?;
        let settings = body.endpoint_config.unwrap_or_default();
        check(&network, &settings)?;
        handle.ask(|reply| Command::Connect { network, settings: Box::new(settings), reply }).await
    }

    /// Disconnects a container from a network.
    pub async fn network_disconnect(
        &self,
        name: &str,
        body: DisconnectBody,
    ) -> Result<(), Failure> {
        let network = self.network_for(name)?;
        let handle = self.0.containers.find(&body.container)?;
        if network.kind == Kind::Host {
            return Err(forbidden(
                "container cannot be disconnected from host network - container should be created in host network mode",
            ));
        }
        handle.ask(|reply| Command::Disconnect { network, reply }).await
    }
}

/// Puts names of networks in the place of ids in what a new container asks for, and judges its endpoints. A network that
/// does not exist is left to the start: told of something that is not found, clients pull the image.
pub(crate) fn resolve(networks: &Networks, body: &mut CreateBody) -> Result<(), Failure> {
    let mode = &mut body.host_config.network_mode;
    if Mode::of(mode) != Mode::Own {
        return Ok(());
    }
    let name = |text: &str| match networks.find(text) {
        Ok(network) => network.name().to_owned(),
        Err(_) => text.to_owned(),
    };
    *mode = name(mode);
    let asked = std::mem::take(&mut body.networking_config.endpoints_config);
    for (key, settings) in asked {
        let key = name(&key);
        if let (Some(network), Some(settings)) = (networks.named(&key), &settings) {
            check(&network, settings)?;
        }
        body.networking_config.endpoints_config.insert(key, settings);
    }
    Ok(())
}

fn may_connect(config: &ContainerConfig, network: &Network) -> Result<(), Failure> {
    match (config.network_mode(), &network.kind) {
        (Mode::Host | Mode::Container(_), _) => Err(forbidden(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        )),
        (_, Kind::Host) => Err(forbidden(
            "container cannot be connected to host network - container should be created in host network mode",
        )),
        (Mode::None, _) | (_, Kind::Null) => Err(forbidden(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )),
        _ => Ok(()),
    }
}

/// What a user may ask of an endpoint.
pub(crate) fn check(network: &Network, settings: &EndpointSettings) -> Result<(), Failure> {
    let shown = &network.record.shown;
    let wrap = |text: &str| {
        Failure::invalid(format!(
            "invalid config for network {}: invalid endpoint settings:\n{text}",
            network.name()
        ))
    };
    if !settings.aliases.is_empty() && !network.has_names() {
        return Err(wrap("network-scoped aliases are only supported for user-defined networks"));
    }
    if !settings.mac_address.is_empty() {
        validate_network::mac(&settings.mac_address)?;
    }
    let Some(ipam) = &settings.ipam_config else { return Ok(()) };
    for (text, ipv6) in [(&ipam.ipv4_address, false), (&ipam.ipv6_address, true)] {
        if text.is_empty() {
            continue;
        }
        if network.is_predefined() {
            return Err(wrap(
                "user specified IP address is supported on user defined networks only",
            ));
        }
        let parsed: Option<std::net::IpAddr> = text.parse().ok();
        let Some(address) = parsed.filter(|address| address.is_ipv6() == ipv6) else {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            return Err(wrap(&format!("invalid {family} address: {text}")));
        };
        let inside = |pool: &api_types::network::IpamConfig| {
            pool.subnet.parse::<ipam::IpNet>().is_ok_and(|subnet| subnet.contains(&address))
        };
        if !shown.ipam.config.iter().any(inside) {
            let text = "no configured subnet or ip-range contain the IP address ".to_owned() + text;
            return Err(wrap(&text));
        }
    }
    Ok(())
}
