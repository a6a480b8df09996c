//! Containers as older versions show them.

use super::{add, inside, object};
use crate::http::reply::{self, Reply};
use crate::version::Version;
use api_types::Map;
use api_types::inspect::{Inspect, Summary};
use engine::Listed;
use hyper::StatusCode;
use serde_json::json;
use spec::Failure;

/// A list. What is the same in all versions is copied from what the engine keeps as JSON.
pub(crate) fn summaries(version: Version, containers: &[Listed]) -> Reply {
    let mut body = Vec::with_capacity(containers.iter().map(Listed::size_hint).sum::<usize>() + 8);
    body.push(b'[');
    for container in containers {
        if body.len() > 1 {
            body.push(b',');
        }
        if container.has_newer() {
            let shown = summary(version, container.summary());
            if let Err(cause) = serde_json::to_writer(&mut body, &shown) {
                let message = format!("encode reply: {cause}");
                return reply::error(StatusCode::INTERNAL_SERVER_ERROR, &message);
            }
        } else {
            container.write(&mut body);
        }
    }
    body.extend_from_slice(b"]\n");
    reply::whole(StatusCode::OK, reply::JSON, body)
}

/// One line of a list.
fn summary(version: Version, mut container: Summary) -> Summary {
    if version.before(46) {
        container.host_config.annotations = Map::default();
    }
    if version.before(48) {
        container.image_manifest_descriptor = None;
    }
    if version.before(52) {
        container.health = None;
    }
    container
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

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::image::Descriptor;
    use api_types::inspect::HealthSummary;
    use api_types::network::EndpointSettings;
    use http_body_util::BodyExt;
    use serde_json::Value;

    fn container() -> Inspect {
        let mut container = Inspect { id: "0123456789abcdef".into(), ..Inspect::default() };
        container.config.hostname = "host".into();
        container.config.mac_address = "02:42:ac:11:00:02".into();
        container.image_manifest_descriptor = Some(Descriptor::default());
        for (network, address) in [("bridge", "172.17.0.2"), ("own", "172.18.0.2")] {
            let endpoint = EndpointSettings {
                ip_address: address.into(),
                ip_prefix_len: 16,
                ..EndpointSettings::default()
            };
            container.network_settings.networks.insert(network.into(), endpoint);
        }
        container
    }

    async fn shown(minor: u32) -> Value {
        let reply = inspect(Version::new(1, minor), container()).unwrap();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn the_bridges_endpoint_is_at_the_top_level_until_1_51() {
        let settings = shown(51).await["NetworkSettings"].clone();
        assert_eq!(settings["IPAddress"], "172.17.0.2");
        assert_eq!(settings["IPPrefixLen"], 16);
        assert_eq!(settings["SecondaryIPAddresses"], Value::Null);
        assert_eq!(settings["HairpinMode"], false);
        let newest = shown(52).await;
        let keys: Vec<_> =
            newest["NetworkSettings"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["Networks", "Ports", "SandboxID", "SandboxKey"]);
    }

    #[tokio::test]
    async fn the_hardware_address_is_the_containers_own_until_1_51() {
        assert_eq!(shown(51).await["Config"]["MacAddress"], "02:42:ac:11:00:02");
        assert_eq!(shown(52).await["Config"].get("MacAddress"), None);
    }

    #[tokio::test]
    async fn id_and_host_name_are_aliases_in_own_networks_until_1_44() {
        let aliases = async |minor, network: &str| {
            shown(minor).await["NetworkSettings"]["Networks"][network]["Aliases"].clone()
        };
        assert_eq!(aliases(44, "own").await, json!(["0123456789ab", "host"]));
        assert_eq!(aliases(44, "bridge").await, Value::Null);
        assert_eq!(aliases(45, "own").await, Value::Null);
    }

    #[tokio::test]
    async fn the_manifest_is_shown_since_1_48() {
        assert_eq!(shown(47).await.get("ImageManifestDescriptor"), None);
        assert!(shown(48).await["ImageManifestDescriptor"].is_object());
    }

    #[test]
    fn a_list_gains_annotations_manifest_and_health_with_the_versions() {
        let mut newest = Summary {
            image_manifest_descriptor: Some(Descriptor::default()),
            health: Some(HealthSummary::default()),
            ..Summary::default()
        };
        newest.host_config.annotations.insert("a".into(), "b".into());
        let shows = |minor| {
            let summary = summary(Version::new(1, minor), newest.clone());
            (
                !summary.host_config.annotations.is_empty(),
                summary.image_manifest_descriptor.is_some(),
                summary.health.is_some(),
            )
        };
        assert_eq!(shows(45), (false, false, false));
        assert_eq!(shows(46), (true, false, false));
        assert_eq!(shows(48), (true, true, false));
        assert_eq!(shows(52), (true, true, true));
    }
}
