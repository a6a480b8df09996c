//! Pools: large blocks that are cut into the subnets of networks for which the user named none.

use crate::IpamError;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many candidates of one pool are looked at; a larger pool is treated as if it ended there.
const CANDIDATES: usize = 1 << 16;

/// A block and the prefix length of the subnets into which it is cut (`default-address-pools` of daemon.json).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    /// The whole block.
    pub base: IpNet,
    /// The prefix length of each subnet.
    pub size: u8,
}

impl AddressPool {
    /// Refuses a size that is shorter than the block's own prefix or leaves no room for a gateway and a container.
    pub fn check(&self) -> Result<(), IpamError> {
        let limit = self.base.max_prefix_len() - 2;
        if (self.base.prefix_len()..=limit).contains(&self.size) {
            Ok(())
        } else {
            Err(IpamError::BadPool { base: self.base, size: self.size, limit })
        }
    }

    /// The first free subnet: one that overlaps nothing in `used`.
    fn first_free(&self, used: &[IpNet]) -> Option<IpNet> {
        let width = self.base.max_prefix_len();
        let step = 1u128.checked_shl(u32::from(width - self.size))?;
        let end = number(self.base.broadcast());
        let mut at = number(self.base.network());
        for _ in 0..CANDIDATES {
            let candidate = IpNet::new(address(at, &self.base), self.size).ok()?;
            let Some(taken) = used.iter().find(|net| overlap(net, &candidate)) else {
                return Some(candidate);
            };
            // What is in the way may be larger than the candidate: go on behind whichever ends later.
            let behind = number(taken.broadcast()).max(at + (step - 1));
            at = behind.checked_add(1)?.checked_next_multiple_of(step)?;
            if at > end {
                return None;
            }
        }
        None
    }
}

/// Docker's blocks, of which the first is usually the default bridge's, in the order in which they are tried; cut into
/// subnets of 254 addresses, so that there are thousands of networks and not thirty.
pub fn default_pools() -> Vec<AddressPool> {
    let pool = |a, b, prefix, size| AddressPool {
        base: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), prefix)),
        size,
    };
    vec![
        pool(172, 17, 16, 24),
        pool(172, 18, 16, 24),
        pool(172, 19, 16, 24),
        pool(172, 20, 14, 24),
        pool(172, 24, 14, 24),
        pool(172, 28, 14, 24),
        pool(192, 168, 16, 24),
    ]
}

/// An engine's own IPv6 pool: a unique local /48 (RFC 4193) of 40 bits that the engine drew once, cut into /64.
pub fn unique_local_pool(global_id: [u8; 5]) -> AddressPool {
    let [a, b, c, d, e] = global_id;
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&[0xfd, a, b, c, d, e]);
    AddressPool { base: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(octets), 48)), size: 64 }
}

/// The first subnet of the pools of one family that overlaps no network in `used`, the routes of the host among them.
pub fn choose(pools: &[AddressPool], ipv6: bool, used: &[IpNet]) -> Result<IpNet, IpamError> {
    let mut tried = Vec::new();
    for pool in pools.iter().filter(|pool| matches!(pool.base, IpNet::V6(_)) == ipv6) {
        pool.check()?;
        if let Some(subnet) = pool.first_free(used) {
            return Ok(subnet);
        }
        tried.push(format!("{}/{}", pool.base, pool.size));
    }
    let pools = if tried.is_empty() { "none is configured".to_owned() } else { tried.join(", ") };
    Err(IpamError::PoolsExhausted { pools })
}

/// True when two networks share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address with this number, in the family of `like`.
pub(crate) fn address(number: u128, like: &IpNet) -> IpAddr {
    match like {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn docker_order_of_subnets_is_kept() {
        // The default bridge and whole blocks are taken, one after the other.
        let mut used = vec![net("172.17.0.0/16")];
        let mut order = Vec::new();
        while let Ok(subnet) = choose(&default_pools(), false, &used) {
            let whole = if subnet.to_string().starts_with("172") { 16 } else { 20 };
            used.push(IpNet::new(subnet.addr(), whole).unwrap().trunc());
            order.push(subnet.to_string());
        }
        assert_eq!(order.len(), 14 + 16);
        assert_eq!(order[0], "172.18.0.0/24");
        assert_eq!(order[13], "172.31.0.0/24");
        assert_eq!(order[14], "192.168.0.0/24");
        assert_eq!(order[29], "192.168.240.0/24");
    }

    #[test]
    fn routes_of_the_host_are_avoided_whatever_their_size() {
        let pools = default_pools();
        let used = [net("172.16.0.0/12"), net("192.168.5.0/24"), net("192.168.32.1/32")];
        assert_eq!(choose(&pools, false, &used).unwrap(), net("192.168.0.0/24"));
        let used = [net("172.16.0.0/12"), net("192.168.0.0/22"), net("192.168.4.9/32")];
        assert_eq!(choose(&pools, false, &used).unwrap(), net("192.168.5.0/24"));
    }

    #[test]
    fn exhausted_pools_are_named() {
        let pools = [AddressPool { base: net("10.5.0.0/24"), size: 25 }];
        let error = choose(&pools, false, &[net("10.0.0.0/8")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "all predefined address pools have been fully subnetted: 10.5.0.0/24/25"
        );
        let error = choose(&pools, true, &[]).unwrap_err();
        assert!(error.to_string().ends_with("fully subnetted: none is configured"));
    }

    #[test]
    fn an_ipv6_pool_is_cut_into_64s() {
        let pool = unique_local_pool([1, 2, 3, 4, 5]);
        assert_eq!(pool.base, net("fd01:203:405::/48"));
        let used = [net("fd01:203:405::/64")];
        assert_eq!(choose(&[pool], true, &used).unwrap(), net("fd01:203:405:1::/64"));
    }

    #[test]
    fn a_pool_with_an_impossible_size_is_refused() {
        for size in [0, 15, 31, 32, 200] {
            let pool = AddressPool { base: net("10.0.0.0/16"), size };
            assert!(matches!(pool.check(), Err(IpamError::BadPool { limit: 30, .. })), "{size}");
        }
        let whole = AddressPool { base: net("::/0"), size: 0 };
        assert_eq!(whole.first_free(&[]), None, "2^128 addresses are no subnet");
    }

    proptest! {
        #[test]
        fn a_chosen_subnet_is_in_a_pool_and_overlaps_nothing(
            used in proptest::collection::vec((any::<u32>(), 8u8..=32), 0..40)
        ) {
            let used: Vec<IpNet> = used
                .into_iter()
                .map(|(bits, length)| {
                    let bits = 0xac00_0000 | bits >> 8;
                    IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap())
                })
                .collect();
            if let Ok(subnet) = choose(&default_pools(), false, &used) {
                prop_assert!(used.iter().all(|net| !overlap(net, &subnet)));
                prop_assert!(default_pools().iter().any(|p| p.base.contains(&subnet) && p.size == subnet.prefix_len()));
                prop_assert_eq!(subnet.network(), subnet.addr());
            }
        }
    }
}
