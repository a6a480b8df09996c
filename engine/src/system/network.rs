//! The networks that every engine has: `bridge`, `host` and `none`. They are shown, not changed.

use crate::container::state::State;
use crate::{Engine, Filters};
use api_types::network::{
    EndpointResource, Ipam, IpamConfig, IpamStatus, Network, Status, SubnetStatus,
};
use api_types::{List, Map, time};
use spec::Failure;

/// The predefined networks: name, driver, id. The ids are the same on every host, so that they stay over a restart.
const PREDEFINED: [(&str, &str, &str); 3] = [
    ("bridge", "bridge", "b1d6ec0ffe5a4f3b9c0e7d21a86f54c3e90b7a1d2f6c8e4509d3b7f1a2c6e811"),
    ("host", "host", "405700ffe1c3a9d84b6e2f5071d8c4a39be6f0d27c51a8e34f9b06d2e7a3c512"),
    ("none", "null", "90e0ffe2d7b41f6c8a35e09d4c72b8f16d3a5e9b07c4f28d61ae93b5f0d8c713"),
];

/// The id of a predefined network.
pub fn predefined_id(name: &str) -> Option<&'static str> {
    PREDEFINED.iter().find(|(known, _, _)| *known == name).map(|(_, _, id)| *id)
}

impl Engine {
    /// The networks that match, without their containers.
    pub async fn network_list(&self, filters: &Filters) -> Result<Vec<Network>, Failure> {
        filters.only(&["dangling", "driver", "id", "label", "label!", "name", "scope", "type"])?;
        if let Some(kind) =
            filters.get("type").iter().find(|k| !matches!(k.as_str(), "custom" | "builtin"))
        {
            return Err(Failure::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
        let dangling = filters.flag("dangling")?;
        let wanted = |network: &Network| {
            // Predefined networks are in use by definition.
            dangling != Some(true)
                && filters.exact("driver", &network.driver)
                && filters.regex("id", &network.id)
                && filters.regex("name", &network.name)
                && filters.exact("scope", &network.scope)
                && filters.exact("type", "builtin")
                && filters.labels(&network.labels)
        };
        let networks = PREDEFINED.iter().map(|entry| self.network(entry));
        Ok(networks.filter(wanted).collect())
    }

    /// One network by id, name or the beginning of its id, with its running containers.
    pub async fn network_inspect(&self, name: &str) -> Result<Network, Failure> {
        let by_prefix = |(_, _, id): &&(&str, &str, &str)| !name.is_empty() && id.starts_with(name);
        let exact = PREDEFINED.iter().find(|(known, _, id)| *known == name || *id == name);
        let mut prefixed = PREDEFINED.iter().filter(by_prefix);
        let entry = match (exact, prefixed.next(), prefixed.next()) {
            (Some(entry), _, _) | (None, Some(entry), None) => entry,
            (None, Some(_), Some(_)) => {
                return Err(Failure::invalid(format!("network {name} is ambiguous")));
            }
            (None, None, _) => return Err(Failure::not_found(format!("network {name} not found"))),
        };
        let mut network = self.network(entry);
        let containers = self.network_containers(&network.name);
        network.status = Some(self.network_status(&network, containers.len()));
        network.containers = Some(containers);
        Ok(network)
    }

    fn network(&self, (name, driver, id): &(&str, &str, &str)) -> Network {
        let mut network = Network {
            name: (*name).into(),
            id: (*id).into(),
            created: time::ZERO.into(),
            scope: "local".into(),
            driver: (*driver).into(),
            enable_ipv4: true,
            ipam: Ipam { driver: "default".into(), ..Ipam::default() },
            options: Map::empty(),
            labels: Map::empty(),
            ..Network::default()
        };
        if *name == "bridge" {
            self.describe_bridge(&mut network);
        }
        network
    }

    fn describe_bridge(&self, network: &mut Network) {
        let config = &self.0.config;
        let (address, length) = config.bip;
        let subnet = ipnet::Ipv4Net::new(address, length).map(|net| net.trunc().to_string());
        network.ipam.config = List::from(vec![IpamConfig {
            subnet: subnet.unwrap_or_default(),
            gateway: address.to_string(),
            ..IpamConfig::default()
        }]);
        let options = [
            ("com.docker.network.bridge.default_bridge", "true".to_owned()),
            ("com.docker.network.bridge.enable_icc", config.icc.to_string()),
            ("com.docker.network.bridge.enable_ip_masquerade", config.masquerade.to_string()),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0".to_owned()),
            ("com.docker.network.bridge.name", config.bridge.clone()),
            ("com.docker.network.driver.mtu", config.mtu.unwrap_or(1500).to_string()),
        ];
        network.options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    }

    /// Running containers in a network.
    fn network_containers(&self, network: &str) -> Map<EndpointResource> {
        let mut containers = Map::empty();
        for handle in self.0.containers.all() {
            let view = handle.view();
            let mode = view.config.host.network_mode.as_str();
            let mode = if matches!(mode, "" | "default") { "bridge" } else { mode };
            if mode != network || !matches!(view.state, State::Running | State::Paused) {
                continue;
            }
            let mut resource =
                EndpointResource { name: view.config.name.clone(), ..EndpointResource::default() };
            if let Some(plugged) = &view.outcome.endpoint {
                resource.endpoint_id.clone_from(&plugged.id);
                resource.mac_address = plugged.mac_text();
                resource.ipv4_address = format!("{}/{}", plugged.address, plugged.prefix);
            }
            containers.insert(view.config.id.as_str().to_owned(), resource);
        }
        containers
    }

    fn network_status(&self, network: &Network, containers: usize) -> Status {
        let subnets = network.ipam.config.iter().map(|pool| {
            let bits = pool.subnet.rsplit('/').next().and_then(|bits| bits.parse::<u32>().ok());
            let all = 1_u64 << 32_u32.saturating_sub(bits.unwrap_or(32));
            // The network's own address, its broadcast address and the gateway are taken too.
            let used = (containers as u64).saturating_add(3).min(all);
            let status = SubnetStatus { ips_in_use: used, dynamic_ips_available: all - used };
            (pool.subnet.clone(), status)
        });
        Status { ipam: IpamStatus { subnets: subnets.collect() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_predefined_networks_have_ids_of_64_hexadecimal_digits() {
        for (name, _, id) in PREDEFINED {
            assert!(spec::ContainerId::parse(id).is_ok(), "{name}");
            assert_eq!(predefined_id(name), Some(id));
        }
        assert_eq!(predefined_id("other"), None);
    }
}
