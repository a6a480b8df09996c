//! Connections and replies that are streams: hijacked connections, websockets, pipes and JSON objects.

pub(crate) mod hijack;
pub(crate) mod legacy;
pub(crate) mod objects;
pub(crate) mod pipe;
pub(crate) mod websocket;
