//! The name server of containers: it answers at 127.0.0.11 what containers of the same networks are called, and passes
//! every other question on to the host's servers.
//!
//! It runs in the process that holds no privilege: the packets that it reads were written by containers and by whoever
//! answers for the host's servers. Its sockets lie in the containers' namespaces and were opened by somebody else;
//! questions that are passed on leave by sockets of this process, so in the host's namespace, where also servers on the
//! host's loopback are reached. It never writes a file, and reads only the host's resolv.conf.
//!
//! Bounds of one container: datagrams that are answered per second, questions that are passed on at the same time, and
//! connections ([`server`] has the numbers). What is beyond waits or is lost, and nobody else notices.
//!
//! Reading order: [`packet`] (questions and answers as bytes, pure), [`zone`] ([`Zones`]: who is called how), [`host`]
//! ([`HostServers`]: whom to ask about the rest), [`server`] ([`Client`], [`serve`]), [`forward`].
//!
//! Tasks: one per container for datagrams and one for connections; one per connection, and one per question that is
//! passed on. All of them end with the value that [`serve`] answers. Locks are held for a look-up, never over an await.

#![forbid(unsafe_code)]

mod forward;
pub mod host;
pub mod packet;
pub mod server;
pub mod zone;

pub use host::HostServers;
pub use server::{Client, Serving, Settings, Upstream, serve};
pub use zone::{Named, Zones};
