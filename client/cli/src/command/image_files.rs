//! `import`, `load` and `save`.

use crate::arg::{list, switch, value};
use crate::command::{Invocation, pull};
use crate::failure::{Failure, io_text};
use crate::output;
use crate::stream::terminal;
use clap::Arg;
use client_http::{Query, Request, Response, escape_path};
use std::io::Write as _;
use std::path::Path;
use tokio::io::AsyncRead;

pub(crate) fn import_flags() -> Vec<Arg> {
    vec![
        list("change", 'c', "Apply Dockerfile instruction to the created image"),
        value("message", 'm', "string", "Set commit message for imported image"),
        value("platform", None, "string", "Set platform if server is multi-platform capable"),
    ]
}

pub(crate) fn load_flags() -> Vec<Arg> {
    vec![
        value("input", 'i', "string", "Read from tar archive file, instead of STDIN"),
        value("platform", None, "string", "Load only the given platform variant"),
        switch("quiet", 'q', "Suppress the load output"),
    ]
}

pub(crate) fn save_flags() -> Vec<Arg> {
    vec![
        value("output", 'o', "string", "Write to a file, instead of STDOUT"),
        value("platform", None, "string", "Save only the given platform variant"),
    ]
}

async fn opened(path: &str) -> Result<Box<dyn AsyncRead + Send + Unpin>, Failure> {
    let file = tokio::fs::File::open(path).await;
    Ok(Box::new(file.map_err(|error| Failure::Plain(format!("open {path}: {}", io_text(&error))))?))
}

pub(crate) async fn import(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let source = &args[0];
    let url = source.contains("://");
    let mut query = Query::new()
        .with("fromSrc", if url { source.as_str() } else { "-" })
        .with_some("repo", args.get(1).cloned().unwrap_or_default())
        .with_some("message", flags.text("message"))
        .with_some("platform", flags.text("platform"));
    for change in flags.all("change") {
        query = query.with("changes", change);
    }
    let mut request = Request::post("/images/create").query(query);
    if source == "-" {
        request = request.stream("text/plain", Box::new(tokio::io::stdin()));
    } else if !url {
        request = request.stream("text/plain", opened(source).await?);
    }
    let client = session.client().await?;
    pull::show(client.send(request).await?, false, false).await
}

/// `os/arch[/variant]` as the JSON that newer endpoints take.
fn platform(text: &str) -> String {
    let mut parts = text.split('/');
    let mut value = serde_json::Map::new();
    for (name, key) in
        [("os", parts.next()), ("architecture", parts.next()), ("variant", parts.next())]
    {
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            value.insert(name.to_owned(), key.into());
        }
    }
    if text.is_empty() { String::new() } else { serde_json::Value::Object(value).to_string() }
}

pub(crate) async fn load(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let input = flags.text("input");
    if input.is_empty() && terminal::input_is_terminal() {
        return Err(Failure::Plain("requested load from stdin, but stdin is empty".into()));
    }
    let source =
        if input.is_empty() { Box::new(tokio::io::stdin()) } else { opened(&input).await? };
    let quiet = flags.on("quiet") || !terminal::output_is_terminal();
    let query = Query::new()
        .with("quiet", if quiet { "1" } else { "0" })
        .with_some("platform", platform(&flags.text("platform")));
    let client = session.client().await?;
    let request = Request::post("/images/load").query(query).stream("application/x-tar", source);
    let response = client.send(request).await?;
    if response.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return pull::show(response, false, false).await;
    }
    copy_out(response, &mut std::io::stdout()).await
}

async fn copy_out(mut response: Response, out: &mut dyn std::io::Write) -> Result<(), Failure> {
    while let Some(piece) = response.chunk().await? {
        out.write_all(&piece)?;
    }
    Ok(out.flush()?)
}

/// Writes a body to a file that appears only when it is whole, or to standard output.
pub(crate) async fn to_file(response: Response, path: &str) -> Result<(), Failure> {
    if path.is_empty() || path == "-" {
        return copy_out(response, &mut std::io::stdout().lock()).await;
    }
    let target = Path::new(path);
    let failed =
        |error: std::io::Error| Failure::Plain(format!("write {path}: {}", io_text(&error)));
    if target.exists() && !target.is_file() {
        // A device or a pipe is written as it is.
        let mut file = std::fs::OpenOptions::new().write(true).open(target).map_err(failed)?;
        return copy_out(response, &mut file).await;
    }
    let name =
        target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fresh = target.with_file_name(format!(".tmp-{name}{}", std::process::id()));
    let mut file = std::fs::File::create(&fresh).map_err(failed)?;
    let result = copy_out(response, &mut file).await;
    if result.is_err() {
        drop(std::fs::remove_file(&fresh));
        return result;
    }
    std::fs::rename(&fresh, target).map_err(failed)
}

/// Refuses what cannot be written before the engine is asked.
pub(crate) fn check_output(path: &str) -> Result<(), Failure> {
    let target = Path::new(path);
    if path.is_empty() {
        return Ok(());
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent
        && !parent.exists()
    {
        return Err(Failure::Plain(format!(
            "failed to save image: invalid output path: stat {}: no such file or directory",
            parent.display()
        )));
    }
    if target.is_dir() {
        return Err(Failure::Plain(format!(
            "failed to save image: invalid output path: \"{path}\" must be a regular file"
        )));
    }
    Ok(())
}

pub(crate) async fn save(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let path = flags.text("output");
    if path.is_empty() && terminal::output_is_terminal() {
        return Err(Failure::Plain(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect".into(),
        ));
    }
    check_output(&path)?;
    let client = session.client().await?;
    let mut query = Query::new().with_some("platform", platform(&flags.text("platform")));
    for name in &args {
        query = query.with("names", name.as_str());
    }
    let response = client.send(Request::get("/images/get").query(query)).await?;
    to_file(response, &path).await
}

/// The name of an image in a path.
pub(crate) fn image_path(name: &str, rest: &str) -> String {
    format!("/images/{}{rest}", escape_path(name))
}

/// Says what was loaded or removed, a line each.
pub(crate) fn lines(lines: &[String]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    drop(out);
    Ok(output::bytes(b"")?)
}
