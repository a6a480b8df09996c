//! The subnets of all networks of an engine: none overlaps another.

use crate::pool::{AddressPool, choose, overlap};
use crate::{IpamError, Subnet, SubnetConfig};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// All networks with their subnets, by the networks' names or ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSpace {
    pools: Vec<AddressPool>,
    networks: BTreeMap<String, Vec<Subnet>>,
}

impl AddressSpace {
    /// A space without networks that cuts new subnets from these pools.
    pub fn new(pools: Vec<AddressPool>) -> Result<Self, IpamError> {
        for pool in &pools {
            pool.check()?;
        }
        Ok(Self { pools, networks: BTreeMap::new() })
    }

    /// Gives a network a subnet that the user described; it may overlap the host's routes, for the user has a reason,
    /// but no other network.
    pub fn add(&mut self, config: SubnetConfig) -> Result<&mut Subnet, IpamError> {
        let subnet = Subnet::new(config.clone())?;
        let wanted = subnet.subnet();
        for (holder, subnets) in &self.networks {
            if let Some(other) = subnets.iter().map(Subnet::subnet).find(|o| overlap(o, &wanted)) {
                let (network, holder) = (config.network, holder.clone());
                return Err(IpamError::Overlaps { network, subnet: wanted, holder, other });
            }
        }
        let subnets = self.networks.entry(config.network).or_default();
        subnets.push(subnet);
        Ok(subnets.last_mut().expect("a subnet has just been pushed"))
    }

    /// Gives a network the next free subnet of the pools, one that overlaps neither a network nor a route.
    pub fn add_next(
        &mut self,
        network: &str,
        ipv6: bool,
        routes: &[IpNet],
    ) -> Result<&mut Subnet, IpamError> {
        let mut used: Vec<IpNet> = self.networks.values().flatten().map(Subnet::subnet).collect();
        used.extend_from_slice(routes);
        let subnet = choose(&self.pools, ipv6, &used)?;
        let network = network.to_owned();
        self.add(SubnetConfig { network, subnet, range: None, gateway: None, reserved: Vec::new() })
    }

    /// The subnets of a network.
    pub fn subnets(&mut self, network: &str) -> Result<&mut [Subnet], IpamError> {
        self.networks
            .get_mut(network)
            .map(Vec::as_mut_slice)
            .ok_or_else(|| IpamError::UnknownNetwork { network: network.to_owned() })
    }

    /// Takes an address of one family: a certain one from the subnet to which it belongs, or the next of the first
    /// subnet that has one.
    pub fn allocate(
        &mut self,
        network: &str,
        ipv6: bool,
        wanted: Option<IpAddr>,
    ) -> Result<IpAddr, IpamError> {
        let subnets = self.subnets(network)?;
        let mut last = Err(IpamError::UnknownNetwork { network: network.to_owned() });
        for subnet in subnets.iter_mut().filter(|s| s.gateway().is_ipv6() == ipv6) {
            last = match wanted {
                Some(address) => subnet.take(address).map(|()| address),
                None => subnet.allocate(),
            };
            match &last {
                Err(IpamError::Exhausted { .. }) => {}
                Err(IpamError::Unusable { address, .. }) if !subnet.subnet().contains(address) => {}
                _ => return last,
            }
        }
        last
    }

    /// Gives an address back; answers whether it was taken.
    pub fn release(&mut self, network: &str, address: IpAddr) -> bool {
        self.networks
            .get_mut(network)
            .is_some_and(|subnets| subnets.iter_mut().any(|subnet| subnet.release(address)))
    }

    /// All addresses that are taken, gateways and reserved ones included.
    pub fn taken(&self) -> impl Iterator<Item = IpAddr> {
        self.networks.values().flatten().flat_map(Subnet::addresses)
    }

    /// Forgets a network with its subnets; answers whether it was known.
    pub fn remove(&mut self, network: &str) -> bool {
        self.networks.remove(network).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{default_pools, unique_local_pool};

    fn config(network: &str, subnet: &str) -> SubnetConfig {
        SubnetConfig {
            network: network.to_owned(),
            subnet: subnet.parse().unwrap(),
            range: None,
            gateway: None,
            reserved: Vec::new(),
        }
    }

    fn space() -> AddressSpace {
        let mut pools = default_pools();
        pools.push(unique_local_pool([0; 5]));
        AddressSpace::new(pools).unwrap()
    }

    #[test]
    fn networks_get_subnets_that_overlap_neither_each_other_nor_routes() {
        let mut space = space();
        let routes = ["172.18.0.0/24".parse().unwrap()];
        space.add(config("bridge", "172.17.0.0/16")).unwrap();
        let first = space.add_next("one", false, &routes).unwrap().subnet();
        let second = space.add_next("web", false, &routes).unwrap().subnet();
        let third = space.add_next("web", true, &routes).unwrap().subnet();
        assert_eq!(first.to_string(), "172.18.1.0/24");
        assert_eq!(second.to_string(), "172.18.2.0/24");
        assert_eq!(third.to_string(), "fd00::/64");
        assert!(space.remove("one"));
        assert_eq!(space.add_next("db", false, &routes).unwrap().subnet(), first);
    }

    #[test]
    fn an_overlap_names_both_networks() {
        let mut space = space();
        space.add(config("web", "10.0.0.0/16")).unwrap();
        let error = space.add(config("db", "10.0.3.0/24")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid pool request: subnet 10.0.3.0/24 of network db overlaps 10.0.0.0/16 of network web"
        );
        assert_eq!(error.class(), spec::Class::Forbidden);
        assert!(space.subnets("db").is_err());
    }

    #[test]
    fn the_second_subnet_of_a_network_is_used_when_the_first_is_full() {
        let mut space = space();
        space.add(config("web", "10.0.0.0/30")).unwrap();
        space.add(config("web", "10.0.1.0/30")).unwrap();
        let mut all = Vec::new();
        while let Ok(address) = space.allocate("web", false, None) {
            all.push(address.to_string());
        }
        assert_eq!(all, ["10.0.0.2", "10.0.1.2"]);
        assert!(space.release("web", "10.0.1.2".parse().unwrap()));
        let wanted = Some("10.0.1.2".parse().unwrap());
        assert_eq!(space.allocate("web", false, wanted).unwrap().to_string(), "10.0.1.2");
        assert!(matches!(space.allocate("web", false, wanted), Err(IpamError::Taken { .. })));
        assert!(space.allocate("absent", false, None).is_err());
    }
}
