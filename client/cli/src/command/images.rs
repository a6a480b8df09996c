//! `rmi`, `tag` and `history`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::command::image_files::{image_path, lines};
use crate::command::list::{ellipsis, shortened};
use crate::failure::Failure;
use crate::format::listing::{self, Kind, Row};
use crate::format::{time, units};
use crate::output;
use crate::parse::reference::Reference;
use clap::Arg;
use client_http::{Client, Query, Request};
use serde_json::{Value, json};

pub(crate) fn remove_flags() -> Vec<Arg> {
    vec![
        switch("force", 'f', "Force removal of the image"),
        switch("no-prune", None, "Do not delete untagged parents"),
        list("platform", None, "Remove only the given platform variant"),
    ]
}

pub(crate) async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let query = Query::new()
        .with_switch("force", flags.on("force"))
        .with_switch("noprune", flags.on("no-prune"));
    let (mut errors, mut all_missing) = (Vec::new(), true);
    for name in &args {
        match delete(&client, name, query.clone()).await {
            Ok(()) => {}
            Err(failure) => {
                all_missing &= failure.status() == Some(404);
                errors.push(failure.to_string());
            }
        }
    }
    if flags.on("force") && all_missing {
        errors.iter().for_each(output::complain);
        return Ok(());
    }
    Failure::unless_empty(errors)
}

async fn delete(client: &Client, name: &str, query: Query) -> Result<(), Failure> {
    let items: Vec<Value> =
        client.send(Request::delete(image_path(name, "")).query(query)).await?.json().await?;
    let line = |item: &Value| match item["Deleted"].as_str() {
        Some(id) if !id.is_empty() => format!("Deleted: {id}"),
        _ => format!("Untagged: {}", item["Untagged"].as_str().unwrap_or_default()),
    };
    lines(&items.iter().map(line).collect::<Vec<_>>())
}

pub(crate) async fn tag(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    let parsed = Reference::parse(&args[1]).map_err(|failure| {
        Failure::Plain(format!(
            "Error parsing reference: {:?} is not a valid repository/tag: {failure}",
            args[1]
        ))
    })?;
    if parsed.digest.is_some() {
        return Err(Failure::Plain("refusing to create a tag with a digest reference".into()));
    }
    let client = session.client().await?;
    let tag = parsed.tag.clone().unwrap_or_else(|| "latest".into());
    let query = Query::new().with("repo", parsed.full()).with("tag", tag);
    client.send(Request::post(image_path(&args[0], "/tag")).query(query)).await?;
    Ok(())
}

pub(crate) fn history_flags() -> Vec<Arg> {
    vec![
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("human", 'H', "Print sizes and dates in human readable format (default true)"),
        switch("no-trunc", None, "Don't truncate output"),
        value("platform", None, "string", "Show history for the given platform"),
        switch("quiet", 'q', "Only show image IDs"),
    ]
}

const HISTORY: Kind = Kind {
    go_type: "*formatter.historyContext",
    headers: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

pub(crate) async fn history(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let layers: Vec<Value> =
        client.send(Request::get(image_path(&args[0], "/history"))).await?.json().await?;
    let (full, human) = (flags.on("no-trunc"), flags.not_off("human"));
    let row = |layer: &Value| -> Row {
        let text = |name: &str| layer[name].as_str().unwrap_or_default().to_owned();
        let created = layer["Created"].as_i64().unwrap_or_default();
        let by = text("CreatedBy").replace('\t', " ");
        let size = layer["Size"].as_i64().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
        let shown = if human { units::short_size(size as f64) } else { size.to_string() };
        let at = if created < 0 { String::new() } else { time::rfc3339(created) };
        listing::row([
            ("ID", json!(shortened(&text("Id"), full))),
            ("CreatedSince", json!(if human { time::ago(created) } else { at.clone() })),
            ("CreatedAt", json!(at)),
            ("CreatedBy", json!(if full { by } else { ellipsis(&by, 45) })),
            ("Size", json!(shown)),
            ("Comment", json!(text("Comment"))),
        ])
    };
    let rows: Vec<Row> = layers.iter().map(row).collect();
    let columns: &[&str] =
        &["ID", if human { "CreatedSince" } else { "CreatedAt" }, "CreatedBy", "Size", "Comment"];
    listing::print(
        HISTORY,
        &flags.text("format"),
        columns,
        flags.on("quiet").then_some("ID"),
        &rows,
    )
}
