//! Who is called how: one zone per network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One endpoint that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    endpoint: String,
    addresses: Vec<IpAddr>,
}

/// The names of one network.
#[derive(Debug, Default)]
struct Zone {
    name: String,
    names: HashMap<String, Vec<Entry>>,
    /// The first name of the endpoint that has an address.
    addresses: HashMap<IpAddr, (String, String)>,
}

impl Zone {
    fn remove(&mut self, endpoint: &str) {
        self.names.retain(|_, entries| {
            entries.retain(|entry| entry.endpoint != endpoint);
            !entries.is_empty()
        });
        self.addresses.retain(|_, (owner, _)| owner != endpoint);
    }

    fn find(&self, name: &str) -> Option<Vec<IpAddr>> {
        let entries = self.names.get(name)?;
        Some(entries.iter().flat_map(|entry| entry.addresses.iter().copied()).collect())
    }
}

/// The names of all networks. One lock, held for a look-up.
#[derive(Debug, Default)]
pub struct Zones(RwLock<HashMap<String, Zone>>);

/// One endpoint of a network, as others find it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The network's id.
    pub network: &'a str,
    /// The network's name, which may stand behind a name with a dot between.
    pub network_name: &'a str,
    /// The endpoint's id.
    pub endpoint: &'a str,
    /// What it is called, its own name first.
    pub names: &'a [String],
    /// Its addresses.
    pub addresses: &'a [IpAddr],
}

impl Zones {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Zone>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Zone>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an endpoint these names, and no other.
    pub fn set(&self, named: &Named<'_>) {
        let mut zones = self.write();
        let zone = zones.entry(named.network.to_owned()).or_default();
        named.network_name.clone_into(&mut zone.name);
        zone.remove(named.endpoint);
        for name in named.names {
            let name = name.trim_end_matches('.').to_lowercase();
            let entry =
                Entry { endpoint: named.endpoint.to_owned(), addresses: named.addresses.to_vec() };
            zone.names.entry(name).or_default().push(entry);
        }
        if let Some(first) = named.names.first() {
            for address in named.addresses {
                zone.addresses.insert(*address, (named.endpoint.to_owned(), first.clone()));
            }
        }
    }

    /// Forgets an endpoint.
    pub fn remove(&self, network: &str, endpoint: &str) {
        let mut zones = self.write();
        if let Some(zone) = zones.get_mut(network) {
            zone.remove(endpoint);
            if zone.names.is_empty() {
                zones.remove(network);
            }
        }
    }

    /// The addresses of a name, in small letters, in the first of these networks that knows it; `None` when none does.
    pub fn resolve(&self, networks: &[String], name: &str) -> Option<Vec<IpAddr>> {
        let zones = self.read();
        let mine = || networks.iter().filter_map(|network| zones.get(network));
        if let Some(found) = mine().find_map(|zone| zone.find(name)) {
            return Some(found);
        }
        let (host, network) = name.split_once('.')?;
        mine()
            .filter(|zone| zone.name.eq_ignore_ascii_case(network))
            .find_map(|zone| zone.find(host))
            // A name with dots in it, of which the last part is the network.
            .or_else(|| {
                mine().find_map(|zone| {
                    let suffix = format!(".{}", zone.name.to_lowercase());
                    zone.find(name.strip_suffix(&suffix)?)
                })
            })
    }

    /// The name of who has an address in one of these networks, with the network's behind it.
    pub fn reverse(&self, networks: &[String], address: IpAddr) -> Option<String> {
        let zones = self.read();
        networks.iter().filter_map(|network| zones.get(network)).find_map(|zone| {
            let (_, name) = zone.addresses.get(&address)?;
            Some(format!("{name}.{}", zone.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(zones: &Zones, network: &str, endpoint: &str, names: &[&str], addresses: &[&str]) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        let (network_name, names, addresses) = (network, names.as_slice(), addresses.as_slice());
        zones.set(&Named { network, network_name, endpoint, names, addresses });
    }

    #[test]
    fn names_are_found_in_ones_own_networks_only_and_forgotten() {
        let zones = Zones::default();
        set(&zones, "app", "1", &["Web", "alias"], &["10.0.0.2", "fd00::2"]);
        set(&zones, "app", "2", &["db", "alias"], &["10.0.0.3"]);
        set(&zones, "other", "3", &["web"], &["10.0.1.2"]);
        let resolve = |networks: &[&str], name: &str| {
            let networks: Vec<String> = networks.iter().map(|&n| n.to_owned()).collect();
            let found = zones.resolve(&networks, name)?;
            Some(found.iter().map(IpAddr::to_string).collect::<Vec<_>>())
        };
        assert_eq!(resolve(&["app"], "web").unwrap(), ["10.0.0.2", "fd00::2"]);
        assert_eq!(resolve(&["app"], "alias").unwrap().len(), 3);
        assert_eq!(resolve(&["other", "app"], "web").unwrap(), ["10.0.1.2"]);
        assert_eq!(resolve(&["app", "other"], "web.other").unwrap(), ["10.0.1.2"]);
        assert_eq!(resolve(&["app"], "web.other"), None);
        assert_eq!(resolve(&[], "web"), None);
        let networks = ["app".to_owned()];
        let address = "10.0.0.2".parse().unwrap();
        assert_eq!(zones.reverse(&networks, address).unwrap(), "Web.app");
        set(&zones, "app", "1", &["renamed"], &["10.0.0.2"]);
        assert_eq!(resolve(&["app"], "web"), None);
        assert_eq!(zones.reverse(&networks, address).unwrap(), "renamed.app");
        zones.remove("app", "1");
        zones.remove("app", "2");
        assert_eq!(resolve(&["app"], "alias"), None);
        assert_eq!(zones.reverse(&networks, address), None);
    }
}
