//! `cp`.

use crate::arg::{Flags, switch};
use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::{Failure, io_text};
use crate::format::units;
use crate::output;
use crate::parse::volume::clean;
use crate::stream::archive;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Arg;
use client_http::{Client, Query, Request};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Go's bit for a directory and for a symbolic link.
const DIRECTORY: u64 = 1 << 31;
const SYMLINK: u64 = 1 << 27;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("archive", 'a', "Archive mode (copy all uid/gid information)"),
        switch("follow-link", 'L', "Always follow symbol link in SRC_PATH"),
        switch("quiet", 'q', "Suppress progress output during copy"),
    ]
}

/// One side of a copy.
#[derive(Debug)]
struct Side {
    container: Option<String>,
    path: String,
}

impl Side {
    /// `CONTAINER:PATH`, unless the text is a path of this machine.
    fn parse(text: &str) -> Self {
        if text.starts_with('/') || text.starts_with('.') {
            return Self { container: None, path: text.to_owned() };
        }
        match text.split_once(':') {
            Some((container, path)) if !container.is_empty() => {
                Self { container: Some(container.to_owned()), path: path.to_owned() }
            }
            _ => Self { container: None, path: text.to_owned() },
        }
    }
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let (source, target) = (Side::parse(&args[0]), Side::parse(&args[1]));
    if source.path.is_empty() {
        return Err(Failure::Plain("source can not be empty".into()));
    }
    if target.path.is_empty() {
        return Err(Failure::Plain("destination can not be empty".into()));
    }
    match (&source.container, &target.container) {
        (Some(_), Some(_)) => {
            Err(Failure::Plain("copying between containers is not supported".into()))
        }
        (None, None) => Err(Failure::Plain("must specify at least one container source".into())),
        (Some(container), None) => {
            let client = session.client().await?;
            from_container(&client, container, &source.path, &target.path, &flags).await
        }
        (None, Some(container)) => {
            let client = session.client().await?;
            into_container(&client, container, &source.path, &target.path, &flags).await
        }
    }
}

/// What the engine says of a path in a container.
#[derive(Debug, Default)]
struct Stat {
    name: String,
    mode: u64,
    link: String,
}

fn decoded(header: Option<&str>) -> Result<Stat, Failure> {
    let wrong = || Failure::Plain("unable to decode container path stat header".into());
    let bytes = STANDARD.decode(header.ok_or_else(wrong)?).map_err(|_| wrong())?;
    let value: Value = serde_json::from_slice(&bytes)?;
    Ok(Stat {
        name: value["name"].as_str().unwrap_or_default().to_owned(),
        mode: value["mode"].as_u64().unwrap_or_default(),
        link: value["linkTarget"].as_str().unwrap_or_default().to_owned(),
    })
}

async fn stat(client: &Client, container: &str, path: &str) -> Result<Stat, Failure> {
    let query = Query::new().with("path", path);
    let response =
        client.send(Request::head(container_path(container, "/archive")).query(query)).await;
    let response = response.map_err(|error| named_head(error, container, path))?;
    decoded(response.header("x-docker-container-path-stat"))
}

/// The answer of HEAD has no body, so no sentence either.
fn named_head(error: client_http::ClientError, container: &str, path: &str) -> Failure {
    match error.status() {
        Some(404) => Failure::Coded {
            code: 1,
            text: format!(
                "Error response from daemon: Could not find the file {path} in container {container}"
            ),
        },
        _ => Failure::Engine(error),
    }
}

/// An absolute path in the container that keeps `/` and `/.` at its end, which mean something.
fn absolute(path: &str) -> String {
    let cleaned = clean(Path::new(&format!("/{path}")));
    if path.ends_with("/.") || path == "." {
        return format!("{}/.", cleaned.trim_end_matches('/'));
    }
    if path.ends_with('/') && cleaned != "/" { format!("{cleaned}/") } else { cleaned }
}

async fn from_container(
    client: &Client,
    container: &str,
    source: &str,
    target: &str,
    flags: &Flags,
) -> Result<(), Failure> {
    let mut source = absolute(source);
    if flags.on("follow-link")
        && let Ok(found) = stat(client, container, &source).await
        && found.mode & SYMLINK != 0
    {
        source = linked(&source, &found.link);
    }
    let query = Query::new().with("path", source.as_str());
    let response =
        client.send(Request::get(container_path(container, "/archive")).query(query)).await?;
    let found = decoded(response.header("x-docker-container-path-stat"))?;
    if target == "-" {
        return crate::command::image_files::to_file(response, "").await;
    }
    let place = place(&source, &found, Path::new(target))?;
    let size = archive::extract(response, place, flags.on("archive")).await?;
    report(flags, size, &display(Path::new(target)));
    Ok(())
}

fn linked(path: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let parent = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    clean(&parent.join(link))
}

/// Where the archive of a container goes on this machine.
fn place(source: &str, found: &Stat, target: &Path) -> Result<archive::Place, Failure> {
    let is_directory = found.mode & DIRECTORY != 0;
    let slashed = target.to_string_lossy().ends_with('/');
    if target.is_dir() {
        return Ok(archive::Place::Into(target.to_owned()));
    }
    let missing = |path: &Path| {
        Failure::Plain(format!(
            "invalid output path: directory {:?} does not exist",
            path.display().to_string()
        ))
    };
    if target.exists() && is_directory {
        return Err(Failure::Plain("cannot copy directory".into()));
    }
    if slashed && !is_directory {
        return Err(Failure::Plain("no such directory".into()));
    }
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    if !parent.is_dir() {
        return Err(missing(parent));
    }
    let content = source.ends_with("/.") || source == "/";
    Ok(archive::Place::As {
        path: target.to_owned(),
        top: if content { String::new() } else { found.name.clone() },
    })
}

async fn into_container(
    client: &Client,
    container: &str,
    source: &str,
    target: &str,
    flags: &Flags,
) -> Result<(), Failure> {
    let mut target_path = absolute(target);
    let mut existing = stat(client, container, &target_path).await.ok();
    if let Some(found) = &existing
        && found.mode & SYMLINK != 0
    {
        target_path = linked(&target_path, &found.link);
        existing = stat(client, container, &target_path).await.ok();
    }
    let is_directory = existing.as_ref().map(|found| found.mode & DIRECTORY != 0);
    if source == "-" {
        if is_directory != Some(true) {
            return Err(Failure::Plain(format!(
                "destination \"{container}:{target_path}\" must be a directory"
            )));
        }
        return put(client, container, &target_path, Box::new(tokio::io::stdin()), flags).await;
    }
    let local = local_path(source, flags)?;
    let local_directory = local.is_dir();
    let cleaned = clean(Path::new(&target_path));
    let parent = Path::new(&cleaned)
        .parent()
        .map_or_else(|| "/".to_owned(), |parent| parent.display().to_string());
    let base = Path::new(&cleaned)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let own = archive::base_name(&local, source);
    let (directory, name) = match is_directory {
        Some(true) => (target_path.clone(), own),
        Some(false) if local_directory => {
            return Err(Failure::Plain("cannot copy directory".into()));
        }
        None if target_path.ends_with('/') && !local_directory => {
            return Err(Failure::Plain("no such directory".into()));
        }
        Some(false) | None => (parent, base),
    };
    let (reader, counted) = archive::pack(local, name);
    put(client, container, &directory, Box::new(reader), flags).await?;
    counted.result().await?;
    report(flags, counted.size(), &format!("{container}:{}", target));
    Ok(())
}

fn local_path(source: &str, flags: &Flags) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(source);
    let failed = |error: std::io::Error| {
        let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        Failure::Plain(format!("lstat {}: {}", shown.display(), io_text(&error)))
    };
    let found = std::fs::symlink_metadata(&path).map_err(failed)?;
    if found.is_symlink() && flags.on("follow-link") {
        let target = std::fs::read_link(&path).map_err(failed)?;
        return Ok(path.parent().unwrap_or_else(|| Path::new(".")).join(target));
    }
    Ok(path)
}

async fn put(
    client: &Client,
    container: &str,
    directory: &str,
    source: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    flags: &Flags,
) -> Result<(), Failure> {
    let mut query = Query::new().with("path", directory).with("noOverwriteDirNonDir", "true");
    if flags.on("archive") {
        query = query.with("copyUIDGID", "true");
    }
    let request = Request::put(container_path(container, "/archive"))
        .query(query)
        .stream("text/plain", source);
    client.send(request).await?;
    Ok(())
}

fn display(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
fn report(flags: &Flags, size: u64, target: &str) {
    let quiet = if flags.given("quiet") {
        flags.on("quiet")
    } else {
        !crate::stream::terminal::output_is_terminal()
    };
    if !quiet {
        output::complain(format!(
            "Successfully copied {} to {target}",
            units::short_size(size as f64)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_machine_is_told_from_a_container_s() {
        assert_eq!(Side::parse("c:/a:b").container.as_deref(), Some("c"));
        assert_eq!(Side::parse("c:/a:b").path, "/a:b");
        assert_eq!(Side::parse("./c:/a").container, None);
        assert_eq!(Side::parse("/c:/a").container, None);
        assert_eq!(Side::parse("-").container, None);
    }

    #[test]
    fn the_end_of_a_path_in_the_container_keeps_its_meaning() {
        assert_eq!(absolute("a/b"), "/a/b");
        assert_eq!(absolute("/a/../b/"), "/b/");
        assert_eq!(absolute("/a/."), "/a/.");
        assert_eq!(absolute("/"), "/");
    }
}
