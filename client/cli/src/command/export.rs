//! `export`, `commit` and `diff`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::command::image_files::{check_output, to_file};
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::output;
use crate::parse::reference::Reference;
use crate::stream::terminal;
use clap::Arg;
use client_http::{Query, Request};
use serde_json::Value;

pub(crate) fn flags() -> Vec<Arg> {
    vec![value("output", 'o', "string", "Write to a file, instead of STDOUT")]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let path = flags.text("output");
    if path.is_empty() && terminal::output_is_terminal() {
        return Err(Failure::Plain(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect".into(),
        ));
    }
    check_output(&path)?;
    let client = session.client().await?;
    to_file(client.send(Request::get(container_path(&args[0], "/export"))).await?, &path).await
}

pub(crate) fn commit_flags() -> Vec<Arg> {
    vec![
        value(
            "author",
            'a',
            "string",
            "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        ),
        list("change", 'c', "Apply Dockerfile instruction to the created image"),
        value("message", 'm', "string", "Commit message"),
        switch("pause", 'p', "Pause container during commit (default true)"),
    ]
}

pub(crate) async fn commit(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let mut query = Query::new()
        .with("container", args[0].as_str())
        .with_some("comment", flags.text("message"))
        .with_some("author", flags.text("author"));
    if let Some(name) = args.get(1) {
        let reference = Reference::parse(name)?;
        if reference.digest.is_some() {
            return Err(Failure::Plain("refusing to create a tag with a digest reference".into()));
        }
        query = query.with("repo", reference.full()).with("tag", reference.tag_or_digest());
    }
    for change in flags.all("change") {
        query = query.with("changes", change);
    }
    if !flags.not_off("pause") {
        query = query.with("pause", "0");
    }
    let client = session.client().await?;
    let reply: Value = client.send(Request::post("/commit").query(query)).await?.json().await?;
    Ok(output::line(reply["Id"].as_str().unwrap_or_default())?)
}

pub(crate) async fn diff(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    if args[0].is_empty() {
        return Err(Failure::Plain("Container name cannot be empty".into()));
    }
    let client = session.client().await?;
    let request = Request::get(container_path(&args[0], "/changes"));
    let changes: Option<Vec<Value>> = client.send(request).await?.json().await?;
    for change in changes.unwrap_or_default() {
        let kind = match change["Kind"].as_i64() {
            Some(1) => "A",
            Some(2) => "D",
            _ => "C",
        };
        output::line(format!("{kind} {}", change["Path"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}
