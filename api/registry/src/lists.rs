//! Lists: tags, repositories, referrers.

use crate::Shared;
use crate::address::{Query, encode};
use crate::body::{Body, Reply};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::receive::blocking;
use crate::uploads::set;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LINK};
use hyper::{Response, StatusCode};
use repositories::{Digest, INDEX_TYPE, Name};
use serde_json::json;

/// The longest page, which is also the page of a client that wants no pages.
const PAGE_MAX: usize = 10_000;
/// About how many bytes a page of referrers may have: what clients take for a manifest.
const REFERRERS_BYTES: u64 = 3 << 20;
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// `GET /v2/<name>/tags/list`.
pub(crate) async fn tags(
    shared: &Shared,
    exchange: &Exchange,
    name: Name,
) -> Result<Reply, Failure> {
    reads(exchange)?;
    let query = exchange.query()?;
    let most = most(&query)?;
    if let Some(upstream) = &shared.upstream
        && let Some(reply) = upstream.tags(&name, &query).await?
    {
        return Ok(reply);
    }
    let last = query.get("last").map(str::to_owned);
    let (store, repository) = (shared.store.clone(), name.clone());
    let page = blocking(move || store.tags(&repository, most, last.as_deref())).await?;
    let tags: Vec<_> = page.items.iter().map(ToString::to_string).collect();
    let mut reply = json_reply("application/json", &json!({ "name": name.as_str(), "tags": tags }));
    if let (true, Some(last)) = (page.more, tags.last()) {
        link(&mut reply, &format!("/v2/{name}/tags/list?n={most}&last={}", encode(last)));
    }
    Ok(reply)
}

/// `GET /v2/_catalog`.
pub(crate) async fn catalog(shared: &Shared, exchange: &Exchange) -> Result<Reply, Failure> {
    reads(exchange)?;
    let query = exchange.query()?;
    let most = most(&query)?;
    let last = query.get("last").map(Name::parse).transpose().map_err(|error| {
        Failure::new(StatusCode::BAD_REQUEST, "NAME_INVALID", error.to_string())
    })?;
    let store = shared.store.clone();
    let page = blocking(move || store.repositories(most, last.as_ref())).await?;
    let names: Vec<_> = page.items.iter().map(ToString::to_string).collect();
    let mut reply = json_reply("application/json", &json!({ "repositories": names }));
    if let (true, Some(last)) = (page.more, names.last()) {
        link(&mut reply, &format!("/v2/_catalog?n={most}&last={}", encode(last)));
    }
    Ok(reply)
}

/// `GET /v2/<name>/referrers/<digest>`.
pub(crate) async fn referrers(
    shared: &Shared,
    exchange: &Exchange,
    name: Name,
    digest: Digest,
) -> Result<Reply, Failure> {
    reads(exchange)?;
    let query = exchange.query()?;
    if let Some(upstream) = &shared.upstream
        && let Some(reply) = upstream.referrers(&name, &digest, &query).await?
    {
        return Ok(reply);
    }
    let kind = query.get("artifactType").filter(|kind| !kind.is_empty()).map(str::to_owned);
    let last = query.get("last").map(crate::address::parse_digest).transpose()?;
    let filtered = kind.clone();
    let (store, repository, subject) = (shared.store.clone(), name.clone(), digest.clone());
    let page = blocking(move || {
        store.referrers(&repository, &subject, kind.as_deref(), last.as_ref(), REFERRERS_BYTES)
    })
    .await?;
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": page.items
    });
    let mut reply = json_reply(INDEX_TYPE, &index);
    if filtered.is_some() {
        set(&mut reply, FILTERS, "artifactType");
    }
    if let (true, Some(last)) = (page.more, page.items.last()) {
        let filter =
            filtered.map_or(String::new(), |kind| format!("artifactType={}&", encode(&kind)));
        link(&mut reply, &format!("/v2/{name}/referrers/{digest}?{filter}last={}", last.digest));
    }
    Ok(reply)
}

fn reads(exchange: &Exchange) -> Result<(), Failure> {
    match exchange.reads() {
        true => Ok(()),
        false => Err(Failure::unsupported("lists are read with GET")),
    }
}

fn most(query: &Query) -> Result<usize, Failure> {
    let Some(text) = query.get("n") else { return Ok(PAGE_MAX) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match digits {
        // More than fits is more than a page.
        true => Ok(text.parse().unwrap_or(PAGE_MAX).min(PAGE_MAX)),
        false => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "PAGINATION_NUMBER_INVALID",
            "n must be a number",
        )),
    }
}

fn link(reply: &mut Reply, target: &str) {
    set(reply, LINK, &format!("<{target}>; rel=\"next\""));
}

pub(crate) fn json_reply(kind: &str, value: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Body::empty());
    let bytes = value.to_string();
    set(&mut reply, CONTENT_TYPE, kind);
    set(&mut reply, CONTENT_LENGTH, &bytes.len().to_string());
    *reply.body_mut() = Body::whole(bytes);
    reply
}
