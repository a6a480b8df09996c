//! `search`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::credentials;
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::parse::filter;
use clap::Arg;
use client_http::{Query, Request};
use serde_json::{Value, json};

/// How many characters of a description a table shows.
const SHORT: usize = 45;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        list("filter", 'f', "Filter output based on conditions provided").value_name("filter"),
        value("format", None, "string", "Pretty-print search using a Go template"),
        value("limit", None, "int", "Max number of search results"),
        switch("no-trunc", None, "Don't truncate output"),
    ]
}

const KIND: Kind = Kind {
    go_type: "*registry.searchContext",
    headers: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
    ],
};

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let limit = flags.number("limit")?.filter(|limit| *limit > 0);
    let query = Query::new()
        .with("term", args[0].as_str())
        .with_some("filters", filter::json(&flags.all("filter"))?)
        .with_some("limit", limit.map(|limit| limit.to_string()).unwrap_or_default());
    let registry = match args[0].split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    };
    let request = Request::get("/images/search")
        .query(query)
        .header("X-Registry-Auth", credentials::header(&session.config, registry));
    let found: Vec<Value> = session.client().await?.send(request).await?.json().await?;
    let whole = flags.on("no-trunc");
    let rows: Vec<Row> = found.iter().map(|result| row(result, whole)).collect();
    let columns = ["Name", "Description", "StarCount", "IsOfficial"];
    listing::print(KIND, &flags.text("format"), &columns, None, &rows)
}

fn row(result: &Value, whole: bool) -> Row {
    let text = result["description"].as_str().unwrap_or_default();
    let text = text.replace(['\n', '\r'], " ");
    let description = if whole || text.chars().count() <= SHORT {
        text
    } else {
        text.chars().take(SHORT - 1).chain(['…']).collect()
    };
    let official = result["is_official"].as_bool().unwrap_or(false);
    listing::row([
        ("Name", result["name"].clone()),
        ("Description", json!(description)),
        ("StarCount", json!(result["star_count"].as_i64().unwrap_or(0).to_string())),
        ("IsOfficial", json!(if official { "[OK]" } else { "" })),
    ])
}
