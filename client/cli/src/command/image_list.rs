//! `images`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::command::list::shortened;
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::format::{time, units};
use crate::parse::filter;
use clap::Arg;
use client_http::{Query, Request};
use serde_json::{Value, json};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("all", 'a', "Show all images (default hides intermediate images)"),
        switch("digests", None, "Show digests"),
        list("filter", 'f', "Filter output based on conditions provided").value_name("filter"),
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("no-trunc", None, "Don't truncate output"),
        switch("quiet", 'q', "Only show image IDs"),
        switch("tree", None, "List multi-platform images as a tree").hide(true),
    ]
}

pub(crate) const KIND: Kind = Kind {
    go_type: "*formatter.imageContext",
    headers: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
};

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let mut filters = flags.all("filter");
    filters.extend(args.first().map(|name| format!("reference={name}")));
    let query = Query::new()
        .with_some("filters", filter::json(&filters)?)
        .with_switch("all", flags.on("all"));
    let client = session.client().await?;
    let images: Vec<Value> =
        client.send(Request::get("/images/json").query(query)).await?.json().await?;
    let format = match flags.text("format") {
        format if format.is_empty() && !flags.on("quiet") => session.configured("imagesFormat"),
        format => format,
    };
    let digests = flags.on("digests") || format.contains(".Digest");
    let full = flags.on("no-trunc");
    let rows: Vec<Row> = images.iter().flat_map(|image| rows(image, full, digests)).collect();
    let columns: &[&str] = if flags.on("digests") {
        &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    } else {
        &["Repository", "Tag", "ID", "CreatedSince", "Size"]
    };
    listing::print(KIND, &format, columns, flags.on("quiet").then_some("ID"), &rows)
}

/// One row for each name of an image.
pub(crate) fn rows(image: &Value, full: bool, digests: bool) -> Vec<Row> {
    let list = |name: &str| {
        let items = image[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        items.filter(|text| !text.starts_with("<none>")).map(str::to_owned).collect::<Vec<_>>()
    };
    let names: Vec<(String, String)> = list("RepoTags")
        .iter()
        .filter_map(|name| {
            name.rsplit_once(':').map(|(repository, tag)| (repository.to_owned(), tag.to_owned()))
        })
        .collect();
    let by_digest: Vec<(String, String)> = list("RepoDigests")
        .iter()
        .filter_map(|name| {
            name.split_once('@')
                .map(|(repository, digest)| (repository.to_owned(), digest.to_owned()))
        })
        .collect();
    let none = || "<none>".to_owned();
    if names.is_empty() && by_digest.is_empty() {
        return vec![row(image, none(), none(), none(), full)];
    }
    let mut rows = Vec::new();
    for (repository, tag) in &names {
        let own: Vec<&String> = by_digest
            .iter()
            .filter(|(name, _)| name == repository)
            .map(|(_, digest)| digest)
            .collect();
        if digests && !own.is_empty() {
            rows.extend(own.iter().map(|digest| {
                row(image, repository.clone(), tag.clone(), (*digest).clone(), full)
            }));
        } else {
            rows.push(row(image, repository.clone(), tag.clone(), none(), full));
        }
    }
    for (repository, digest) in &by_digest {
        if !names.iter().any(|(name, _)| name == repository) {
            let digest = if digests { digest.clone() } else { none() };
            rows.push(row(image, repository.clone(), none(), digest, full));
        }
    }
    rows
}

fn row(image: &Value, repository: String, tag: String, digest: String, full: bool) -> Row {
    let created = image["Created"].as_i64().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let bytes = |name: &str| image[name].as_i64().unwrap_or_default() as f64;
    let counted = |known: bool, text: String| if known { text } else { "N/A".to_owned() };
    let shared = bytes("SharedSize");
    let containers = image["Containers"].as_i64().unwrap_or(-1);
    listing::row([
        ("ID", json!(shortened(image["Id"].as_str().unwrap_or_default(), full))),
        ("Repository", json!(repository)),
        ("Tag", json!(tag)),
        ("Digest", json!(digest)),
        ("CreatedSince", json!(time::ago(created))),
        ("CreatedAt", json!(time::local(created))),
        ("Size", json!(units::short_size(bytes("Size")))),
        ("Containers", json!(counted(containers >= 0, containers.to_string()))),
        ("VirtualSize", json!(units::size(bytes("Size")))),
        ("SharedSize", json!(counted(shared >= 0.0, units::size(shared)))),
        ("UniqueSize", json!(counted(shared >= 0.0, units::size(bytes("Size") - shared)))),
    ])
}
