//! A request in parts, and who sent it.

use crate::address::Query;
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// It came by TLS.
    pub(crate) secure: bool,
    /// Files can be sent from the page cache.
    pub(crate) outgoing: Option<Arc<Outgoing>>,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: Option<String>,
    pub(crate) headers: HeaderMap,
    /// Until it is read.
    pub(crate) body: Option<Incoming>,
    said: Option<u64>,
    pub(crate) peer: Arc<Peer>,
}

impl Exchange {
    pub(crate) fn new(request: Request<Incoming>, peer: Arc<Peer>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            said: body.size_hint().exact(),
            body: Some(body),
            peer,
        }
    }

    pub(crate) fn query(&self) -> Result<Query, Failure> {
        Query::parse(self.query.as_deref())
    }

    /// The length that the client said its body has.
    pub(crate) fn said(&self) -> Option<u64> {
        self.said
    }

    pub(crate) fn header(&self, name: hyper::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}
