//! One subnet of one network, and who has which of its addresses.

use crate::IpamError;
use crate::pool::{address, number};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A subnet as the user, or a pool, describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetConfig {
    /// The network to which it belongs, for messages.
    pub network: String,
    /// The subnet.
    pub subnet: IpNet,
    /// The part of it from which addresses are given when nobody asks for a certain one.
    pub range: Option<IpNet>,
    /// The gateway; the first address of the subnet when not set.
    pub gateway: Option<IpAddr>,
    /// Addresses that belong to others on the network (`--aux-address`).
    pub reserved: Vec<IpAddr>,
}

/// A subnet with its taken addresses: the lowest free one is given next, none is ever given twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    network: String,
    subnet: IpNet,
    range: Option<IpNet>,
    gateway: IpAddr,
    taken: BTreeSet<IpAddr>,
    /// No address below this one is free in the range: only a shortcut, so it is not stored.
    #[serde(skip)]
    lowest: u128,
}

impl Subnet {
    /// A subnet in which only the gateway and the reserved addresses are taken.
    pub fn new(config: SubnetConfig) -> Result<Self, IpamError> {
        let SubnetConfig { network, subnet, range, gateway, reserved } = config;
        let subnet = subnet.trunc();
        if subnet.max_prefix_len() - subnet.prefix_len() < 1 {
            return Err(IpamError::TooSmall { network, subnet });
        }
        if let Some(range) = range
            && !subnet.contains(&range)
        {
            return Err(IpamError::RangeOutside { network, range, subnet });
        }
        let range = range.map(|range| range.trunc());
        let first = address(usable(&subnet).0, &subnet);
        let gateway = gateway.unwrap_or(first);
        let mut this = Self { network, subnet, range, gateway, taken: BTreeSet::new(), lowest: 0 };
        this.take(gateway)?;
        for address in reserved {
            // The gateway may be among them: it is reserved already.
            if address != gateway {
                this.take(address)?;
            }
        }
        Ok(this)
    }

    /// The subnet.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The gateway's address.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The addresses that are taken, the gateway's and the reserved ones included.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.taken.iter().copied()
    }

    /// How many addresses are taken, the gateway's and the reserved ones included.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Takes the lowest free address of the range, or of the subnet when there is none.
    pub fn allocate(&mut self) -> Result<IpAddr, IpamError> {
        let pool = self.range.unwrap_or(self.subnet);
        let (subnet_first, subnet_last) = usable(&self.subnet);
        let first = number(pool.network()).max(subnet_first).max(self.lowest);
        let last = number(pool.broadcast()).min(subnet_last);
        // None: behind the last address that there is at all.
        let mut at = Some(first);
        for taken in self.taken.range(address(first, &self.subnet)..) {
            if at != Some(number(*taken)) {
                break;
            }
            at = number(*taken).checked_add(1);
        }
        let Some(at) = at.filter(|at| *at <= last) else {
            return Err(IpamError::Exhausted { network: self.network.clone(), pool });
        };
        let free = address(at, &self.subnet);
        self.taken.insert(free);
        self.lowest = at;
        Ok(free)
    }

    /// Takes a certain address of the subnet.
    pub fn take(&mut self, wanted: IpAddr) -> Result<(), IpamError> {
        self.check(wanted)?;
        if self.taken.insert(wanted) {
            Ok(())
        } else {
            Err(IpamError::Taken { network: self.network.clone(), address: wanted })
        }
    }

    /// Gives an address back; answers whether it was taken. The gateway's is never given back.
    pub fn release(&mut self, address: IpAddr) -> bool {
        let was_taken = address != self.gateway && self.taken.remove(&address);
        if was_taken {
            self.lowest = self.lowest.min(number(address));
        }
        was_taken
    }

    fn check(&self, address: IpAddr) -> Result<(), IpamError> {
        let refuse = |cause| {
            let network = self.network.clone();
            Err(IpamError::Unusable { network, address, cause, subnet: self.subnet })
        };
        if !self.subnet.contains(&address) {
            return refuse("it is not within");
        }
        let (first, last) = usable(&self.subnet);
        if number(address) < first {
            return refuse("it is the number of");
        }
        if number(address) > last {
            return refuse("it is the broadcast address of");
        }
        Ok(())
    }
}

/// The first and the last address that somebody can have. IPv4: without network number and broadcast address, but
/// with both in a /31 (RFC 3021). IPv6: without the routers' anycast address (RFC 4291 2.6.1), but in a /127.
fn usable(subnet: &IpNet) -> (u128, u128) {
    let (first, last) = (number(subnet.network()), number(subnet.broadcast()));
    if subnet.max_prefix_len() - subnet.prefix_len() < 2 {
        return (first, last);
    }
    match subnet {
        IpNet::V4(_) => (first + 1, last - 1),
        IpNet::V6(_) => (first + 1, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subnet(subnet: &str, range: Option<&str>) -> Result<Subnet, IpamError> {
        Subnet::new(SubnetConfig {
            network: "web".to_owned(),
            subnet: subnet.parse().unwrap(),
            range: range.map(|r| r.parse().unwrap()),
            gateway: None,
            reserved: Vec::new(),
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_given_from_the_lowest_and_given_again_when_free() {
        let mut net = subnet("172.17.0.0/16", None).unwrap();
        assert_eq!(net.gateway(), ip("172.17.0.1"));
        assert_eq!(net.allocate().unwrap(), ip("172.17.0.2"));
        assert_eq!(net.allocate().unwrap(), ip("172.17.0.3"));
        assert!(net.release(ip("172.17.0.2")));
        assert!(!net.release(ip("172.17.0.2")));
        assert!(!net.release(ip("172.17.0.1")), "the gateway stays");
        assert_eq!(net.allocate().unwrap(), ip("172.17.0.2"));
        assert_eq!(net.allocate().unwrap(), ip("172.17.0.4"));
    }

    #[test]
    fn a_full_subnet_is_one_error_that_names_network_and_pool() {
        let mut net = subnet("10.0.0.0/30", None).unwrap();
        assert_eq!(net.allocate().unwrap(), ip("10.0.0.2"));
        let error = net.allocate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "no available IPv4 addresses on this network's address pools: web (10.0.0.0/30)"
        );
        assert_eq!(error.class(), spec::Class::Unavailable);
    }

    #[test]
    fn a_range_limits_what_is_given_but_not_what_may_be_asked_for() {
        let mut net = subnet("10.0.0.0/16", Some("10.0.5.0/31")).unwrap();
        assert_eq!(net.gateway(), ip("10.0.0.1"));
        net.take(ip("10.0.9.9")).unwrap();
        assert_eq!(net.allocate().unwrap(), ip("10.0.5.0"));
        assert_eq!(net.allocate().unwrap(), ip("10.0.5.1"));
        let error = net.allocate().unwrap_err().to_string();
        assert!(error.ends_with("web (10.0.5.0/31)"), "{error}");
        assert!(matches!(
            subnet("10.0.0.0/16", Some("10.1.0.0/24")),
            Err(IpamError::RangeOutside { .. })
        ));
    }

    #[test]
    fn addresses_that_nobody_can_have_are_refused() {
        let mut net = subnet("10.0.0.0/24", None).unwrap();
        for (address, cause) in [
            ("10.0.1.1", "it is not within 10.0.0.0/24"),
            ("fd00::1", "it is not within 10.0.0.0/24"),
            ("10.0.0.0", "it is the number of 10.0.0.0/24"),
            ("10.0.0.255", "it is the broadcast address of 10.0.0.0/24"),
        ] {
            let error = net.take(ip(address)).unwrap_err().to_string();
            assert_eq!(error, format!("invalid address {address} for network web: {cause}"));
        }
        let error = net.take(ip("10.0.0.1")).unwrap_err();
        assert_eq!(error.to_string(), "address 10.0.0.1 of network web is already in use");
    }

    #[test]
    fn the_smallest_subnets_work_to_their_last_address() {
        let mut pair = subnet("10.0.0.0/31", None).unwrap();
        assert_eq!((pair.gateway(), pair.allocate().unwrap()), (ip("10.0.0.0"), ip("10.0.0.1")));
        assert!(pair.allocate().is_err());
        assert!(matches!(subnet("10.0.0.0/32", None), Err(IpamError::TooSmall { .. })));
        let mut top = subnet("255.255.255.254/31", None).unwrap();
        assert_eq!(top.allocate().unwrap(), ip("255.255.255.255"));
        assert!(top.allocate().is_err());
        let mut v6 = subnet("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", None).unwrap();
        assert_eq!(v6.allocate().unwrap(), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert!(v6.allocate().is_err());
        let mut v6 = subnet("fd00::/64", None).unwrap();
        assert_eq!((v6.gateway(), v6.allocate().unwrap()), (ip("fd00::1"), ip("fd00::2")));
    }

    #[test]
    fn host_bits_in_the_subnet_are_dropped_and_reserved_addresses_kept() {
        let mut net = Subnet::new(SubnetConfig {
            network: "web".to_owned(),
            subnet: "10.0.0.7/24".parse().unwrap(),
            range: None,
            gateway: Some(ip("10.0.0.254")),
            reserved: vec![ip("10.0.0.1"), ip("10.0.0.254")],
        })
        .unwrap();
        assert_eq!(net.subnet().to_string(), "10.0.0.0/24");
        assert_eq!(net.allocate().unwrap(), ip("10.0.0.2"));
    }

    #[test]
    fn the_state_survives_being_stored() {
        let mut net = subnet("10.0.0.0/24", None).unwrap();
        net.allocate().unwrap();
        let text = serde_json::to_string(&net).unwrap();
        let mut again: Subnet = serde_json::from_str(&text).unwrap();
        assert_eq!(again.allocate().unwrap(), ip("10.0.0.3"));
    }

    proptest! {
        #[test]
        fn no_address_is_ever_given_twice(steps in proptest::collection::vec((any::<bool>(), any::<u8>()), 1..300)) {
            let mut net = subnet("10.0.0.0/26", Some("10.0.0.16/28")).unwrap();
            let mut held = BTreeSet::from([net.gateway()]);
            for (allocate, pick) in steps {
                if allocate {
                    match net.allocate() {
                        Ok(address) => prop_assert!(held.insert(address), "{} twice", address),
                        Err(_) => {
                            let full = (16..32u8).all(|host| held.contains(&IpAddr::from([10, 0, 0, host])));
                            prop_assert!(full, "exhausted with free addresses");
                        }
                    }
                } else {
                    let address = IpAddr::from([10, 0, 0, pick % 64]);
                    if pick < 128 {
                        let was_held = address != net.gateway() && held.remove(&address);
                        prop_assert_eq!(net.release(address), was_held);
                    } else {
                        match net.take(address) {
                            Ok(()) => prop_assert!(held.insert(address)),
                            Err(IpamError::Taken { .. }) => prop_assert!(held.contains(&address)),
                            Err(_) => prop_assert!(!held.contains(&address)),
                        }
                    }
                }
                prop_assert_eq!(net.taken(), held.len());
            }
        }
    }
}
