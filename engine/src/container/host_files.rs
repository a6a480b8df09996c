//! `hostname`, `hosts` and `resolv.conf` of a container, written anew at each start.

use super::config::{ContainerConfig, Mode};
use super::directory::Directory;
use super::live::Plugged;
use crate::network::links::{Linked, names as names_of};
use crate::network::names;
use crate::open::Shared;
use bridge::files::{self, FileError, Hosts, Resolver};
use spec::Failure;
use std::net::IpAddr;

/// Writes the three files; a container in another's network uses the other's.
pub(super) fn write(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: &[Plugged],
    hostname: &str,
    linked: &[Linked],
) -> Result<(), Failure> {
    let mode = config.network_mode();
    if matches!(mode, Mode::Container(_)) {
        return Ok(());
    }
    let refused = |error: FileError| Failure::invalid(error.to_string());
    let directory = Directory::of(&shared.config, &config.id);
    directory.write("hostname", &format!("{hostname}\n"))?;
    let extra = extra_hosts(shared, config);
    let mut lines: Vec<(&str, IpAddr)> =
        extra.iter().map(|(name, address)| (name.as_str(), *address)).collect();
    for link in linked {
        lines.extend(names_of(link).into_iter().map(|name| (name, link.address)));
    }
    let hosts = if mode == Mode::Host {
        // Without access to the host's file the container gets the usual lines.
        match std::fs::read_to_string("/etc/hosts") {
            Ok(host) => files::hosts_of_the_host(&host, &lines).map_err(refused)?,
            Err(_) => {
                files::hosts(&Hosts { extra: &lines, ..Hosts::default() }).map_err(refused)?
            }
        }
    } else {
        let addresses: Vec<IpAddr> =
            plugged.iter().flat_map(|own| own.addresses().map(|own| own.address)).collect();
        let own = Hosts {
            host_name: hostname,
            domain_name: &config.config.domainname,
            addresses: &addresses,
            aliases: &[],
            extra: &lines,
        };
        files::hosts(&own).map_err(refused)?
    };
    directory.write("hosts", &hosts)?;
    let mut resolver = resolv_conf(shared, config, mode, plugged).map_err(refused)?;
    if names::wanted(&shared.networks, plugged) {
        resolver = files::through_own_server(&resolver);
    }
    directory.write("resolv.conf", &resolver)
}

/// `--add-host`, `host-gateway` resolved to the bridge's own address.
fn extra_hosts(shared: &Shared, config: &ContainerConfig) -> Vec<(String, IpAddr)> {
    let one = |text: &String| {
        let (name, address) = text.split_once(':')?;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let addresses = match address {
            "host-gateway" => host_gateway(shared),
            _ => vec![bare.parse().ok()?],
        };
        Some(addresses.into_iter().map(|address| (name.to_owned(), address)).collect::<Vec<_>>())
    };
    config.host.extra_hosts.iter().filter_map(one).flatten().collect()
}

/// The addresses of the host that containers reach it by.
fn host_gateway(shared: &Shared) -> Vec<IpAddr> {
    if !shared.config.host_gateway.is_empty() {
        return shared.config.host_gateway.clone();
    }
    let network = shared.networks.default_bridge();
    let own = network.as_ref().and_then(|network| network.bridge());
    own.map(|own| own.bridge.gateways.iter().map(|gateway| gateway.address).collect())
        .unwrap_or_default()
}

/// Lets a container that runs ask its own name server.
pub(super) fn use_own_server(shared: &Shared, config: &ContainerConfig) -> Result<(), Failure> {
    let directory = Directory::of(&shared.config, &config.id);
    let before = std::fs::read_to_string(directory.file("resolv.conf")).unwrap_or_default();
    directory.write("resolv.conf", &files::through_own_server(&before))
}

/// Writes `hosts` anew for a container that runs and whose networks have changed. What its programs wrote into it is kept
/// but for the lines of its own host name.
pub(super) fn update(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: &[Plugged],
) -> Result<(), Failure> {
    let directory = Directory::of(&shared.config, &config.id);
    let Ok(before) = std::fs::read_to_string(directory.file("hosts")) else { return Ok(()) };
    let hostname = config.config.hostname.as_str();
    let own = |line: &&str| line.split_whitespace().skip(1).any(|name| name == hostname);
    let mut text: String =
        before.lines().filter(|line| !own(line)).map(|line| format!("{line}\n")).collect();
    for address in plugged.iter().flat_map(Plugged::addresses) {
        text.push_str(&format!("{}\t{hostname}\n", address.address));
    }
    directory.write("hosts", &text)
}

fn resolv_conf(
    shared: &Shared,
    config: &ContainerConfig,
    mode: Mode<'_>,
    plugged: &[Plugged],
) -> Result<String, FileError> {
    let engine = &shared.config;
    let own = |list: &'_ [String], engine: &'_ [String]| -> Vec<String> {
        if list.is_empty() { engine.to_vec() } else { list.to_vec() }
    };
    let servers: Vec<IpAddr> = if config.host.dns.is_empty() {
        engine.dns.clone()
    } else {
        config.host.dns.iter().filter_map(|server| server.parse().ok()).collect()
    };
    let search = own(&config.host.dns_search, &engine.dns_search);
    let options = own(&config.host.dns_options, &engine.dns_options);
    // Without access to the host's file the container gets the public servers, as on a host that has none.
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let behind = std::fs::read_to_string("/run/systemd/resolve/resolv.conf").ok();
    files::resolv_conf(&Resolver {
        host: &host,
        behind_stub: behind.as_deref(),
        servers: &servers,
        search: &search.iter().map(String::as_str).collect::<Vec<_>>(),
        options: &options.iter().map(String::as_str).collect::<Vec<_>>(),
        host_network: mode == Mode::Host,
        ipv6: mode == Mode::Host || plugged.iter().any(|own| own.ipv6.is_some()),
    })
}
