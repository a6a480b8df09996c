//! Pulling and deleting blobs.

use crate::body::{Body, Reply, SMALL};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::range::{Wanted, parse_range};
use crate::receive::blocking;
use crate::uploads::{DIGEST, set};
use crate::{Shared, metrics};
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use hyper::{Method, Response, StatusCode};
use repositories::{Digest, Error, Name};
use std::os::unix::fs::FileExt;

/// `GET`, `HEAD`, `DELETE /v2/<name>/blobs/<digest>`.
pub(crate) async fn answer(
    shared: &Shared,
    exchange: &mut Exchange,
    name: Name,
    digest: Digest,
) -> Result<Reply, Failure> {
    match exchange.method.clone() {
        Method::HEAD => {
            let (store, repository, blob) = (shared.store.clone(), name.clone(), digest.clone());
            let found = blocking(move || match store.blob_size(&repository, &blob) {
                Err(Error::BlobUnknown { .. }) => Ok(None),
                found => found.map(Some),
            });
            let size = match (found.await?, &shared.upstream) {
                (Some(size), _) => size,
                (None, Some(upstream)) => upstream.blob_size(&name, &digest).await?,
                (None, None) => return Err(Error::BlobUnknown { name, digest }.into()),
            };
            let mut reply = head(&digest);
            set(&mut reply, CONTENT_LENGTH, &size.to_string());
            Ok(reply)
        }
        Method::GET => get(shared, exchange, name, digest).await,
        Method::DELETE => {
            let store = shared.store.clone();
            blocking(move || store.delete_blob(&name, &digest)).await?;
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::ACCEPTED;
            Ok(reply)
        }
        _ => Err(Failure::unsupported("blobs know GET, HEAD and DELETE")),
    }
}

async fn get(
    shared: &Shared,
    exchange: &Exchange,
    name: Name,
    digest: Digest,
) -> Result<Reply, Failure> {
    if is_known(exchange, &digest) {
        return Ok(not_modified(head(&digest)));
    }
    // From the page cache this takes microseconds: less than to have another thread do it.
    let blob = match (shared.store.open_blob(&name, &digest), &shared.upstream) {
        (Err(Error::BlobUnknown { .. }), Some(upstream)) => {
            metrics::add(&shared.metrics.misses, 1);
            return crate::upstream::blob(upstream, exchange, &name, &digest).await;
        }
        (blob, _) => blob?,
    };
    if shared.upstream.is_some() {
        metrics::add(&shared.metrics.hits, 1);
    }
    let (mut reply, first, length) = begin(exchange, &digest, blob.size)?;
    *reply.body_mut() = match length <= SMALL {
        true => {
            let mut bytes = vec![0; length as usize];
            let read = blob.file.read_exact_at(&mut bytes, first);
            read.map_err(|error| {
                tracing::error!(%error, %digest, "read blob");
                Failure::internal("the registry's store failed; its log says why")
            })?;
            Body::whole(bytes)
        }
        false => Body::file(blob.file, first, length, exchange.peer.outgoing.as_ref()),
    };
    Ok(reply)
}

/// The head of the answer with the part of `size` bytes that is wanted: from where, and how many.
pub(crate) fn begin(
    exchange: &Exchange,
    digest: &Digest,
    size: u64,
) -> Result<(Reply, u64, u64), Failure> {
    let mut reply = head(digest);
    let still = exchange.header(IF_RANGE).is_none_or(|text| text == etag(digest));
    let wanted = match exchange.header(RANGE).filter(|_| still) {
        Some(text) => parse_range(text, size),
        None => Wanted::Whole,
    };
    let (first, length) = match wanted {
        Wanted::Whole => (0, size),
        Wanted::Part { first, last } => {
            *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut reply, CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"));
            (first, last - first + 1)
        }
        Wanted::Nothing => {
            let failure = Failure::range(format!("the blob has only {size} bytes"));
            return Err(failure.with(CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    set(&mut reply, CONTENT_LENGTH, &length.to_string());
    Ok((reply, first, length))
}

pub(crate) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// The client has it already.
pub(crate) fn is_known(exchange: &Exchange, digest: &Digest) -> bool {
    let etag = etag(digest);
    exchange
        .header(IF_NONE_MATCH)
        .is_some_and(|text| text.split(',').any(|one| one.trim().trim_start_matches("W/") == etag))
}

pub(crate) fn not_modified(mut reply: Reply) -> Reply {
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    reply
}

fn head(digest: &Digest) -> Reply {
    let mut reply = Response::new(Body::empty());
    set(&mut reply, CONTENT_TYPE, "application/octet-stream");
    set(&mut reply, DIGEST, digest.as_str());
    set(&mut reply, ETAG, &etag(digest));
    set(&mut reply, ACCEPT_RANGES, "bytes");
    // What has a digest never changes.
    set(&mut reply, CACHE_CONTROL, "max-age=31536000");
    reply
}
