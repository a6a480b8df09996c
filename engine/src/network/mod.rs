//! The networks of containers: for now the default bridge, the host's own, none, and another container's.
//!
//! Addresses are taken in memory only. Who has which is rebuilt at the start from the containers that run; a record of
//! a container that does not run holds none. So no address leaks, whatever dies.

pub mod links;

use crate::config::Config;
use crate::container::live::Plugged;
use ipam::{IpNet, Subnet, SubnetConfig};
use messages::network::{Bridge, Endpoint, Prefix};
use spec::Failure;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// The name of the interface in a container.
const INTERFACE: &str = "eth0";

/// The default bridge network.
#[derive(Debug)]
pub struct DefaultBridge {
    link: String,
    gateway: Prefix,
    mtu: Option<u32>,
    icc: bool,
    masquerade: bool,
    subnet: Mutex<Subnet>,
}

impl DefaultBridge {
    /// The network that the settings describe; fails for an address that leaves no room for a container.
    pub fn new(config: &Config) -> Result<Self, ipam::IpamError> {
        let (address, length) = config.bip;
        let net = ipnet::Ipv4Net::new_assert(address, length.min(32)).trunc();
        let subnet = Subnet::new(SubnetConfig {
            network: "bridge".into(),
            subnet: IpNet::V4(net),
            range: None,
            gateway: Some(IpAddr::V4(address)),
            reserved: Vec::new(),
        })?;
        Ok(Self {
            link: config.bridge.clone(),
            gateway: Prefix { address: IpAddr::V4(address), length },
            mtu: config.mtu,
            icc: config.icc,
            masquerade: config.masquerade,
            subnet: Mutex::new(subnet),
        })
    }

    /// The bridge as the network worker shall make it.
    pub fn bridge(&self) -> Bridge {
        Bridge {
            link: self.link.clone(),
            gateways: vec![self.gateway],
            mtu: self.mtu,
            icc: self.icc,
            masquerade: self.masquerade,
            internal: false,
            ..Bridge::default()
        }
    }

    /// The name of the link.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// The bridge's own address with the prefix length.
    pub fn gateway(&self) -> (IpAddr, u8) {
        (self.gateway.address, self.gateway.length)
    }

    /// The subnet, as `172.17.0.0/16`.
    pub fn subnet(&self) -> IpNet {
        self.lock().subnet()
    }

    /// Takes an address for a container; `mac` is the hardware address that the user asked for, `id` the endpoint's.
    pub fn plug(&self, id: String, mac: Option<[u8; 6]>) -> Result<Plugged, Failure> {
        let address =
            self.lock().allocate().map_err(|error| Failure::from_error(error.class(), &error))?;
        Ok(Plugged {
            id,
            address,
            prefix: self.gateway.length,
            gateway: self.gateway.address,
            mac: mac.unwrap_or_else(|| default_mac(address)),
        })
    }

    /// Takes the address of a container that runs already; false when another has it.
    pub fn adopt(&self, plugged: &Plugged) -> bool {
        self.lock().take(plugged.address).is_ok()
    }

    /// Gives an address back.
    pub fn unplug(&self, plugged: &Plugged) {
        self.lock().release(plugged.address);
    }

    /// The interface as the network worker shall make it.
    pub fn endpoint(&self, plugged: &Plugged) -> Endpoint {
        Endpoint {
            attachment: messages::network::Attachment::Bridge(self.link.clone()),
            on_link: vec![],
            interface: INTERFACE.into(),
            mac: plugged.mac,
            addresses: vec![Prefix { address: plugged.address, length: plugged.prefix }],
            gateways: vec![plugged.gateway],
            mtu: self.mtu,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Subnet> {
        self.subnet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Docker's hardware addresses: locally administered, the IPv4 address in them.
fn default_mac(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [2, 0x42, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let bytes = address.octets();
            [2, 0x42, bytes[12], bytes[13], bytes[14], bytes[15]]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_in_order_and_come_back() {
        let bridge = DefaultBridge::new(&Config::default()).unwrap();
        let first = bridge.plug("a".into(), None).unwrap();
        assert_eq!(first.address.to_string(), "172.17.0.2");
        assert_eq!(first.mac_text(), "02:42:ac:11:00:02");
        let second = bridge.plug("b".into(), Some([2; 6])).unwrap();
        assert_eq!((second.address.to_string(), second.mac), ("172.17.0.3".to_owned(), [2; 6]));
        bridge.unplug(&first);
        assert!(!bridge.adopt(&second) && bridge.adopt(&first));
        assert_eq!(bridge.plug("c".into(), None).unwrap().address.to_string(), "172.17.0.4");
    }
}
