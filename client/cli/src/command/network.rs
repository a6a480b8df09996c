//! `network ls`, `rm`, `connect`, `disconnect`.

use crate::arg::{list as many, switch, value};
use crate::command::Invocation;
use crate::command::list::{labels, shortened};
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::output;
use crate::parse::filter;
use crate::parse::network::Attachment;
use api_types::network::{ConnectBody, DisconnectBody};
use clap::Arg;
use client_http::{Client, Query, Request, escape_path};
use serde_json::{Value, json};

/// The path of a network.
pub(crate) fn path(name: &str, rest: &str) -> String {
    format!("/networks/{}{rest}", escape_path(name))
}

pub(crate) fn list_flags() -> Vec<Arg> {
    vec![
        many("filter", 'f', "Provide filter values (e.g. \"driver=bridge\")").value_name("filter"),
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("no-trunc", None, "Do not truncate the output"),
        switch("quiet", 'q', "Only display network IDs"),
    ]
}

const KIND: Kind = Kind {
    go_type: "*network.networkContext",
    headers: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
};

pub(crate) async fn list(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let query = Query::new().with_some("filters", filter::json(&flags.all("filter"))?);
    let client = session.client().await?;
    let mut networks: Vec<Value> =
        client.send(Request::get("/networks").query(query)).await?.json().await?;
    networks.sort_by_key(|network| network["Name"].as_str().unwrap_or_default().to_owned());
    let format = match flags.text("format") {
        format if format.is_empty() && !flags.on("quiet") => session.configured("networksFormat"),
        format => format,
    };
    let full = flags.on("no-trunc");
    let rows: Vec<Row> = networks.iter().map(|network| row(network, full)).collect();
    listing::print(
        KIND,
        &format,
        &["ID", "Name", "Driver", "Scope"],
        flags.on("quiet").then_some("ID"),
        &rows,
    )
}

fn row(network: &Value, full: bool) -> Row {
    let text = |name: &str| network[name].as_str().unwrap_or_default();
    let truth = |name: &str| json!(network[name].as_bool().unwrap_or(false).to_string());
    listing::row([
        ("ID", json!(shortened(text("Id"), full))),
        ("Name", json!(text("Name"))),
        ("Driver", json!(text("Driver"))),
        ("Scope", json!(text("Scope"))),
        ("IPv4", truth("EnableIPv4")),
        ("IPv6", truth("EnableIPv6")),
        ("Internal", truth("Internal")),
        ("Labels", json!(labels(&network["Labels"]))),
        ("CreatedAt", json!(text("Created"))),
    ])
}

pub(crate) fn remove_flags() -> Vec<Arg> {
    vec![switch("force", 'f', "Do not error if the network does not exist")]
}

pub(crate) async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let force = flags.on("force");
    let mut failed = false;
    for name in &args {
        match remove_one(&client, name).await {
            Ok(()) => output::line(name)?,
            Err(failure) if force && failure.status() == Some(404) => {}
            Err(failure) => {
                output::complain(failure.to_string());
                failed = true;
            }
        }
    }
    if failed { Err(Failure::Plain("exit status 1".into())) } else { Ok(()) }
}

async fn remove_one(client: &Client, name: &str) -> Result<(), Failure> {
    // The engine is asked for the network first, so that a swarm's ingress network can be told from others.
    if let Ok(response) = client.send(Request::get(path(name, ""))).await {
        response.bytes().await?;
    }
    client.send(Request::delete(path(name, ""))).await?;
    Ok(())
}

pub(crate) fn connect_flags() -> Vec<Arg> {
    vec![
        many("alias", None, "Add network-scoped alias for the container"),
        many("driver-opt", None, "driver options for the network"),
        value("gw-priority", None, "int", "Highest gw-priority provides the default gateway"),
        value("ip", None, "string", "IPv4 address (e.g., \"172.30.100.104\")"),
        value("ip6", None, "string", "IPv6 address (e.g., \"2001:db8::33\")"),
        many("link", None, "Add link to another container"),
        many("link-local-ip", None, "Add a link-local address for the container"),
    ]
}

pub(crate) async fn connect(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let attachment = Attachment {
        target: args[0].clone(),
        aliases: flags.all("alias"),
        links: flags.all("link"),
        ipv4: flags.text("ip"),
        ipv6: flags.text("ip6"),
        mac: String::new(),
        link_local: flags.all("link-local-ip"),
        options: flags.all("driver-opt"),
        gw_priority: flags.number("gw-priority")?.unwrap_or_default(),
    };
    let mut settings = attachment.settings();
    if settings.driver_opts.is_null() {
        settings.driver_opts = api_types::Map::empty();
    }
    let body = ConnectBody { container: args[1].clone(), endpoint_config: Some(settings) };
    let client = session.client().await?;
    client.send(Request::post(path(&args[0], "/connect")).json(&body)?).await?;
    Ok(())
}

pub(crate) fn disconnect_flags() -> Vec<Arg> {
    vec![switch("force", 'f', "Force the container to disconnect from a network")]
}

pub(crate) async fn disconnect(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let body = DisconnectBody { container: args[1].clone(), force: flags.on("force") };
    let client = session.client().await?;
    client.send(Request::post(path(&args[0], "/disconnect")).json(&body)?).await?;
    Ok(())
}
