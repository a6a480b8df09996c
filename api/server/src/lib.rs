//! The Engine API over HTTP/1.1: one route calls one verb of the engine.
//!
//! This crate decides nothing about containers and holds no state of theirs: it reads requests, bounds them, calls
//! [`engine::Engine`], and gives answers the shape that the asked API version (1.24 to 1.56) has. It opens no socket
//! and no file; listening sockets arrive open.
//!
//! Reading order: [`Server`] and [`Options`]; `listen` (connections) over `http` (a connection, a request, a reply);
//! `version`, `query`, `routes` (which path is which route), `dispatch`; one file per area under `route`; `stream`
//! (hijacked connections, websockets, streams of JSON); `shim` (what older versions show and send differently).
//!
//! # Tasks
//!
//! One task per connection runs hyper; one task per request runs its verb, so that neither a client that leaves nor a
//! panic interrupts a verb half-way: waits, log follows and events end because they ask for it
//! ([`http::link::Link::left`]), everything else runs to its end. One task per hijacked connection copies bytes.
//!
//! # Why there is a look at the first request before hyper
//!
//! hyper gives a connection away only after `101`, and only to a client that asked with `Upgrade`. Old clients attach
//! without that header and expect `200 OK` and then the raw stream. So the head of a connection's first request is read
//! here; such a request is answered here, everything else is replayed to hyper.

#![forbid(unsafe_code)]

mod dispatch;
mod failure;
mod http;
mod listen;
mod query;
mod route;
mod routes;
mod shim;
mod stream;
mod version;

use engine::Engine;
use std::sync::Arc;
use tokio::sync::watch;

pub use listen::ServeError;
pub use version::Version;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The oldest API version that is served.
    pub oldest: Version,
    /// Experimental features are on.
    pub experimental: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { oldest: Version::OLDEST, experimental: false }
    }
}

/// The API; cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    options: Options,
    stopping: watch::Sender<bool>,
}

impl Server {
    /// The API of `engine`.
    pub fn new(engine: Engine, options: Options) -> Self {
        let (stopping, _) = watch::channel(false);
        Self { shared: Arc::new(Shared { engine, options, stopping }) }
    }

    /// Ends every [`Server::serve`]: no further connection is taken, streams end, requests in flight are answered.
    pub fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.shared.stopping.subscribe()
    }
}
