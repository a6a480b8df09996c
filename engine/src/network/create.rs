//! Creating a network.

use super::options::{self, BridgeSettings};
use super::registry::Networks;
use super::{Kind, Network, Record};
use crate::open::Engine;
use crate::{event, ids, store};
use api_types::List;
use api_types::network::{self as api, CreateBody, CreateReply, Ipam, IpamConfig};
use ipam::{IpNet, SubnetConfig};
use messages::network::{GatewayMode, Prefix};
use spec::{Class, Failure};
use std::net::IpAddr;
use std::sync::Arc;

/// Pools and auxiliary addresses that one network may have.
const POOLS: usize = 64;
const AUXILIARY: usize = 1024;
/// Labels and options, and bytes of one.
const ENTRIES: usize = 1024;
const ENTRY: usize = 64 * 1024;

impl Engine {
    /// Creates a network. When this returns, it survives the death of any process.
    pub async fn network_create(&self, body: CreateBody) -> Result<CreateReply, Failure> {
        let engine = self.clone();
        // Not cut short by a client that goes away.
        match tokio::spawn(async move { engine.create_network(body).await }).await {
            Ok(created) => created,
            Err(_) => Err(Failure::internal("create network: the engine is ending")),
        }
    }

    async fn create_network(&self, mut body: CreateBody) -> Result<CreateReply, Failure> {
        let shared = &self.0;
        check(&body)?;
        self.take_over(&mut body)?;
        let id = ids::fresh()?;
        let shown = shown(&body, &id);
        let kind = kind(&shown)?;
        if let Kind::Bridge(settings) = &kind {
            one_bridge_each(&shared.networks, &settings.bridge.link)?;
        }
        let (wanted, families) =
            if body.config_only { (Vec::new(), Vec::new()) } else { pools(&body.name, &shown)? };
        let routes = match families.is_empty() {
            true => Vec::new(),
            false => shared.workers.host_routes().await?,
        };
        let pools = wanted.clone();
        let make = |subnets: Vec<(IpNet, IpAddr)>| {
            let mut shown = shown;
            if !body.config_only {
                shown.ipam.config = List::from(listed(&subnets, &pools));
            }
            let kind = self::kind(&shown)?;
            let record = Record { created: event::now(), shown };
            Ok((Network { record, kind }, ()))
        };
        let (network, ()) = shared.networks.add(&body.name, wanted, &families, &routes, make)?;
        if let Err(failure) = self.establish(&network).await {
            shared.networks.remove(&body.name);
            return Err(failure);
        }
        self.network_event("create", &network, None);
        Ok(CreateReply { id, warning: String::new() })
    }

    /// Makes the bridge, then writes the network down. A bridge without a record is removed by the next start.
    async fn establish(&self, network: &Arc<Network>) -> Result<(), Failure> {
        let shared = &self.0;
        if let Some(settings) = network.bridge() {
            shared.workers.ensure_bridge(settings.bridge.clone()).await?;
        }
        let stored = store::change(&shared.store, |writer| {
            writer.put(store::NETWORKS, network.id(), &network.record)
        });
        if stored.is_err()
            && let Some(settings) = network.bridge()
        {
            let link = settings.bridge.link.clone();
            shared.workers.remove_bridge(link).await.ok();
        }
        stored
    }

    /// Fills in what another network, which is only a configuration, says.
    fn take_over(&self, body: &mut CreateBody) -> Result<(), Failure> {
        let Some(from) = body.config_from.as_ref().map(|from| from.network.clone()) else {
            return Ok(());
        };
        if from.is_empty() {
            body.config_from = None;
            return Ok(());
        }
        let network = self.0.networks.find(&from)?;
        let shown = &network.record.shown;
        if !shown.config_only {
            return Err(Failure::new(
                Class::Forbidden,
                format!("{from} is not a configuration network"),
            ));
        }
        if body.ipam.as_ref().is_some_and(|ipam| !ipam.config.is_empty())
            || !body.options.is_empty()
        {
            return Err(Failure::new(
                Class::Forbidden,
                "user specified configurations are not supported if the network depends on a configuration network",
            ));
        }
        body.ipam = Some(shown.ipam.clone());
        body.options.clone_from(&shown.options);
        body.internal = shown.internal;
        body.enable_ipv4 = Some(shown.enable_ipv4);
        body.enable_ipv6 = Some(shown.enable_ipv6);
        Ok(())
    }

    /// Tells listeners what happened to a network.
    pub(crate) fn network_event(&self, action: &str, network: &Network, container: Option<&str>) {
        let mut attributes = std::collections::BTreeMap::from([
            ("name".to_owned(), network.name().to_owned()),
            ("type".to_owned(), network.record.shown.driver.clone()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".into(), container.into());
        }
        self.0.events.publish("network", action, network.id(), attributes);
    }
}

fn check(body: &CreateBody) -> Result<(), Failure> {
    let name = body.name.as_str();
    if super::is_predefined(name) {
        let text = format!("operation is not permitted on predefined {name} network");
        return Err(Failure::new(Class::Forbidden, text));
    }
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !first || !name.chars().all(good) || name.len() > 128 {
        return Err(Failure::invalid(format!(
            "invalid network name {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, at most 128 of them"
        )));
    }
    if !matches!(body.scope.as_str(), "" | "local") {
        return Err(Failure::invalid(format!("invalid network scope {:?}", body.scope)));
    }
    if body.ingress {
        return Err(Failure::new(
            Class::Unavailable,
            "This node is not a swarm manager: an ingress network needs a swarm",
        ));
    }
    for entries in [&body.options, &body.labels] {
        let long = |(key, value): (&String, &String)| key.len() + value.len() > ENTRY;
        if entries.len() > ENTRIES || entries.iter().any(long) {
            let text = format!("invalid network {name}: too many or too long options or labels");
            return Err(Failure::invalid(text));
        }
    }
    match body.ipam.as_ref().map(|ipam| ipam.driver.as_str()) {
        None | Some("" | "default") => Ok(()),
        Some(driver) => Err(Failure::not_found(format!("plugin {driver:?} not found"))),
    }
}

fn one_bridge_each(networks: &Networks, link: &str) -> Result<(), Failure> {
    match networks.all().iter().find(|n| n.bridge().is_some_and(|own| own.bridge.link == link)) {
        Some(other) => Err(Failure::new(
            Class::Forbidden,
            format!("bridge name {link} is used by network {}", other.name()),
        )),
        None => Ok(()),
    }
}

/// The network as it is shown and stored, its pools as they were asked for.
fn shown(body: &CreateBody, id: &str) -> api::Network {
    let or_empty = |map: &api_types::Map<String>| map.clone().into_inner().into();
    let mut ipam = body.ipam.clone().unwrap_or_default();
    ipam.driver = "default".into();
    api::Network {
        name: body.name.clone(),
        id: id.to_owned(),
        created: event::time_text(Some(event::now())),
        scope: "local".into(),
        driver: if body.driver.is_empty() { "bridge".into() } else { body.driver.clone() },
        enable_ipv4: body.enable_ipv4.unwrap_or(true),
        enable_ipv6: body.enable_ipv6.unwrap_or(false),
        ipam: Ipam { config: ipam.config, options: ipam.options, driver: ipam.driver },
        internal: body.internal,
        attachable: body.attachable,
        config_only: body.config_only,
        config_from: body.config_from.clone().unwrap_or_default(),
        options: or_empty(&body.options),
        labels: or_empty(&body.labels),
        ..api::Network::default()
    }
}

/// What the driver of a network needs to know; subnets as far as they are known.
pub(crate) fn kind(shown: &api::Network) -> Result<Kind, Failure> {
    if shown.config_only {
        return Ok(Kind::Configuration);
    }
    let body = CreateBody {
        driver: shown.driver.clone(),
        internal: shown.internal,
        options: shown.options.clone(),
        ..CreateBody::default()
    };
    match shown.driver.as_str() {
        "bridge" => {
            let mut settings = options::bridge(&body, &shown.id)?;
            address(&mut settings, &shown.ipam);
            Ok(Kind::Bridge(Box::new(settings)))
        }
        "macvlan" => options::macvlan(&body),
        "ipvlan" => options::ipvlan(&body),
        "host" | "null" => Err(Failure::new(
            Class::Forbidden,
            format!("only one instance of \"{}\" network is allowed", shown.driver),
        )),
        "overlay" => Err(Failure::new(
            Class::Unavailable,
            "This node is not a swarm manager: an overlay network needs a swarm",
        )),
        other => Err(Failure::not_found(format!("plugin {other:?} not found"))),
    }
}

/// Gives the bridge its subnets.
fn address(settings: &mut BridgeSettings, ipam: &Ipam) {
    let bridge = &mut settings.bridge;
    for pool in &ipam.config {
        let (Ok(subnet), Ok(gateway)) = (pool.subnet.parse::<IpNet>(), pool.gateway.parse()) else {
            continue;
        };
        let gateway: IpAddr = gateway;
        let mode = if gateway.is_ipv6() { bridge.mode6 } else { bridge.mode4 };
        let bare = mode == GatewayMode::Isolated || settings.inhibit_ipv4 && gateway.is_ipv4();
        let length = subnet.prefix_len();
        match bare {
            true => bridge.unaddressed.push(Prefix { address: subnet.network(), length }),
            false => bridge.gateways.push(Prefix { address: gateway, length }),
        }
    }
}

/// The subnets that were asked for, and the families for which one shall be chosen.
fn pools(name: &str, shown: &api::Network) -> Result<(Vec<SubnetConfig>, Vec<bool>), Failure> {
    let mut errors = Vec::new();
    let mut wanted = Vec::new();
    if shown.ipam.config.len() > POOLS {
        return Err(Failure::invalid(format!("invalid network {name}: more than {POOLS} subnets")));
    }
    for pool in &shown.ipam.config {
        match self::pool(name, pool) {
            Ok(Some(config)) => wanted.push(config),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(Failure::invalid(format!("invalid network config:\n{}", errors.join("\n"))));
    }
    let enabled = |ipv6: bool| if ipv6 { shown.enable_ipv6 } else { shown.enable_ipv4 };
    let is_ipv6 = |config: &SubnetConfig| matches!(config.subnet, IpNet::V6(_));
    wanted.retain(|config| enabled(is_ipv6(config)));
    if !enabled(false) && !enabled(true) {
        return Err(Failure::invalid("IPv4 or IPv6 must be enabled"));
    }
    let families = [false, true].into_iter().filter(|ipv6| enabled(*ipv6));
    let missing = families.filter(|ipv6| !wanted.iter().any(|config| is_ipv6(config) == *ipv6));
    Ok((wanted.clone(), missing.collect()))
}

fn pool(name: &str, pool: &IpamConfig) -> Result<Option<SubnetConfig>, String> {
    if pool.subnet.is_empty() {
        let alone = pool.gateway.is_empty() && pool.ip_range.is_empty();
        return match alone && pool.auxiliary_addresses.is_empty() {
            true => Ok(None),
            false => Err("gateway, range and auxiliary addresses need a subnet".into()),
        };
    }
    let net = |what: &str, text: &str| {
        let parsed: Result<IpNet, _> = text.parse();
        parsed.map_err(|_| format!("invalid {what} {text}: invalid CIDR block notation"))
    };
    let subnet = net("subnet", &pool.subnet)?;
    if subnet != subnet.trunc() {
        return Err(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
    }
    let address = |what: &str, text: &str| -> Result<IpAddr, String> {
        let parsed: Result<IpAddr, _> = text.parse();
        let address = parsed.map_err(|_| format!("invalid {what} {text}: invalid address"))?;
        match subnet.contains(&address) {
            true => Ok(address),
            false => Err(format!("invalid {what} {address}: parent subnet is {subnet}")),
        }
    };
    if pool.auxiliary_addresses.len() > AUXILIARY {
        return Err(format!("more than {AUXILIARY} auxiliary addresses in {subnet}"));
    }
    let reserved = pool.auxiliary_addresses.values();
    let reserved = reserved.map(|text| address("auxiliary address", text));
    Ok(Some(SubnetConfig {
        network: name.to_owned(),
        subnet,
        range: match pool.ip_range.as_str() {
            "" => None,
            text => Some(net("ip-range", text)?),
        },
        gateway: match pool.gateway.as_str() {
            "" => None,
            text => Some(address("gateway", text)?),
        },
        reserved: reserved.collect::<Result<_, _>>()?,
    }))
}

/// The pools as they are shown: with gateways, and those that were chosen too.
fn listed(subnets: &[(IpNet, IpAddr)], asked: &[SubnetConfig]) -> Vec<IpamConfig> {
    let show = |(subnet, gateway): &(IpNet, IpAddr)| {
        let asked = asked.iter().find(|config| config.subnet == *subnet);
        let reserved = asked.map(|config| config.reserved.as_slice()).unwrap_or_default();
        let named = reserved.iter().enumerate();
        IpamConfig {
            subnet: subnet.to_string(),
            gateway: gateway.to_string(),
            ip_range: asked
                .and_then(|config| config.range)
                .map_or(String::new(), |r| r.to_string()),
            auxiliary_addresses: named
                .map(|(number, address)| (format!("aux{number}"), address.to_string()))
                .collect(),
        }
    };
    subnets.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(subnet: &str, gateway: &str, range: &str) -> IpamConfig {
        IpamConfig {
            subnet: subnet.into(),
            gateway: gateway.into(),
            ip_range: range.into(),
            ..IpamConfig::default()
        }
    }

    #[test]
    fn all_wrong_pools_are_named_together() {
        let mut shown = shown(&CreateBody { name: "web".into(), ..CreateBody::default() }, "x");
        shown.ipam.config = List::from(vec![
            config("10.0.0.0/33", "", ""),
            config("10.0.0.1/24", "", ""),
            config("10.0.0.0/24", "10.0.1.1", ""),
            config("", "10.0.1.1", ""),
        ]);
        assert_eq!(
            pools("web", &shown).unwrap_err().message,
            "invalid network config:\n\
             invalid subnet 10.0.0.0/33: invalid CIDR block notation\n\
             invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24\n\
             invalid gateway 10.0.1.1: parent subnet is 10.0.0.0/24\n\
             gateway, range and auxiliary addresses need a subnet"
        );
    }

    #[test]
    fn a_family_without_subnet_gets_one_chosen() {
        let body = CreateBody { enable_ipv6: Some(true), ..CreateBody::default() };
        let mut shown = shown(&body, "x");
        assert_eq!(pools("web", &shown).unwrap().1, [false, true]);
        shown.ipam.config = List::from(vec![config("fd00::/64", "", "")]);
        assert_eq!(pools("web", &shown).unwrap().1, [false]);
        shown.enable_ipv4 = false;
        assert_eq!(pools("web", &shown).unwrap().1, [] as [bool; 0]);
        shown.enable_ipv6 = false;
        assert!(pools("web", &shown).is_err());
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for name in ["", "-a", "a b", "a/b", "bridge", "none", &"x".repeat(129)] {
            let body = CreateBody { name: name.into(), ..CreateBody::default() };
            assert!(check(&body).is_err(), "{name:?}");
        }
    }
}
