//! How the supervisor connects the workers: it makes a socket pair for each connection and hands out the ends.
//!
//! Each worker has one control socket, its standard input. The supervisor sends [`Control`] on it; nothing comes back
//! but the end of the socket when the worker ends. The end of the supervisor ends the socket, and so the worker.

use serde::{Deserialize, Serialize};

/// The processes that the supervisor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// HTTP, JSON, TLS, archives' headers, the object model, the database. No privilege.
    Api,
    /// Layers, snapshots, mounts, volumes, copies. No network.
    Storage,
    /// Bridges, veth pairs, network namespaces, firewall rules. No files.
    Network,
    /// Starts a shim per container and exec.
    Task,
}

impl Role {
    /// The role in a word, as in `cofferd worker ROLE` and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Task => "task",
        }
    }
}

/// What the supervisor tells a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// The descriptor that travels with this message is a connection with the worker of this role. It replaces an
    /// earlier one: the process at its other end has died.
    Peer(Role),
    /// The descriptor that travels with this message is a listening stream socket. Sent to the api worker only.
    Listener(Listener),
    /// All listeners and peers have been sent; the api worker may answer clients.
    Ready,
    /// The engine's configuration as JSON, resolved from flags and daemon.json. Sent to the api worker only,
    /// before [`Control::Ready`].
    Settings(String),
    /// Finish what is in flight and end.
    Stop,
}

/// How connections that arrive at a listener are to be treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listener {
    /// A unix socket at this path.
    Unix(String),
    /// A TCP socket at this address, without TLS.
    Tcp(String),
    /// A TCP socket at this address; TLS with these PEM texts. With `ca` a client must show a certificate that it signed.
    Tls {
        /// The address that is listened on.
        address: String,
        /// The server's certificate chain.
        certificate: String,
        /// The server's private key.
        key: String,
        /// The authority that clients' certificates must come from.
        ca: Option<String>,
    },
}
