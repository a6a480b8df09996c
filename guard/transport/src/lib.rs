//! Messages between the engine's processes: whole datagrams with descriptors, several requests in flight.
//!
//! A connection is one SOCK_SEQPACKET socket. The kernel keeps the borders of messages, so a half-written message does
//! not exist, and several processes that share an end (the task worker's children) can answer on it without a lock.
//! This crate never looks into a message; it never trusts its length, its descriptors or its sender.
//!
//! ```text
//!   0        2         3      4         8                16
//!   | magic  | version | kind | length  | sequence number | payload: postcard |
//! ```
//!
//! Up to [`INLINE`] bytes of payload travel in the datagram; a longer payload, up to [`LIMIT`], in a sealed memfd that
//! is the last descriptor of the message.
//!
//! Reading order: [`Frame`] and [`Connection`] (one datagram, blocking or not), [`Server`] with [`Incoming`] and
//! [`Responder`] (the answering side: one thread polls, handlers answer from wherever they run), and with the feature
//! `client` [`Client`] (the asking side: one reader task per connection) and [`Channel`] (events of a shim).

#![forbid(unsafe_code)]

mod connection;
mod descriptors;
mod outbox;
mod server;

#[cfg(feature = "client")]
mod channel;
#[cfg(feature = "client")]
mod client;

#[cfg(feature = "client")]
pub use channel::Channel;
#[cfg(feature = "client")]
pub use client::Client;
pub use connection::{
    Connection, Frame, INLINE, Kind, LIMIT, TransportError, decode, encode, pair,
};
pub use descriptors::Descriptors;
pub use server::{Handler, Incoming, Responder, Server, StandIn};
/// For servers of streams: whether a client has read what was sent to it.
pub use sys::socket::unread;
