//! The pull-through cache: what is not in the store is fetched from another registry, and kept.
//!
//! What has a digest is fetched once and never asked for again. What a tag names is asked for again (with `HEAD`) when
//! it was last found right longer than [`UpstreamOptions::fresh`] ago; while the upstream does not answer, what is
//! known counts.
//!
//! Reading order: [`Upstream`], [`flight`] (blobs on their way), [`client`], [`challenge`].

pub(crate) mod challenge;
pub(crate) mod client;
pub(crate) mod flight;

use crate::address::{Query, encode};
use crate::blobs::begin;
use crate::body::{Body, Reply};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::lists::json_reply;
use crate::metrics::{self, Metrics};
use crate::receive::blocking;
use client::{Ask, Client, Trouble, UpstreamSetupError};
use flight::{Flight, unknown};
use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Method, Response, StatusCode};
use repositories::{
    Algorithm, Check, Digest, Document, Error, INDEX_TYPE, Manifest, Name, Reference, Store, Tag,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// The manifests that are asked for.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";
/// The most bytes of a list.
const LIST_MAX: usize = 16 << 20;
/// How long a small body may take.
const BODY: Duration = Duration::from_secs(60);

/// Where the cache gets what it does not have.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// `https://registry-1.docker.io`.
    pub url: String,
    /// User and password there. Whoever may read this registry reads what they may read.
    pub login: Option<(String, String)>,
    /// Authorities of its certificate, in PEM; those of the system when missing.
    pub authorities: Option<Vec<u8>>,
    /// How long a tag counts as right without being asked for again.
    pub fresh: Duration,
}

type Key = (Name, Reference);

#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client,
    store: Store,
    fresh: Duration,
    manifest_limit: usize,
    metrics: Arc<Metrics>,
    flights: Mutex<HashMap<(Name, Digest), Arc<Flight>>>,
    /// One request at a time asks for the same manifest.
    turns: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

impl Upstream {
    pub(crate) fn new(
        options: &UpstreamOptions,
        store: Store,
        manifest_limit: usize,
        metrics: Arc<Metrics>,
    ) -> Result<Self, UpstreamSetupError> {
        let login = options.login.as_ref().map(|(user, password)| (&**user, &**password));
        let client = Client::new(&options.url, login, options.authorities.as_deref())?;
        Ok(Self {
            client,
            store,
            fresh: options.fresh,
            manifest_limit,
            metrics,
            flights: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    /// The manifest, from the store or the upstream.
    pub(crate) async fn manifest(
        &self,
        name: &Name,
        reference: &Reference,
    ) -> Result<Manifest, Failure> {
        if let Some(known) = self.known(name, reference)? {
            metrics::add(&self.metrics.hits, 1);
            return Ok(known);
        }
        let turn = self.turn(name, reference);
        let _turn = turn.lock().await;
        if let Some(known) = self.known(name, reference)? {
            metrics::add(&self.metrics.hits, 1);
            return Ok(known);
        }
        metrics::add(&self.metrics.misses, 1);
        let missing = || {
            let reference = reference.as_str().to_owned();
            Error::ManifestUnknown { name: name.clone(), reference }.into()
        };
        let fetched = match reference {
            Reference::Digest(_) => self.fetch(name, reference).await,
            Reference::Tag(tag) => self.revalidate(name, tag).await,
        };
        match fetched {
            Ok(manifest) => Ok(manifest),
            Err(Fetch::Failed(failure)) => Err(failure),
            Err(Fetch::Trouble(trouble)) => match self.store.manifest(name, reference) {
                // It is gone there: the tag goes here too. What has a digest stays.
                Ok(_) if matches!(trouble, Trouble::Missing) => {
                    if let Reference::Tag(tag) = reference {
                        let (store, name, tag) = (self.store.clone(), name.clone(), tag.clone());
                        blocking(move || store.delete_tag(&name, &tag)).await.unwrap_or_default();
                    }
                    Err(missing())
                }
                Ok(stale) => {
                    tracing::warn!(?trouble, %name, "upstream away, serving what is known");
                    Ok(stale)
                }
                Err(Error::ManifestUnknown { .. }) => Err(failure(trouble, missing)),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// What the store has and need not ask for.
    fn known(&self, name: &Name, reference: &Reference) -> Result<Option<Manifest>, Failure> {
        if let Reference::Tag(tag) = reference {
            let since = self
                .store
                .tag_time(name, tag)?
                .map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
            if since.is_none_or(|since| since >= self.fresh) {
                return Ok(None);
            }
        }
        match self.store.manifest(name, reference) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(Error::ManifestUnknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn turn(&self, name: &Name, reference: &Reference) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = turns.entry((name.clone(), reference.clone())).or_default();
        turn.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(tokio::sync::Mutex::new(()));
            *turn = Arc::downgrade(&fresh);
            fresh
        })
    }

    /// Asks what a tag names now, and fetches that if it is new.
    async fn revalidate(&self, name: &Name, tag: &Tag) -> Result<Manifest, Fetch> {
        let reference = Reference::Tag(tag.clone());
        let ask = ask_manifest(Method::HEAD, name, &reference);
        let response = self.client.ask(&ask).await.map_err(Fetch::Trouble)?;
        let digest = response
            .headers()
            .get(crate::uploads::DIGEST)
            .and_then(|text| Digest::parse(text.to_str().ok()?).ok());
        let Some(digest) = digest else { return self.fetch(name, &reference).await };
        let manifest = match self.store.manifest(name, &Reference::Digest(digest.clone())) {
            Ok(manifest) => manifest,
            Err(_) => return self.fetch(name, &reference).await,
        };
        let (store, repository, tag) = (self.store.clone(), name.clone(), tag.clone());
        blocking(move || match store.tag(&repository, &tag)? {
            Some(now) if now == digest => store.confirm_tag(&repository, &tag),
            _ => store.set_tag(&repository, &tag, &digest),
        })
        .await
        .map_err(Fetch::Failed)?;
        Ok(manifest)
    }

    async fn fetch(&self, name: &Name, reference: &Reference) -> Result<Manifest, Fetch> {
        let ask = ask_manifest(Method::GET, name, reference);
        let response = self.client.ask(&ask).await.map_err(Fetch::Trouble)?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|text| text.to_str().ok());
        let kind = kind.map(str::to_owned);
        let bytes = small(response, self.manifest_limit).await.map_err(Fetch::Trouble)?;
        let (digest, tags) = match reference {
            Reference::Digest(digest) => (digest.clone(), Vec::new()),
            Reference::Tag(tag) => (Digest::of(Algorithm::Sha256, &bytes), vec![tag.clone()]),
        };
        if Digest::of(digest.algorithm(), &bytes) != digest {
            let cause = "it sends a manifest with another digest".to_owned();
            return Err(Fetch::Trouble(Trouble::Away(cause)));
        }
        let (store, repository) = (self.store.clone(), name.clone());
        let stored = blocking(move || {
            let document = Document::parse(&bytes, kind.as_deref())?;
            store.put_manifest(&repository, &digest, &document, &bytes, &tags, Check::Nothing)?;
            Ok(Manifest { digest, media_type: document.media_type, bytes })
        });
        stored.await.map_err(|failure| {
            // A manifest that the upstream got wrong is no fault of the client.
            match failure.status.is_client_error() {
                true => Fetch::Trouble(Trouble::Away(failure.message)),
                false => Fetch::Failed(failure),
            }
        })
    }

    /// The size of a blob that the store does not have.
    pub(crate) async fn blob_size(&self, name: &Name, digest: &Digest) -> Result<u64, Failure> {
        let path = format!("/v2/{name}/blobs/{digest}");
        let ask = Ask { method: Method::HEAD, path, name: name.as_str(), headers: Vec::new() };
        let response = self.client.ask(&ask).await;
        let response = response.map_err(|t| failure(t, || unknown(name, digest)))?;
        let size = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        let size = size.and_then(|text| text.parse().ok());
        size.ok_or_else(|| Failure::unavailable("the upstream does not say the blob's size"))
    }

    /// The tags that the upstream has; `None` while it does not answer.
    pub(crate) async fn tags(&self, name: &Name, query: &Query) -> Result<Option<Reply>, Failure> {
        let path = format!("/v2/{name}/tags/list{}", again(query, &["n", "last"]));
        let unknown = || Error::NameUnknown(name.clone()).into();
        self.list(name, path, "application/json", unknown).await
    }

    /// What refers to a manifest in the upstream; `None` while it does not answer, or knows no such lists.
    pub(crate) async fn referrers(
        &self,
        name: &Name,
        digest: &Digest,
        query: &Query,
    ) -> Result<Option<Reply>, Failure> {
        let query = again(query, &["artifactType", "last"]);
        let path = format!("/v2/{name}/referrers/{digest}{query}");
        let unknown = || Error::NameUnknown(name.clone()).into();
        match self.list(name, path, INDEX_TYPE, unknown).await {
            Err(failure) if failure.status == StatusCode::NOT_FOUND => Ok(None),
            list => list,
        }
    }

    async fn list(
        &self,
        name: &Name,
        path: String,
        kind: &str,
        unknown: impl FnOnce() -> Failure,
    ) -> Result<Option<Reply>, Failure> {
        let ask = Ask {
            method: Method::GET,
            path,
            name: name.as_str(),
            headers: vec![(ACCEPT, kind.to_owned())],
        };
        let response = match self.client.ask(&ask).await {
            Ok(response) => response,
            Err(Trouble::Away(_)) => return Ok(None),
            Err(trouble) => return Err(failure(trouble, unknown)),
        };
        let kept = ["link", "oci-filters-applied"];
        let headers: Vec<_> = kept
            .iter()
            .filter_map(|name| Some((*name, response.headers().get(*name)?.clone())))
            .collect();
        let Ok(bytes) = small(response, LIST_MAX).await else { return Ok(None) };
        let Ok(value) = serde_json::from_slice(&bytes) else { return Ok(None) };
        let mut reply = json_reply(kind, &value);
        for (name, value) in headers {
            // A link to another host would lead clients past this registry.
            if value.to_str().is_ok_and(|text| name != "link" || text.starts_with("</v2/")) {
                reply.headers_mut().insert(name, value);
            }
        }
        Ok(Some(reply))
    }

    /// The flight that brings a blob: one that is on its way, or a new one.
    fn flight(self: &Arc<Self>, name: &Name, digest: &Digest) -> Arc<Flight> {
        let key = (name.clone(), digest.clone());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return Arc::clone(flight);
        }
        let flight = Arc::new(Flight::new());
        flights.insert(key.clone(), Arc::clone(&flight));
        let (upstream, flying) = (Arc::clone(self), Arc::clone(&flight));
        tokio::spawn(async move {
            flying.fly(&upstream, &key.0, &key.1).await;
            let mut flights = upstream.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.remove(&key);
        });
        flight
    }
}

/// Answers with a blob that the store does not have.
pub(crate) async fn blob(
    upstream: &Arc<Upstream>,
    exchange: &Exchange,
    name: &Name,
    digest: &Digest,
) -> Result<Reply, Failure> {
    let flight = upstream.flight(name, digest);
    let size = flight.heard().await?;
    let (mut reply, first, length) = match size {
        Some(size) => {
            let (reply, first, length) = begin(exchange, digest, size)?;
            (reply, first, Some(length))
        }
        // Without a size there are no ranges.
        None => {
            let (mut reply, ..) = begin(exchange, digest, 1)?;
            reply.headers_mut().remove(CONTENT_LENGTH);
            reply.headers_mut().remove(hyper::header::CONTENT_RANGE);
            *reply.status_mut() = StatusCode::OK;
            (reply, 0, None)
        }
    };
    let (client, source) = mpsc::channel(2);
    tokio::spawn(flight.follow(first, length, client));
    *reply.body_mut() = Body::Stream { source, left: length };
    Ok(reply)
}

enum Fetch {
    Trouble(Trouble),
    Failed(Failure),
}

fn ask_manifest<'a>(method: Method, name: &'a Name, reference: &Reference) -> Ask<'a> {
    let path = format!("/v2/{name}/manifests/{}", reference.as_str());
    Ask { method, path, name: name.as_str(), headers: vec![(ACCEPT, MANIFESTS.to_owned())] }
}

/// The parameters of a query that are passed on.
fn again(query: &Query, keys: &[&str]) -> String {
    let pairs: Vec<_> =
        keys.iter().filter_map(|key| Some(format!("{key}={}", encode(query.get(key)?)))).collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

async fn small(response: Response<hyper::body::Incoming>, most: usize) -> Result<Vec<u8>, Trouble> {
    let body = Limited::new(response.into_body(), most).collect();
    match tokio::time::timeout(BODY, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(_)) => Err(Trouble::Away("its answer breaks off or is too long".to_owned())),
        Err(_) => Err(Trouble::Away("its answer takes too long".to_owned())),
    }
}

/// What a client is told of the upstream's trouble; `missing` when it is that there is nothing.
pub(crate) fn failure(trouble: Trouble, missing: impl FnOnce() -> Failure) -> Failure {
    match trouble {
        Trouble::Missing => missing(),
        Trouble::Denied(status) => {
            let message = format!("the upstream registry denies this ({})", status.as_u16());
            Failure::new(StatusCode::FORBIDDEN, "DENIED", message)
        }
        Trouble::TooMany(after) => {
            let failure = Failure::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "the upstream registry has too many requests",
            );
            failure.with(hyper::header::RETRY_AFTER, after.as_deref().unwrap_or("60"))
        }
        Trouble::Away(cause) => {
            tracing::warn!(%cause, "the upstream does not help");
            Failure::unavailable(format!("the upstream registry does not answer: {cause}"))
        }
    }
}
