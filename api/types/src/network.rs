//! Networks and the endpoints by which containers are in them.

use crate::is_default;
use crate::list::{List, Map};
use serde::{Deserialize, Serialize};

/// Where a container's port is reached on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortBinding {
    /// The host's address; empty is all.
    pub host_ip: String,
    /// The host's port or range; empty is any free one.
    pub host_port: String,
}

/// Addresses that a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointIpamConfig {
    /// IPv4.
    #[serde(rename = "IPv4Address", skip_serializing_if = "is_default")]
    pub ipv4_address: String,
    /// IPv6.
    #[serde(rename = "IPv6Address", skip_serializing_if = "is_default")]
    pub ipv6_address: String,
    /// Link-local addresses.
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "List::is_empty")]
    pub link_local_ips: List<String>,
}

/// A container in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    /// Addresses that were asked for.
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpamConfig>,
    /// `container:alias`.
    pub links: List<String>,
    /// Further names in this network.
    pub aliases: List<String>,
    /// Options for the driver.
    pub driver_opts: Map<String>,
    /// The endpoint with the highest one gives the default route.
    pub gw_priority: i64,
    /// The network's id.
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    /// The endpoint's id; empty when not running.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// IPv4 address.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// Hardware address.
    pub mac_address: String,
    /// Bits of the IPv4 prefix.
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u8,
    /// IPv6 gateway.
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    /// IPv6 address.
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    /// Bits of the IPv6 prefix.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u8,
    /// Every name that is resolved to it in this network.
    #[serde(rename = "DNSNames")]
    pub dns_names: List<String>,
}

/// One pool of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamConfig {
    /// The subnet.
    #[serde(skip_serializing_if = "is_default")]
    pub subnet: String,
    /// The part of it that containers get addresses from.
    #[serde(rename = "IPRange", skip_serializing_if = "is_default")]
    pub ip_range: String,
    /// The gateway.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// Addresses that are taken by something else, by name.
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Map::is_empty")]
    pub auxiliary_addresses: Map<String>,
}

/// How a network's addresses are given out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipam {
    /// The driver.
    pub driver: String,
    /// Its options.
    pub options: Map<String>,
    /// The pools.
    pub config: List<IpamConfig>,
}

/// The network whose configuration another one takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigReference {
    /// Its name.
    pub network: String,
}

/// A running container in the inspection of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointResource {
    /// The container's name, without a slash.
    pub name: String,
    /// The endpoint's id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Hardware address.
    pub mac_address: String,
    /// IPv4 address with its prefix; empty when there is none.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// IPv6 address with its prefix; empty when there is none.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}

/// How many addresses of a subnet are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SubnetStatus {
    /// Given out or reserved.
    #[serde(rename = "IPsInUse")]
    pub ips_in_use: u64,
    /// Free for containers.
    #[serde(rename = "DynamicIPsAvailable")]
    pub dynamic_ips_available: u64,
}

/// The state of the address pools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamStatus {
    /// By subnet.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub subnets: Map<SubnetStatus>,
}

/// The state of a network (≥ 1.52).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Status {
    /// Of its address pools.
    #[serde(rename = "IPAM")]
    pub ipam: IpamStatus,
}

/// A network: one item of `GET /networks`, and with the last two fields the reply of `GET /networks/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    /// The name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// RFC 3339.
    pub created: String,
    /// `local` or `swarm`.
    pub scope: String,
    /// The driver.
    pub driver: String,
    /// It has IPv4 addresses.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// It has IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// How addresses are given out.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// Without a way out.
    pub internal: bool,
    /// Containers may join a swarm network.
    pub attachable: bool,
    /// It is the swarm's routing mesh.
    pub ingress: bool,
    /// Where its configuration comes from.
    pub config_from: ConfigReference,
    /// It is only a configuration.
    pub config_only: bool,
    /// The driver's options; never `null`.
    pub options: Map<String>,
    /// Labels; never `null`.
    pub labels: Map<String>,
    /// Running containers by id; only in an inspection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Map<EndpointResource>>,
    /// Its state; only in an inspection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// The body of `POST /networks/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    /// The name.
    pub name: String,
    /// The driver; empty is `bridge`.
    pub driver: String,
    /// `local` or `swarm`.
    pub scope: String,
    /// With IPv4 addresses; `null` is yes.
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// With IPv6 addresses; `null` is no.
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// How addresses are given out.
    #[serde(rename = "IPAM")]
    pub ipam: Option<Ipam>,
    /// Without a way out.
    pub internal: bool,
    /// Containers may join a swarm network.
    pub attachable: bool,
    /// The swarm's routing mesh.
    pub ingress: bool,
    /// Only a configuration.
    pub config_only: bool,
    /// Where the configuration comes from.
    pub config_from: Option<ConfigReference>,
    /// The driver's options.
    pub options: Map<String>,
    /// Labels.
    pub labels: Map<String>,
}

/// The reply of `POST /networks/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateReply {
    /// The new network's id.
    pub id: String,
    /// What was not done as asked.
    pub warning: String,
}

/// The body of `POST /networks/{id}/connect`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConnectBody {
    /// The container.
    pub container: String,
    /// How it joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_config: Option<EndpointSettings>,
}

/// The body of `POST /networks/{id}/disconnect`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DisconnectBody {
    /// The container.
    pub container: String,
    /// Also when the container is gone.
    pub force: bool,
}

/// The reply of `POST /networks/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PruneReply {
    /// Names; `null` when there was none.
    pub networks_deleted: List<String>,
}
