//! `volume create`, `ls`, `rm`.

use crate::arg::{list as many, switch, value};
use crate::command::Invocation;
use crate::command::list::labels;
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::output;
use crate::parse::{env, filter};
use api_types::Map;
use api_types::volume::CreateBody;
use clap::Arg;
use client_http::{Query, Request, escape_path};
use serde_json::{Value, json};

pub(crate) fn create_flags() -> Vec<Arg> {
    let cluster = [
        value("availability", None, "string", "Cluster volume availability"),
        value("group", None, "string", "Cluster volume group"),
        value("limit-bytes", None, "bytes", "Maximum size of the cluster volume"),
        value("required-bytes", None, "bytes", "Minimum size of the cluster volume"),
        value("scope", None, "string", "Cluster volume access scope"),
        many("secret", None, "Cluster volume secrets"),
        value("sharing", None, "string", "Cluster volume access sharing"),
        many("topology-preferred", None, "Preferred topology of the cluster volume"),
        many("topology-required", None, "Required topology of the cluster volume"),
        value("type", None, "string", "Cluster volume access type"),
    ];
    let mut flags = vec![
        value("driver", 'd', "string", "Specify volume driver name (default \"local\")"),
        many("label", None, "Set metadata for a volume"),
        value("name", None, "string", "Specify volume name").hide(true),
        many("opt", 'o', "Set driver specific options").value_name("map"),
    ];
    flags.extend(cluster.map(|flag| flag.hide(true)));
    flags
}

pub(crate) async fn create(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let body = CreateBody {
        driver: flags.text_of("driver").unwrap_or("local").to_owned(),
        driver_opts: env::map(&flags.all("opt")),
        labels: env::map(&flags.all("label")),
        name: args.first().cloned().unwrap_or_else(|| flags.text("name")),
    };
    let body = CreateBody {
        labels: if body.labels.is_null() { Map::empty() } else { body.labels },
        ..body
    };
    let client = session.client().await?;
    let reply: Value =
        client.send(Request::post("/volumes/create").json(&body)?).await?.json().await?;
    Ok(output::line(reply["Name"].as_str().unwrap_or_default())?)
}

pub(crate) fn list_flags() -> Vec<Arg> {
    vec![
        switch(
            "cluster",
            None,
            "Display only cluster volumes, and use cluster volume list formatting",
        )
        .hide(true),
        many("filter", 'f', "Provide filter values (e.g. \"dangling=true\")").value_name("filter"),
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("quiet", 'q', "Only display volume names"),
    ]
}

pub(crate) const KIND: Kind = Kind {
    go_type: "*formatter.volumeContext",
    headers: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
};

pub(crate) async fn list(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let query = Query::new().with_some("filters", filter::json(&flags.all("filter"))?);
    let client = session.client().await?;
    let reply: Value = client.send(Request::get("/volumes").query(query)).await?.json().await?;
    let format = match flags.text("format") {
        format if format.is_empty() && !flags.on("quiet") => session.configured("volumesFormat"),
        format => format,
    };
    let mut rows: Vec<Row> = reply["Volumes"].as_array().into_iter().flatten().map(row).collect();
    rows.sort_by_key(natural);
    listing::print(KIND, &format, &["Driver", "Name"], flags.on("quiet").then_some("Name"), &rows)
}

fn natural(row: &Row) -> String {
    row.get("Name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A row of the list.
pub(crate) fn row(volume: &Value) -> Row {
    let text = |name: &str| json!(volume[name].as_str().unwrap_or_default());
    let usage = &volume["UsageData"];
    let (links, size) =
        (usage["RefCount"].as_i64().unwrap_or(-1), usage["Size"].as_i64().unwrap_or(-1));
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let shown = if size < 0 { "N/A".to_owned() } else { crate::format::units::size(size as f64) };
    listing::row([
        ("Name", text("Name")),
        ("Driver", text("Driver")),
        ("Scope", text("Scope")),
        ("Mountpoint", text("Mountpoint")),
        ("Labels", json!(labels(&volume["Labels"]))),
        ("Links", json!(if usage.is_object() { links.to_string() } else { "N/A".into() })),
        ("Size", json!(shown)),
        ("Availability", json!("N/A")),
        ("Group", json!("N/A")),
        ("Status", json!("N/A")),
    ])
}

pub(crate) fn remove_flags() -> Vec<Arg> {
    vec![switch("force", 'f', "Force the removal of one or more volumes")]
}

pub(crate) async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let mut errors = Vec::new();
    for name in &args {
        let query = Query::new().with_switch("force", flags.on("force"));
        let request = Request::delete(format!("/volumes/{}", escape_path(name))).query(query);
        match client.send(request).await {
            Ok(_) => output::line(name)?,
            Err(error) => errors.push(Failure::Engine(error).to_string()),
        }
    }
    Failure::unless_empty(errors)
}
