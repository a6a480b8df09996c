//! Pulling, pushing and deleting manifests and tags.

use crate::blobs::{etag, is_known, not_modified};
use crate::body::{Body, Reply};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::receive::{Source, blocking, into_memory};
use crate::uploads::{DIGEST, set};
use crate::{Shared, metrics};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use hyper::{Method, Response, StatusCode};
use repositories::{Algorithm, Check, Digest, Document, Error, Manifest, Name, Reference, Tag};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// The most tags that one request may set.
const TAGS_MAX: usize = 64;

/// `GET`, `HEAD`, `PUT`, `DELETE /v2/<name>/manifests/<reference>`.
pub(crate) async fn answer(
    shared: &Shared,
    exchange: &mut Exchange,
    name: Name,
    reference: Result<Reference, Failure>,
) -> Result<Reply, Failure> {
    match exchange.method.clone() {
        Method::GET | Method::HEAD => {
            let reference = existing(&exchange.path, reference)?;
            let manifest = match &shared.upstream {
                Some(upstream) => upstream.manifest(&name, &reference).await?,
                // From the page cache this takes microseconds: less than to have another thread do it.
                None => shared.store.manifest(&name, &reference)?,
            };
            Ok(show(exchange, manifest))
        }
        Method::PUT => put(shared, exchange, name, reference?).await,
        Method::DELETE => {
            let store = shared.store.clone();
            let reference = existing(&exchange.path, reference)?;
            blocking(move || match &reference {
                Reference::Tag(tag) => store.delete_tag(&name, tag),
                Reference::Digest(digest) => store.delete_manifest(&name, digest),
            })
            .await?;
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::ACCEPTED;
            Ok(reply)
        }
        _ => Err(Failure::unsupported("manifests know GET, HEAD, PUT and DELETE")),
    }
}

/// What cannot be a tag does not exist; only who wants to make it one did something wrong.
fn existing(path: &str, reference: Result<Reference, Failure>) -> Result<Reference, Failure> {
    reference.map_err(|failure| match failure.code {
        "MANIFEST_INVALID" => {
            let last: String =
                path.rsplit('/').next().unwrap_or_default().chars().take(100).collect();
            let message = format!("no manifest {last:?}: it is no tag");
            Failure::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", message)
        }
        _ => failure,
    })
}

fn show(exchange: &Exchange, manifest: Manifest) -> Reply {
    let mut reply = Response::new(Body::empty());
    set(&mut reply, CONTENT_TYPE, &manifest.media_type);
    set(&mut reply, DIGEST, manifest.digest.as_str());
    set(&mut reply, ETAG, &etag(&manifest.digest));
    if is_known(exchange, &manifest.digest) {
        return not_modified(reply);
    }
    set(&mut reply, CONTENT_LENGTH, &manifest.bytes.len().to_string());
    if exchange.method == Method::GET {
        *reply.body_mut() = Body::whole(manifest.bytes);
    }
    reply
}

async fn put(
    shared: &Shared,
    exchange: &mut Exchange,
    name: Name,
    reference: Reference,
) -> Result<Reply, Failure> {
    let query = exchange.query()?;
    let mut tags = Vec::new();
    for text in query.all("tag") {
        let tag = Tag::parse(text).map_err(|error| {
            Failure::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", error.to_string())
        })?;
        tags.push(tag);
    }
    if tags.len() > TAGS_MAX {
        let message = format!("more than {TAGS_MAX} tags in one request");
        return Err(Failure::new(StatusCode::URI_TOO_LONG, "MANIFEST_INVALID", message));
    }
    let body = exchange.body.take().map(Source::new);
    let bytes = match body {
        Some(source) => into_memory(source, shared.options.manifest_limit).await?,
        None => Vec::new(),
    };
    metrics::add(&shared.metrics.received, bytes.len() as u64);
    let named = tags.clone();
    let digest = match reference {
        Reference::Digest(expected) => {
            let found = Digest::of(expected.algorithm(), &bytes);
            if found != expected {
                return Err(Error::DigestMismatch { expected, found }.into());
            }
            expected
        }
        Reference::Tag(tag) => {
            tags.push(tag);
            Digest::of(Algorithm::Sha256, &bytes)
        }
    };
    let content_type = exchange.header(CONTENT_TYPE).map(str::to_owned);
    let (store, repository, stored) = (shared.store.clone(), name.clone(), digest.clone());
    let subject = blocking(move || {
        let document = Document::parse(&bytes, content_type.as_deref())?;
        store.put_manifest(&repository, &stored, &document, &bytes, &tags, Check::All)?;
        Ok(document.subject)
    })
    .await?;
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::CREATED;
    set(&mut reply, LOCATION, &format!("/v2/{name}/manifests/{digest}"));
    set(&mut reply, DIGEST, digest.as_str());
    if let Some(subject) = subject {
        set(&mut reply, SUBJECT, subject.as_str());
    }
    if !named.is_empty() {
        let named: Vec<_> = named.iter().map(Tag::as_str).collect();
        set(&mut reply, TAG, &named.join(", "));
    }
    Ok(reply)
}
