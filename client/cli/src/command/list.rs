//! `ps`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::format::{time, units};
use crate::parse::filter;
use clap::Arg;
use client_http::{Query, Request};
use serde_json::{Value, json};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("all", 'a', "Show all containers (default shows just running)"),
        list("filter", 'f', "Filter output based on conditions provided").value_name("filter"),
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        value(
            "last",
            'n',
            "int",
            "Show n last created containers (includes all states) (default -1)",
        ),
        switch("latest", 'l', "Show the latest created container (includes all states)"),
        switch("no-trunc", None, "Don't truncate output"),
        switch("quiet", 'q', "Only display container IDs"),
        switch("size", 's', "Display total file sizes"),
    ]
}

pub(crate) const KIND: Kind = Kind {
    go_type: "*formatter.ContainerContext",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ],
};

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let filters = filter::json(&flags.all("filter"))?;
    let client = session.client().await?;
    let last = if flags.on("latest") { 1 } else { flags.number("last")?.unwrap_or(-1) };
    let format = match flags.text("format") {
        format if format.is_empty() && !flags.on("quiet") => session.configured("psFormat"),
        format => format,
    };
    let sized = flags.on("size") || format.contains(".Size");
    let mut query = Query::new()
        .with_some("filters", filters)
        .with_switch("all", flags.on("all"))
        .with_switch("size", sized);
    if last > 0 {
        query = query.with("limit", last.to_string());
    }
    let containers: Vec<Value> =
        client.send(Request::get("/containers/json").query(query)).await?.json().await?;
    let full = flags.on("no-trunc");
    let rows: Vec<Row> = containers.iter().map(|container| row(container, full)).collect();
    let mut columns = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if flags.on("size") {
        columns.push("Size");
    }
    listing::print(KIND, &format, &columns, flags.on("quiet").then_some("ID"), &rows)
}

/// A row of the list.
pub(crate) fn row(container: &Value, full: bool) -> Row {
    let text = |name: &str| container[name].as_str().unwrap_or_default().to_owned();
    let created = container["Created"].as_i64().unwrap_or_default();
    let names = names(container, full);
    listing::row([
        ("ID", json!(shortened(&text("Id"), full))),
        ("Names", json!(names)),
        ("Image", json!(image(container, full))),
        ("Command", json!(command(&text("Command"), full))),
        ("CreatedAt", json!(time::local(created))),
        ("RunningFor", json!(time::ago(created))),
        ("Ports", json!(ports(&container["Ports"]))),
        ("State", json!(text("State"))),
        ("Status", json!(text("Status"))),
        ("Size", json!(size(container))),
        ("Labels", json!(labels(&container["Labels"]))),
        ("Mounts", json!(mounts(container, full))),
        ("LocalVolumes", json!(local_volumes(container).to_string())),
        ("Networks", json!(keys(&container["NetworkSettings"]["Networks"]))),
        ("Platform", Value::Null),
    ])
}

/// The first twelve digits of an id.
pub(crate) fn shortened(id: &str, full: bool) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    if full { id.to_owned() } else { digits.chars().take(12).collect() }
}

fn names(container: &Value, full: bool) -> String {
    let all = container["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names = all.map(|name| name.strip_prefix('/').unwrap_or(name));
    let kept: Vec<&str> = names.filter(|name| full || !name.contains('/')).collect();
    kept.join(",")
}

fn image(container: &Value, full: bool) -> String {
    let image = container["Image"].as_str().unwrap_or_default();
    if image.is_empty() {
        return "<no image>".into();
    }
    let is_id = container["ImageID"]
        .as_str()
        .is_some_and(|id| id == image || shortened(id, false) == shortened(image, false));
    if !full && is_id { shortened(image, false) } else { image.to_owned() }
}

/// At most `width` characters, the last one an ellipsis if something was cut.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

fn command(text: &str, full: bool) -> String {
    let shown = if full { text.to_owned() } else { ellipsis(text, 20) };
    crate::format::quoted(&shown)
}

/// `a=b,c=d`.
pub(crate) fn labels(labels: &Value) -> String {
    let pair =
        |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    labels.as_object().into_iter().flatten().map(pair).collect::<Vec<_>>().join(",")
}

fn keys(map: &Value) -> String {
    map.as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

fn size(container: &Value) -> String {
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let bytes = |name: &str| container[name].as_i64().unwrap_or_default() as f64;
    let written = units::short_size(bytes("SizeRw"));
    let all = bytes("SizeRootFs");
    if all > 0.0 { format!("{written} (virtual {})", units::short_size(all)) } else { written }
}

fn mounts(container: &Value, full: bool) -> String {
    let name = |mount: &Value| {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let name = if text("Name").is_empty() { text("Source") } else { text("Name") };
        if full { name.to_owned() } else { ellipsis(name, 15) }
    };
    container["Mounts"].as_array().into_iter().flatten().map(name).collect::<Vec<_>>().join(",")
}

fn local_volumes(container: &Value) -> usize {
    container["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|mount| mount["Driver"] == "local")
        .count()
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mapping {
    protocol: String,
    private: i64,
    ip: String,
    public: i64,
}

/// `0.0.0.0:80-81->80-81/tcp, 90/tcp`: neighbours are joined.
pub(crate) fn ports(list: &Value) -> String {
    let mut mappings: Vec<Mapping> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| Mapping {
            protocol: port["Type"].as_str().unwrap_or_default().to_owned(),
            private: port["PrivatePort"].as_i64().unwrap_or_default(),
            ip: port["IP"].as_str().unwrap_or_default().to_owned(),
            public: port["PublicPort"].as_i64().unwrap_or_default(),
        })
        .collect();
    mappings.sort_by(|left, right| {
        (left.private, &left.ip, left.public, &left.protocol).cmp(&(
            right.private,
            &right.ip,
            right.public,
            &right.protocol,
        ))
    });
    let mut groups: Vec<(Mapping, i64)> = Vec::new();
    let mut single = Vec::new();
    for mapping in mappings {
        if mapping.public != 0 && mapping.public != mapping.private {
            single.push(shown(&mapping, mapping.private));
            continue;
        }
        let next = groups.iter_mut().find(|(first, last)| {
            first.protocol == mapping.protocol
                && first.ip == mapping.ip
                && (first.public == 0) == (mapping.public == 0)
                && (*last + 1 == mapping.private || *last == mapping.private)
        });
        match next {
            Some((_, last)) => *last = mapping.private,
            None => {
                let last = mapping.private;
                groups.push((mapping, last));
            }
        }
    }
    groups
        .iter()
        .map(|(first, last)| shown(first, *last))
        .chain(single)
        .collect::<Vec<_>>()
        .join(", ")
}

fn shown(mapping: &Mapping, last: i64) -> String {
    let span = |first: i64| {
        let end = first + last - mapping.private;
        if end == first { first.to_string() } else { format!("{first}-{end}") }
    };
    let inside = format!("{}/{}", span(mapping.private), mapping.protocol);
    if mapping.public == 0 {
        return inside;
    }
    let ip =
        if mapping.ip.contains(':') { format!("[{}]", mapping.ip) } else { mapping.ip.clone() };
    format!("{ip}:{}->{inside}", span(mapping.public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_are_joined() {
        let list = json!([
            {"IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 81, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"PrivatePort": 90, "Type": "udp"},
            {"IP": "::", "PrivatePort": 70, "PublicPort": 7000, "Type": "tcp"},
        ]);
        assert_eq!(ports(&list), "0.0.0.0:80-81->80-81/tcp, 90/udp, [::]:7000->70/tcp");
    }
}
