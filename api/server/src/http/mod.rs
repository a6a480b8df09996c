//! One connection: its socket, the look at its first request, requests and replies.

pub(crate) mod first;
pub(crate) mod link;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod socket;
