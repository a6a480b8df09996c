//! `network create`.

use crate::arg::{Flags, list, switch, value};
use crate::command::Invocation;
use crate::failure::Failure;
use crate::output;
use crate::parse::env;
use api_types::network::{ConfigReference, CreateBody, Ipam, IpamConfig};
use api_types::{List, Map};
use clap::Arg;
use client_http::Request;
use serde_json::Value;
use std::net::IpAddr;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("attachable", None, "Enable manual container attachment"),
        list("aux-address", None, "Auxiliary IPv4 or IPv6 addresses used by Network driver")
            .value_name("map"),
        value("config-from", None, "string", "The network from which to copy the configuration"),
        switch("config-only", None, "Create a configuration only network"),
        value("driver", 'd', "string", "Driver to manage the Network (default \"bridge\")"),
        list("gateway", None, "IPv4 or IPv6 Gateway for the master subnet"),
        switch("ingress", None, "Create swarm routing-mesh network"),
        switch("internal", None, "Restrict external access to the network"),
        list("ip-range", None, "Allocate container ip from a sub-range"),
        value("ipam-driver", None, "string", "IP Address Management Driver (default \"default\")"),
        list("ipam-opt", None, "Set IPAM driver specific options").value_name("map"),
        switch("ipv4", None, "Enable or disable IPv4 address assignment (default true)"),
        switch("ipv6", None, "Enable or disable IPv6 address assignment"),
        list("label", None, "Set metadata on a network"),
        list("opt", 'o', "Set driver specific options").value_name("map"),
        value("scope", None, "string", "Control the network's scope"),
        list("subnet", None, "Subnet in CIDR format that represents a network segment"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let or_empty = |map: Map<String>| if map.is_null() { Map::empty() } else { map };
    let config_from = flags.text("config-from");
    let body = CreateBody {
        name: args[0].clone(),
        driver: flags.text_of("driver").unwrap_or("bridge").to_owned(),
        scope: flags.text("scope"),
        enable_ipv4: flags.given("ipv4").then(|| flags.on("ipv4")),
        enable_ipv6: flags.given("ipv6").then(|| flags.on("ipv6")),
        ipam: Some(Ipam {
            driver: flags.text_of("ipam-driver").unwrap_or("default").to_owned(),
            options: or_empty(env::map(&flags.all("ipam-opt"))),
            config: List::from(pools(&flags).map_err(Failure::Plain)?),
        }),
        internal: flags.on("internal"),
        attachable: flags.on("attachable"),
        ingress: flags.on("ingress"),
        config_only: flags.on("config-only"),
        config_from: (!config_from.is_empty()).then_some(ConfigReference { network: config_from }),
        options: or_empty(env::map(&flags.all("opt"))),
        labels: or_empty(env::map(&flags.all("label"))),
    };
    let client = session.client().await?;
    let reply: Value =
        client.send(Request::post("/networks/create").json(&body)?).await?.json().await?;
    if let Some(warning) = reply["Warning"].as_str().filter(|warning| !warning.is_empty()) {
        output::complain(format!("WARNING: {warning}"));
    }
    Ok(output::line(reply["Id"].as_str().unwrap_or_default())?)
}

/// A range of addresses in CIDR notation.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

fn contains(subnet: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network(subnet) else { return false };
    let masked = |bits: u128, width: u8| if length == 0 { 0 } else { bits >> (width - length) };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            masked(u32::from(base).into(), 32) == masked(u32::from(address).into(), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            masked(base.into(), 128) == masked(address.into(), 128)
        }
        _ => false,
    }
}

/// Each subnet with the range, gateway and reserved addresses that lie in it.
fn pools(flags: &Flags) -> Result<Vec<IpamConfig>, String> {
    let subnets = flags.all("subnet");
    if subnets.len() < flags.all("ip-range").len() || subnets.len() < flags.all("gateway").len() {
        return Err("every ip-range or gateway must have a corresponding subnet".into());
    }
    let mut pools: Vec<IpamConfig> = Vec::new();
    for subnet in subnets {
        // What is no subnet is refused by the engine.
        if let Some((base, _)) = network(&subnet)
            && pools.iter().any(|pool| contains(&pool.subnet, base))
        {
            return Err("multiple overlapping subnet configuration is not supported".into());
        }
        pools.push(IpamConfig { subnet, ..IpamConfig::default() });
    }
    for range in flags.all("ip-range") {
        let (base, _) = network(&range).ok_or_else(|| format!("invalid CIDR address: {range}"))?;
        let pool = pools.iter_mut().find(|pool| contains(&pool.subnet, base));
        pool.ok_or_else(|| format!("no matching subnet for range {range}"))?
            .ip_range
            .clone_from(&range);
    }
    for gateway in flags.all("gateway") {
        let pool = gateway
            .parse()
            .ok()
            .and_then(|address| pools.iter_mut().find(|pool| contains(&pool.subnet, address)));
        pool.ok_or_else(|| format!("no matching subnet for gateway {gateway}"))?
            .gateway
            .clone_from(&gateway);
    }
    for auxiliary in flags.all("aux-address") {
        let (name, text) = auxiliary.split_once('=').unwrap_or((&auxiliary, ""));
        let pool = text
            .parse()
            .ok()
            .and_then(|address| pools.iter_mut().find(|pool| contains(&pool.subnet, address)));
        let pool = pool.ok_or_else(|| format!("no matching subnet for aux-address {text}"))?;
        pool.auxiliary_addresses.insert(name.to_owned(), text.to_owned());
    }
    Ok(pools)
}
