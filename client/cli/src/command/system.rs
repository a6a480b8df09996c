//! `system df`, `events`, `dial-stdio`.

use crate::arg::{list as many, switch, value};
use crate::command::{Invocation, image_list, list, volume};
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::format::template::{Template, unescaped};
use crate::format::{time, units};
use crate::output;
use crate::parse::filter;
use crate::stream::input;
use clap::Arg;
use client_http::{Query, Request};
use serde_json::{Value, json};

pub(crate) fn df_flags() -> Vec<Arg> {
    vec![
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("verbose", 'v', "Show detailed information on space usage"),
    ]
}

const USAGE: Kind = Kind {
    go_type: "*formatter.diskUsageContext",
    headers: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

pub(crate) async fn df(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let client = session.client().await?;
    let usage: Value = client.send(Request::get("/system/df")).await?.json().await?;
    if flags.on("verbose") && flags.text("format").is_empty() {
        return verbose(&usage);
    }
    let rows = [
        images_usage(&usage),
        containers_usage(&usage),
        volumes_usage(&usage),
        cache_usage(&usage),
    ];
    listing::print(
        USAGE,
        &flags.text("format"),
        &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
        None,
        &rows,
    )
}

fn items<'a>(usage: &'a Value, name: &str) -> &'a [Value] {
    usage[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
fn usage_row(
    kind: &str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    percent: bool,
) -> Row {
    let shown = units::size(reclaimable as f64);
    let share = if size > 0 { reclaimable * 100 / size } else { 0 };
    let shown = if percent && size > 0 { format!("{shown} ({share}%)") } else { shown };
    listing::row([
        ("Type", json!(kind)),
        ("TotalCount", json!(total.to_string())),
        ("Active", json!(active.to_string())),
        ("Size", json!(units::size(size as f64))),
        ("Reclaimable", json!(shown)),
    ])
}

fn images_usage(usage: &Value) -> Row {
    let images = items(usage, "Images");
    let active = images.iter().filter(|image| number(image, "Containers") > 0);
    let used: i64 = active
        .clone()
        .map(|image| number(image, "Size") - number(image, "SharedSize").max(0))
        .sum();
    let layers = number(usage, "LayersSize");
    usage_row("Images", images.len(), active.count(), layers, layers - used, true)
}

fn containers_usage(usage: &Value) -> Row {
    let containers = items(usage, "Containers");
    let is_active = |container: &&Value| {
        container["State"]
            .as_str()
            .is_some_and(|state| matches!(state, "running" | "paused" | "restarting"))
    };
    let size = |list: &mut dyn Iterator<Item = &Value>| {
        list.map(|container| number(container, "SizeRw")).sum::<i64>()
    };
    let total = size(&mut containers.iter());
    let used = size(&mut containers.iter().filter(is_active));
    usage_row(
        "Containers",
        containers.len(),
        containers.iter().filter(is_active).count(),
        total,
        total - used,
        true,
    )
}

fn volumes_usage(usage: &Value) -> Row {
    let volumes = items(usage, "Volumes");
    let data = |volume: &Value, name: &str| number(&volume["UsageData"], name);
    let total: i64 = volumes.iter().map(|volume| data(volume, "Size").max(0)).sum();
    let free: i64 = volumes
        .iter()
        .filter(|volume| data(volume, "RefCount") == 0)
        .map(|volume| data(volume, "Size").max(0))
        .sum();
    let active = volumes.iter().filter(|volume| data(volume, "RefCount") > 0).count();
    usage_row("Local Volumes", volumes.len(), active, total, free, true)
}

fn cache_usage(usage: &Value) -> Row {
    let records = items(usage, "BuildCache");
    let total: i64 = records
        .iter()
        .filter(|record| record["Shared"] != true)
        .map(|record| number(record, "Size"))
        .sum();
    let used: i64 = records
        .iter()
        .filter(|record| record["InUse"] == true && record["Shared"] != true)
        .map(|record| number(record, "Size"))
        .sum();
    let active = records.iter().filter(|record| record["InUse"] == true).count();
    usage_row("Build Cache", records.len(), active, total, total - used, false)
}

fn verbose(usage: &Value) -> Result<(), Failure> {
    output::line("Images space usage:\n")?;
    let images: Vec<Row> = items(usage, "Images")
        .iter()
        .flat_map(|image| image_list::rows(image, false, false))
        .collect();
    let columns = [
        "Repository",
        "Tag",
        "ID",
        "CreatedSince",
        "Size",
        "SharedSize",
        "UniqueSize",
        "Containers",
    ];
    listing::print(image_list::KIND, "", &columns, None, &images)?;
    output::line("\nContainers space usage:\n")?;
    let containers: Vec<Row> = items(usage, "Containers").iter().map(container_row).collect();
    let columns =
        ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"];
    listing::print(list::KIND, "", &columns, None, &containers)?;
    output::line("\nLocal Volumes space usage:\n")?;
    let volumes: Vec<Row> = items(usage, "Volumes").iter().map(volume::row).collect();
    listing::print(volume::KIND, "", &["Name", "Links", "Size"], None, &volumes)?;
    build_cache(items(usage, "BuildCache"))
}

/// The size of a container here is what it wrote itself.
fn container_row(container: &Value) -> Row {
    let mut row = list::row(container, false);
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let size = units::short_size(number(container, "SizeRw") as f64);
    row.insert("Size".into(), json!(size));
    row
}

const CACHE: Kind = Kind {
    go_type: "*formatter.buildCacheContext",
    headers: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
};

#[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
fn build_cache(records: &[Value]) -> Result<(), Failure> {
    let total: i64 = records.iter().map(|record| number(record, "Size")).sum();
    output::line(format!("\nBuild cache usage: {}\n", units::size(total as f64)))?;
    let since = |value: &Value| {
        value.as_str().and_then(time::seconds_of).map_or_else(String::new, time::ago)
    };
    let row = |record: &Value| {
        listing::row([
            ("ID", json!(list::shortened(record["ID"].as_str().unwrap_or_default(), false))),
            ("CacheType", record["Type"].clone()),
            ("Size", json!(units::short_size(number(record, "Size") as f64))),
            ("CreatedSince", json!(since(&record["CreatedAt"]))),
            ("LastUsedSince", json!(since(&record["LastUsedAt"]))),
            ("UsageCount", json!(number(record, "UsageCount").to_string())),
            ("Shared", json!((record["Shared"] == true).to_string())),
        ])
    };
    let rows: Vec<Row> = records.iter().map(row).collect();
    let columns =
        ["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"];
    listing::print(CACHE, "", &columns, None, &rows)
}

pub(crate) fn events_flags() -> Vec<Arg> {
    vec![
        many("filter", 'f', "Filter output based on conditions provided").value_name("filter"),
        value("format", None, "string", "Format output: 'json' or a Go template"),
        value("since", None, "string", "Show all events created since timestamp"),
        value("until", None, "string", "Stream events until this timestamp"),
    ]
}

pub(crate) async fn events(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let query = Query::new()
        .with_some("since", time::moment(&flags.text("since"))?)
        .with_some("until", time::moment(&flags.text("until"))?)
        .with_some("filters", filter::json(&flags.all("filter"))?);
    let template = match flags.text("format").as_str() {
        "" => None,
        "json" => Some(Template::parse("{{json .}}")?),
        text => Some(Template::parse(&unescaped(text)).map_err(|failure| Failure::Coded {
            code: 64,
            text: format!("Error parsing format: {failure}"),
        })?),
    };
    let json = matches!(flags.text("format").as_str(), "json" | "{{json .}}");
    let client = session.client().await?;
    let mut objects = client.send(Request::get("/events").query(query)).await?.objects();
    while let Some(text) = objects.next_text().await? {
        let event: Value = serde_json::from_slice(&text)?;
        match &template {
            _ if json => output::line(String::from_utf8_lossy(&text))?,
            Some(template) => output::line(
                template
                    .render(&event)
                    .map_err(|error| Failure::Plain(error.in_type("*events.Message")))?,
            )?,
            None => output::line(event_line(&event))?,
        }
    }
    Ok(())
}

fn event_line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let when = match (event["timeNano"].as_i64(), event["time"].as_i64()) {
        (Some(nanos), _) if nanos != 0 => time::rfc3339_nano(nanos) + " ",
        (_, Some(seconds)) if seconds != 0 => time::rfc3339_nano(seconds * 1_000_000_000) + " ",
        _ => String::new(),
    };
    let attributes = event["Actor"]["Attributes"].as_object().into_iter().flatten();
    let pairs: Vec<String> =
        attributes.map(|(name, value)| format!("{name}={}", text(value))).collect();
    let tail = if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) };
    format!(
        "{when}{} {} {}{tail}",
        text(&event["Type"]),
        text(&event["Action"]),
        text(&event["Actor"]["ID"])
    )
}

/// Joins standard input and output to the engine's socket: the far end of `ssh://`.
pub(crate) async fn dial_stdio(invocation: Invocation) -> Result<(), Failure> {
    let client = invocation.session.unasked_client()?;
    let (mut read, mut write) = client.dial().await?.split();
    let up = async move {
        let mut pieces = input::pieces();
        while let Some(piece) = pieces.recv().await {
            write.write(&piece).await?;
        }
        write.close().await?;
        // The engine may still be answering.
        std::future::pending::<Result<(), Failure>>().await
    };
    let down = async move {
        while let Some(bytes) = read.read().await? {
            output::bytes(&bytes)?;
        }
        Ok::<(), Failure>(())
    };
    tokio::select! {
        result = down => result,
        result = up => result,
    }
}
