//! Pushing blobs: uploads in one request or several, and mounts (distribution specification, "Pushing blobs").

use crate::access::{Action, Wish};
use crate::address::{Query, parse_digest};
use crate::body::{Body, Reply};
use crate::failure::Failure;
use crate::range::parse_content_range;
use crate::receive::{Source, blocking, into_upload};
use crate::{Shared, exchange::Exchange, metrics};
use hyper::header::{CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE};
use hyper::{Method, Response, StatusCode};
use repositories::{Algorithm, Digest, Error, Name, Upload, UploadId};
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

const UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// How long a request waits for another one to be done with the same upload, or for its turn to send a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// `POST /v2/<name>/blobs/uploads/`.
pub(crate) async fn begin(
    shared: &Shared,
    exchange: &mut Exchange,
    name: Name,
) -> Result<Reply, Failure> {
    if exchange.method != Method::POST {
        return Err(Failure::unsupported("uploads are begun with POST"));
    }
    let query = exchange.query()?;
    if let Some(digest) = query.get("mount") {
        let digest = parse_digest(digest)?;
        if mount(shared, exchange, &name, &digest, &query).await? {
            return Ok(created(&name, &digest));
        }
    }
    let algorithm = match query.get("digest-algorithm") {
        Some(text) => Algorithm::parse(text).ok_or_else(|| {
            let message = "digest-algorithm must be sha256 or sha512";
            Failure::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
        })?,
        None => Algorithm::default(),
    };
    let digest = query.get("digest").map(parse_digest).transpose()?;
    let algorithm = digest.as_ref().map_or(algorithm, Digest::algorithm);
    let store = shared.store.clone();
    let repository = name.clone();
    let upload = blocking(move || store.begin_upload(&repository, algorithm)).await?;
    let Some(digest) = digest else { return Ok(accepted(&name, &upload)) };
    let id = upload.id().clone();
    match receive(shared, exchange, upload).await {
        Ok(upload) => finish(upload, &name, digest).await,
        Err(failure) => {
            // Nobody was told of this upload.
            let store = shared.store.clone();
            blocking(move || store.cancel_upload(&name, &id)).await.unwrap_or_default();
            Err(failure)
        }
    }
}

/// Takes a blob from another repository, if there is one and the user may read it there.
async fn mount(
    shared: &Shared,
    exchange: &Exchange,
    name: &Name,
    digest: &Digest,
    query: &Query,
) -> Result<bool, Failure> {
    let from = match query.get("from") {
        Some(text) => match Name::parse(text) {
            Ok(from) => Some(from),
            Err(_) => return Ok(false),
        },
        // Where not everybody may read everything, knowing a digest is no right to its blob.
        None if !shared.access.is_open() => return Ok(false),
        None => None,
    };
    if let Some(from) = &from {
        let wish = Wish::Repository(from, &[Action::Pull]);
        if shared.access.check(&exchange.headers, wish, exchange.peer.secure).await.is_err() {
            return Ok(false);
        }
    }
    let (store, name, digest) = (shared.store.clone(), name.clone(), digest.clone());
    blocking(move || store.mount_blob(from.as_ref(), &name, &digest)).await
}

/// `GET`, `PATCH`, `PUT`, `DELETE /v2/<name>/blobs/uploads/<uuid>`.
pub(crate) async fn go_on(
    shared: &Shared,
    exchange: &mut Exchange,
    name: Name,
    id: UploadId,
) -> Result<Reply, Failure> {
    let store = shared.store.clone();
    match exchange.method.clone() {
        Method::GET | Method::HEAD => {
            let (repository, upload) = (name.clone(), id.clone());
            let offset = blocking(move || store.upload_offset(&repository, &upload)).await?;
            Ok(state(StatusCode::NO_CONTENT, &name, &id, offset))
        }
        Method::DELETE => {
            blocking(move || store.cancel_upload(&name, &id)).await?;
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::NO_CONTENT;
            Ok(reply)
        }
        Method::PATCH => {
            let upload = open(shared, &name, &id).await?;
            check_place(exchange, &name, &upload)?;
            let upload = receive(shared, exchange, upload).await?;
            Ok(accepted(&name, &upload))
        }
        Method::PUT => {
            let query = exchange.query()?;
            let digest = query.get("digest").ok_or_else(|| {
                let message = "the digest of the whole blob must be given as ?digest=";
                Failure::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
            })?;
            let digest = parse_digest(digest)?;
            let upload = open(shared, &name, &id).await?;
            check_place(exchange, &name, &upload)?;
            let upload = receive(shared, exchange, upload).await?;
            finish(upload, &name, digest).await
        }
        _ => Err(Failure::unsupported("uploads know GET, PATCH, PUT and DELETE")),
    }
}

/// Opens an upload. A client whose connection broke comes back before its last request has noticed, so this waits.
async fn open(shared: &Shared, name: &Name, id: &UploadId) -> Result<Upload, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (store, name, id) = (shared.store.clone(), name.clone(), id.clone());
        let opened = blocking(move || match store.open_upload(&name, &id) {
            Err(Error::UploadBusy(_)) => Ok(None),
            opened => opened.map(Some),
        });
        match opened.await? {
            Some(upload) => return Ok(upload),
            None if Instant::now() > until => {
                let message = "another request writes to this upload";
                let code = "BLOB_UPLOAD_INVALID";
                return Err(Failure::new(StatusCode::CONFLICT, code, message));
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A chunk must begin where the last one ended and be as long as it says.
fn check_place(exchange: &Exchange, name: &Name, upload: &Upload) -> Result<(), Failure> {
    let Some(text) = exchange.headers.get(CONTENT_RANGE) else { return Ok(()) };
    let wrong = |message: String| {
        let failure = Failure::range(message)
            .with(LOCATION, &location(name, upload.id()))
            .with(UUID, upload.id().as_str());
        failure.with(RANGE, &range(upload.offset()))
    };
    let place = text.to_str().ok().and_then(parse_content_range);
    let Some((first, last)) = place else {
        return Err(wrong("Content-Range must be <first byte>-<last byte>".to_owned()));
    };
    if first != upload.offset() {
        let message =
            format!("the chunk begins at byte {first}, the upload has {}", upload.offset());
        return Err(wrong(message));
    }
    match exchange.said() {
        Some(said) if (last - first).checked_add(1) != Some(said) => {
            let message = format!("Content-Range has {} bytes, the body {said}", last - first + 1);
            Err(Failure::size(message))
        }
        _ => Ok(()),
    }
}

async fn receive(
    shared: &Shared,
    exchange: &mut Exchange,
    upload: Upload,
) -> Result<Upload, Failure> {
    let Some(body) = exchange.body.take() else { return Ok(upload) };
    if exchange.said() == Some(0) {
        return Ok(upload);
    }
    let most = shared.options.blob_limit.unwrap_or(u64::MAX).saturating_sub(upload.offset());
    let source = Source::new(body);
    if source.said().is_some_and(|said| said > most) {
        crate::receive::discard(source).await;
        let message = format!("write upload: it may not have more than {most} more bytes");
        return Err(Failure::too_large(message));
    }
    let _place = place(shared).await?;
    let before = upload.offset();
    let upload = into_upload(source, upload, most).await?;
    metrics::add(&shared.metrics.received, upload.offset() - before);
    Ok(upload)
}

/// So many bodies are received at once; that bounds the memory that they take.
async fn place(shared: &Shared) -> Result<SemaphorePermit<'_>, Failure> {
    match tokio::time::timeout(PATIENCE, shared.bodies.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Failure::too_many("too many uploads at the same time")),
    }
}

async fn finish(upload: Upload, name: &Name, digest: Digest) -> Result<Reply, Failure> {
    let expected = digest.clone();
    blocking(move || upload.commit(&expected)).await?;
    Ok(created(name, &digest))
}

fn location(name: &Name, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// Of no byte, too, clients expect a range; all take this one.
fn range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn accepted(name: &Name, upload: &Upload) -> Reply {
    state(StatusCode::ACCEPTED, name, upload.id(), upload.offset())
}

fn state(status: StatusCode, name: &Name, id: &UploadId, offset: u64) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    set(&mut reply, LOCATION, &location(name, id));
    set(&mut reply, RANGE, &range(offset));
    set(&mut reply, UUID, id.as_str());
    reply
}

fn created(name: &Name, digest: &Digest) -> Reply {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::CREATED;
    set(&mut reply, LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    set(&mut reply, DIGEST, digest.as_str());
    reply
}

/// Sets a header whose value is made of names, digests and numbers.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).ok();
    reply.headers_mut().extend(value.map(|value| (name, value)));
}
