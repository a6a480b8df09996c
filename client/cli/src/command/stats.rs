//! `stats`.

use crate::arg::{switch, value};
use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::command::list::{ellipsis, shortened};
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::format::units;
use crate::output;
use clap::Arg;
use client_http::{Client, Query, Request};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("all", 'a', "Show all containers (default shows just running)"),
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("no-stream", None, "Disable streaming stats and only pull the first result"),
        switch("no-trunc", None, "Do not truncate output"),
    ]
}

const KIND: Kind = Kind {
    go_type: "*formatter.statsContext",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};
const COLUMNS: &[&str] =
    &["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    for name in &args {
        client.send(Request::get(container_path(name, "/json"))).await?.bytes().await?;
    }
    let format = match flags.text("format") {
        format if format.is_empty() => session.configured("statsFormat"),
        format => format,
    };
    let (full, once) = (flags.on("no-trunc"), flags.on("no-stream"));
    loop {
        let names =
            if args.is_empty() { running(&client, flags.on("all")).await? } else { args.clone() };
        let rows = samples(&client, &names, full).await;
        if !once && (format.is_empty() || format.starts_with("table")) {
            // The picture is drawn over the one before.
            output::bytes(b"\x1b[2J\x1b[H")?;
        }
        listing::print(KIND, &format, COLUMNS, None, &rows)?;
        if once {
            return Ok(());
        }
        if names.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn running(client: &Client, all: bool) -> Result<Vec<String>, Failure> {
    let query = Query::new().with_switch("all", all);
    let containers: Vec<Value> =
        client.send(Request::get("/containers/json").query(query)).await?.json().await?;
    Ok(containers
        .iter()
        .filter_map(|container| container["Id"].as_str().map(str::to_owned))
        .collect())
}

/// One sample of each, all taken at the same time: the engine needs a second for each.
async fn samples(client: &Client, names: &[String], full: bool) -> Vec<Row> {
    let tasks: Vec<_> = names
        .iter()
        .map(|name| {
            let (client, path) = (client.clone(), container_path(name, "/stats"));
            tokio::spawn(async move {
                let query = Query::new().with("stream", "0");
                client.send(Request::get(path).query(query)).await?.json::<Value>().await
            })
        })
        .collect();
    let mut rows = Vec::new();
    for (task, name) in tasks.into_iter().zip(names) {
        if let Ok(Ok(sample)) = task.await {
            rows.push(row(name, &sample, full));
        }
    }
    rows
}

#[expect(clippy::cast_precision_loss, reason = "numbers are rounded for people")]
fn float(value: &Value) -> f64 {
    value.as_u64().unwrap_or_default() as f64
}

fn row(name: &str, sample: &Value, full: bool) -> Row {
    let own_name = sample["name"].as_str().unwrap_or_default().trim_start_matches('/');
    let memory = &sample["memory_stats"];
    let (used, limit) = (memory_used(memory), float(&memory["limit"]));
    let share = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    let (received, sent) = network(&sample["networks"]);
    let (read, written) = blocks(&sample["blkio_stats"]["io_service_bytes_recursive"]);
    let pair = |left: f64, right: f64| {
        format!("{} / {}", units::short_size(left), units::short_size(right))
    };
    let binary = |bytes: f64| units::binary_size(bytes);
    listing::row([
        ("ID", json!(shortened(sample["id"].as_str().unwrap_or_default(), full))),
        ("Container", json!(name)),
        ("Name", json!(if full { own_name.to_owned() } else { ellipsis(own_name, 64) })),
        ("CPUPerc", json!(format!("{:.2}%", cpu(sample)))),
        ("MemUsage", json!(format!("{} / {}", binary(used), binary(limit)))),
        ("MemPerc", json!(format!("{share:.2}%"))),
        ("NetIO", json!(pair(received, sent))),
        ("BlockIO", json!(pair(read, written))),
        ("PIDs", json!(sample["pids_stats"]["current"].as_u64().unwrap_or_default().to_string())),
    ])
}

/// What is used without the page cache that can be dropped at once.
fn memory_used(memory: &Value) -> f64 {
    let usage = float(&memory["usage"]);
    let stats = &memory["stats"];
    let cache = if stats["total_inactive_file"].is_u64() {
        &stats["total_inactive_file"]
    } else {
        &stats["inactive_file"]
    };
    let cache = float(cache);
    if cache < usage { usage - cache } else { usage }
}

fn cpu(sample: &Value) -> f64 {
    let (now, before) = (&sample["cpu_stats"], &sample["precpu_stats"]);
    let used = float(&now["cpu_usage"]["total_usage"]) - float(&before["cpu_usage"]["total_usage"]);
    let whole = float(&now["system_cpu_usage"]) - float(&before["system_cpu_usage"]);
    let cpus = match float(&now["online_cpus"]) {
        0.0 => now["cpu_usage"]["percpu_usage"]
            .as_array()
            .map_or(0.0, |cpus| float(&json!(cpus.len()))),
        cpus => cpus,
    };
    if used > 0.0 && whole > 0.0 { used / whole * cpus * 100.0 } else { 0.0 }
}

fn network(networks: &Value) -> (f64, f64) {
    let sum = |key: &str| {
        networks.as_object().into_iter().flatten().map(|(_, network)| float(&network[key])).sum()
    };
    (sum("rx_bytes"), sum("tx_bytes"))
}

fn blocks(entries: &Value) -> (f64, f64) {
    let sum = |letter: char| {
        let of = |entry: &&Value| {
            entry["op"].as_str().is_some_and(|op| op.to_lowercase().starts_with(letter))
        };
        entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(of)
            .map(|entry| float(&entry["value"]))
            .sum()
    };
    (sum('r'), sum('w'))
}
