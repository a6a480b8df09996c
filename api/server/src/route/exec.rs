//! Execs.

use super::attach;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::stream::hijack;
use api_types::error::IdReply;
use api_types::exec::{CreateBody, StartBody};
use engine::Attached;
use hyper::StatusCode;
use spec::{Class, Failure};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// `POST /containers/{id}/exec`
pub(crate) async fn create(mut request: Request) -> Result<Reply, Failure> {
    let mut body: CreateBody = request.json().await?;
    if body.cmd.is_empty() {
        return Err(Failure::invalid("No exec command specified"));
    }
    if request.version.before(42) {
        body.console_size = None;
    }
    let id = request.server.engine().exec_create(&request.name, body).await?;
    Ok(reply::json(StatusCode::CREATED, &IdReply { id }))
}

/// `POST /exec/{id}/start`
pub(crate) async fn start(mut request: Request) -> Result<Reply, Failure> {
    if request.wants_upgrade() {
        return upgraded(&mut request).await;
    }
    match open(&mut request).await? {
        None => Ok(reply::empty(StatusCode::OK)),
        Some(attached) => Ok(attach::output_only(&request, attached)),
    }
}

/// The answer goes out before the process starts, as dockerd does it: clients that read both at once may lose what
/// comes right behind the head (docker-py takes the socket away from a reader that has it in its buffer).
async fn upgraded(request: &mut Request) -> Result<Reply, Failure> {
    let body = start_body(request).await?;
    let engine = request.server.engine();
    if body.detach {
        engine.exec_start(&request.name, body).await?;
        return Ok(reply::empty(StatusCode::OK));
    }
    let announced = engine.exec_announced(&request.name, body)?;
    let tty = announced.tty();
    Ok(hijack::upgraded_before(request, tty, announced.start()))
}

async fn start_body(request: &mut Request) -> Result<StartBody, Failure> {
    let mut body: StartBody = request.json().await?;
    if request.version.before(42) || !body.tty {
        body.console_size = None;
    }
    Ok(body)
}

/// Starts the exec; its stream unless it is to run detached.
pub(crate) async fn open(request: &mut Request) -> Result<Option<Attached>, Failure> {
    let body = start_body(request).await?;
    let (detach, tty) = (body.detach, body.tty);
    match request.server.engine().exec_start(&request.name, body).await {
        // What is known before the hijack has a status of its own; the rest is text in the stream.
        Err(failure) if !detach && !matches!(failure.class, Class::NotFound | Class::Conflict) => {
            told_in_stream(&failure, tty).map(Some)
        }
        started => started,
    }
}

/// A stream that says why the exec did not start, and ends.
fn told_in_stream(failure: &Failure, tty: bool) -> Result<Attached, Failure> {
    let failed = |cause| Failure::internal(format!("make socket pair: {cause}"));
    let (stream, mut told) = UnixStream::pair().map_err(failed)?;
    let text = format!("{}\r\n", failure.message);
    tokio::spawn(async move {
        if !tty {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            told.write_all(&[1, 0, 0, 0]).await.ok();
            told.write_all(&length.to_be_bytes()).await.ok();
        }
        told.write_all(text.as_bytes()).await.ok();
    });
    Ok(Attached::new(stream, tty))
}

/// `POST /exec/{id}/resize`
pub(crate) async fn resize(request: Request) -> Result<Reply, Failure> {
    let height = request.form.dimension("h", "height")?;
    let width = request.form.dimension("w", "width")?;
    request.server.engine().exec_resize(&request.name, width, height).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `GET /exec/{id}/json`
pub(crate) async fn inspect(request: Request) -> Result<Reply, Failure> {
    Ok(reply::ok(&request.server.engine().exec_inspect(&request.name).await?))
}
