//! What the options of a network say to its driver.

use super::Kind;
use api_types::network::CreateBody;
use messages::network::{Bridge, GatewayMode, IpvlanMode, MacvlanMode};
use spec::Failure;
use std::net::IpAddr;

const BRIDGE: &str = "com.docker.network.bridge.";
const GENERIC: &str = "com.docker.network.";

/// What the driver `bridge` was told, besides what the kernel has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeSettings {
    /// The bridge as the network worker shall make it; subnets and gateways are filled in from the pools.
    pub bridge: Bridge,
    /// Where ports are published whose user names no address, per family.
    pub bind: [Option<IpAddr>; 2],
    /// The bridge gets no IPv4 address.
    pub inhibit_ipv4: bool,
}

/// What a network's interfaces in containers are called before the number.
pub fn interface_prefix(options: &api_types::Map<String>) -> &str {
    options.get("com.docker.network.container_iface_prefix").map_or("eth", String::as_str)
}

fn flag(key: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(refused(key, value, "must be true or false")),
    }
}

fn refused(key: &str, value: &str, why: &str) -> Failure {
    Failure::invalid(format!("invalid network option {key}={value}: {why}"))
}

fn mode(key: &str, value: &str) -> Result<GatewayMode, Failure> {
    match value {
        "" | "nat" => Ok(GatewayMode::Nat),
        "nat-unprotected" => Ok(GatewayMode::NatUnprotected),
        "routed" => Ok(GatewayMode::Routed),
        "isolated" => Ok(GatewayMode::Isolated),
        _ => Err(refused(key, value, "must be nat, nat-unprotected, routed or isolated")),
    }
}

fn mtu(key: &str, value: &str) -> Result<Option<u32>, Failure> {
    match value.parse() {
        Ok(0) => Ok(None),
        Ok(mtu) if (68..=65_535).contains(&mtu) => Ok(Some(mtu)),
        _ => Err(refused(key, value, "must be a number of bytes from 68 to 65535")),
    }
}

fn address(key: &str, value: &str, ipv6: bool) -> Result<IpAddr, Failure> {
    let parsed: Option<IpAddr> = value.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() == ipv6);
    let why = if ipv6 { "must be an IPv6 address" } else { "must be an IPv4 address" };
    parsed.ok_or_else(|| refused(key, value, why))
}

/// Reads the options of a network of the driver `bridge`; `id` names the link if the options do not.
pub fn bridge(body: &CreateBody, id: &str) -> Result<BridgeSettings, Failure> {
    let mut settings = BridgeSettings::default();
    let bridge = &mut settings.bridge;
    bridge.link = format!("br-{}", &id[..12.min(id.len())]);
    (bridge.icc, bridge.masquerade, bridge.internal) = (true, true, body.internal);
    for (key, value) in &body.options {
        if let Some(short) = key.strip_prefix(BRIDGE) {
            match short {
                "name" => bridge.link.clone_from(value),
                "enable_icc" => bridge.icc = flag(key, value)?,
                "enable_ip_masquerade" => bridge.masquerade = flag(key, value)?,
                "host_binding_ipv4" => settings.bind[0] = Some(address(key, value, false)?),
                "host_binding_ipv6" => settings.bind[1] = Some(address(key, value, true)?),
                "gateway_mode_ipv4" => bridge.mode4 = mode(key, value)?,
                "gateway_mode_ipv6" => bridge.mode6 = mode(key, value)?,
                "inhibit_ipv4" => settings.inhibit_ipv4 = flag(key, value)?,
                "trusted_host_interfaces" => {
                    let names = value.split(':').filter(|name| !name.is_empty());
                    bridge.trusted = names.map(str::to_owned).collect();
                }
                // A second default bridge cannot be; what else there may be is for other engines.
                "default_bridge" if flag(key, value)? => {
                    return Err(Failure::new(
                        spec::Class::Forbidden,
                        "another default bridge cannot be created",
                    ));
                }
                _ => {}
            }
        } else if let Some(short) = key.strip_prefix(GENERIC) {
            match short {
                "driver.mtu" => bridge.mtu = mtu(key, value)?,
                "host_ipv4" => bridge.sources.push(address(key, value, false)?),
                "host_ipv6" => bridge.sources.push(address(key, value, true)?),
                _ => {}
            }
        }
    }
    let isolated = [bridge.mode4, bridge.mode6].contains(&GatewayMode::Isolated);
    if isolated && !bridge.internal {
        return Err(Failure::invalid(
            "gateway mode 'isolated' can only be used for an internal network",
        ));
    }
    check_names(&settings.bridge)?;
    Ok(settings)
}

fn check_names(bridge: &Bridge) -> Result<(), Failure> {
    for name in std::iter::once(&bridge.link).chain(&bridge.trusted) {
        let good = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
        if name.is_empty() || name.len() > 15 || !name.chars().all(good) || name.starts_with('.') {
            return Err(Failure::invalid(format!(
                "invalid interface name {name:?}: must be 1 to 15 printable characters"
            )));
        }
    }
    Ok(())
}

/// Reads the options of a network of the driver `macvlan`.
pub fn macvlan(body: &CreateBody) -> Result<Kind, Failure> {
    let word = body.options.get("macvlan_mode").map_or("bridge", String::as_str);
    let mode = match word {
        "" | "bridge" => MacvlanMode::Bridge,
        "private" => MacvlanMode::Private,
        "vepa" => MacvlanMode::Vepa,
        "passthru" => MacvlanMode::Passthru,
        _ => {
            let why = "must be bridge, private, vepa or passthru";
            return Err(refused("macvlan_mode", word, why));
        }
    };
    Ok(Kind::Macvlan { parent: parent(body)?, mode })
}

/// Reads the options of a network of the driver `ipvlan`.
pub fn ipvlan(body: &CreateBody) -> Result<Kind, Failure> {
    let text = |key: &str| body.options.get(key).map_or("", String::as_str);
    let mode = match text("ipvlan_mode") {
        "" | "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        other => return Err(refused("ipvlan_mode", other, "must be l2, l3 or l3s")),
    };
    let flags = match text("ipvlan_flag") {
        "" | "bridge" => 0,
        "private" => 1,
        "vepa" => 2,
        other => return Err(refused("ipvlan_flag", other, "must be bridge, private or vepa")),
    };
    Ok(Kind::Ipvlan { parent: parent(body)?, mode, flags })
}

fn parent(body: &CreateBody) -> Result<String, Failure> {
    match body.options.get("parent").map(String::as_str) {
        None | Some("") => Err(Failure::invalid(format!(
            "a network of the driver {} needs the option parent, a link of the host",
            body.driver
        ))),
        Some("lo") => Err(Failure::invalid("loopback interface is not a valid parent")),
        Some(parent) => Ok(parent.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(options: &[(&str, &str)]) -> CreateBody {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        CreateBody { options: options.collect(), ..CreateBody::default() }
    }

    #[test]
    fn options_reach_the_bridge() {
        let settings = bridge(
            &body(&[
                ("com.docker.network.bridge.name", "mine"),
                ("com.docker.network.bridge.enable_icc", "false"),
                ("com.docker.network.bridge.host_binding_ipv4", "127.0.0.1"),
                ("com.docker.network.bridge.gateway_mode_ipv6", "routed"),
                ("com.docker.network.bridge.trusted_host_interfaces", "eth0:eth1"),
                ("com.docker.network.driver.mtu", "1400"),
                ("com.docker.network.host_ipv4", "192.0.2.1"),
                ("something.else", "x"),
            ]),
            "0123456789abcdef",
        )
        .unwrap();
        let bridge = settings.bridge;
        assert_eq!((bridge.link.as_str(), bridge.icc, bridge.mtu), ("mine", false, Some(1400)));
        assert_eq!((bridge.mode4, bridge.mode6), (GatewayMode::Nat, GatewayMode::Routed));
        assert_eq!(bridge.trusted, ["eth0", "eth1"]);
        assert_eq!(bridge.sources, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(settings.bind[0], Some("127.0.0.1".parse().unwrap()));
        assert_eq!(
            super::bridge(&body(&[]), "0123456789abcdef").unwrap().bridge.link,
            "br-0123456789ab"
        );
    }

    #[test]
    fn wrong_options_are_named() {
        for (key, value) in [
            ("com.docker.network.bridge.enable_icc", "maybe"),
            ("com.docker.network.bridge.gateway_mode_ipv4", "open"),
            ("com.docker.network.bridge.host_binding_ipv4", "::1"),
            ("com.docker.network.driver.mtu", "7"),
        ] {
            let message = bridge(&body(&[(key, value)]), &"0".repeat(64)).unwrap_err().message;
            assert!(message.starts_with(&format!("invalid network option {key}={value}: must be")));
        }
        let isolated = body(&[("com.docker.network.bridge.gateway_mode_ipv4", "isolated")]);
        assert!(bridge(&isolated, &"0".repeat(64)).is_err(), "not internal");
        assert!(
            bridge(&body(&[("com.docker.network.bridge.name", "a/b")]), &"0".repeat(64)).is_err()
        );
        assert!(macvlan(&body(&[("macvlan_mode", "loud")])).is_err());
        assert!(ipvlan(&body(&[("ipvlan_mode", "l4")])).is_err());
        assert!(macvlan(&body(&[])).unwrap_err().message.contains("needs the option parent"));
    }
}
