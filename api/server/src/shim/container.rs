//! Containers as older versions show them.

use super::{add, inside, object};
use crate::http::reply::{self, Reply};
use crate::version::Version;
use api_types::Map;
use api_types::inspect::{Inspect, Summary};
use serde_json::json;
use spec::Failure;

/// A list.
pub(crate) fn summaries(version: Version, containers: &mut [Summary]) {
    for container in containers {
        if version.before(46) {
            container.host_config.annotations = Map::default();
        }
        if version.before(48) {
            container.image_manifest_descriptor = None;
        }
        if version.before(52) {
            container.health = None;
        }
    }
}

/// An inspection.
pub(crate) fn inspect(version: Version, mut container: Inspect) -> Result<Reply, Failure> {
    if version.before(45) {
        let own = [container.id.chars().take(12).collect(), container.config.hostname.clone()];
        for (network, endpoint) in container.network_settings.networks.iter_mut() {
            if matches!(network.as_str(), "default" | "bridge" | "host" | "none") {
                continue;
            }
            for alias in &own {
                if !endpoint.aliases.contains(alias) {
                    endpoint.aliases.push(alias.clone());
                }
            }
        }
    }
    if version.before(48) {
        container.image_manifest_descriptor = None;
    }
    if !version.before(52) {
        container.config.mac_address.clear();
        return Ok(reply::ok(&container));
    }
    // Until 1.51 the endpoint in the default bridge is shown at the top level too.
    let bridge = container.network_settings.networks.get("bridge").cloned().unwrap_or_default();
    let mut entries = object(&container)?;
    if let Some(settings) = inside(&mut entries, "NetworkSettings") {
        add(
            settings,
            json!({
                "Bridge": "",
                "HairpinMode": false,
                "LinkLocalIPv6Address": "",
                "LinkLocalIPv6PrefixLen": 0,
                "SecondaryIPAddresses": null,
                "SecondaryIPv6Addresses": null,
                "EndpointID": bridge.endpoint_id,
                "Gateway": bridge.gateway,
                "GlobalIPv6Address": bridge.global_ipv6_address,
                "GlobalIPv6PrefixLen": bridge.global_ipv6_prefix_len,
                "IPAddress": bridge.ip_address,
                "IPPrefixLen": bridge.ip_prefix_len,
                "IPv6Gateway": bridge.ipv6_gateway,
                "MacAddress": bridge.mac_address,
            }),
        );
    }
    Ok(reply::ok(&entries))
}
