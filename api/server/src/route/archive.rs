//! Files in and out of containers, as tar archives.

use crate::http::reply::{self, Reply, TAR};
use crate::http::request::Request;
use crate::stream::pipe;
use api_types::container::PathStat;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::image::stream;
use engine::{ArchivePutOptions, TarStream};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use spec::{Class, Failure};
use std::io;

const PATH_STAT: &str = "x-docker-container-path-stat";

fn path(request: &Request) -> Result<&str, Failure> {
    match request.form.text("path") {
        Some(path) => Ok(path),
        None => Err(Failure::invalid("bad parameter: path cannot be empty")),
    }
}

fn with_stat(reply: Reply, stat: &PathStat) -> Result<Reply, Failure> {
    let text = serde_json::to_vec(stat)
        .map_err(|cause| Failure::internal(format!("encode path stat: {cause}")))?;
    Ok(reply::with_header(reply, PATH_STAT, &STANDARD.encode(text)))
}

/// `HEAD /containers/{id}/archive`
pub(crate) async fn stat(request: Request) -> Result<Reply, Failure> {
    let stat = request.server.engine().archive_stat(&request.name, path(&request)?).await?;
    with_stat(reply::empty(StatusCode::OK), &stat)
}

/// `GET /containers/{id}/archive`
pub(crate) async fn get(request: Request) -> Result<Reply, Failure> {
    let path = path(&request)?;
    let (stat, tar) = request.server.engine().archive_get(&request.name, path).await?;
    with_stat(send(tar, &request, TAR).await?, &stat)
}

/// `GET /containers/{id}/export`
pub(crate) async fn export(request: Request) -> Result<Reply, Failure> {
    let tar = request.server.engine().export(&request.name).await?;
    send(tar, &request, "application/octet-stream").await
}

/// `PUT /containers/{id}/archive`
pub(crate) async fn put(request: Request) -> Result<Reply, Failure> {
    let path = path(&request)?.to_owned();
    let options = ArchivePutOptions {
        no_overwrite_dir_non_dir: request.form.flag("noOverwriteDirNonDir"),
        copy_uid_gid: request.form.flag("copyUIDGID"),
    };
    let Request { server, name, body, .. } = request;
    let (sender, compressed) = pipe::for_reader()?;
    let (archive, decompressed) = stream::decompressed(compressed)?;
    let (filled, put) = tokio::join!(
        pipe::fill(body, sender),
        server.engine().archive_put(&name, &path, options, archive)
    );
    // A broken stream breaks the unpacking too, but says it better; only a missing container comes before that.
    match put {
        Err(failure) if failure.class == Class::NotFound => return Err(failure),
        put => {
            filled?;
            if let Ok(decompressed) = decompressed.await {
                decompressed?;
            }
            put?;
        }
    }
    Ok(reply::empty(StatusCode::OK))
}

/// A tar that is being written, as a reply; a failure before its first byte has a status of its own, a later one breaks
/// the body off.
pub(crate) async fn send(
    tar: TarStream,
    request: &Request,
    kind: &'static str,
) -> Result<Reply, Failure> {
    let TarStream { reader, outcome } = tar;
    let mut reader = pipe::Reader::new(reader)?;
    let outcome = async move {
        match outcome.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::internal("write archive: writer broke off")),
        }
    };
    let first =
        reader.next().await.map_err(|cause| Failure::internal(format!("read archive: {cause}")))?;
    let (pieces, content) = reply::pieces(Some(&request.link));
    if first.is_empty() {
        outcome.await?;
    } else {
        tokio::spawn(async move {
            if reader.copy(first, &pieces).await
                && let Err(failure) = outcome.await
            {
                tracing::warn!(%failure, "write archive");
                pieces.fail(io::Error::other(failure.message)).await;
            }
        });
    }
    let mut reply = hyper::Response::new(content);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(reply)
}
