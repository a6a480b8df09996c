//! All networks of the engine, with the addresses that are taken in them.

use super::{Kind, Network, PREDEFINED, Record};
use crate::config::Config;
use api_types::network::{Ipam, IpamConfig};
use api_types::{List, Map, time};
use ipam::{AddressSpace, IpNet, IpamError, SubnetConfig};
use messages::network::{Bridge, Prefix, Published};
use spec::{Class, ContainerId, Failure};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Inner {
    by_name: BTreeMap<String, Arc<Network>>,
    space: AddressSpace,
}

/// The networks. One lock, held for a look-up or the choice of an address; another one for published ports.
#[derive(Debug)]
pub struct Networks {
    inner: Mutex<Inner>,
    published: Mutex<BTreeMap<ContainerId, Vec<Published>>>,
}

/// An error of the address pools as the API shows it.
pub(crate) fn of_ipam(error: IpamError) -> Failure {
    Failure::from_error(error.class(), &error)
}

/// The answer to a name that no network has.
pub(crate) fn missing(name: &str) -> Failure {
    Failure::not_found(format!("network {name} not found"))
}

impl Networks {
    /// The predefined networks, as the settings describe them.
    pub fn new(config: &Config) -> Result<Self, IpamError> {
        let mut pools = config.address_pools.clone();
        if pools.is_empty() {
            pools = ipam::default_pools();
        }
        if !pools.iter().any(|pool| matches!(pool.base, IpNet::V6(_))) {
            pools.push(ipam::unique_local_pool(config.global_id()));
        }
        let mut space = AddressSpace::new(pools)?;
        let mut by_name = BTreeMap::new();
        for (name, driver, id) in PREDEFINED {
            let mut shown = api_types::network::Network {
                name: name.into(),
                id: id.into(),
                created: time::ZERO.into(),
                scope: "local".into(),
                driver: driver.into(),
                enable_ipv4: true,
                ipam: Ipam { driver: "default".into(), ..Ipam::default() },
                options: Map::empty(),
                labels: Map::empty(),
                ..Default::default()
            };
            let kind = match name {
                "bridge" => default_bridge(config, &mut space, &mut shown)?,
                "host" => Kind::Host,
                _ => Kind::Null,
            };
            let network = Network { record: Record { created: 0, shown }, kind };
            by_name.insert(name.to_owned(), Arc::new(network));
        }
        Ok(Self { inner: Mutex::new(Inner { by_name, space }), published: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which ports of a container are published.
    pub(crate) fn publish(&self, id: &ContainerId, ports: Vec<Published>) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if ports.is_empty() {
            published.remove(id);
        } else {
            published.insert(id.clone(), ports);
        }
    }

    /// The published ports of a container, which are noted no longer.
    pub(crate) fn take_published(&self, id: &ContainerId) -> Vec<Published> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.remove(id).unwrap_or_default()
    }

    /// The published ports of all containers.
    pub(crate) fn published(&self) -> Vec<Published> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.values().flatten().copied().collect()
    }

    /// All addresses that are taken in any network.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.lock().space.taken().collect()
    }

    /// All networks, by name.
    pub fn all(&self) -> Vec<Arc<Network>> {
        self.lock().by_name.values().cloned().collect()
    }

    /// The network of exactly this name.
    pub fn named(&self, name: &str) -> Option<Arc<Network>> {
        self.lock().by_name.get(name).cloned()
    }

    /// The default bridge.
    pub fn default_bridge(&self) -> Option<Arc<Network>> {
        self.named("bridge")
    }

    /// A network by its name, its id, or the beginning of its id.
    pub fn find(&self, name: &str) -> Result<Arc<Network>, Failure> {
        let inner = self.lock();
        if let Some(network) = inner.by_name.get(name) {
            return Ok(Arc::clone(network));
        }
        if name.is_empty() {
            return Err(missing(name));
        }
        let mut found = inner.by_name.values().filter(|network| network.id().starts_with(name));
        match (found.next(), found.next()) {
            (Some(network), None) => Ok(Arc::clone(network)),
            (Some(_), Some(_)) => {
                let text = format!("network {name} is ambiguous (more than one id begins with it)");
                Err(Failure::invalid(text))
            }
            (None, _) => Err(missing(name)),
        }
    }

    /// Adds a network that was stored.
    pub(crate) fn restore(&self, network: Network) -> Result<(), IpamError> {
        let mut inner = self.lock();
        for pool in &network.record.shown.ipam.config {
            if let Some(subnet) = of_pool(network.name(), pool) {
                inner.space.add(subnet)?;
            }
        }
        inner.by_name.insert(network.name().to_owned(), Arc::new(network));
        Ok(())
    }

    /// Takes a name and subnets for a new network, all or nothing; `families` are those for which a subnet shall be
    /// chosen. `make` gets the subnets with their gateways.
    pub(crate) fn add<T>(
        &self,
        name: &str,
        wanted: Vec<SubnetConfig>,
        families: &[bool],
        routes: &[IpNet],
        make: impl FnOnce(Vec<(IpNet, IpAddr)>) -> Result<(Network, T), Failure>,
    ) -> Result<(Arc<Network>, T), Failure> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if inner.by_name.contains_key(name) {
            let text = format!("network with name {name} already exists");
            return Err(Failure::conflict(text));
        }
        let added = || -> Result<Vec<(IpNet, IpAddr)>, IpamError> {
            let mut subnets = Vec::new();
            for config in wanted {
                let subnet = inner.space.add(config)?;
                subnets.push((subnet.subnet(), subnet.gateway()));
            }
            for ipv6 in families {
                let subnet = inner.space.add_next(name, *ipv6, routes)?;
                subnets.push((subnet.subnet(), subnet.gateway()));
            }
            Ok(subnets)
        };
        let made = added().map_err(of_ipam).and_then(make);
        match made {
            Ok((network, more)) => {
                let network = Arc::new(network);
                inner.by_name.insert(name.to_owned(), Arc::clone(&network));
                Ok((network, more))
            }
            Err(failure) => {
                inner.space.remove(name);
                Err(failure)
            }
        }
    }

    /// Forgets a network.
    pub(crate) fn remove(&self, name: &str) {
        let mut inner = self.lock();
        inner.by_name.remove(name);
        inner.space.remove(name);
    }

    /// Takes an address of a network: a certain one, or the next; the answer is with the length of the prefix.
    pub(crate) fn take(
        &self,
        network: &str,
        ipv6: bool,
        wanted: Option<IpAddr>,
    ) -> Result<(IpAddr, u8), Failure> {
        let mut inner = self.lock();
        let address = inner.space.allocate(network, ipv6, wanted).map_err(of_ipam)?;
        let subnets = inner.space.subnets(network).map_err(of_ipam)?;
        let subnet = subnets.iter().find(|subnet| subnet.subnet().contains(&address));
        Ok((address, subnet.map_or(32, |subnet| subnet.subnet().prefix_len())))
    }

    /// Gives an address back.
    pub(crate) fn give_back(&self, network: &str, address: IpAddr) {
        self.lock().space.release(network, address);
    }

    /// The gateway of the subnet of an address.
    pub(crate) fn gateway(&self, network: &str, address: IpAddr) -> Option<IpAddr> {
        let mut inner = self.lock();
        let subnets = inner.space.subnets(network).ok()?;
        let subnet = subnets.iter().find(|subnet| subnet.subnet().contains(&address))?;
        Some(subnet.gateway())
    }

    /// How many addresses are taken in each subnet of a network.
    pub(crate) fn taken(&self, network: &str) -> Vec<(IpNet, usize)> {
        let mut inner = self.lock();
        let subnets = inner.space.subnets(network).map(|subnets| &*subnets).unwrap_or_default();
        subnets.iter().map(|subnet| (subnet.subnet(), subnet.taken())).collect()
    }

    /// The bridges that there shall be.
    pub fn bridges(&self) -> Vec<Bridge> {
        let bridge = |network: &Arc<Network>| Some(network.bridge()?.bridge.clone());
        self.all().iter().filter_map(bridge).collect()
    }
}

/// A pool as it was stored.
fn of_pool(network: &str, pool: &IpamConfig) -> Option<SubnetConfig> {
    Some(SubnetConfig {
        network: network.to_owned(),
        subnet: pool.subnet.parse().ok()?,
        range: pool.ip_range.parse().ok(),
        gateway: pool.gateway.parse().ok(),
        reserved: pool.auxiliary_addresses.values().filter_map(|ip| ip.parse().ok()).collect(),
    })
}

/// The default bridge's settings, pools and description.
fn default_bridge(
    config: &Config,
    space: &mut AddressSpace,
    shown: &mut api_types::network::Network,
) -> Result<Kind, IpamError> {
    let (address, length) = config.bip;
    let subnet = ipnet::Ipv4Net::new_assert(address, length.min(32)).trunc();
    let mut pools = vec![SubnetConfig {
        network: "bridge".into(),
        subnet: IpNet::V4(subnet),
        range: config.fixed_cidr.map(IpNet::V4),
        gateway: Some(IpAddr::V4(address)),
        reserved: Vec::new(),
    }];
    if let Some(own) = config.fixed_cidr_v6 {
        let subnet = IpNet::V6(own);
        let (network, reserved) = ("bridge".to_owned(), Vec::new());
        pools.push(SubnetConfig { network, subnet, range: None, gateway: None, reserved });
    }
    let mut bridge = Bridge {
        link: config.bridge.clone(),
        mtu: config.mtu,
        icc: config.icc,
        masquerade: config.masquerade,
        ..Bridge::default()
    };
    let mut listed = Vec::new();
    let mut add = |subnet: &ipam::Subnet| {
        let (net, gateway) = (subnet.subnet(), subnet.gateway());
        bridge.gateways.push(Prefix { address: gateway, length: net.prefix_len() });
        let gateway = gateway.to_string();
        listed.push(IpamConfig { subnet: net.to_string(), gateway, ..IpamConfig::default() });
    };
    for pool in pools {
        add(space.add(pool)?);
    }
    if config.ipv6 && config.fixed_cidr_v6.is_none() {
        add(space.add_next("bridge", true, &[])?);
    }
    shown.enable_ipv6 = bridge.gateways.iter().any(|gateway| gateway.address.is_ipv6());
    shown.ipam.config = List::from(listed);
    let bind = config.publish_address;
    let options = [
        ("com.docker.network.bridge.default_bridge", "true".to_owned()),
        ("com.docker.network.bridge.enable_icc", config.icc.to_string()),
        ("com.docker.network.bridge.enable_ip_masquerade", config.masquerade.to_string()),
        ("com.docker.network.bridge.host_binding_ipv4", bind.to_string()),
        ("com.docker.network.bridge.name", config.bridge.clone()),
        ("com.docker.network.driver.mtu", config.mtu.unwrap_or(1500).to_string()),
    ];
    shown.options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Kind::Bridge(Box::new(super::options::BridgeSettings { bridge, ..Default::default() })))
}

/// A network whose removal must wait.
pub(crate) fn in_use(name: &str, endpoints: &[String]) -> Failure {
    let text = format!(
        "error while removing network: network {name} has active endpoints ({})",
        endpoints.join(", ")
    );
    Failure::new(Class::Forbidden, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_by_name_id_and_its_beginning() {
        let networks = Networks::new(&Config::default()).unwrap();
        for name in ["bridge", PREDEFINED[0].2, &PREDEFINED[0].2[..5]] {
            assert_eq!(networks.find(name).unwrap().name(), "bridge");
        }
        assert_eq!(networks.find("web").unwrap_err().message, "network web not found");
        assert_eq!(networks.find("").unwrap_err().message, "network  not found");
    }

    #[test]
    fn addresses_of_the_default_bridge_are_given_in_order_and_come_back() {
        let networks = Networks::new(&Config::default()).unwrap();
        let take = || networks.take("bridge", false, None).unwrap();
        assert_eq!(take(), ("172.17.0.2".parse().unwrap(), 16));
        assert_eq!(take().0.to_string(), "172.17.0.3");
        networks.give_back("bridge", "172.17.0.2".parse().unwrap());
        assert_eq!(take().0.to_string(), "172.17.0.2");
        assert!(networks.take("bridge", true, None).is_err(), "no IPv6 by default");
    }

    #[test]
    fn the_default_bridge_gets_a_unique_local_subnet_when_ipv6_is_wanted() {
        let config = Config { ipv6: true, ..Config::default() };
        let networks = Networks::new(&config).unwrap();
        let shown = networks.find("bridge").unwrap().record.shown.clone();
        assert!(shown.enable_ipv6);
        assert!(shown.ipam.config[1].subnet.starts_with("fd"), "{:?}", shown.ipam);
    }
}
