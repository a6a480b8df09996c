//! A client of the Engine API: HTTP/1.1 over a unix socket, TCP, TLS, or `docker system dial-stdio` through ssh.
//!
//! This crate never prints, never reads the environment or a configuration file, and never retries: whoever calls it
//! says which host, and decides what an error means. It knows the wire only: version negotiation, error bodies, chunked
//! bodies, hijacked connections, streams of JSON objects and the frames of multiplexed output.
//!
//! Reading order: [`Endpoint`] (where), [`Client`] (one engine, one version), [`Request`], [`Response`] (a body that is
//! read piece by piece), [`Hijacked`] (after 101), [`frames::Frame`], [`objects::Objects`], [`ClientError`].
//!
//! Tasks and locks: an upload runs in one task of its own, so that the reply can be read while the body is still being
//! sent. The only lock guards the one idle connection and is never held across an await.

#![forbid(unsafe_code)]

mod body;
mod client;
mod endpoint;
mod error;
pub mod frames;
mod hijack;
pub mod objects;
mod query;
mod request;
mod response;
mod ssh;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod wire;

pub use client::{Client, NEWEST_VERSION, Ping};
pub use endpoint::{Address, Endpoint, TlsFiles};
pub use error::ClientError;
pub use hijack::{Hijacked, ReadSide, WriteSide};
pub use query::{Query, escape_path};
pub use request::{Request, RequestBody};
pub use response::Response;
