//! `top`.

use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::format::table;
use crate::output;
use client_http::{Query, Request};
use serde_json::Value;

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    let client = session.client().await?;
    let query = Query::new().with_some("ps_args", args[1..].join(" "));
    let request = Request::get(container_path(&args[0], "/top")).query(query);
    let reply: Value = client.send(request).await?.json().await?;
    let row = |row: &Value| {
        let cells =
            row.as_array().into_iter().flatten().map(|cell| cell.as_str().unwrap_or_default());
        cells.collect::<Vec<_>>().join("\t")
    };
    let processes = reply["Processes"].as_array().into_iter().flatten().map(row);
    let lines: Vec<String> = std::iter::once(row(&reply["Titles"])).chain(processes).collect();
    Ok(output::bytes(table::spaced(&lines, 20, 1).as_bytes())?)
}
