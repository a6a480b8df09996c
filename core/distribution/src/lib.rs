//! The registry client: the OCI distribution specification 1.1, as a client, and what Docker's registries do besides.
//!
//! It never writes a file, never unpacks anything and knows no image store: manifests come as bytes, blobs as a stream
//! from any position on. Everything that comes is a stranger's: every document, header, list and wait is bounded, a
//! connection that goes quiet counts as broken, and what is wrong is refused with one sentence. Credentials go to the
//! server that they are for and to the token server that it names, never further by a redirect, and never to a mirror.
//!
//! Reading order: [`Config`] (what the engine is told: mirrors, insecure registries, the policy, proxies),
//! [`Credentials`], [`Repository`] (whom to ask, with which authorization, how often), then its verbs:
//! [`Repository::manifest`], [`Repository::blob`], [`Repository::upload`], [`Repository::put_manifest`],
//! [`Repository::tags`]; [`login`] and [`search`]; [`Challenge`], [`Address`], [`Error`].
//!
//! # Which server
//!
//! ```text
//! name's domain ─ mirrors of it, in their order      any failure: the next
//!               ─ https://domain                     not reached and insecure: the next
//!               ─ http://domain                      insecure only: loopback, or listed
//! ```
//! `docker.io` is at `registry-1.docker.io`. The first that answers is asked for the rest of the operation.
//!
//! # Tasks and locks
//!
//! One connection pool per [`Repository`] value; hyper runs a task per connection. One thread reads the file of each
//! upload. Locks (tokens, TLS settings) are held for a look-up.

#![forbid(unsafe_code)]

mod address;
mod blob;
mod certificates;
mod challenge;
mod config;
mod connect;
mod credentials;
mod error;
mod http;
mod manifest;
mod proxy;
mod repository;
mod search;
mod token;
mod upload;

pub use address::Address;
pub use blob::BlobStream;
pub use challenge::Challenge;
pub use config::{Config, DEFAULT_HOST, INDEX_ADDRESS, Mirror};
pub use credentials::Credentials;
pub use error::{Code, Error, Refusal, TransportError};
pub use manifest::Fetched;
pub use proxy::Proxies;
pub use repository::{Access, Login, Repository, login};
pub use search::{Found, LIMIT_MAX, search};
pub use upload::{Upload, Uploaded};

pub use hyper::Method;
