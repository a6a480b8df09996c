//! `hostname`, `hosts` and `resolv.conf` of a container, written anew at each start.

use super::config::{ContainerConfig, Mode};
use super::directory::Directory;
use super::live::Plugged;
use crate::network::links::{Linked, names};
use crate::open::Shared;
use bridge::files::{self, FileError, Hosts, Resolver};
use spec::Failure;
use std::net::IpAddr;

/// Writes the three files; a container in another's network uses the other's.
pub(super) fn write(
    shared: &Shared,
    config: &ContainerConfig,
    plugged: Option<&Plugged>,
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
        lines.extend(names(link).into_iter().map(|name| (name, link.address)));
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
        let addresses: Vec<IpAddr> = plugged.iter().map(|plugged| plugged.address).collect();
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
    directory.write("resolv.conf", &resolv_conf(shared, config, mode).map_err(refused)?)
}

/// `--add-host`, `host-gateway` resolved to the bridge's own address.
fn extra_hosts(shared: &Shared, config: &ContainerConfig) -> Vec<(String, IpAddr)> {
    let one = |text: &String| {
        let (name, address) = text.split_once(':')?;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let address = if address == "host-gateway" {
            shared.bridge.gateway().0
        } else {
            bare.parse().ok()?
        };
        Some((name.to_owned(), address))
    };
    config.host.extra_hosts.iter().filter_map(one).collect()
}

fn resolv_conf(
    shared: &Shared,
    config: &ContainerConfig,
    mode: Mode<'_>,
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
        ipv6: mode == Mode::Host,
    })
}
