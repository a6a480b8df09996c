//! `prune` of every kind, and of the whole system.

use crate::arg::{Flags, list, switch};
use crate::command::Invocation;
use crate::failure::Failure;
use crate::format::units;
use crate::output;
use crate::parse::filter;
use crate::session::Session;
use clap::Arg;
use client_http::{Client, Query, Request};
use serde_json::Value;
use std::io::Write as _;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        list("filter", None, "Provide filter values (e.g. \"until=<timestamp>\")")
            .value_name("filter"),
        switch("force", 'f', "Do not prompt for confirmation"),
    ]
}

pub(crate) fn all_flags() -> Vec<Arg> {
    let mut flags = flags();
    flags.push(switch("all", 'a', "Remove all unused ones, not just dangling or anonymous ones"));
    flags
}

pub(crate) fn system_flags() -> Vec<Arg> {
    let mut flags = all_flags();
    flags.push(switch("volumes", None, "Prune anonymous volumes"));
    flags
}

/// Asks the user; the answer of a `-f` is yes.
fn agreed(flags: &Flags, warning: &str) -> Result<bool, Failure> {
    if flags.on("force") {
        return Ok(true);
    }
    let mut out = std::io::stdout().lock();
    write!(out, "WARNING! {warning}\nAre you sure you want to continue? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn filters(session: &Session, flags: &Flags, more: &[&str]) -> Result<Query, Failure> {
    let mut given = session.config.prune_filters();
    given.extend(flags.all("filter"));
    given.extend(more.iter().map(|filter| (*filter).to_owned()));
    Ok(Query::new().with_some("filters", filter::json(&given)?))
}

async fn pruned(client: &Client, kind: &str, query: Query) -> Result<Value, Failure> {
    Ok(client.send(Request::post(format!("/{kind}/prune")).query(query)).await?.json().await?)
}

fn reclaimed(bytes: u64) -> Result<(), Failure> {
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let shown = units::size(bytes as f64);
    Ok(output::line(format!("Total reclaimed space: {shown}"))?)
}

/// Prints the title and the names, and an empty line, if there are names.
fn deleted(title: &str, names: &Value) -> Result<(), Failure> {
    let names: Vec<&str> =
        names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    output::line(title)?;
    names.iter().try_for_each(output::line)?;
    Ok(output::line("")?)
}

fn space(reply: &Value) -> u64 {
    reply["SpaceReclaimed"].as_u64().unwrap_or_default()
}

pub(crate) async fn containers(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    if !agreed(&flags, "This will remove all stopped containers.")? {
        return Ok(());
    }
    let query = filters(&session, &flags, &[])?;
    let reply = pruned(&session.client().await?, "containers", query).await?;
    deleted("Deleted Containers:", &reply["ContainersDeleted"])?;
    reclaimed(space(&reply))
}

fn images_deleted(reply: &Value) -> Result<(), Failure> {
    let items = reply["ImagesDeleted"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return Ok(());
    }
    output::line("Deleted Images:")?;
    for item in items {
        let line = match item["Untagged"].as_str() {
            Some(name) if !name.is_empty() => format!("untagged: {name}"),
            _ => format!("deleted: {}", item["Deleted"].as_str().unwrap_or_default()),
        };
        output::line(line)?;
    }
    Ok(output::line("")?)
}

pub(crate) async fn images(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let all = flags.on("all");
    let warning = if all {
        "This will remove all images without at least one container associated to them."
    } else {
        "This will remove all dangling images."
    };
    if !agreed(&flags, warning)? {
        return Ok(());
    }
    let query = filters(&session, &flags, &[if all { "dangling=false" } else { "dangling=true" }])?;
    let reply = pruned(&session.client().await?, "images", query).await?;
    images_deleted(&reply)?;
    reclaimed(space(&reply))
}

pub(crate) async fn networks(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    if !agreed(&flags, "This will remove all custom networks not used by at least one container.")?
    {
        return Ok(());
    }
    let query = filters(&session, &flags, &[])?;
    let reply = pruned(&session.client().await?, "networks", query).await?;
    deleted("Deleted Networks:", &reply["NetworksDeleted"])
}

pub(crate) async fn volumes(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let all = flags.on("all");
    let warning = if all {
        "This will remove all local volumes not used by at least one container."
    } else {
        "This will remove anonymous local volumes not used by at least one container."
    };
    let client = session.client().await?;
    if !agreed(&flags, warning)? {
        return Ok(());
    }
    let more: &[&str] = if all && client.speaks(42) { &["all=true"] } else { &[] };
    let reply = pruned(&client, "volumes", filters(&session, &flags, more)?).await?;
    deleted("Deleted Volumes:", &reply["VolumesDeleted"])?;
    reclaimed(space(&reply))
}

fn system_warning(flags: &Flags) -> String {
    let mut lines =
        vec!["  - all stopped containers", "  - all networks not used by at least one container"];
    if flags.on("volumes") {
        lines.push("  - all anonymous volumes not used by at least one container");
    }
    lines.push(match flags.on("all") {
        true => "  - all images without at least one container associated to them",
        false => "  - all dangling images",
    });
    lines.push(if flags.on("all") { "  - all build cache" } else { "  - unused build cache" });
    let mut text = format!("This will remove:\n{}\n", lines.join("\n"));
    let given = flags.all("filter");
    if !given.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        given.iter().for_each(|filter| text.push_str(&format!("  - {filter}\n")));
    }
    text
}

pub(crate) async fn system(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let given = flags.all("filter");
    if flags.on("volumes") && given.iter().any(|filter| filter.starts_with("until=")) {
        return Err(Failure::Plain(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"".into(),
        ));
    }
    if !agreed(&flags, &system_warning(&flags))? {
        return Ok(());
    }
    let client = session.client().await?;
    let query = filters(&session, &flags, &[])?;
    let mut total = 0;
    let reply = pruned(&client, "containers", query.clone()).await?;
    deleted("Deleted Containers:", &reply["ContainersDeleted"])?;
    total += space(&reply);
    let reply = pruned(&client, "networks", query.clone()).await?;
    deleted("Deleted Networks:", &reply["NetworksDeleted"])?;
    if flags.on("volumes") {
        let reply = pruned(&client, "volumes", query.clone()).await?;
        deleted("Deleted Volumes:", &reply["VolumesDeleted"])?;
        total += space(&reply);
    }
    let dangling = if flags.on("all") { "dangling=false" } else { "dangling=true" };
    let reply = pruned(&client, "images", filters(&session, &flags, &[dangling])?).await?;
    images_deleted(&reply)?;
    total += space(&reply);
    total += build_cache(&client, &flags, query).await?;
    reclaimed(total)
}

/// An engine without a build cache has nothing to remove.
async fn build_cache(client: &Client, flags: &Flags, query: Query) -> Result<u64, Failure> {
    let reply = match pruned(client, "build", query.with_switch("all", flags.on("all"))).await {
        Ok(reply) => reply,
        Err(failure) if matches!(failure.status(), Some(404 | 501)) => return Ok(0),
        Err(failure) => return Err(failure),
    };
    deleted("Deleted build cache objects:", &reply["CachesDeleted"])?;
    Ok(space(&reply))
}
